"""The circuit breaker on a real database: one probe over all daemons, an admin's force, and each move told."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from common.clock import SystemClock
from common.errors import BreakerHolds, Refused, StopRequested
from common.limit_wishes import force_breaker_wish
from common.rules.breaker import BreakerLimits, Outcome
from common.store.database import Database
from daemon.guard.breaker import CircuitBreaker
from daemon.integrations.doorloop.drill import DrillServer
from tests.harness import ADMIN, Engine, engine
from tests.integration.small_vendor import Answer, SmallVendor, tenant
from tests.truth import Record, assert_tables_equal_truth, one, rows
from tests.waiting import wait_for

LIMITS = BreakerLimits(failures=3, cool_down_seconds=0.3, probe_seconds=30)
NEVER = threading.Event()


class Told:
    """A breaker as one daemon has it, and what it told."""

    def __init__(self, database: Database, limits: BreakerLimits = LIMITS) -> None:
        self.lines: list[str] = []
        self.breaker = CircuitBreaker(
            database,
            SystemClock(),
            limits,
            integration="doorloop",
            account_key="main",
            tell=lambda level, line: self.lines.append(f"{level} {line}"),
        )

    def fail(self, times: int = 3) -> None:
        """So many hard failures."""
        for _ in range(times):
            self.breaker.leave(self.breaker.enter(NEVER, for_ping=False), Outcome.FAILURE)


def state(database: Database) -> str:
    """What the row says."""
    return str(one(database, "SELECT state FROM control.breakers")["state"])


def cooled(database: Database) -> None:
    """The cool-down is over."""
    rows(database, "UPDATE control.breakers SET cool_down_until = now() - interval '1 second' WHERE state = 'open'")


def test_one_probe_over_all_daemons(database: Database) -> None:
    """Issue 3: after the cool-down one request of one daemon goes out; the others wait for what comes of it."""
    daemons = [Told(database) for _ in range(4)]
    daemons[0].fail()
    cooled(database)
    tokens: list[str] = []
    sent = threading.Event()

    def ask(told: Told) -> None:
        tokens.append(told.breaker.enter(NEVER, for_ping=False))
        sent.set()

    others = [Told(database, BreakerLimits(failures=3, cool_down_seconds=60)) for _ in daemons]
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, told) for told in others]
        assert sent.wait(20)
        wait_for(lambda: sum(bool(told.lines) for told in others) == len(others), "each was held or is the probe")
        assert (len(tokens), state(database)) == (1, "half_open")
        prober = next(told for told in others if "open → half_open" in told.lines[0])
        prober.breaker.leave(tokens[0], Outcome.SUCCESS)
        for future in asked:
            future.result(30)
    assert (len(tokens), state(database)) == (4, "closed")
    assert any("half_open → closed" in line for line in prober.lines)


def test_a_dead_probers_claim_expires(database: Database) -> None:
    """Issue 3: the probe is a token with an expiry; a prober that died holds nobody for ever."""
    first, second = Told(database), Told(database)
    first.fail()
    cooled(database)
    first.breaker.enter(NEVER, for_ping=False)
    row = one(database, "SELECT probe_token, probe_expires_at > now() AS counts FROM control.breakers")
    assert row["counts"]
    rows(database, "UPDATE control.breakers SET probe_expires_at = now()")
    second.breaker.enter(NEVER, for_ping=False)
    assert one(database, "SELECT probe_token FROM control.breakers")["probe_token"] != row["probe_token"]


def test_a_held_request_waits_one_cool_down_at_most(database: Database) -> None:
    """Issue 3: an entity waits at most one cool-down, however many threads wait; a stop ends the wait at once."""
    told = Told(database, BreakerLimits(failures=3, cool_down_seconds=60))
    told.fail()
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(told.breaker.enter, stop, for_ping=False)
        wait_for(lambda: any("held a request back" in line for line in told.lines), "it is held")
        stop.set()
        with pytest.raises(StopRequested):
            held.result(5)
    assert sum("held a request back" in line for line in told.lines) == 1
    quick = Told(database, BreakerLimits(failures=3, cool_down_seconds=1))
    with pytest.raises(BreakerHolds) as caught:
        quick.breaker.enter(NEVER, for_ping=False)
    assert caught.value.code == "BREAKER_OPEN"
    assert "(before this run began)" in caught.value.cause


def test_a_force_that_ran_out_is_over_before_anything_opens(database: Database) -> None:
    """Each move is a legal one: from forced closed it goes to closed first, even when the next failure opens it."""
    told = Told(database, BreakerLimits(failures=1, cool_down_seconds=1))
    told.fail(1)
    rows(
        database,
        "UPDATE control.breakers SET state = 'forced_closed', forced_by = 'a', forced_reason = 'r', "
        "forced_until = now() - interval '1 second'",
    )
    told.breaker.leave("none", Outcome.FAILURE)
    assert state(database) == "open"
    assert [line.split(": ")[1] for line in told.lines[-2:]] == ["forced_closed → closed", "closed → open"]
    row = one(database, "SELECT forced_by, forced_until, opened_at FROM control.breakers")
    assert (row["forced_by"], row["forced_until"]) == (None, None)
    assert row["opened_at"] is not None


def test_old_successes_do_not_hide_a_failing_share(database: Database) -> None:
    """Only requests of the window count: a hundred good ones of long ago are no excuse."""
    limits = BreakerLimits(failures=100, share=0.5, least=4, window_seconds=0.2, cool_down_seconds=60)
    told = Told(database, limits)
    for _ in range(50):
        told.breaker.leave(told.breaker.enter(NEVER, for_ping=False), Outcome.SUCCESS)
    began = time.monotonic()
    wait_for(lambda: time.monotonic() - began > 0.25, "the window is over")
    for _ in range(4):
        told.breaker.leave("t", Outcome.FAILURE)
    assert state(database) == "open"


@pytest.mark.parametrize("for_ping", [False, True])
def test_failures_with_successes_between_open_nothing(database: Database, for_ping: bool) -> None:
    """Issue 3: consecutive ones do: five bad pings among good runs, or the other way round, held everything back."""
    for _ in range(6):
        Told(database).fail(2)
        good = Told(database).breaker
        for _ in range(2):
            good.leave(good.enter(NEVER, for_ping=for_ping), Outcome.SUCCESS)
    assert one(database, "SELECT state, consecutive_failures AS failures FROM control.breakers") == {
        "state": "closed",
        "failures": 0,
    }


@pytest.fixture
def drill() -> Iterator[DrillServer]:
    """A vendor with four pages."""
    with DrillServer(rows=70, seed=6) as server:
        yield server


@pytest.fixture
def copier(drill: DrillServer, database_url: str) -> Iterator[Engine]:
    """An engine with a cool-down of a second."""
    with engine(
        drill, database_url, ICC_BREAKER_COOL_DOWN_SECONDS="1", ICC_BREAKER_FAILURES="3", ICC_RETRY_ATTEMPTS="4"
    ) as running:
        yield running


def do(copier: Engine, **wish: Any) -> Record:
    """A force, through the gate."""
    receipt = copier.gate.submit(force_breaker_wish("doorloop", **wish), ADMIN, addressed_to=copier.services.daemon_id)
    result = copier.commands.take(receipt.command_id)
    assert isinstance(result, dict)
    copier.services.reporter.flush()
    return result


def lines(database: Database) -> list[str]:
    """What was told of the breaker."""
    return [row["msg"] for row in rows(database, "SELECT msg FROM control.events WHERE code = 'breaker' ORDER BY id")]


def test_forced_open_ends_a_run_in_words(copier: Engine, drill: DrillServer, database: Database) -> None:
    """Issue 3: the run ends `incomplete` naming the breaker: who holds it, until when, why; and sends nothing."""
    assert do(copier, state="open", minutes=30, reason="DoorLoop moves house")["state"] == "forced_open"
    sent = len(drill.log.entries())
    run = copier.run()
    assert (run.state, run.code) == ("incomplete", "BREAKER_FORCED_OPEN")
    assert "tester holds the circuit breaker open until" in run.run["error"]["cause"]
    assert run.run["error"]["cause"].endswith("DoorLoop moves house")
    assert len(drill.log.entries()) == sent
    assert "closed → forced_open: forced by tester" in lines(database)[0]
    assert any("held a request back" in line for line in lines(database))
    assert do(copier, state="none", reason="done")["state"] == "closed"
    assert "lifted by tester: done" in lines(database)[-1]
    assert copier.run().state == "succeeded"
    assert_tables_equal_truth(database, drill, ["owners"])


def test_a_lift_is_noticed_while_waiting(copier: Engine, database: Database) -> None:
    """A force that ends within a cool-down is waited for, and an admin's lift ends the wait."""
    do(copier, state="open", minutes=1, reason="r")
    rows(database, "UPDATE control.breakers SET forced_until = now() + interval '1.8 seconds'")
    assert copier.run().state == "succeeded"
    assert any("forced_open → closed" in line for line in lines(database))


