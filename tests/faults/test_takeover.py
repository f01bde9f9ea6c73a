"""Law 1: a frozen daemon that wakes after its lease writes nothing; its successor is never kept waiting by it."""

from __future__ import annotations

import signal

import pytest

from common.store.database import Database
from daemon.integrations.doorloop.drill import DrillServer
from tests.children import Child, Yard, held, waits_for_a_lock
from tests.truth import Record, assert_tables_equal_truth, dump, one, rows
from tests.waiting import wait_for

IN_THE_PAGE = {
    "before the fence": "SELECT 1 FROM control.leases FOR UPDATE",
    "holding the counters": "SELECT 1 FROM control.run_entities FOR UPDATE",
    "in the upsert": "LOCK TABLE doorloop.owners IN SHARE MODE",
}
OF_THE_RUN = ("control.runs", "control.run_entities", "control.passes", "control.seen_ids", "doorloop.owners")


def assert_wakes_in_vain(yard: Yard, sleeper: Child, daemon: Record) -> None:
    """It is woken, notices that its lease is gone, and leaves every table as it is."""
    before = dump(yard.database, OF_THE_RUN)
    since = one(yard.database, "SELECT clock_timestamp() AS now")["now"]
    sleeper.send(signal.SIGCONT)

    def gave_up() -> bool:
        row = one(yard.database, "SELECT doing, heartbeat_at FROM control.daemons WHERE id = %s", daemon["id"])
        return bool(row["doing"] == "idle" and row["heartbeat_at"] > since)

    wait_for(gave_up, "the woken one gives its run up")
    assert dump(yard.database, OF_THE_RUN) == before
    assert sleeper.process.poll() is None


@pytest.mark.parametrize("where", ["between pages", *IN_THE_PAGE])
def test_a_frozen_daemon_writes_nothing_when_it_wakes(
    yard: Yard, drill: DrillServer, database: Database, database_url: str, where: str
) -> None:
    """Law 1: the term check is the last statement; takeover raises the term and cuts the old writer."""
    drill.set_fault("hang", entity="owners", only_page=4)
    sleeper = yard.service()
    (daemon,) = yard.daemons()
    yard.press_run()
    yard.wait_for_page(3, sleeper)
    if where == "between pages":
        sleeper.send(signal.SIGSTOP)
    else:
        with held(database_url, IN_THE_PAGE[where]):
            drill.clear_faults()
            wait_for(lambda: waits_for_a_lock(database), "the writer stands before the lock")
            sleeper.send(signal.SIGSTOP)
    drill.clear_faults()
    successor = yard.once()
    if successor.end() == 1:  # asked too early: the lease had not run out yet
        assert successor.last_line()["error"]["code"] == "ALREADY_RUNNING"
        wait_for(lambda: not rows(database, "SELECT 1 FROM control.leases WHERE expires_at > now()"), "it runs out")
        successor = yard.once()
        assert successor.end() == 0, successor.stdout + successor.stderr
    assert [run["state"] for run in yard.runs()] == ["interrupted", "succeeded"]
    assert_tables_equal_truth(database, drill, ["owners"])
    assert_wakes_in_vain(yard, sleeper, daemon)
    assert one(database, "SELECT sum(received) AS all FROM control.run_entities")["all"] == 400


def test_a_daemon_frozen_while_it_ends_an_entity_keeps_nobody_waiting(
    yard: Yard, drill: DrillServer, database: Database, database_url: str
) -> None:
    """Law 1: not only the page writer: whatever transaction a frozen run is in, its successor can cut it."""
    drill.set_fault("hang", entity="owners", only_page=20)
    sleeper = yard.service()
    (daemon,) = yard.daemons()
    yard.press_run()
    yard.wait_for_page(19, sleeper)
    with held(database_url, "SELECT 1 FROM control.passes FOR UPDATE") as first:
        drill.clear_faults()
        wait_for(lambda: waits_for_a_lock(database), "the last page stands before the checkpoint")
        with held(database_url, "SELECT 1 FROM control.runs FOR UPDATE"):
            first.rollback()
            wait_for(lambda: runs_wait(database), "the end of the run stands before its row")
            sleeper.send(signal.SIGSTOP)
    wait_for(lambda: not rows(database, "SELECT 1 FROM control.leases WHERE expires_at > now()"), "the lease runs out")
    successor = yard.once()
    assert successor.end(20) == 0, successor.stdout + successor.stderr
    assert [run["state"] for run in yard.runs()] == ["interrupted", "succeeded"]
    assert_tables_equal_truth(database, drill, ["owners"])
    assert_wakes_in_vain(yard, sleeper, daemon)


def runs_wait(database: Database) -> bool:
    """Whether somebody waits for a row of control.runs."""
    return bool(
        rows(
            database,
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' "
            "AND query LIKE '%%control.runs%%' AND state = 'active'",
        )
    )


def test_two_daemons_at_once_take_turns(yard: Yard, drill: DrillServer, database: Database) -> None:
    """Law 1: of two services one runs; when it is killed the other ends its run and goes on with the next command."""
    drill.set_fault("hang", entity="owners", only_page=6)
    services = [yard.service(), yard.service()]
    yard.press_run()
    yard.wait_for_page(5, services[0])
    owner = one(database, "SELECT d.pid FROM control.leases AS l JOIN control.daemons AS d ON d.id = l.holder")["pid"]
    rival = yard.once()
    assert rival.end() == 1
    assert rival.last_line()["error"]["code"] == "ALREADY_RUNNING"
    next(service for service in services if service.process.pid == owner).kill()
    drill.clear_faults()
    yard.wait_for_state("interrupted")
    yard.press_run()
    yard.wait_for_state("succeeded")
    assert_tables_equal_truth(database, drill, ["owners"])
    assert one(database, "SELECT sum(received) AS all FROM control.run_entities")["all"] == 400
