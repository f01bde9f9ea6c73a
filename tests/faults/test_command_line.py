"""`python -m daemon` as its users call it: exit codes, the last line, and what it refuses to do."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.store.database import Database
from common.store.migrate import LOCK_KEY
from daemon.integrations.doorloop.drill import DrillServer
from tests.children import Child, Yard, held, waits_for_a_lock
from tests.harness import SECRET_KEY, settings_for
from tests.truth import Record, assert_tables_equal_truth, one, rows
from tests.waiting import wait_for

COUNTERS = {"received", "inserted", "updated", "unchanged", "removed", "dead"}


@pytest.fixture
def drill() -> Iterator[DrillServer]:
    """A vendor with two pages."""
    with DrillServer(rows=30, seed=12) as server:
        yield server


def ended(child: Child) -> tuple[int, Record]:
    """Its exit code and the JSON object on its last line."""
    code = child.end()
    return code, child.last_line()


def test_once_ends_with_its_code_and_one_json_line(yard: Yard, drill: DrillServer, database: Database) -> None:
    """Issue 2: 0 succeeded, 3 incomplete, 5 deferred, 1 failed; the last line says what became of each entity."""
    child = yard.once(entities="owners,units")
    code, line = ended(child)
    assert (code, line["state"]) == (0, "succeeded")
    assert "error" not in line
    assert set(line["entities"]) == {"owners", "units"}
    assert set(line["entities"]["owners"]) == COUNTERS
    assert line["entities"]["owners"] | {} == {
        "received": 30,
        "inserted": 30,
        "updated": 0,
        "unchanged": 0,
        "removed": 0,
        "dead": 0,
    }
    assert [str(run["id"]) for run in yard.runs()] == [line["run_id"]]
    assert len(child.stdout.strip().splitlines()) == 1
    assert "\r" not in child.stderr  # no bar where nobody looks

    drill.set_fault("bad_money", every=10)
    changed = drill.mutate("units", change_ids=[next(drill.records("units"))["id"]]).changed
    code, line = ended(yard.once("delta", "--dry-run", entities="units"))
    assert (code, line["entities"]["units"]["dead"]) == (0, 3)
    assert [sample["id"] for sample in line["samples"]["units"]] == list(changed)
    code, line = ended(yard.once(entities="units"))
    assert (code, line["state"], line["error"]["code"]) == (3, "incomplete", "NEW_DEAD_LETTERS")
    drill.clear_faults()

    drill.set_fault("unauthorized")
    code, line = ended(yard.once())
    assert (code, line["state"], line["error"]["code"]) == (1, "failed", "KEY_REFUSED")
    assert line["error"]["remedy"]
    drill.clear_faults()

    code, line = ended(yard.once("delta", "--since", "2030-01-01T00:00:00Z"))
    assert (code, line["entities"]["owners"]["received"]) == (0, 30)
    assert line["entities"]["owners"]["unchanged"] == 0

    drill.set_fault("rate_limited", retry_after="3600", entity="owners", only_page=2)
    code, line = ended(yard.once())
    assert (code, line["state"]) == (5, "deferred")
    assert line["blocked_until"]
    drill.clear_faults()

    code, line = ended(yard.once())
    assert (code, line["state"], line["error"]["code"]) == (5, "deferred", "BLOCKED_UNTIL")
    assert_tables_equal_truth(database, drill, ["owners", "units"])


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--entities", "owners,cats"], "UNKNOWN_ENTITY"),
        (["--since", "yesterday"], "SINCE_UNUSABLE"),
        (["--integration", "doorlop"], "UNKNOWN_INTEGRATION"),
    ],
)
def test_nonsense_is_refused_with_a_json_line(yard: Yard, database: Database, arguments: list[str], code: str) -> None:
    """Issue 2: whatever becomes of `once`, its last line is one JSON object. Issue 4: every try is in the audit log."""
    child = yard.start("once", "--integration", "doorloop", "--mode", "delta", *arguments)
    exit_code, line = ended(child)
    assert (exit_code, line["state"], line["error"]["code"]) == (1, "refused", code)
    assert line["error"]["remedy"]
    assert "Traceback" not in child.stderr
    tried = one(database, "SELECT action, source, result, reason FROM control.admin_logs WHERE source = 'cli'")
    assert tried == {"action": "run", "source": "cli", "result": "refused", "reason": line["error"]["cause"]}


def test_once_heeds_the_serving_daemons_refusal_of_backfills(yard: Yard, database: Database) -> None:
    """Issue 4: ALLOW_MANUAL_BACKFILL=false refuses everywhere, also from a shell that does not have the variable."""
    yard.service(ALLOW_MANUAL_BACKFILL="false")
    for arguments in ((), ("--since", "1970-01-01")):
        code, line = ended(yard.once("backfill", *arguments))
        assert (code, line["state"], line["error"]["code"]) == (1, "refused", "BACKFILL_NOT_ALLOWED")
    assert yard.runs() == []
    assert {row["result"] for row in rows(database, "SELECT result FROM control.admin_logs")} == {"refused"}
    assert ended(yard.once("delta"))[0] == 0


def test_a_database_that_is_away_is_said_in_a_json_line(yard: Yard) -> None:
    """Law 8: without its database `once` ends with cause and cure, not with a traceback."""
    child = yard.once(DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    code, line = ended(child)
    assert (code, line["state"], line["error"]["code"]) == (1, "failed", "DATABASE_AWAY")
    assert "Traceback" not in child.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_before_the_run_has_begun_ends_in_order(
    yard: Yard, database: Database, number: signal.Signals
) -> None:
    """Issue 2: exit 4 stopped with its JSON line, also while it still waits for another process that migrates."""
    with held(database.url, "SELECT pg_advisory_xact_lock(%s)", LOCK_KEY):
        child = yard.once()
        wait_for(lambda: waits_for_a_lock(database), "it waits for the migrations' lock")
        child.send(number)
        code, line = ended(child)
    assert (code, line["state"], line["run_id"]) == (4, "stopped", None)
    assert "Traceback" not in child.stderr


def test_check_says_what_is_wrong_and_exits_2(yard: Yard) -> None:
    """Issue 2: `check` shows findings with cause and cure; exit 2 when one is an error; it needs no database."""
    fine = yard.start("check")
    wrong = yard.start("check", DOORLOOP_BASE_URL="https://api.doorloop.com", DOORLOOP_PAGE_SIZE="many")
    warned = yard.start("check", INTEGRATIONS_TEAMS_WEBHOOK="https://example.webhook.office.com/webhookb2/abc")
    wiped = yard.start("check", DATABASE_URL="", ICC_SECRET_KEY="", DYNO="worker.1")
    keyless = yard.start("check", ICC_SECRET_KEY="")
    assert fine.end() == 0, fine.stdout
    assert wrong.end() == 2
    assert "BASE_URL_NOT_API" in wrong.stdout
    assert "DOORLOOP_PAGE_SIZE" in wrong.stdout
    assert warned.end() == 0
    assert "WEBHOOK_RETIRED" in warned.stdout
    assert wiped.end() == 2
    assert "DATABASE_URL" in wiped.stderr
    assert keyless.end() == 2
    assert "ICC_SECRET_KEY" in keyless.stderr


def test_a_wiped_disk_gets_no_embedded_database(yard: Yard) -> None:
    """Issue 2: where disks are wiped (DYNO set) the service and `once` refuse to start, and say what to set."""
    for child in (yard.start(DATABASE_URL="", DYNO="worker.1"), yard.once(DATABASE_URL="", DYNO="worker.1")):
        assert child.end() == 1
        assert "DATABASE_URL" in child.stderr
        assert "Traceback" not in child.stderr
    assert not (yard.folder / ".data").exists()


def without_a_key(yard: Yard, **changes: str) -> Yard:
    """The same yard with no DOORLOOP_API_KEY."""
    values = {name: value for name, value in yard.values.items() if name != "DOORLOOP_API_KEY"}
    return Yard(yard.folder, values | changes, yard.database)


def test_no_drill_on_an_outside_database_unless_asked(yard: Yard, database: Database) -> None:
    """Issue 2: without a key the drill stands in on no outside database unless ICC_DRILL=1, and never on live rows."""
    keyless = without_a_key(yard)
    code, line = ended(keyless.once())
    assert (code, line["error"]["code"]) == (1, "ACCOUNT_HELD")
    assert "DOORLOOP_API_KEY" in line["error"]["cause"] + line["error"]["remedy"]
    assert rows(database, "SELECT 1 FROM doorloop.owners") == []
    assert ended(yard.once())[0] == 0
    code, line = ended(without_a_key(yard, ICC_DRILL="1", ICC_DRILL_ROWS="10").once())
    assert (code, line["error"]["code"]) == (1, "ACCOUNT_HELD")
    assert "live" in line["error"]["cause"]
    assert len(rows(database, "SELECT 1 FROM doorloop.owners")) == 30


def test_drill_rows_keep_live_rows_out(
    drill: DrillServer, database: Database, database_url: str, tmp_path: Path
) -> None:
    """Issue 2: a database that holds drill rows takes no live ones."""
    live = settings_for(drill, database_url)
    rehearsal = {"DATABASE_URL": database_url, "ICC_SECRET_KEY": SECRET_KEY, "ICC_DRILL": "1", "ICC_DRILL_ROWS": "10"}
    yards = [Yard(tmp_path / "yard", values, database) for values in (rehearsal, live)]
    try:
        assert ended(yards[0].once())[0] == 0
        code, line = ended(yards[1].once())
        assert (code, line["error"]["code"]) == (1, "ACCOUNT_HELD")
        assert "drill" in line["error"]["cause"]
        assert len(rows(database, "SELECT 1 FROM doorloop.owners")) == 10
        forgotten = yards[0].start("forget-drill")
        assert forgotten.end() == 0
        assert re.fullmatch(r"deleted: owners 10(, [a-z]+ \d+){4,}\n", forgotten.stdout)
    finally:
        for yard in yards:
            yard.clear()


def test_questions_are_answered_from_the_command_line(yard: Yard, drill: DrillServer, database: Database) -> None:
    """Issue 2: a mass removal is confirmed by `python -m daemon confirm`; `--reject` says no."""
    assert yard.once().end() == 0
    drill.mutate("owners", delete=25)
    code, line = ended(yard.once())
    assert (code, line["error"]["code"]) == (3, "MASS_REMOVAL")
    listing = yard.start("confirm")
    assert listing.end() == 0
    question = listing.stdout.split()[0]
    assert "mass_removal  owners  here: 30; entity: owners; missing: 25; sample ids: " in listing.stdout
    answer = yard.start("confirm", question)
    assert answer.end() == 0
    assert answer.stdout == f"confirmation id: {question}; answer: confirmed; removed: 25\n"
    assert_tables_equal_truth(database, drill, ["owners"])
    again = yard.start("confirm", question, "--reject")
    assert again.end() == 1
    assert "no open question" in again.stdout


def test_a_wrong_vendor_setting_does_not_stop_the_service(yard: Yard, database: Database) -> None:
    """Issue 2: the daemon starts all the same, publishes the finding, and holds the schedule."""
    yard.service(DOORLOOP_BASE_URL="https://app.doorloop.com", AUTO_SYNC_ENABLED="true")
    account = rows(database, "SELECT held, findings FROM control.accounts_synced")[0]
    assert account["held"] is True
    assert account["findings"][0]["code"] == "BASE_URL_NOT_API"
    wait_for(
        lambda: rows(database, "SELECT 1 FROM control.schedule_slots WHERE outcome = 'skipped'"), "a slot is skipped"
    )
    assert yard.runs() == []
    json.dumps(account["findings"])