def test_forced_closed_lets_every_request_through(copier: Engine, drill: DrillServer, database: Database) -> None:
    """Issue 3: closed by an admin, it does not open however much fails; over, it counts anew."""
    do(copier, state="closed", minutes=30, reason="we know that it is bad")
    drill.set_fault("http_500", entity="owners", only_page=2, times=3)
    assert copier.run().state == "succeeded"
    assert state(database) == "forced_closed"
    assert not any("held" in line for line in lines(database))


def test_there_is_nothing_to_lift_when_nothing_is_forced(copier: Engine, database: Database) -> None:
    """Said plainly, and an open breaker is not closed by it."""
    with pytest.raises(Refused) as refusal:
        do(copier, state="none", reason="r")
    assert refusal.value.code == "NOTHING_TO_LIFT"
    told = Told(database)
    told.fail()
    with pytest.raises(Refused):
        do(copier, state="none", reason="r")
    assert state(database) == "open"
    do(copier, state="closed", minutes=1, reason="it is back")
    do(copier, state="closed", minutes=9, reason="longer")
    assert state(database) == "forced_closed"
    assert lines(database)[-1] == "circuit breaker: still forced_closed, by tester: longer"


def test_a_run_names_the_breaker_when_the_vendor_stays_down(drill: DrillServer, database_url: str) -> None:
    """Issue 3: after one cool-down in vain the run ends `incomplete` naming the breaker, and the rest is skipped."""
    impatient = {"ICC_BREAKER_COOL_DOWN_SECONDS": "3", "ICC_BREAKER_FAILURES": "2", "ICC_RETRY_ATTEMPTS": "3"}
    with engine(drill, database_url, **impatient) as copier:
        drill.set_fault("http_500", only_page=1)
        run = copier.run(entities=["owners", "units", "tenants"])
    assert (run.state, run.code) == ("incomplete", "BREAKER_OPEN")
    assert [run.entities[name]["state"] for name in ("owners", "tenants")] == ["partial", "skipped"]
    assert len([entry for entry in drill.log.entries() if entry.path.endswith("/units")]) == 0


