"""Issue 3: requeue is a run: it reads put-aside records again, by id or by list, and ends with a verdict."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from common.errors import Refused
from common.insights.letters import bulk_actions
from common.letter_wishes import Matching
from common.store import budgets
from common.store.database import Database
from daemon.integrations.doorloop.drill import DrillServer
from daemon.rescue import rescue_silent_runs
from tests.harness import Engine, engine
from tests.integration.letters import (
    action,
    counted,
    ended,
    let_an_hour_pass,
    letters,
    press_cancel,
    press_requeue,
    put_off,
    serving,
)
from tests.truth import assert_tables_equal_truth, one, rows, table
from tests.waiting import wait_for


@pytest.fixture
def drill() -> Iterator[DrillServer]:
    """A vendor with five pages of 20."""
    with DrillServer(rows=100, seed=4) as server:
        yield server


@pytest.fixture
def house(drill: DrillServer, database_url: str) -> Iterator[Engine]:
    """A daemon that serves."""
    with serving(drill, database_url) as running:
        yield running


def spoil(house: Engine, drill: DrillServer, number: int = 10, *, fault: str = "bad_money") -> list[str]:
    """Copy units, ``number`` of them (at most 50) bad; then forget the requests so far. Returns the bad ids."""
    drill.set_fault(fault, every=2, at_most=number, entity="units")
    house.run(entities=["units"])
    assert len(letters(house.database)) == number
    drill.log.clear()
    return list(drill.bad_ids(fault, "units"))


def asked(drill: DrillServer) -> tuple[int, int]:
    """(records asked for by id, pages of the list) since the log was cleared."""
    paths = [entry.path for entry in drill.log.entries()]
    return sum(path.startswith("/api/units/") for path in paths), sum(path == "/api/units" for path in paths)


def test_few_letters_are_read_by_id_and_recovered(house: Engine, drill: DrillServer, database: Database) -> None:
    """Issue 3: a requeue reads by id when that costs fewer requests, writes the rows, and is a run like any other."""
    spoil(house, drill, 3)
    drill.clear_faults()
    found = ended(house, press_requeue(house))
    assert (found["state"], found["verdict"], found["done"]) == ("done", "3 of 3 recovered", 3)
    assert asked(drill) == (3, 0)
    run = one(database, "SELECT * FROM control.runs WHERE id = %s", found["run_id"])
    assert (run["mode"], run["state"], run["requested_by"], run["trigger"]) == ("requeue", "succeeded", "tester", "api")
    part = one(database, "SELECT * FROM control.run_entities WHERE run_id = %s", found["run_id"])
    assert (part["state"], part["received"], part["inserted"], part["dead"]) == ("complete", 3, 3, 0)
    assert (part["page"], part["pages_expected"]) == (3, 3)
    assert [letter["finish_reason"] for letter in letters(database, "recovered")] == ["a requeue brought it good"] * 3
    assert_tables_equal_truth(database, drill, ["units"])


def test_many_letters_are_read_by_one_list_pass(house: Engine, drill: DrillServer, database: Database) -> None:
    """Issue 3: with more letters than pages one pass over the list is cheaper, and it ends when all are met."""
    spoil(house, drill, 30)
    drill.clear_faults()
    found = ended(house, press_requeue(house))
    assert found["verdict"] == "30 of 30 recovered"
    by_id, pages = asked(drill)
    assert by_id == 0
    assert 0 < pages <= 5
    assert_tables_equal_truth(database, drill, ["units"])


@pytest.mark.parametrize("number", [4, 30], ids=["by id", "by list"])
def test_what_is_still_bad_opens_again(house: Engine, drill: DrillServer, database: Database, number: int) -> None:
    """Issue 3: "412 of 430 recovered, 18 the same error": what fails again is open again, seen once more."""
    bad = spoil(house, drill, number)
    drill.clear_faults()
    drill.set_fault("bad_money", ids=bad[:2])
    drill.set_fault("bad_date", ids=bad[2:3])
    found = ended(house, press_requeue(house))
    assert found["verdict"] == f"{number - 3} of {number} recovered, 2 the same error, 1 another error"
    again = letters(database)
    assert {letter["record_id"] for letter in again} == set(bad[:3])
    assert {letter["attempts"] for letter in again} == {2}
    assert {letter["reason"].split()[0] for letter in again} == {"marketRent", "createdAt"}
    assert one(database, "SELECT state FROM control.runs WHERE mode = 'requeue'")["state"] == "succeeded"


@pytest.mark.parametrize("number", [2, 30], ids=["by id", "by list"])
def test_a_record_that_is_gone_is_said_so(house: Engine, drill: DrillServer, database: Database, number: int) -> None:
    """A record the vendor no longer has closes its letter with that reason; a later one with its id opens a new one."""
    bad = spoil(house, drill, number)
    drill.clear_faults()
    drill.mutate("units", delete_ids=bad[:1])
    found = ended(house, press_requeue(house))
    assert found["verdict"] == f"{number - 1} of {number} recovered, 1 no longer sent by the vendor"
    (gone,) = [letter for letter in letters(database, "recovered") if letter["record_id"] == bad[0]]
    assert gone["finish_reason"] == "the vendor no longer has this record"
    drill.mutate("units", restore_ids=bad[:1])
    drill.set_fault("bad_money", ids=bad[:1])
    house.run(entities=["units"])
    assert [letter["record_id"] for letter in letters(database)] == bad[:1]


def test_under_a_wrong_address_nothing_is_gone(house: Engine, drill: DrillServer, database: Database) -> None:
    """A 404 for a record counts only where the vendor knows its list; else every letter would be closed as gone."""
    spoil(house, drill, 3)
    drill.set_fault("http_status", status=404, entity="units")
    found = ended(house, press_requeue(house))
    assert found["verdict"].startswith("0 of 3 recovered, 3 not read: DoorLoop knows no /units")
    assert len(letters(database)) == 3


def test_a_record_without_id_needs_the_list(house: Engine, drill: DrillServer, database: Database) -> None:
    """A letter without an id is found by its content; one that a whole list no longer holds is closed."""
    spoil(house, drill, 3, fault="missing_id")
    found = ended(house, press_requeue(house))
    assert (found["verdict"], asked(drill)[0]) == ("0 of 3 recovered, 3 the same error", 0)
    assert {letter["attempts"] for letter in letters(database)} == {2}
    drill.clear_faults()
    found = ended(house, press_requeue(house))
    assert found["verdict"] == "0 of 3 recovered, 3 no longer sent by the vendor"
    assert letters(database) == []
    reasons = {row["finish_reason"] for row in rows(database, "SELECT finish_reason FROM control.dead_letters")}
    assert reasons == {"the vendor no longer sends it without an id; if it was mended, the next run brings it"}


def test_a_list_that_proves_nothing_closes_nothing(house: Engine, drill: DrillServer, database: Database) -> None:
    """Law 4's spirit: not met in a list whose count does not fit is not gone."""
    spoil(house, drill, 3, fault="missing_id")
    drill.clear_faults()
    drill.set_fault("total_off_by", rows=2, entity="units")
    found = ended(house, press_requeue(house))
    assert found["verdict"] == "0 of 3 recovered, 3 not met in the list"
    assert len(letters(database)) == 3


