"""The service and `check` as real processes: what the schedule will need, and what an admin may do about the pace."""

from __future__ import annotations

from typing import Any

from common.limit_wishes import force_breaker_wish, schedule_wish
from common.store.database import Database
from tests.children import Yard
from tests.harness import ADMIN
from tests.truth import one, rows
from tests.waiting import wait_for

SCHEDULED = {
    "AUTO_SYNC_ENABLED": "true",
    "AUTO_SYNC_INTERVAL_MINUTES": "1",
    "SYNC_ENTITIES": "owners",
    "DOORLOOP_RATE_LIMIT_PER_HOUR": "250",
}


def found(database: Database) -> dict[str, Any] | None:
    """The published finding."""
    findings = one(database, "SELECT findings FROM control.accounts_synced")["findings"]
    return next((finding for finding in findings if finding["code"] == "SCHEDULE_OVER_BUDGET"), None)


def test_the_forecast_is_published_when_the_totals_are_known(yard: Yard, database: Database) -> None:
    """Issue 3: recomputed as totals change, published to the page, shown by `check`; nothing false before."""
    before = yard.start("check", **SCHEDULED)
    assert before.end() == 0
    assert "SCHEDULE_OVER_BUDGET" not in before.stdout
    yard.service(**SCHEDULED)
    yard.wait_for_state("succeeded", index=0, seconds=60)
    finding = wait_for(lambda: found(database), "the finding is published", seconds=40)
    # Twenty pages: 21 requests for the full copy and 59 deltas of three pages and an identity.
    assert "about 257 requests in its busiest hour; DoorLoop allows 250" in finding["cause"]
    after = yard.start("check", **SCHEDULED)
    assert after.end() == 0
    assert "257 requests" in after.stdout
    assert "Set DOORLOOP_PAGE_SIZE=1000, or AUTO_SYNC_INTERVAL_MINUTES=2." in after.stdout


def test_check_without_a_database_says_what_is_certain_anyway(yard: Yard) -> None:
    """It starts nothing and needs nothing: an unreachable database costs it the totals, not its answer."""
    child = yard.start("check", DATABASE_URL="postgresql://nobody@127.0.0.1:1/none", **SCHEDULED)
    assert child.end() == 0
    assert "no findings" in child.stdout
    few = yard.start("check", DATABASE_URL="", **(SCHEDULED | {"DOORLOOP_RATE_LIMIT_PER_HOUR": "100"}))
    assert few.end() == 0
    assert "about 120 requests" in few.stdout
    assert not (yard.folder / ".data").exists()


def test_a_running_service_obeys_an_admin(yard: Yard, database: Database) -> None:
    """Issue 3: forced and paused by commands like any other: done, told, audited, and kept over a restart."""
    first = yard.service(**SCHEDULED)
    yard.wait_for_state("succeeded", index=0, seconds=60)
    gate = yard.gate()
    gate.submit(schedule_wish("doorloop", paused=True, reason="month's end"), ADMIN)
    gate.submit(force_breaker_wish("doorloop", state="open", minutes=5, reason="they move house"), ADMIN)
    done = "SELECT 1 FROM control.commands WHERE action IN ('schedule', 'force_breaker') AND state = 'done'"
    wait_for(lambda: len(rows(database, done)) == 2, "both are done", seconds=30)
    events = "SELECT code, msg FROM control.events WHERE code IN ('schedule', 'breaker')"
    told = wait_for(lambda: lines if len(lines := rows(database, events)) == 2 else None, "both are told")
    first.kill()
    yard.service(**SCHEDULED)
    rows(database, "DELETE FROM control.schedule_slots")
    number = len(yard.runs())
    yard.press_run()
    run = yard.wait_for_state("incomplete", seconds=30)
    assert run["error"]["code"] == "BREAKER_FORCED_OPEN"
    assert len(yard.runs()) == number + 1
    assert any("the schedule paused, by tester: month's end" in row["msg"] for row in told)
    audited = rows(database, "SELECT action FROM control.admin_logs WHERE result = 'done'")
    assert {"schedule", "force_breaker"} <= {row["action"] for row in audited}
