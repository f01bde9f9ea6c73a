"""A page that Postgres does not take, though it answers otherwise: told in seconds, ended by a code, gone on with."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from common.store.database import Database
from daemon.integrations.doorloop.drill import DrillServer
from daemon.sync import patient, write_behind
from tests.children import held
from tests.harness import Engine, engine
from tests.truth import assert_tables_equal_truth, rows
from tests.waiting import wait_for

REFUSES = """
CREATE SCHEMA faults;
CREATE FUNCTION faults.strike() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN RAISE EXCEPTION 'could not extend file: no space left' USING ERRCODE = '53100'; END $$;
CREATE TRIGGER strike BEFORE INSERT ON doorloop.owners FOR EACH ROW WHEN (NEW.id > '') EXECUTE FUNCTION faults.strike();
"""


@pytest.fixture
def drill() -> Iterator[DrillServer]:
    """A vendor with three pages."""
    with DrillServer(rows=50, seed=2) as server:
        yield server


@pytest.fixture
def copier(drill: DrillServer, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """An engine that loses its patience at once, and tells of each wait."""
    monkeypatch.setattr(patient, "REFUSED_SECONDS", 0.0)
    monkeypatch.setattr(write_behind, "TELL_AFTER_SECONDS", 0.2)
    with engine(drill, database_url) as running:
        yield running


def told(database: Database) -> list[str]:
    """What was told of pages that wait."""
    return [row["msg"] for row in rows(database, "SELECT msg FROM control.events WHERE code = 'database_waited'")]


def test_a_page_that_postgres_keeps_refusing_ends_the_run(
    copier: Engine, drill: DrillServer, database: Database
) -> None:
    """No run stands as running for ever: it is incomplete by what Postgres said, and the next one has it all."""
    rows(database, REFUSES)
    run = copier.run()
    assert (run.state, run.code, run.entities["owners"]["state"]) == ("incomplete", "DATABASE_REFUSES", "partial")
    assert "no space left" in run.run["error"]["cause"]
    assert any("no space left" in message for message in told(database))
    rows(database, "DROP SCHEMA faults CASCADE")
    assert copier.run().state == "succeeded"
    assert_tables_equal_truth(database, drill, ["owners"])


def test_a_page_that_waits_behind_a_lock_is_told(
    copier: Engine, drill: DrillServer, database: Database, database_url: str
) -> None:
    """Who sees a run that stands still sees why, and it goes on when the lock is gone."""
    with ThreadPoolExecutor(1) as pool:
        with held(database_url, "LOCK TABLE doorloop.owners IN ACCESS EXCLUSIVE MODE"):
            running = pool.submit(copier.run)
            message = wait_for(lambda: next(iter(told(database)), None), "the wait is told")
        assert "lock" in message
        assert running.result(60).state == "succeeded"
    assert_tables_equal_truth(database, drill, ["owners"])
