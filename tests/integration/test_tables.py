"""The table classes and the live schema are one: column, type, nullability, key and default, in both directions."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from sqlalchemy import Column, Table
from sqlalchemy.dialects import postgresql
from sqlmodel import SQLModel, select

from common.errors import DatabaseAway
from common.store import tables
from common.store.database import Database
from common.store.tables import Event, Integration, Run

FOREIGN = ("yoyo_lock",)
"""yoyo's own tables, besides those that begin with _yoyo."""

_LIVE = """
SELECT c.relname AS table_name, a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type,
       a.attnotnull AS required, a.atthasdef OR a.attidentity <> '' AS made,
       coalesce(a.attnum = ANY (k.conkey), false) AS key
FROM pg_class AS c
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_constraint AS k ON k.conrelid = c.oid AND k.contype = 'p'
WHERE c.relnamespace = 'control'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
"""

Facts = dict[tuple[str, str], tuple[str, bool, bool, bool]]


def live(database: Database) -> Facts:
    """(table, column) → type, required, made by the database, part of the key."""
    with database.transaction() as link:
        rows = link.execute(_LIVE).fetchall()
    return {
        (row["table_name"], row["name"]): (row["type"], row["required"], row["made"], row["key"])
        for row in rows
        if not row["table_name"].startswith("_yoyo") and row["table_name"] not in FOREIGN
    }


def declared() -> Facts:
    """The same of the classes."""
    found: Facts = {}
    for name in tables.__all__:
        table = table_of(name)
        assert table.schema == "control"
        for column in table.columns:
            required = not column.nullable
            found[table.name, column.name] = (
                spelt(column),
                required,
                column.server_default is not None,
                column.primary_key,
            )
    return found


def table_of(name: str) -> Table:
    """The SQLAlchemy table of a class."""
    table = getattr(tables, name).__table__
    assert isinstance(table, Table)
    return table


def spelt(column: Column[Any]) -> str:
    """A column's type as Postgres writes it."""
    return column.type.compile(dialect=postgresql.dialect()).lower()  # type: ignore[no-untyped-call]  # not typed there


def test_classes_and_live_schema_are_equal(database: Database) -> None:
    """Style 8: a column added by a migration stands in its class, and the other way round."""
    there, here = live(database), declared()
    assert sorted(there.keys() - here.keys()) == [], "in the database, in no class"
    assert sorted(here.keys() - there.keys()) == [], "in a class, not in the database"
    assert {key: here[key] for key in here if here[key] != there[key]} == {}


def test_every_table_has_its_one_class() -> None:
    """One class per table, all of them exported, none outside schema control."""
    names = [table_of(name).name for name in tables.__all__]
    assert len(names) == len(set(names))
    ours = {table.name for table in SQLModel.metadata.tables.values() if table.schema == "control"}
    assert ours == set(names)


def test_optional_fields_are_the_nullable_columns() -> None:
    """What may be NULL is `| None` in the class, so that mypy asks for the case."""
    for name in tables.__all__:
        model = getattr(tables, name)
        for column in model.__table__.columns:
            hint = str(model.model_fields[column.name].annotation)
            if hint != "typing.Any":
                assert ("None" in hint) == bool(column.nullable), f"{name}.{column.name}"


def test_a_class_reads_and_writes_its_table(database: Database) -> None:
    """Plain reads and writes work over the pool, and what the database makes is not overwritten with nothing."""
    run_id = uuid.uuid4()
    with database.session() as session:
        session.add(Integration(key="doorloop", label="DoorLoop"))
        session.add(
            Run(id=run_id, integration="doorloop", mode="delta", entities=["owners"], trigger="cli", requested_by="ann")
        )
        session.commit()
    with database.session() as session:
        run = session.get(Run, run_id)
        assert run is not None
        assert (run.state, run.account_key, run.entities, run.warnings) == ("queued", "main", ["owners"], [])
        assert run.queued_at.tzinfo is not None
        assert session.exec(select(Integration.key)).all() == ["doorloop"]


def test_sessions_and_links_share_one_pool(database: Database) -> None:
    """A connection that SQLModel used serves the next plain statement as before, and the other way round."""
    for _ in range(20):
        with database.session() as session:
            assert session.exec(select(Event)).all() == []
        with database.transaction() as link:
            assert link.execute("SELECT 1 AS one").fetchone() == {"one": 1}


def test_a_database_that_is_away_is_said_so_by_sessions_too(database_url: str) -> None:
    """Driver errors are put into our own words at the door, whichever way a statement took."""
    database = Database(database_url).open()
    database.close()
    with pytest.raises(DatabaseAway), database.session() as session:
        session.get(Run, uuid.uuid4())
