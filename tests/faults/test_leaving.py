"""Issue 2: SIGTERM ends a process within ten seconds, whoever locks the database, and though it answers nothing."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from common.access import Action
from common.store.database import Database
from common.wishes import Wish
from daemon.integrations.doorloop.drill import DrillServer
from tests.children import Child, Yard, held, waits_for_a_lock
from tests.faults.silent_way import Way, way_to
from tests.faults.test_stop import timed
from tests.harness import ADMIN
from tests.truth import rows
from tests.waiting import wait_for

LEAVE_SECONDS = 10
WAITING = """
    SELECT 1 FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE %s
"""
CLAIM, BEGIN = "%INTO control.claims%", "%WITH lease AS%"


@pytest.fixture
def way(yard: Yard, database_url: str) -> Iterator[Way]:
    """How the yard's processes reach the database."""
    with way_to(database_url) as way:
        yard.values["DATABASE_URL"] = way.url
        yield way


def assert_leaves(child: Child, code: int = 0) -> None:
    """Ended in time by SIGTERM, with this exit code and nothing that nobody caught."""
    child.send(signal.SIGTERM)
    assert timed(lambda: child.end(2 * LEAVE_SECONDS)) < LEAVE_SECONDS
    assert (child.process.returncode, "Traceback" in child.stderr) == (code, False), child.stderr


@pytest.mark.parametrize(
    ("lock", "pressed"),
    [
        ("LOCK TABLE control.claims IN SHARE MODE", "ping"),
        ("LOCK TABLE control.commands IN ACCESS EXCLUSIVE MODE", None),
        ("SELECT 1 FROM control.leases FOR UPDATE", "run"),
        ("LOCK TABLE control.runs IN SHARE MODE", "run"),
    ],
)
def test_a_signal_ends_a_service_that_waits_to_take_a_command(
    yard: Yard, database: Database, lock: str, pressed: str | None
) -> None:
    """It was heard only once the command had been taken."""
    service = yard.service()
    yard.press_run()
    yard.wait_for_state("succeeded")
    with held(database.url, lock):
        if pressed == "ping":
            yard.gate().submit(Wish(Action.PING, "doorloop"), ADMIN)
        elif pressed == "run":
            yard.press_run()
        else:
            rows(database, "SELECT pg_notify('icc_commands', '')")
        wait_for(lambda: rows(database, WAITING, BEGIN if pressed == "run" else CLAIM), "it waits for the lock")
        assert_leaves(service)


def test_a_command_that_was_waited_for_is_taken_by_the_next_daemon(
    yard: Yard, drill: DrillServer, database: Database
) -> None:
    """Law 3: what the one could not take any more is not lost, nor taken twice."""
    service = yard.service()
    with held(database.url, "LOCK TABLE control.runs IN SHARE MODE"):
        yard.press_run()
        wait_for(lambda: waits_for_a_lock(database), "it waits for the lock")
        assert_leaves(service)
    yard.service()
    yard.wait_for_state("succeeded")
    assert len(yard.runs()) == 1


@pytest.mark.parametrize("takes", [False, True])
def test_a_signal_ends_a_service_whose_database_is_silent(
    yard: Yard, database: Database, way: Way, takes: bool
) -> None:
    """It waited for the answer to the taking of a command, or five seconds for each pool to connect anew."""
    service = yard.service()
    if takes:
        with held(database.url, "LOCK TABLE control.claims IN SHARE MODE"):
            yard.gate().submit(Wish(Action.PING, "doorloop"), ADMIN)
            wait_for(lambda: rows(database, WAITING, CLAIM), "it waits for the lock")
            way.silent.set()
    way.silent.set()
    assert_leaves(service)


LEFT = {
    "LOCK TABLE control.runs IN SHARE MODE": ("interrupted", 1),
    "LOCK TABLE control.leases IN SHARE MODE": ("stopped", 4),
    "LOCK TABLE doorloop.owners IN SHARE MODE": ("stopped", 4),
    "LOCK TABLE control.runs IN ACCESS EXCLUSIVE MODE": ("interrupted", 1),
}


@pytest.mark.parametrize("lock", LEFT)
def test_a_signal_ends_a_foreground_run_behind_a_lock(
    yard: Yard, drill: DrillServer, database: Database, lock: str
) -> None:
    """Its last line says how the run is left: what the next daemon writes, where it could not write it itself."""
    state, code = LEFT[lock]
    drill.set_fault("latency", seconds=0.2)
    child = yard.once()
    yard.wait_for_page(2, child)
    with held(database.url, lock):
        wait_for(lambda: waits_for_a_lock(database), "the run waits for the lock")
        assert_leaves(child, code)
    assert child.last_line()["state"] == state
    drill.clear_faults()
    yard.service()
    yard.wait_for_state(state, index=0)
    yard.press_run()
    yard.wait_for_state("succeeded")


def test_a_signal_ends_a_foreground_run_whose_database_is_silent(yard: Yard, drill: DrillServer, way: Way) -> None:
    """It hung in its Stop, which asks the database. Law 8: the last line says why no end is known."""
    drill.set_fault("latency", seconds=0.2)
    child = yard.once()
    yard.wait_for_page(2, child)
    way.silent.set()
    assert_leaves(child, 1)
    line = child.last_line()
    assert (line["state"], line["error"]["code"]) == ("interrupted", "DATABASE_AWAY")