def test_a_total_that_is_too_small_hides_no_record(house: Engine, drill: DrillServer, database: Database) -> None:
    """Issue 3: what stands behind the end that the vendor's total promises is not gone."""
    spoil(house, drill, 30)
    drill.clear_faults()
    drill.set_fault("total_off_by", rows=-60, entity="units")
    found = ended(house, press_requeue(house))
    assert found["verdict"] == "30 of 30 recovered"
    assert letters(database) == []


def test_a_later_row_is_never_replaced(house: Engine, drill: DrillServer, database: Database) -> None:
    """Issue 3: a requeue never replaces a row whose `_fetched_at` is later; its letter is closed all the same."""
    house.run(entities=["units"])
    bad = spoil(house, drill, 2)
    drill.mutate("units", change_ids=bad)
    drill.clear_faults()
    rows(database, "UPDATE doorloop.units SET _fetched_at = now() + interval '1 hour' WHERE id = %s", bad[0])
    before = table(database, "units")
    found = ended(house, press_requeue(house))
    assert found["verdict"] == "2 of 2 recovered"
    after = table(database, "units")
    assert after[bad[0]] == before[bad[0]]
    assert after[bad[1]]["raw"] != before[bad[1]]["raw"]


def test_it_waits_for_the_running_run_and_then_starts_by_itself(
    house: Engine, drill: DrillServer, database: Database
) -> None:
    """Issue 3: a requeue takes the lease or queues; meanwhile its letters are `queued`, seen again or not."""
    bad = spoil(house, drill, 4)
    other = house.begin("backfill", ["units"])
    bulk_id = press_requeue(house)
    assert action(database, bulk_id)["state"] == "queued"
    assert house.commands.bulk.run_once() == 0
    drill.clear_faults()
    drill.set_fault("bad_money", ids=bad[:2])
    house.finish(other)  # sees two of them again and brings the other two
    assert {letter["record_id"] for letter in letters(database, "queued")} == set(bad[:2])
    drill.clear_faults()
    found = ended(house, bulk_id)
    assert (found["verdict"], found["counted"]) == ("4 of 4 recovered", 4)
    assert_tables_equal_truth(database, drill, ["units"])


