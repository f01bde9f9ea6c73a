"""Law 6: Stop works within one second at any point; SIGTERM leaves everything in order."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from common.access import Action
from common.errors import Refused
from common.letter_wishes import Matching, discard_wish
from common.store.database import Database
from common.wishes import Wish, check_wish
from daemon.integrations.doorloop.drill import DrillServer, LimitSettings
from tests.children import Child, Yard, fails_once, held, waits_for_a_lock
from tests.harness import ADMIN
from tests.truth import assert_tables_equal_truth, one, rows
from tests.waiting import wait_for

STOP_SECONDS = 1.0
SIX_LETTERS = """
    INSERT INTO control.dead_letters (integration, entity, record_id, payload, payload_hash, code, reason, fingerprint)
    SELECT 'doorloop', 'units', n::text, '{}', md5(n::text), 'RECORD_TYPE', 'bad', 'f' FROM generate_series(1, 6) AS n
"""


def assert_stops(yard: Yard) -> None:
    """Press Stop; within a second, by the database's clock, the run is `stopped` and nobody holds the lease."""
    command_id = yard.press_stop()
    run = yard.wait_for_state("stopped")
    pressed = one(yard.database, "SELECT created_at FROM control.commands WHERE id = %s", command_id)["created_at"]
    assert (run["finished_at"] - pressed).total_seconds() < STOP_SECONDS
    assert run["stop_requested_by"] == "tester"
    assert one(yard.database, "SELECT holder FROM control.leases")["holder"] is None


def assert_goes_on(yard: Yard, drill: DrillServer, page: int | None) -> None:
    """The next run goes on where the stopped one was, and ends with the truth."""
    drill.clear_faults()
    yard.press_run()
    run = yard.wait_for_state("succeeded")
    found = one(yard.database, "SELECT resumed_at_page AS page FROM control.run_entities WHERE run_id = %s", run["id"])
    assert found["page"] == page
    assert_tables_equal_truth(yard.database, drill, ["owners"])


def half_a_minute_passes(database: Database) -> None:
    """The time that the vendor asked for: it holds whoever comes next, too."""
    rows(database, "UPDATE control.budgets SET windows = '{}'")


def test_stop_in_every_kind_of_wait(yard: Yard, drill: DrillServer, database: Database) -> None:
    """Law 6: in a request that hangs, one that is slow, one that drips, in a back-off, and between pages."""
    service = yard.service(ICC_RETRY_ATTEMPTS="20", ICC_REQUEST_TIMEOUT_SECONDS="60")
    page = 3
    waits: list[tuple[str, dict[str, Any]]] = [
        ("hang", {}),
        ("slow", {"delay_seconds": 30.0}),
        ("slow_body", {"seconds": 30.0}),
        ("http_503", {"retry_after": "30"}),
        ("rate_limited", {"retry_after": "30"}),
        ("latency", {"seconds": 0.2}),
    ]
    for fault, parameters in waits:
        only = {} if fault == "latency" else {"only_page": page}
        struck = drill.set_fault(fault, entity="owners", **parameters, **only)
        yard.press_run()
        wait_for(lambda reached=page: yard.page() >= reached - 1, f"page {page - 1} before {fault}")  # type: ignore[misc]
        wait_for(lambda active=struck: active.struck > 0, f"{fault} strikes")  # type: ignore[misc]
        assert_stops(yard)
        drill.clear_faults()
        half_a_minute_passes(database)
        page = int(one(database, "SELECT next_page AS page FROM control.passes")["page"]) + 1
    assert service.process.poll() is None
    assert_goes_on(yard, drill, page - 1)


def test_stop_while_waiting_for_the_budget(yard: Yard, drill: DrillServer) -> None:
    """Law 6: a run that waits for a permit stops at once, and sends nothing more."""
    yard.service(DOORLOOP_RATE_LIMIT_PER_MINUTE="6")
    yard.press_run()
    wait_for(lambda: yard.page() >= 2, "two pages")
    wait_for(lambda: len(drill.log.entries()) >= 6, "the permits are spent")
    assert_stops(yard)
    sent = len(drill.log.entries())
    rows(yard.database, "UPDATE control.budgets SET windows = '{}'")
    assert len(drill.log.entries()) == sent


