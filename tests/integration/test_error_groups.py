"""Errors gather in groups that say since when, how often and in which runs."""

from __future__ import annotations

import pytest

from common.clock import SystemClock
from common.errors import IccError
from common.insights.findings import error_groups
from common.rules.fingerprint import LOOKED_AT
from common.store import event_log
from common.store.database import Database
from common.store.event_log import Flush, GroupedError, prune, write
from common.store.leases import Lease
from daemon.integrations.doorloop.drill import DrillServer
from daemon.sync.reporter import Reporter, RunReporter
from tests.harness import engine

RUN, OTHER_RUN = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"


def _error(run_id: str, snippet: str) -> GroupedError:
    return GroupedError("doorloop", "main", run_id, "VENDOR_ERROR", 500, "/owners", snippet)


def test_alike_errors_are_one_group_with_its_runs(database: Database) -> None:
    """Issue "An engine": grouped with first seen, last seen, count, and the runs they touched."""
    now = SystemClock().now()
    write(database, Flush(errors=[_error(RUN, "request 1 failed"), _error(RUN, "request 2 failed")]), now)
    write(database, Flush(errors=[_error(OTHER_RUN, "request 3 failed"), _error(RUN, "out of memory")]), now)
    with database.transaction() as link:
        rows = link.execute("SELECT * FROM control.error_groups ORDER BY count DESC").fetchall()
    assert [row["count"] for row in rows] == [3, 1]
    assert [str(run_id) for run_id in rows[0]["run_ids"]] == [OTHER_RUN, RUN]
    assert rows[0]["first_seen_at"] < rows[0]["last_seen_at"]


def test_the_latest_groups_of_each_account_are_kept(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A vendor whose every answer is worded anew does not fill the table."""
    now = SystemClock().now()
    for word in ("one", "two", "three"):
        write(database, Flush(errors=[_error(RUN, word)]), now)
    write(database, Flush(errors=[GroupedError("doorloop", "other", RUN, "VENDOR_ERROR", 500, "/owners", "one")]), now)
    monkeypatch.setattr(event_log, "MOST_ERROR_GROUPS", 2)
    with database.transaction() as link:
        assert prune(link, 30)["error_groups"] == 1
        kept = link.execute("SELECT account_key, snippet FROM control.error_groups ORDER BY last_seen_at").fetchall()
    assert [(row["account_key"], row["snippet"]) for row in kept] == [
        ("main", "two"),
        ("main", "three"),
        ("other", "one"),
    ]


def test_a_group_shows_a_beginning_of_a_long_cause(database: Database) -> None:
    """An error without an answer is grouped by its cause, which may quote whatever went wrong."""
    reporter = Reporter(database, SystemClock())
    voice = RunReporter(reporter, SystemClock(), Lease("doorloop", "main", RUN, 1))
    voice.trouble(IccError("INTERNAL_ERROR", detail="it said " + "x" * 60_000))
    reporter.flush()
    (group,) = error_groups(database, "doorloop")
    assert group.snippet is not None
    assert len(group.snippet) <= LOOKED_AT


def test_every_failed_request_is_in_its_group(database_url: str, database: Database) -> None:
    """Issue 3: an error that was tried again counts like the one that ended its entity; a rate limit is no error."""
    with DrillServer(rows=50, seed=4) as drill, engine(drill, database_url, ICC_RETRY_ATTEMPTS="2") as copier:
        drill.set_fault("http_500", entity="owners", only_page=2, times=1)
        drill.set_fault("http_502", entity="units")
        drill.set_fault("rate_limited", entity="tenants", retry_after="0", times=1)
        run = copier.run(entities=["owners", "units", "tenants"])
    groups = {(group.status, group.path_template): group for group in error_groups(database, "doorloop")}
    assert {key: group.count for key, group in groups.items()} == {(500, "/owners"): 1, (502, "/units"): 2}
    assert all(group.run_ids == (str(run.run["id"]),) for group in groups.values())