def test_what_a_sync_recovered_meanwhile_needs_no_run(house: Engine, drill: DrillServer, database: Database) -> None:
    """A queued requeue whose letters all came good by themselves ends without a request."""
    spoil(house, drill, 2)
    other = house.begin("backfill", ["units"])
    bulk_id = press_requeue(house)
    drill.clear_faults()
    house.finish(other)
    found = ended(house, bulk_id)
    assert (found["verdict"], found["run_id"]) == ("2 of 2 recovered", None)


def test_at_most_half_of_the_hour_and_then_it_goes_on(drill: DrillServer, database_url: str) -> None:
    """Issue 3: at most half of the hour's budget; the rest goes on by itself, and other runs may use the other half."""
    with engine(drill, database_url) as house:
        spoil(house, drill, 4)
    drill.clear_faults()
    with serving(drill, database_url, DOORLOOP_RATE_LIMIT_PER_HOUR="8") as house:
        bulk_id = press_requeue(house)
        first = put_off(house, bulk_id)
        assert (first["done"], first["finished_at"]) == (3, None)
        run = one(house.database, "SELECT * FROM control.runs WHERE id = %s", first["run_id"])
        assert (run["state"], run["requests"]) == ("deferred", 4)
        assert first["not_before"] == run["blocked_until"]
        (told,) = bulk_actions(house.database, "doorloop")
        assert (told.why, told.not_before) == ("half of the hour's requests is used up", first["not_before"])
        assert len(drill.log.entries()) == 4
        assert one(house.database, "SELECT blocked_until FROM control.accounts_synced")["blocked_until"] is None
        assert house.continue_by_schedule() is None
        assert action(house.database, bulk_id)["state"] == "queued"
        rows(house.database, "UPDATE control.bulk_actions SET not_before = now()")
        house.commands.bulk.run_once()
        assert action(house.database, bulk_id)["not_before"] > run["finished_at"]  # its hour is not over
        let_an_hour_pass(house)
        assert ended(house, bulk_id)["verdict"] == "4 of 4 recovered"
        assert_tables_equal_truth(house.database, drill, ["units"])


def test_half_of_the_hour_is_of_what_an_admin_allows_now(drill: DrillServer, database_url: str) -> None:
    """Issue 3: at most half of the hour's budget, also where an admin has lowered that for a while."""
    with engine(drill, database_url) as house:
        spoil(house, drill, 4)
    drill.clear_faults()
    with serving(drill, database_url, DOORLOOP_RATE_LIMIT_PER_HOUR="100") as house:
        with house.database.transaction() as link:
            budgets.lower(link, "doorloop", "main", {"perHour": 6}, minutes=60, by="tester", reason="others need it")
        bulk_id = press_requeue(house)
        first = put_off(house, bulk_id)
        assert first["done"] == 2
        assert len(drill.log.entries()) == 3


