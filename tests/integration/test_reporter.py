"""Telemetry that cannot be written takes nothing else with it (law 8: nothing silent)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from common.clock import SystemClock
from common.errors import DatabaseAway
from common.store import event_log
from common.store.database import Database, Link
from common.store.event_log import Event, Flush, GroupedError, RateSample
from daemon.integrations.doorloop.drill import DrillServer
from daemon.sync.reporter import MOST_CUT_OFF, Reporter
from tests.harness import engine
from tests.truth import one, rows

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


def test_what_gathered_while_the_database_was_away_is_all_written(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Samples and the five-minute series as well as events: a killed run's requests are counted by them."""
    reporter = Reporter(database, SystemClock())
    reporter.sample(RateSample(AT, *ACCOUNT, None, "sent"), "owners", failures=1)
    reporter.tally(ACCOUNT, "owners", rows=7, dead=1)

    def away(*_: object) -> int:
        raise DatabaseAway("gone")

    with monkeypatch.context() as patch:
        patch.setattr(event_log, "write", away)
        with pytest.raises(DatabaseAway):
            reporter.flush()
    reporter.tally(ACCOUNT, "owners", rows=2, dead=0)
    reporter.flush()
    sums = ", ".join(f"sum({name})::int AS {name}" for name in ("requests", "failures", "rows", "dead"))
    series = one(database, f"SELECT {sums} FROM control.series_5m")
    assert series == {"requests": 1, "failures": 1, "rows": 9, "dead": 1}
    assert one(database, "SELECT count(*) AS samples FROM control.rate_limit_samples")["samples"] == 1


def test_a_flush_that_is_always_cut_off_does_not_stay_for_ever(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law 8: what looks like a database that is away, while it answers everybody else, must not keep all lines back."""
    reporter = Reporter(database, SystemClock())
    reporter.add(event(rows=2**40))
    reporter.sample(sample(7), "owners")
    real = event_log.write

    def cut_off(database: Database, flush: Flush, now: datetime) -> int:
        if flush.events:
            raise DatabaseAway("terminating connection due to idle-in-transaction timeout")
        return real(database, flush, now)

    with monkeypatch.context() as patch:
        patch.setattr(event_log, "write", cut_off)
        for _ in range(MOST_CUT_OFF - 1):
            with pytest.raises(DatabaseAway):
                reporter.flush()
        reporter.flush()
    assert one(database, "SELECT count(*) AS samples FROM control.rate_limit_samples")["samples"] == 1
    reporter.add(event(rows=7))
    reporter.flush()
    assert one(database, "SELECT array_agg(rows) AS rows FROM control.events WHERE code = 'page'")["rows"] == [7]


def test_a_database_that_is_away_for_long_loses_no_line(monkeypatch: pytest.MonkeyPatch, database: Database) -> None:
    """However often it was tried: only where the database answers is a flush taken apart."""
    reporter = Reporter(database, SystemClock())
    reporter.sample(sample(7), "owners")

    def away(*_: object) -> None:
        raise DatabaseAway("gone")

    with monkeypatch.context() as patch:
        patch.setattr(Database, "transaction", away)
        patch.setattr(Database, "statement", away)
        for _ in range(2 * MOST_CUT_OFF):
            with pytest.raises(DatabaseAway):
                reporter.flush()
    reporter.flush()
    assert one(database, "SELECT count(*) AS samples FROM control.rate_limit_samples")["samples"] == 1


def test_an_errors_group_is_known_before_the_transaction_begins(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction that thinks instead of writing is ended by the server, and would be at each try."""
    open_now: list[bool] = []
    transaction = Database.transaction

    @contextmanager
    def noted(self: Database) -> Iterator[Link]:
        with transaction(self) as link:
            open_now.append(True)
            yield link
            open_now.clear()

    def compared(*_: object) -> str:
        assert not open_now
        return "f"

    monkeypatch.setattr(Database, "transaction", noted)
    monkeypatch.setattr(event_log, "fingerprint", compared)
    error = GroupedError(*ACCOUNT, "00000000-0000-4000-8000-000000000001", "VENDOR_ERROR", 500, "/owners", "no")
    event_log.write(database, Flush(errors=[error]), AT)
    assert one(database, "SELECT fingerprint FROM control.error_groups")["fingerprint"] == "f"


def test_who_only_calls_once_has_lines_too(database_url: str, database: Database) -> None:
    """No service for over a week: nobody had made the day's partition, and a run had not a single line."""
    for (name,) in map(dict.values, rows(database, DAYS)):
        rows(database, f"DROP TABLE {name}")
    with DrillServer(rows=5, seed=1) as drill, engine(drill, database_url) as house:
        house.run()
    assert one(database, "SELECT count(*) AS lines FROM control.events")["lines"] > 3


DAYS = "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'control.events'::regclass"
