"""The database restarts, cuts connections, or is reached by many at once: nothing is lost, nobody is confused."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from common.store import embedded
from common.store.database import Database
from common.store.migrate import migrate
from daemon.integrations.doorloop.drill import DrillServer
from tests.children import Child, Yard, cut_connections
from tests.faults.conftest import QUICK
from tests.harness import settings_for
from tests.truth import assert_tables_equal_truth, one, rows
from tests.waiting import wait_for


@pytest.fixture
def own_server() -> Iterator[tuple[Path, str]]:
    """A Postgres of this test's own, to be restarted at will: its folder and address."""
    folder = Path(tempfile.mkdtemp(prefix="icc-test-"))
    try:
        with embedded.join(folder) as postgres:
            yield folder, postgres.url
        embedded.delete(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("how", ["restart", "crash"])
def test_postgres_restarted_in_mid_run(
    own_server: tuple[Path, str], drill: DrillServer, tmp_path: Path, how: str
) -> None:
    """Law 2: a run outlives a restart of Postgres: it waits, goes on at its page, and the tables equal the truth."""
    folder, url = own_server
    with Database(url, name="icc:test") as database:
        # With limits on, requests need the database as well.
        values = settings_for(drill, url, **QUICK, DOORLOOP_RATE_LIMIT_PER_HOUR="10000")
        yard = Yard(tmp_path / "yard", values, database)
        try:
            drill.set_fault("latency", seconds=0.05)
            child = yard.once(entities="owners,units")
            wait_for(lambda: any((tmp_path / "yard").iterdir()) and started(database), "it runs", seconds=30)
            yard.wait_for_page(4, child)
            if how == "restart":
                embedded.stop_now(folder)
            else:
                crash(folder)
            # A pool of its own: the first one may take its time before it tries to connect again.
            with embedded.join(folder), Database(url, name="icc:test") as back:
                assert child.end(60) == 0, child.stdout + child.stderr
                assert_tables_equal_truth(back, drill, ["owners", "units"])
                assert [run["state"] for run in rows(back, "SELECT state FROM control.runs")] == ["succeeded"]
                received = rows(back, "SELECT received, warnings FROM control.run_entities")
                for row in received:
                    # A crash empties the unlogged ids; where nothing waited with a page in hand, the list starts again.
                    again = how == "crash" and "PASS_RESTARTED" in {warning["code"] for warning in row["warnings"]}
                    assert row["received"] == 400 or again, received
                assert one(back, "SELECT holder FROM control.leases")["holder"] is None
        finally:
            yard.clear()


def started(database: Database) -> bool:
    """Whether the tables are there and a run has begun."""
    if not rows(database, "SELECT 1 FROM pg_namespace WHERE nspname = 'control'"):
        return False
    return bool(one(database, "SELECT to_regclass('control.run_entities') IS NOT NULL AS here")["here"]) and bool(
        rows(database, "SELECT 1 FROM control.runs")
    )


def crash(folder: Path) -> None:
    """kill -9 of the postmaster."""
    import psutil

    pid = embedded.status(folder).pid
    assert pid is not None
    postmaster = psutil.Process(pid)
    family = [postmaster, *postmaster.children(recursive=True)]
    for process in family:
        with suppress(psutil.NoSuchProcess):  # a backend ends by itself when its postmaster is gone
            process.kill()
    psutil.wait_procs(family, timeout=10)


def test_a_signal_while_the_database_is_away(own_server: tuple[Path, str], drill: DrillServer, tmp_path: Path) -> None:
    """Issue 2: SIGTERM ends the service within ten seconds even when nothing can be written any more."""
    folder, url = own_server
    with Database(url, name="icc:test") as database:
        migrate(database)
        yard = Yard(tmp_path / "yard", settings_for(drill, url, **QUICK), database)
        try:
            service = yard.service()
            drill.set_fault("latency", seconds=0.05)
            yard.press_run()
            yard.wait_for_page(3, service)
            embedded.stop_now(folder)
            wait_for(lambda: waits(service), "the run waits")
            service.send(signal.SIGTERM)
            service.end(10)
            assert "Traceback" not in service.stderr
            drill.set_fault("latency", seconds=0.3)
            # Looked at through a fresh pool: the old one pauses for a second or two before it tries again, and the run
            # might be over by then.
            with embedded.join(folder), Database(url, name="icc:test") as back:
                yard.database = back
                child = yard.once()
                wait_for(lambda: yard.page() > 5, "a foreground run is on its way")
                embedded.stop_now(folder)
                wait_for(lambda: waits(child), "it waits")
                child.send(signal.SIGTERM)
                assert child.end(10) == 1
                assert child.last_line()["error"]["code"] == "DATABASE_AWAY"
            drill.clear_faults()
            with embedded.join(folder), Database(url, name="icc:test") as back:
                yard.database = back
                assert yard.once().end() == 0
                assert_tables_equal_truth(back, drill, ["owners"])
                assert [run["state"] for run in yard.runs()] == ["interrupted", "interrupted", "succeeded"]
        finally:
            yard.clear()


def test_every_connection_cut_in_mid_run(yard: Yard, drill: DrillServer, database: Database) -> None:
    """Law 2: connections that the server ends one by one (a failover, an admin) are opened again."""
    # What waits half a second for the database must find more to come, else it writes all the rest at once and ends.
    drill.set_fault("latency", seconds=0.3)
    child = yard.once(DOORLOOP_RATE_LIMIT_PER_HOUR="10000")
    for page in (3, 7, 12):
        yard.wait_for_page(page, child)
        cut_connections(database)
    assert child.end() == 0, child.stderr
    assert_tables_equal_truth(database, drill, ["owners"])
    assert [run["state"] for run in yard.runs()] == ["succeeded"]


@pytest.mark.parametrize("way", ["service", "once"])
def test_a_server_that_takes_no_writes_for_a_while_is_waited_for(
    yard: Yard, drill: DrillServer, database: Database, way: str
) -> None:
    """Law 2: a failover to a standby that is not promoted yet; it ended runs, and `once` without its last line."""
    drill.set_fault("latency", seconds=0.3)
    child = yard.service() if way == "service" else yard.once()
    if way == "service":
        yard.press_run()
    yard.wait_for_page(3, child)
    name = one(database, "SELECT current_database() AS name")["name"]
    rows(database, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    cut_connections(database)
    wait_for(lambda: "read-only" in child.stderr, "it meets a server that takes no writes")
    rows(database, f"ALTER DATABASE {name} RESET default_transaction_read_only")
    cut_connections(database)
    yard.wait_for_state("succeeded")
    assert_tables_equal_truth(database, drill, ["owners"])
    if way == "once":
        assert (child.end(), child.last_line()["state"]) == (0, "succeeded")
    assert "Traceback" not in child.stderr


def test_a_cut_listen_connection_delays_nobody(yard: Yard, drill: DrillServer, database: Database) -> None:
    """Design §2: with LISTEN cut the service polls; commands are taken all the same, and LISTEN comes back."""
    yard.service()
    assert cut_connections(database, "icc:listen") == 1
    yard.press_run()
    yard.wait_for_state("succeeded")
    assert_tables_equal_truth(database, drill, ["owners"])
    wait_for(lambda: yard.daemons()[0]["listening"], "it listens again")
    drill.set_fault("hang", entity="owners", only_page=3)
    yard.press_run()
    wait_for(lambda: yard.page() >= 2, "two pages")
    cut_connections(database, "icc:listen")
    yard.press_stop()
    yard.wait_for_state("stopped")


def test_many_daemons_start_at_once_on_an_empty_database(
    empty_database_url: str, drill: DrillServer, tmp_path: Path
) -> None:
    """Design §7: many starters at once migrate an empty database once; all of them serve, one of them runs."""
    with Database(empty_database_url, name="icc:test") as database:
        yard = Yard(tmp_path / "yard", settings_for(drill, empty_database_url, **QUICK), database)
        try:
            starters: list[Child] = [*(yard.start() for _ in range(2)), *(yard.once() for _ in range(2))]
            codes = [child.end(60) for child in starters[2:]]
            assert set(codes) <= {0, 1}
            assert 0 in codes, [child.stderr for child in starters]
            for child in starters[2:]:
                if child.process.returncode == 1:
                    assert child.last_line()["error"]["code"] == "ALREADY_RUNNING"
            wait_for(lambda: sum(row["listening"] for row in yard.daemons()) == 2, "both services listen", seconds=30)
            assert migrate(database) == []
            assert_tables_equal_truth(database, drill, ["owners"])
        finally:
            yard.clear()


def waits(child: Child) -> bool:
    """Whether it says that it waits for the database."""
    return "waits for the database" in child.stderr or "waiting for the database" in child.stderr