def test_stop_is_not_kept_waiting_by_other_commands(yard: Yard, drill: DrillServer, database: Database) -> None:
    """Law 6: discards of very many letters had every thread that does commands; Stop took ten seconds."""
    rows(database, SIX_LETTERS)
    yard.service()
    drill.set_fault("hang", entity="owners", only_page=3)
    yard.press_run()
    wait_for(lambda: yard.page() >= 2, "two pages")
    ids = [letter["id"] for letter in rows(database, "SELECT id FROM control.dead_letters")]
    with held(database.url, "LOCK TABLE control.bulk_letters IN SHARE MODE"):
        for letter in ids:
            yard.gate().submit(discard_wish("doorloop", Matching(ids=(letter,)), reason="known"), ADMIN)
        waiting = "SELECT count(*) AS commands FROM control.commands WHERE action = 'discard' AND state = 'claimed'"
        wait_for(lambda: one(database, waiting)["commands"] == len(ids), "all are claimed")
        assert_stops(yard)


@pytest.mark.parametrize("error", ["40P01", "40001", "53100", "57P01"])
@pytest.mark.parametrize("table", ["control.claims", "control.runs", "control.leases", "its outcome"])
def test_a_moments_trouble_of_the_database_does_not_stop_a_stop(
    yard: Yard, drill: DrillServer, database: Database, database_url: str, table: str, error: str
) -> None:
    """Law 6: a deadlock or a lost connection at any step of a Stop: it was told `failed`, or waited for six seconds."""
    drill.set_fault("hang", entity="owners", only_page=4)
    service = yard.service()
    yard.press_run()
    yard.wait_for_page(3, service)
    outcome = ("control.admin_logs", "NEW.outcome_of IS NOT NULL")
    with fails_once(database_url, *(outcome if table == "its outcome" else (table,)), error=error):
        assert_stops(yard)
    done = "SELECT state, result FROM control.commands WHERE action = 'stop'"
    (run,) = yard.runs()
    wait_for(lambda: one(database, done)["state"] != "claimed", "it is told")
    assert one(database, done) == {"state": "done", "result": {"run_id": str(run["id"])}}
    outcomes = rows(database, "SELECT result FROM control.admin_logs WHERE action = 'stop' AND outcome_of IS NOT NULL")
    assert [outcome["result"] for outcome in outcomes] == ["done"]
    assert service.process.poll() is None


@pytest.mark.parametrize("by", ["the breaker", "what the vendor says is left"])
def test_stop_while_requests_are_held_back(yard: Yard, drill: DrillServer, database: Database, by: str) -> None:
    """Law 6: while the breaker is open, and between two requests of a stretched pace, a run stops at once."""
    if by == "the breaker":
        drill.set_fault("http_500", entity="owners", only_page=3, times=1)
        line = "held a request back%"
    else:
        drill.set_limits(LimitSettings(per_minute=10, minute_seconds=3600, convention="draft-structured"))
        line = "waiting%little of the vendor%"
    yard.service(ICC_BREAKER_FAILURES="1", ICC_BREAKER_COOL_DOWN_SECONDS="60")
    yard.press_run()
    told = "SELECT 1 FROM control.events WHERE msg LIKE %s"
    wait_for(lambda: rows(database, told, line), f"it is held back by {by}", seconds=30)
    assert_stops(yard)


