"""Errors gather in groups that say since when, how often and in which runs."""

from __future__ import annotations

from common.clock import SystemClock
from common.store.database import Database
from common.store.event_log import Flush, GroupedError, write

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