@pytest.mark.parametrize(
    ("where", "path", "parts"),
    [
        ({}, "/users/me", ["skipped", "skipped"]),
        ({"entity": "owners"}, "/owners", ["partial", "skipped"]),
        ({"entity": "owners", "only_page": 3}, "/owners", ["partial", "skipped"]),
    ],
    ids=["wholly down", "one entity", "from page 3 on"],
)
def test_a_probe_that_is_the_last_attempt_ends_the_run_by_the_breaker(
    drill: DrillServer, database_url: str, database: Database, where: dict[str, Any], path: str, parts: list[str]
) -> None:
    """Issue 3: one cool-down, then `incomplete` naming the breaker and what opened it, wherever the vendor is down.

    As with six attempts and five failures that open it: the failed probe is the last attempt.
    """
    exact = {"ICC_BREAKER_COOL_DOWN_SECONDS": "1", "ICC_BREAKER_FAILURES": "2", "ICC_RETRY_ATTEMPTS": "3"}
    with engine(drill, database_url, **exact) as copier:
        drill.set_fault("http_500", **where)
        run = copier.run(entities=["owners", "units"])
    assert (run.state, run.code) == ("incomplete", "BREAKER_OPEN")
    assert f"(the last one: DoorLoop answered 500 at {path})" in run.run["error"]["cause"]
    assert [run.entities[name]["state"] for name in ("owners", "units")] == parts
    assert sum(entry.status == 500 for entry in drill.log.entries()) == 3
    groups = rows(database, "SELECT code, count FROM control.error_groups ORDER BY code")
    assert [(row["code"], row["count"]) for row in groups] == [("BREAKER_OPEN", 1), ("VENDOR_ERROR", 3)]
    told = rows(database, "SELECT code FROM control.events WHERE level = 'error' ORDER BY id")
    assert [row["code"] for row in told] == ["VENDOR_ERROR", "BREAKER_OPEN"]