def test_stop_while_the_breaker_is_open(yard: Yard, drill: DrillServer, database: Database) -> None:
    """Law 6: a run that the circuit breaker holds back stops at once, and sends nothing more."""
    yard.service(ICC_BREAKER_FAILURES="2", ICC_BREAKER_COOL_DOWN_SECONDS="60", ICC_RETRY_ATTEMPTS="20")
    drill.set_fault("http_500", entity="owners", only_page=3)
    yard.press_run()
    held_back = "SELECT 1 FROM control.events WHERE msg LIKE 'held a request back%%'"
    wait_for(lambda: rows(database, held_back), "the breaker holds a request back", seconds=30)
    sent = len(drill.log.entries())
    assert_stops(yard)
    assert len(drill.log.entries()) == sent
    assert one(database, "SELECT state FROM control.breakers")["state"] == "open"
    rows(database, "DELETE FROM control.breakers")
    assert_goes_on(yard, drill, 3)


def test_stop_twice_and_with_nothing_running(yard: Yard, drill: DrillServer, database: Database) -> None:
    """Law 6: a second Stop does no harm; with nothing running it says so."""
    yard.service()
    drill.set_fault("hang", entity="owners", only_page=3)
    yard.press_run()
    wait_for(lambda: yard.page() >= 2, "two pages")
    presses = [yard.press_stop()]
    with suppress(Refused):  # when the first one was quicker
        presses.append(yard.press_stop())
    yard.wait_for_state("stopped")
    with pytest.raises(Refused) as nothing:
        yard.press_stop()
    assert nothing.value.code == "NOTHING_RUNNING"
    ended = "SELECT 1 FROM control.commands WHERE id = ANY (%s::uuid[]) AND state IN ('done', 'refused')"
    wait_for(lambda: len(rows(database, ended, presses)) == len(presses), "every press has its answer")


@pytest.mark.parametrize("where", ["frozen", "in the database"])
def test_stop_of_an_owner_that_does_not_answer(
    yard: Yard, drill: DrillServer, database: Database, database_url: str, where: str
) -> None:
    """Law 6: the right to write is taken from a frozen owner, or one that waits in the database, within a second."""
    drill.set_fault("hang", entity="owners", only_page=4)
    owner = yard.once(ICC_LEASE_SECONDS="60")
    yard.wait_for_page(3, owner)
    service = yard.service()
    if where == "frozen":
        owner.send(signal.SIGSTOP)
        assert_stops(yard)
        drill.clear_faults()
        owner.send(signal.SIGCONT)
    else:
        with held(database_url, "LOCK TABLE doorloop.owners IN SHARE MODE"):
            drill.clear_faults()
            wait_for(lambda: waits_for_a_lock(database), "the writer stands before the lock")
            assert_stops(yard)
    assert owner.end(10) == 4
    assert owner.last_line()["state"] == "stopped"
    assert service.process.poll() is None
    assert_goes_on(yard, drill, 4)


def test_stop_of_its_own_run_that_waits_for_a_lock(
    yard: Yard, drill: DrillServer, database: Database, database_url: str
) -> None:
    """Law 6: a service whose run stands before somebody's lock in the database stops it all the same."""
    drill.set_fault("hang", entity="owners", only_page=4)
    service = yard.service()
    yard.press_run()
    yard.wait_for_page(3, service)
    with held(database_url, "LOCK TABLE doorloop.owners IN SHARE MODE"):
        drill.clear_faults()
        wait_for(lambda: waits_for_a_lock(database), "the writer stands before the lock")
        assert_stops(yard)
    assert service.process.poll() is None
    assert_goes_on(yard, drill, 4)


def timed(act: Callable[[], object]) -> float:
    """How long something took, in seconds."""
    began = time.monotonic()
    act()
    return time.monotonic() - began


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_a_foreground_run(
    yard: Yard, drill: DrillServer, database: Database, number: signal.Signals
) -> None:
    """Issue 2: SIGTERM and Ctrl-C end `once` with exit 4, its place stored, its lease free, within ten seconds."""
    drill.set_fault("hang", entity="owners", only_page=5)
    child = yard.once()
    yard.wait_for_page(4, child)
    child.send(number)
    assert timed(lambda: child.end(10)) < 5
    assert child.process.returncode == 4
    line = child.last_line()
    assert (line["state"], line["entities"]["owners"]["received"]) == ("stopped", 80)
    assert one(database, "SELECT holder FROM control.leases")["holder"] is None
    assert one(database, "SELECT stopped_at IS NOT NULL AS gone FROM control.daemons")["gone"] is True
    drill.clear_faults()
    following = yard.once()
    assert following.end() == 0
    assert following.last_line()["entities"]["owners"]["received"] == 320
    assert_tables_equal_truth(database, drill, ["owners"])


