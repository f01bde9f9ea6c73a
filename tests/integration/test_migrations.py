"""Migrations: complete, repeatable, safe for many starters at once."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from psycopg import conninfo

from common.errors import DatabaseAway
from common.states import MOVES
from common.store.database import Database, Link, sql
from common.store.migrate import _backend, migrate
from tests.harness import SECRET_KEY


def test_many_starters_at_once_migrate_an_empty_database_once(empty_database_url: str) -> None:
    """Design §7: many starters at once are safe, each migration is applied once."""

    def start(_: int) -> list[str]:
        with Database(empty_database_url) as database:
            return migrate(database)

    with ThreadPoolExecutor(4) as pool:
        applied = [name for names in pool.map(start, range(4)) for name in names]
    assert len(applied) == len(set(applied)) > 0
    with Database(empty_database_url) as database:
        assert migrate(database) == []


def release(url: str, **settings: str) -> subprocess.Popen[str]:
    """``python -m common.store.migrate``, as a platform's release phase runs it."""
    values = {**os.environ, "DATABASE_URL": url, "ICC_SECRET_KEY": SECRET_KEY, **settings}
    command = [sys.executable, "-m", "common.store.migrate"]
    return subprocess.Popen(command, env=values, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_the_command_migrates_an_empty_database(empty_database_url: str) -> None:
    """The Procfile's release phase: several at once on an empty database, one applies, all say so and end well."""
    outputs = []
    for process in [release(empty_database_url) for _ in range(3)]:
        outputs.append(process.communicate(timeout=60)[0])
        assert process.returncode == 0, outputs
    assert sorted("applied 0001" in output for output in outputs) == [False, False, True]
    assert sum("the database is up to date" in output for output in outputs) == 2


def test_the_command_is_not_held_up_by_a_killed_one(empty_database_url: str) -> None:
    """Design §7: a killed one leaves nothing stuck, for the command either."""
    with Database(empty_database_url) as database:
        migrate(database)
        with database.transaction() as link:
            link.execute("INSERT INTO control.yoyo_lock (locked, ctime, pid) VALUES (1, now(), 1)")
    process = release(empty_database_url)
    output, _ = process.communicate(timeout=60)
    assert (process.returncode, output.strip()) == (0, "the database is up to date")


def test_the_command_says_that_the_database_is_away() -> None:
    """Law 8: cause and cure in a sentence, exit 2, no traceback."""
    process = release("postgresql://nobody@127.0.0.1:1/none")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "The database cannot be reached" in output
    assert "Traceback" not in output


def test_a_lock_left_by_a_killed_migration_does_not_stick(empty_database_url: str) -> None:
    """Design §7: yoyo's lock row of a killed process is broken, not waited for."""
    with Database(empty_database_url) as database:
        migrate(database)
        with database.transaction() as link:
            link.execute("INSERT INTO control.yoyo_lock (locked, ctime, pid) VALUES (1, now(), 1)")
        assert migrate(database) == []


def test_the_lock_of_migrations_ends_with_a_transaction(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction-mode pooler keeps the server's session when a client goes: a session's lock would stay for ever."""
    with Database(empty_database_url, name="test") as database:
        seen: list[str] = []
        connect = database.connect

        class Spy:
            """A connection that notes its statements."""

            def __init__(self, link: Link) -> None:
                self._link = link

            def __enter__(self) -> Spy:
                self._link.__enter__()
                return self

            def __exit__(self, *error: Any) -> None:
                self._link.__exit__(*error)

            def execute(self, query: str, *values: Any) -> Any:
                seen.append(query)
                return self._link.execute(sql(query), *values)

        monkeypatch.setattr(database, "connect", lambda *names, **options: Spy(connect(*names, **options)))
        migrate(database)
    locks = [query for query in seen if "advisory" in query]
    assert locks == ["SELECT pg_advisory_xact_lock(%s)"]


def test_migrating_prepares_no_statement(empty_database_url: str) -> None:
    """A transaction-mode pooler hands one starter's prepared statements to the next one, which fails over them."""
    with Database(empty_database_url, name="test") as database:
        migrate(database)
    with _backend(empty_database_url) as backend:
        assert backend.connection.prepare_threshold is None


def test_the_triggers_know_exactly_the_moves_of_the_code(database: Database) -> None:
    """Style 9: the states drawn in common/states.py and those the database allows are the same."""
    with database.transaction() as link:
        rows = link.execute(
            "SELECT c.relname, t.tgargs FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
            "JOIN pg_proc p ON p.oid = t.tgfoid WHERE p.proname = 'only_legal_moves'"
        ).fetchall()
    live = {
        row["relname"]: {tuple(move.split(">")) for move in bytes(row["tgargs"]).decode().split("\0") if move}
        for row in rows
    }
    assert live == {table: set(moves) for table, moves in MOVES.items()}


@pytest.mark.parametrize(
    "forbid",
    [
        "REVOKE CREATE ON DATABASE {} FROM CURRENT_USER, PUBLIC",
        "ALTER DATABASE {} SET default_transaction_read_only = on",
    ],
)
def test_a_database_that_forbids_says_so(empty_database_url: str, forbid: str) -> None:
    """A sentence of cause and remedy, no traceback: rights that are missing, a server that is a standby."""
    with Database(empty_database_url) as database:
        with database.connect("forbids") as link:
            row = link.execute("SELECT current_database() AS name").fetchone()
            assert row is not None
            link.execute(sql(forbid.format(row["name"])))
        with pytest.raises(DatabaseAway) as caught:
            migrate(database)
    assert caught.value.code == "DATABASE_FORBIDS"
    assert "GRANT CREATE" in caught.value.remedy


def test_a_database_of_another_encoding_says_so(empty_database_url: str) -> None:
    """A sentence, no traceback: in Latin letters alone some records could not be kept."""
    with Database(empty_database_url) as database, database.connect("encodings") as link:
        link.execute("CREATE DATABASE icc_latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C'")
        try:
            with (
                Database(conninfo.make_conninfo(empty_database_url, dbname="icc_latin")) as latin,
                pytest.raises(DatabaseAway) as caught,
            ):
                migrate(latin)
        finally:
            link.execute("DROP DATABASE icc_latin")
    assert (caught.value.code, "LATIN1" in caught.value.cause) == ("DATABASE_NOT_UTF8", True)


@pytest.mark.parametrize("where", ["the environment", "the database"])
def test_texts_and_dates_come_alike_whatever_is_set(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """A client encoding or a date style set from outside changes no letter and no moment."""
    with Database(empty_database_url) as database, database.connect("settings") as link:
        name = link.execute("SELECT current_database() AS name").fetchone()
        assert name is not None
        if where == "the environment":
            monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
            monkeypatch.setenv("PGDATESTYLE", "German")
        else:
            link.execute(sql(f"ALTER DATABASE {name['name']} SET client_encoding = 'LATIN1'"))
            link.execute(sql(f"ALTER DATABASE {name['name']} SET DateStyle = 'German'"))
    with Database(empty_database_url) as database:
        assert migrate(database)
        asked = sql("SELECT 'José €' AS text, encode(convert_to('José €', 'UTF8'), 'hex') AS bytes, now() AS at")
        with database.transaction() as pooled, database.connect("its own") as own:
            found = [link.execute(asked).fetchone() for link in (pooled, own)]
    for row in found:
        assert row is not None
        assert (row["text"], row["bytes"]) == ("José €", "José €".encode().hex())
        assert row["at"].tzinfo is not None


def test_a_schema_of_somebody_elses_says_so(empty_database_url: str) -> None:
    """The same for another user than the one who made it: yoyo's tables were not found, which was a traceback."""
    with Database(empty_database_url) as database:
        migrate(database)
        with database.connect("forbids") as link:
            link.execute("REVOKE ALL ON SCHEMA control FROM CURRENT_USER")
        with pytest.raises(DatabaseAway) as caught:
            migrate(database)
    assert caught.value.code == "DATABASE_FORBIDS"
    assert "schema control belongs" in caught.value.remedy
