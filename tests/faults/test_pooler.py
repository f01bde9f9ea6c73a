"""Design §2: through a pooler in transaction mode everything works; without the database's own address, by polling."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from functools import partial

import pytest

from common.store.database import Database
from daemon.integrations.doorloop.drill import DrillServer
from tests.children import Child, Yard, cut_connections, held, waits_for_a_lock
from tests.faults.pooler import pooler
from tests.faults.test_stop import assert_goes_on, assert_stops
from tests.faults.test_takeover import assert_wakes_in_vain
from tests.truth import assert_tables_equal_truth, one, rows
from tests.waiting import wait_for


@pytest.fixture
def pooled(yard: Yard, database_url: str) -> Iterator[Yard]:
    """The yard, whose processes reach the database through a pooler only."""
    with pooler(database_url) as url:
        yard.values["DATABASE_URL"] = url
        yield yard
        yard.clear()


def serve(yard: Yard, **changes: str) -> Child:
    """A service that polls, since nothing is ever heard through the pooler."""
    child = yard.start(**changes)
    wait_for(yard.daemons, "the service has enlisted")
    return child


@pytest.mark.parametrize("knows", ["its own address", "the pooler only"])
def test_run_stop_kill_and_resume(
    pooled: Yard, drill: DrillServer, database: Database, database_url: str, knows: str
) -> None:
    """Design §2: commands, Stop within a second, a kill and the next run, all over shared server connections."""
    service = pooled.service(DATABASE_DIRECT_URL=database_url) if knows == "its own address" else serve(pooled)
    drill.set_fault("hang", entity="owners", only_page=4)
    pooled.press_run()
    wait_for(lambda: pooled.page() >= 3, "three pages")
    assert_stops(pooled)
    drill.clear_faults()
    drill.set_fault("hang", entity="owners", only_page=9)
    pooled.press_run()
    pooled.wait_for_page(8, service)
    service.kill()
    drill.clear_faults()
    last = pooled.once()
    assert last.end() == 0, last.stdout + last.stderr
    assert_tables_equal_truth(database, drill, ["owners"])
    assert [run["state"] for run in pooled.runs()] == ["stopped", "interrupted", "succeeded"]
    assert one(database, "SELECT sum(received) AS received FROM control.run_entities")["received"] == 400


def test_two_services_and_their_pooled_connections(pooled: Yard, drill: DrillServer, database: Database) -> None:
    """Law 1: nothing that one session leaves on a shared connection (a name, a lock, a row format) reaches another."""
    services = [serve(pooled), serve(pooled)]
    drill.set_fault("latency", seconds=0.02)
    pooled.press_run(entities=("owners", "units", "tenants"))
    pooled.wait_for_state("succeeded", seconds=40)
    assert_tables_equal_truth(database, drill, ["owners", "units", "tenants"])
    drill.clear_faults()
    drill.set_fault("hang", entity="units", only_page=3)
    pooled.press_run(entities=("units",))
    wait_for(lambda: pooled.page("units") >= 2, "two pages")
    assert_stops(pooled)
    assert [service.process.poll() for service in services] == [None, None]
    assert all("Traceback" not in service.stderr for service in services)
    drill.clear_faults()
    assert_goes_on(pooled, drill, None)  # another entity: from its first page


def is_past(pooled: Yard, page: int) -> bool:
    """Whether the last run has come so far, or to its end."""
    return pooled.last.process.poll() is not None or pooled.page() >= page


def test_server_connections_lost_behind_the_pooler(pooled: Yard, drill: DrillServer, database: Database) -> None:
    """Law 2: a lost server shows itself as two answers to one BEGIN, or a COPY that is none; the run goes on.

    Pages come quickly, so that connections are lost in the midst of their transactions, too.
    """
    for _ in range(4):
        drill.mutate("owners", change=390)
        child = pooled.once(DOORLOOP_PAGE_SIZE="5")
        for page in range(8, 80, 6):
            wait_for(partial(is_past, pooled, page), f"page {page}")
            cut_connections(database)
        assert child.end() == 0, child.stdout + child.stderr
        assert_tables_equal_truth(database, drill, ["owners"])
    assert {run["state"] for run in pooled.runs()} == {"succeeded"}


def test_a_frozen_writer_behind_a_pooler_is_cut(
    pooled: Yard, drill: DrillServer, database: Database, database_url: str
) -> None:
    """Law 1: the server knows a pooled writer by its name, too: its successor cuts it, and it wakes in vain."""
    sleeper = serve(pooled)
    (daemon,) = pooled.daemons()
    drill.set_fault("hang", entity="owners", only_page=4)
    pooled.press_run()
    pooled.wait_for_page(3, sleeper)
    with held(database_url, "LOCK TABLE doorloop.owners IN SHARE MODE"):
        drill.clear_faults()
        wait_for(lambda: waits_for_a_lock(database), "the writer stands before the lock")
        sleeper.send(signal.SIGSTOP)
    wait_for(lambda: not rows(database, "SELECT 1 FROM control.leases WHERE expires_at > now()"), "the lease runs out")
    successor = pooled.once()
    assert successor.end() == 0, successor.stdout + successor.stderr
    assert_tables_equal_truth(database, drill, ["owners"])
    assert_wakes_in_vain(pooled, sleeper, daemon)
