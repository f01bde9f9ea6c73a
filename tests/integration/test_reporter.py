"""Telemetry that cannot be written takes nothing else with it (law 8: nothing silent)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from common.store.database import Database
from common.store.event_log import Event, RateSample
from daemon.integrations.doorloop.drill import DrillServer
from daemon.sync.reporter import Reporter
from tests.harness import engine
from tests.truth import one

AT = datetime.now(UTC)
ACCOUNT = ("doorloop", "main")


@pytest.fixture
def reporter(database_url: str) -> Iterator[Reporter]:
    """An engine's, which flushes when told."""
    with DrillServer(rows=1, seed=1) as drill, engine(drill, database_url) as house:
        yield house.services.reporter


def sample(remaining: int) -> RateSample:
    """Of a request that the vendor told so much of."""
    return RateSample(AT, *ACCOUNT, None, "sent", source="header", remaining=remaining)


def event(rows: int) -> Event:
    """A line that tells of so many rows."""
    return Event(AT, *ACCOUNT, "info", "page", "a page", rows=rows)


@pytest.mark.parametrize("quota", [2**32 - 1, 10**17])
def test_a_quota_without_end_is_kept(reporter: Reporter, database: Database, quota: int) -> None:
    """Issue 3: every convention of rate-limit headers, those that mean "as many as you like" included."""
    reporter.sample(sample(quota), "owners")
    reporter.flush()
    assert one(database, "SELECT remaining FROM control.rate_limit_samples")["remaining"] == quota


def test_what_cannot_be_written_is_lost_alone(reporter: Reporter, database: Database) -> None:
    """One line that Postgres refuses cost the whole flush: its samples and the five-minute series, too."""
    reporter.add(event(rows=2**40))
    reporter.sample(sample(7), "owners")
    reporter.flush()
    assert one(database, "SELECT count(*) AS samples FROM control.rate_limit_samples")["samples"] == 1
    assert one(database, "SELECT sum(requests) AS requests FROM control.series_5m")["requests"] == 1
    reporter.add(event(rows=7))
    reporter.flush()
    assert one(database, "SELECT array_agg(rows) AS rows FROM control.events WHERE code = 'page'")["rows"] == [7]
