"""The answer to the COMMIT of a claim may be lost with its connection: what went through is ours, and done once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest

from common.access import Action
from common.clock import SystemClock
from common.errors import DatabaseAway, Refused, StopRequested
from common.store import commands
from common.store.database import Database, Link
from common.wishes import Wish, run_wish
from daemon.integrations.doorloop.drill import DrillServer
from daemon.sync.patient import Patient
from tests.harness import ADMIN, Engine, engine
from tests.truth import one, rows
from tests.waiting import wait_for

RUN = run_wish("doorloop", mode="backfill", entities=("owners",))


@pytest.fixture
def drill() -> Iterator[DrillServer]:
    """A vendor with two pages."""
    with DrillServer(rows=30, seed=1) as server:
        yield server


@pytest.fixture
def house(drill: DrillServer, database_url: str) -> Iterator[Engine]:
    """A daemon that serves."""
    with engine(drill, database_url) as running:
        rows(running.database, "UPDATE control.daemons SET kind = 'service', heartbeat_at = now()")
        yield running


class Wire:
    """To the house's database; it breaks at the COMMIT of the next claim, and once more when it is asked after that."""

    def __init__(self, house: Engine, patch: pytest.MonkeyPatch, *, arrives: bool = True) -> None:
        self._house, self._arrives = house, arrives
        self.broke = 0
        self.tidied: dict[str, int] = {}
        self._real = Database.transaction, Database.statement
        patch.setattr(Database, "transaction", self._transaction())
        patch.setattr(Database, "statement", self._statement())

    def _transaction(self) -> object:
        real, wire = self._real[0], self

        @contextmanager
        def transaction(database: Database, name: str | None = None) -> Iterator[Link]:
            claims = "SELECT count(*) AS n FROM control.claims WHERE xmin::text = pg_current_xact_id()::xid::text"
            with real(database, name) as link:
                yield link
                breaks = not wire.broke and bool(link.execute(claims).fetchall()[0]["n"])
                wire.broke += breaks
                if breaks and not wire._arrives:
                    raise DatabaseAway("the connection broke before COMMIT")
            if breaks:
                raise DatabaseAway("the connection broke after COMMIT")

        return transaction

    def _statement(self) -> object:
        real, wire = self._real[1], self

        @contextmanager
        def statement(database: Database) -> Iterator[Link]:
            if wire.broke == 1:
                wire.broke += 1
                wire.tidied = wire._house.commands.tidy()
                raise DatabaseAway("it is still away")
            with real(database) as link:
                yield link

        return statement


def state(database: Database, command_id: str) -> str:
    """A command's state and the code of its result, if it has one."""
    found = one(database, "SELECT state, result ->> 'code' AS code FROM control.commands WHERE id = %s", command_id)
    return f"{found['state']} {found['code']}" if found["code"] else str(found["state"])


def test_a_stop_is_done_though_the_answer_to_its_claim_was_lost(
    house: Engine, drill: DrillServer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law 6: it was ended as lost by our own tidying, and the run went on."""
    drill.set_fault("hang", entity="owners", only_page=2)
    plan = house.begin()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(house.services.desk.execute, plan)
        wait_for(lambda: house.services.desk.doing() != "idle", "it runs")
        command_id = house.gate.submit(Wish(Action.STOP, "doorloop"), ADMIN).command_id
        wire = Wire(house, monkeypatch)
        assert house.commands.run_once() == 1
        assert (wire.broke, wire.tidied["refused"]) == (2, 0)
        assert running.result(20).state == "stopped"
    wait_for(lambda: state(database, command_id) == "done", "the stop is told")


def test_a_run_begins_though_the_answer_to_its_claim_was_lost(
    house: Engine, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law 1: lease, run and claim are one transaction; nobody had the run until its lease was over."""
    command_id = house.gate.submit(RUN, ADMIN).command_id
    wire = Wire(house, monkeypatch)
    assert house.commands.run_once() == 1
    assert (wire.broke, state(database, command_id)) == (2, "done")
    runs = "SELECT state FROM control.runs"
    wait_for(lambda: rows(database, runs) == [{"state": "succeeded"}], "it runs to its end")


def test_a_refusal_is_told_though_the_answer_to_its_claim_was_lost(
    house: Engine, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal is written with its claim: whoever asked for the run hears why there is none."""
    command_id = house.gate.submit(RUN, ADMIN).command_id
    rows(database, "UPDATE control.accounts_synced SET source_kind = 'drill'")
    wire = Wire(house, monkeypatch)
    with pytest.raises(Refused) as refused:
        house.commands.take(command_id)
    assert (wire.broke, refused.value.code) == (2, "DRILL_AND_REAL_ROWS")
    assert state(database, command_id) == "refused DRILL_AND_REAL_ROWS"


@pytest.mark.parametrize("wish", [Wish(Action.PING, "doorloop"), RUN], ids=["ping", "run"])
def test_a_claim_that_did_not_arrive_is_made_again(
    house: Engine, database: Database, monkeypatch: pytest.MonkeyPatch, wish: Wish
) -> None:
    """The command waits as before, and is done once."""
    command_id = house.gate.submit(wish, ADMIN).command_id
    wire = Wire(house, monkeypatch, arrives=False)
    with pytest.raises(DatabaseAway):
        house.commands.run_once()
    assert (wire.broke, state(database, command_id)) == (2, "pending")
    assert house.commands.run_once() == 1
    wait_for(lambda: state(database, command_id) == "done", "it is done")
    assert one(database, "SELECT count(*) AS n FROM control.claims")["n"] == 1


def test_the_end_of_the_process_ends_the_doubt_about_a_claim(house: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever leaves waits for nobody; the next daemon takes what it left."""
    house.gate.submit(Wish(Action.PING, "doorloop"), ADMIN)
    Wire(house, monkeypatch)
    house.commands.close()
    with pytest.raises(StopRequested):
        house.commands.run_once()


def test_a_claim_of_which_only_our_side_is_gone_is_decided_at_once(house: Engine, database: Database) -> None:
    """Law 6: the server would wait ten seconds for the COMMIT, and no Stop was claimed meanwhile."""
    with psycopg.connect(database.url) as left_alone:
        (transaction,) = left_alone.execute("SELECT pg_current_xact_id()::text").fetchone() or ("",)

        def ask() -> bool:
            with house.database.statement() as link:
                return commands.went_through(link, transaction)

        with pytest.raises(DatabaseAway):
            ask()
        assert Patient(SystemClock(), threading.Event())(ask) is False
        with pytest.raises(psycopg.OperationalError):
            left_alone.execute("SELECT 1")