@pytest.mark.parametrize("fault", ["hang", "latency"])
def test_a_signal_ends_the_service_in_order(yard: Yard, drill: DrillServer, database: Database, fault: str) -> None:
    """Issue 2: SIGTERM: page finished or abandoned, place stored, lease free, gone within ten seconds."""
    only = {"only_page": 5} if fault == "hang" else {"seconds": 0.1}
    drill.set_fault(fault, entity="owners", **only)
    service: Child = yard.service()
    yard.press_run()
    yard.wait_for_page(2, service)
    service.send(signal.SIGTERM)
    assert timed(lambda: service.end(10)) < 8
    assert service.process.returncode == 0
    (run,) = yard.runs()
    assert (run["state"], run["error"]["code"]) == ("interrupted", "INTERRUPTED")
    place = one(database, "SELECT next_page FROM control.passes")["next_page"]
    assert f"page {place - 1} of owners" in run["error"]["cause"]
    assert one(database, "SELECT holder FROM control.leases")["holder"] is None
    assert one(database, "SELECT stopped_at IS NOT NULL AS gone FROM control.daemons")["gone"] is True
    drill.clear_faults()
    assert yard.once().end() == 0
    assert_tables_equal_truth(database, drill, ["owners"])
    assert "Traceback" not in service.stderr


@pytest.mark.parametrize("asked", ["ping", "check"])
def test_a_signal_ends_a_question_to_the_vendor(yard: Yard, drill: DrillServer, database: Database, asked: str) -> None:
    """Issue 2: gone within ten seconds, though the vendor does not answer; the next daemon takes the command."""
    struck = drill.set_fault("hang")
    service = yard.service(ICC_REQUEST_TIMEOUT_SECONDS="60")
    wish = Wish(Action.PING, "doorloop") if asked == "ping" else check_wish("doorloop", endpoint="owners")
    command_id = yard.gate().submit(wish, ADMIN).command_id
    wait_for(lambda: struck.struck > 0, "the vendor is silent")
    service.send(signal.SIGTERM)
    assert timed(lambda: service.end(10)) < 8
    assert (service.process.returncode, "Traceback" in service.stderr) == (0, False)
    drill.clear_faults()
    yard.service()
    state = "SELECT state FROM control.commands WHERE id = %s"
    wait_for(lambda: one(database, state, command_id)["state"] == "done", "the next daemon asks")


LOCKS = {
    "lease": "SELECT 1 FROM control.leases FOR UPDATE",
    "account": "SELECT 1 FROM control.accounts_synced FOR UPDATE",
    "daemon": "SELECT 1 FROM control.daemons FOR UPDATE",
    "letters": "SELECT 1 FROM control.dead_letters FOR UPDATE",
}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_signal_ends_the_service_behind_a_lock(
    yard: Yard, drill: DrillServer, database: Database, database_url: str, lock: str
) -> None:
    """Issue 2: gone within ten seconds, whatever somebody's transaction holds."""
    drill.set_fault("hang", entity="owners", only_page=4)
    service = yard.service()
    rows(database, SIX_LETTERS)
    yard.press_run()
    yard.wait_for_page(3, service)
    with held(database_url, LOCKS[lock]):
        if lock == "letters":
            letter = one(database, "SELECT min(id) AS id FROM control.dead_letters")["id"]
            yard.gate().submit(discard_wish("doorloop", Matching(ids=(letter,)), reason="known"), ADMIN)
            wait_for(lambda: waits_for_a_lock(database), "the discard waits")
        service.send(signal.SIGTERM)
        assert timed(lambda: service.end(15)) < 10
    assert (service.process.returncode, "Traceback" in service.stderr) == (0, False)