def test_attempts_used_up_before_the_breaker_opens_end_by_the_vendors_fault(
    drill: DrillServer, database_url: str
) -> None:
    """Few failures are that entity's own: it fails by the vendor's answer and the others are read."""
    patient = {"ICC_BREAKER_FAILURES": "5", "ICC_RETRY_ATTEMPTS": "2"}
    with engine(drill, database_url, **patient) as copier:
        drill.set_fault("http_500", entity="owners")
        run = copier.run(entities=["owners", "units"])
    assert (run.state, run.code) == ("incomplete", "VENDOR_ERROR")
    assert [run.entities[name]["state"] for name in ("owners", "units")] == ["failed", "complete"]


def test_a_run_waits_for_its_own_probe(database_url: str, database: Database) -> None:
    """Issue 3: a vendor that is back, and slow to say so, ends no run: the other request waits for the probe."""
    with SmallVendor([tenant(number) for number in range(200)]) as vendor:
        probes: list[int] = []

        def page(number: int) -> Answer | None:
            found = rows(database, "SELECT state FROM control.breakers")
            now = found[0]["state"] if found else "closed"
            if now == "half_open" and not probes:
                probes.append(number)
                NEVER.wait(2.5)  # longer than a cool-down and the second that a held request is given beyond it
            return Answer({}, 500) if number > 2 and now == "closed" and not probes else None

        vendor.bend_page = page
        slow = {
            "ICC_BREAKER_COOL_DOWN_SECONDS": "1",
            "ICC_BREAKER_FAILURES": "3",
            "ICC_RETRY_ATTEMPTS": "6",
            "DOORLOOP_MAX_CONCURRENCY": "2",
        }
        with engine(None, database_url, **vendor.reach, **slow) as copier:
            run = copier.run(entities=["tenants"])
    assert len(probes) == 1
    assert run.state == "succeeded", run.run["error"]


def test_an_entity_that_failed_asks_no_more(database_url: str) -> None:
    """Few failures are its own: its next pages, fetched ahead, must not open the breaker for the others."""
    with SmallVendor([tenant(number) for number in range(400)]) as vendor:
        vendor.bend_page = lambda number: Answer({}, 500) if number >= 5 else None
        few = {"ICC_BREAKER_FAILURES": "5", "ICC_RETRY_ATTEMPTS": "3", "DOORLOOP_MAX_CONCURRENCY": "1"}
        with engine(None, database_url, **vendor.reach, **few) as copier:
            run = copier.run(entities=["tenants"])
            copier.services.reporter.flush()
    assert (run.entities["tenants"]["state"], run.error("tenants")) == ("partial", "VENDOR_ERROR")
    assert [number for number in vendor.pages_asked if number > 5] == []
