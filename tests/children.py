"""The daemon as a real process: started, read, signalled, killed, and always cleaned up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg

from common.access import Action
from common.operator_actions import Gate
from common.store.database import Database
from common.wishes import Wish, run_wish
from tests.harness import ADMIN, SECRET_KEY
from tests.truth import Record, rows
from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parents[1]
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")


class Child:
    """``python -m daemon …`` in a folder of its own; its output goes to files, so that it never waits for a reader."""

    def __init__(self, folder: Path, arguments: list[str], values: Mapping[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        number = len(list(folder.glob("*.out")))
        self._out, self._err = folder / f"{number}.out", folder / f"{number}.err"
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "daemon", *arguments],
                cwd=folder,
                env={**kept, "PYTHONPATH": str(ROOT), **values},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    def __enter__(self) -> Child:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.send_signal(signal.SIGCONT)
            self.process.wait(10)

    @property
    def stdout(self) -> str:
        """What it wrote so far."""
        return self._out.read_text()

    @property
    def stderr(self) -> str:
        """What it logged so far."""
        return self._err.read_text()

    def send(self, number: signal.Signals) -> None:
        """A signal."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9, and gone."""
        self.process.kill()
        self.process.wait(10)

    def end(self, seconds: float = 30) -> int:
        """Its exit code, once it has ended."""
        return self.process.wait(seconds)

    def last_line(self) -> Record:
        """The JSON object that `once` ends its output with."""
        line: Record = json.loads(self.stdout.strip().splitlines()[-1])
        return line


class Yard:
    """Where the children of one test live: same settings, same folder; none survives the test."""

    def __init__(self, folder: Path, values: Mapping[str, str], database: Database) -> None:
        self.folder = folder
        self.values = dict(values)
        self.database = database
        self._children: list[Child] = []

    def start(self, *arguments: str, **changes: str) -> Child:
        """Start ``python -m daemon`` with these arguments."""
        child = Child(self.folder, list(arguments), {**self.values, **changes})
        self._children.append(child)
        return child

    def once(self, mode: str = "backfill", *more: str, entities: str = "owners", **changes: str) -> Child:
        """Start one run in the foreground."""
        wish = ["--integration", "doorloop", "--mode", mode, "--entities", entities]
        return self.start("once", *wish, *more, **changes)

    def service(self, **changes: str) -> Child:
        """Start the service and wait until it listens."""
        known = {str(row["id"]) for row in self.daemons()}
        child = self.start(**changes)

        def serves() -> bool:
            assert child.process.poll() is None, child.stderr
            return any(row["listening"] for row in self.daemons() if str(row["id"]) not in known)

        wait_for(serves, "the service listens", seconds=30)
        return child

    @property
    def last(self) -> Child:
        """The child that was started last."""
        return self._children[-1]

    def daemons(self) -> list[Record]:
        """The processes that enlisted."""
        return rows(self.database, "SELECT * FROM control.daemons ORDER BY started_at")

    def runs(self) -> list[Record]:
        """All runs, oldest first."""
        return rows(self.database, "SELECT * FROM control.runs ORDER BY queued_at")

    def page(self, entity: str = "owners") -> int:
        """The last page that the active run has committed, -1 while none reads.

        An entity is `running` a moment before its reading is opened; a requeue opens none.
        """
        found = rows(
            self.database,
            "SELECT e.page FROM control.run_entities AS e JOIN control.runs AS r ON r.id = e.run_id "
            "WHERE r.state IN ('running', 'stopping') AND e.entity = %s AND e.state = 'running' "
            "AND (e.pass_id IS NOT NULL OR r.mode = 'requeue')",
            entity,
        )
        return int(found[0]["page"]) if found else -1

    def wait_for_page(self, page: int, child: Child) -> None:
        """Until the active run has committed this page."""

        def there() -> bool:
            assert child.process.poll() is None, child.stdout + child.stderr
            return self.page() >= page

        wait_for(there, f"page {page} is committed", seconds=30)

    def wait_for_state(self, state: str, *, index: int = -1, seconds: float = 20) -> Record:
        """Until a run (the last one) is in this state."""

        def there() -> Record | None:
            found = self.runs()
            return found[index] if len(found) > max(index, 0) and found[index]["state"] == state else None

        return wait_for(there, f"run {index} is {state}: {[run['state'] for run in self.runs()]}", seconds=seconds)

    def gate(self) -> Gate:
        """The gate, as the page has it."""
        return Gate(self.database, SECRET_KEY.encode(), expiry_seconds=60, allow_backfill=True)

    def press_run(self, mode: str = "backfill", entities: tuple[str, ...] = ("owners",)) -> str:
        """Run, as pressed on the page; returns the command's id."""
        return self.gate().submit(run_wish("doorloop", mode=mode, entities=entities), ADMIN).command_id

    def press_stop(self) -> str:
        """Stop, as pressed on the page; returns the command's id."""
        return self.gate().submit(Wish(Action.STOP, "doorloop"), ADMIN).command_id

    def clear(self) -> None:
        """End every child."""
        for child in self._children:
            child.__exit__(None, None, None)


@contextmanager
def held(database_url: str, statement: str, *params: Any) -> Generator[psycopg.Connection[Any]]:
    """A lock taken by ``statement`` in a transaction of the test's own, until the block ends."""
    with psycopg.connect(database_url, application_name="icc:test-lock") as link:
        link.execute(statement, params)
        yield link
        link.rollback()


def waits_for_a_lock(database: Database) -> bool:
    """Whether a connection of a daemon stands still before a lock."""
    found = rows(
        database,
        "SELECT application_name FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' "
        "AND application_name LIKE 'icc:%%' AND application_name <> 'icc:test-lock'",
    )
    return bool(found)


@contextmanager
def fails_once(database_url: str, table: str, when: str = "true", *, error: str) -> Generator[None]:
    """The next statement that writes such a row of this table fails with this SQLSTATE, whosever it is."""
    with psycopg.connect(database_url, autocommit=True, application_name="icc:test-lock") as link:
        link.execute("CREATE SCHEMA faults")
        link.execute("CREATE SEQUENCE faults.struck")  # not rolled back with what it struck
        link.execute(
            "CREATE FUNCTION faults.strike() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "IF nextval('faults.struck') = 1 THEN "
            f"RAISE EXCEPTION 'planted' USING ERRCODE = '{error}'; END IF; RETURN NULL; END $$"
        )
        link.execute(
            f"CREATE TRIGGER strike AFTER INSERT OR UPDATE ON {table} "
            f"FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION faults.strike()"
        )
        yield
        assert link.execute("SELECT is_called FROM faults.struck").fetchone() == (True,)
        link.execute("DROP SCHEMA faults CASCADE")


def cut_connections(database: Database, name: str = "icc:%%") -> int:
    """End the daemons' connections whose name is like this; returns how many."""
    found = rows(
        database,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
        f"AND application_name LIKE '{name}' AND application_name <> 'icc:test' AND pid <> pg_backend_pid()",
    )
    return len(found)