def test_a_list_pass_goes_on_at_its_page(drill: DrillServer, database_url: str) -> None:
    """A list longer than the share of the hour is read in parts, the page before read again."""
    with engine(drill, database_url) as house:
        spoil(house, drill, 50)
    drill.clear_faults()
    with serving(drill, database_url, DOORLOOP_RATE_LIMIT_PER_HOUR="8") as house:
        bulk_id = press_requeue(house)
        first = put_off(house, bulk_id)
        assert (first["done"], first["places"]["units"]["next_page"]) == (30, 4)
        let_an_hour_pass(house)
        assert ended(house, bulk_id)["verdict"] == "50 of 50 recovered"
        pages = [entry.query.split("page_number=")[1].split("&")[0] for entry in drill.log.entries() if entry.query]
        assert pages == ["1", "2", "3", "3", "4", "5"]
        assert_tables_equal_truth(house.database, drill, ["units"])


def test_a_list_pass_begins_again_under_another_page_size(drill: DrillServer, database_url: str) -> None:
    """Page 3 of pages of 50 is behind what was read of pages of 20: nothing in between is left out."""
    with engine(drill, database_url) as house:
        spoil(house, drill, 50)
    drill.clear_faults()
    with serving(drill, database_url, DOORLOOP_RATE_LIMIT_PER_HOUR="8") as house:
        bulk_id = press_requeue(house)
        put_off(house, bulk_id)
        let_an_hour_pass(house)
    drill.log.clear()
    with serving(drill, database_url, DOORLOOP_PAGE_SIZE="50") as house:
        assert ended(house, bulk_id)["verdict"] == "50 of 50 recovered"
        assert asked(drill) == (0, 2)
        assert_tables_equal_truth(house.database, drill, ["units"])


def test_a_requeue_whose_lease_is_gone_writes_nothing(house: Engine, drill: DrillServer, database: Database) -> None:
    """Law 1: a requeue that wakes under an old term commits neither row nor letter; a next run does it."""
    bad = spoil(house, drill, 2)
    drill.clear_faults()
    drill.set_fault("hang", entity="units")
    bulk_id = press_requeue(house)
    wait_for(lambda: asked(drill)[0], "the request is out")
    rows(database, "UPDATE control.leases SET term = term + 1, holder = NULL, run_id = NULL, expires_at = NULL")
    drill.clear_faults()
    wait_for(lambda: "idle" in house.services.desk.doing(), "its thread has ended", seconds=60)
    assert len(letters(database, "queued")) == 2
    assert not set(bad) & set(table(database, "units"))
    assert rescue_silent_runs(database) == 1
    assert ended(house, bulk_id)["verdict"] == "2 of 2 recovered"
    runs = rows(database, "SELECT state FROM control.runs WHERE mode = 'requeue' ORDER BY term")
    assert [run["state"] for run in runs] == ["interrupted", "succeeded"]


def test_letters_can_be_chosen(house: Engine, drill: DrillServer, database: Database) -> None:
    """Issue 3: for one, a selection, or all that match a filter."""
    spoil(house, drill, 4)
    drill.set_fault("bad_date", every=2, at_most=2, entity="owners")
    house.run(entities=["owners"])
    drill.clear_faults()
    owners = [letter["id"] for letter in letters(database) if letter["entity"] == "owners"]
    assert ended(house, press_requeue(house, Matching(ids=(owners[0],))))["verdict"] == "1 of 1 recovered"
    wished = Matching(entity="units", code="RECORD_TYPE", fingerprint=letters(database)[0]["fingerprint"])
    assert ended(house, press_requeue(house, wished))["verdict"] == "4 of 4 recovered"
    assert [letter["id"] for letter in letters(database)] == owners[1:]


def test_letters_that_nobody_counted_are_not_touched(house: Engine, drill: DrillServer, database: Database) -> None:
    """Issue 3: with the count shown first: what came later is not taken, and more than were counted are refused."""
    spoil(house, drill, 2)
    seen = counted(database)
    drill.set_fault("bad_date", every=2, at_most=2, entity="owners")
    house.run(entities=["owners"])
    with pytest.raises(Refused) as refusal:
        press_requeue(house, last_id=counted(database)["last_id"], counted=seen["counted"])
    assert refusal.value.code == "LETTERS_GREW"
    assert len(letters(database)) == 4
    bulk_id = press_requeue(house, **seen)
    assert ended(house, bulk_id)["counted"] == 2
    with pytest.raises(Refused) as none_left:
        press_requeue(house, Matching(entity="leases"), counted=1)
    assert none_left.value.code == "NO_SUCH_LETTERS"
    assert rows(database, "SELECT 1 FROM control.bulk_actions WHERE id <> %s", bulk_id) == []


@pytest.mark.parametrize("how", ["cancel", "stop"])
def test_a_requeue_can_be_cancelled_in_the_middle(
    house: Engine, drill: DrillServer, database: Database, how: str
) -> None:
    """Issue 3: cancellable: its run stops, what it did stays, the rest is open as before; Stop ends it, too."""
    bad = spoil(house, drill, 4)
    drill.clear_faults()
    drill.set_fault("hang", entity="units", after_requests=2)
    bulk_id = press_requeue(house)
    wait_for(lambda: action(database, bulk_id)["done"] >= 1, "it has begun")
    if how == "cancel":
        press_cancel(house, bulk_id)
    else:
        house.services.desk.stop("doorloop", "main", "tester")
    found = ended(house, bulk_id)
    left = len(letters(database))
    assert (found["state"], 0 < left < 4) == ("cancelled", True)
    assert found["verdict"] == f"Cancelled by tester: {4 - left} of 4 recovered, {left} not read"
    assert one(database, "SELECT state FROM control.runs WHERE mode = 'requeue'")["state"] == "stopped"
    assert {letter["record_id"] for letter in letters(database)} < set(bad)
    with pytest.raises(Refused) as refusal:
        press_cancel(house, bulk_id)
    assert refusal.value.code == "UNKNOWN_BULK_ACTION"


def test_a_queued_requeue_can_be_cancelled(house: Engine, drill: DrillServer, database: Database) -> None:
    """Cancelled before it began: nothing happened, every letter is open; the run that it waited for goes on."""
    spoil(house, drill, 2)
    other = house.begin("backfill", ["owners"])
    bulk_id = press_requeue(house)
    press_cancel(house, bulk_id)
    found = action(database, bulk_id)
    assert (found["state"], found["verdict"]) == ("cancelled", "Cancelled by tester: 0 of 2 recovered, 2 not read")
    assert len(letters(database)) == 2
    assert house.finish(other).state == "succeeded"


def test_a_refused_key_ends_it_with_the_reason(house: Engine, drill: DrillServer, database: Database) -> None:
    """A requeue that cannot read says why, and leaves its letters open."""
    spoil(house, drill, 2)
    drill.set_fault("unauthorized")
    found = ended(house, press_requeue(house))
    assert found["verdict"] == "0 of 2 recovered, 2 not read: DoorLoop refused the API key (401)."
    assert len(letters(database)) == 2
    house.services.reporter.flush()
    group = one(database, "SELECT * FROM control.error_groups WHERE code = 'KEY_REFUSED'")
    assert str(found["run_id"]) in map(str, group["run_ids"])


def test_the_verdict_is_in_the_audit_log(house: Engine, drill: DrillServer, database: Database) -> None:
    """Law 9: accepted, done, and how it ended are rows of the audit log."""
    spoil(house, drill, 2)
    drill.clear_faults()
    bulk_id = press_requeue(house)
    ended(house, bulk_id)
    log = rows(database, "SELECT * FROM control.admin_logs WHERE command_id = %s ORDER BY id", bulk_id)
    assert [row["action"] for row in log] == ["requeue"] * 3
    assert log[0]["result"] == "accepted"
    assert log[-1]["summary"]["verdict"] == "2 of 2 recovered"
    assert {row["outcome_of"] for row in log[1:]} == {log[0]["id"]}
