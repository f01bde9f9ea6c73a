"""Whether the tables hold exactly what the vendor has: judged by the drill's records, not by the engine's code."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from psycopg import sql

from common.store.database import Database
from daemon.integrations.doorloop.drill import ENTITIES, DrillServer

Record = dict[str, Any]
_OF_A_PASS = ("control.dead_letters", "control.passes", "control.seen_ids", "control.confirmations")


def rows(database: Database, statement: str, *params: Any) -> list[Record]:
    """What a statement of a test returns."""
    with database.transaction() as link:
        found = link.execute(statement, params)
        return found.fetchall() if found.description else []


def one(database: Database, statement: str, *params: Any) -> Record:
    """Its only row."""
    found = rows(database, statement, *params)
    assert len(found) == 1, found
    return found[0]


def table(database: Database, entity: str) -> dict[str, Record]:
    """A synced table by id."""
    with database.transaction() as link:
        found = link.execute(sql.SQL("SELECT *, xmin::text FROM {}").format(sql.Identifier("doorloop", entity)))
        return {row["id"]: row for row in found.fetchall()}


def assert_tables_equal_truth(
    database: Database, drill: DrillServer, entities: Iterable[str] = ENTITIES, *, gone: Iterable[str] = ()
) -> None:
    """Every record of the vendor is here once and whole, nothing else is here but rows marked removed (``gone``)."""
    for entity in entities:
        here = table(database, entity)
        living = {id_: row for id_, row in here.items() if row["_removed_at"] is None}
        truth = {record["id"]: record for record in drill.records(entity)}
        assert sorted(living) == sorted(truth), entity
        for id_, record in truth.items():
            assert living[id_]["raw"] == record, (entity, id_)
            _assert_columns(entity, living[id_], record)
        removed = {id_ for id_, row in here.items() if row["_removed_at"] is not None}
        assert set(gone) <= removed or not set(gone) & set(here), entity
        assert rows(database, f"SELECT 1 FROM doorloop.staging_{entity}") == [], entity


def _assert_columns(entity: str, row: Record, record: Record) -> None:
    assert row["created_at"] == moment(record["createdAt"])
    assert row["updated_at"] == moment(record["updatedAt"])
    assert row["name"] == record["name"]
    assert row["_source"] == "doorloop"
    if entity == "units":
        assert (row["property_id"], row["active"]) == (record["property"], record["active"])
        assert row["market_rent"] == money(record["marketRent"])
    elif entity == "leases":
        assert row["unit_ids"] == record["units"]
        both = (record.get("evictionPending"), record.get("evictonPending"))
        assert row["eviction_pending"] in both
        assert row["eviction_pending"] is not None
        due = record.get("totalBalanceDue", record.get("totalBalancedue"))
        assert row["total_balance_due"] == money(due)
    elif entity in ("owners", "tenants"):
        emails = record.get("emails") or [{}]
        assert row["email"] == emails[0].get("address")


def moment(value: Any) -> datetime | None:
    """The vendor's forms of a time: ISO text, and Unix time in seconds or milliseconds."""
    if isinstance(value, int):
        return datetime.fromtimestamp(value / 1000 if value > 1e11 else value, UTC)
    return datetime.fromisoformat(value) if value else None


def money(value: Any) -> Decimal | None:
    """An amount as the vendor wrote it, exactly."""
    return None if value is None else Decimal(str(value))


def dump(database: Database, names: Iterable[str]) -> dict[str, list[str]]:
    """Whole tables as text, in a fixed order."""
    found: dict[str, list[str]] = {}
    for name in names:
        texts = rows(database, f"SELECT t::text AS line FROM {name} AS t ORDER BY 1")
        found[name] = [row["line"] for row in texts]
    return found


def dump_synced(database: Database) -> dict[str, list[str]]:
    """Everything that a dry run must not touch (law 5)."""
    return dump(database, [*(f"doorloop.{entity}" for entity in ENTITIES), *_OF_A_PASS])


def every_table(database: Database) -> list[str]:
    """Every table of ours, partitions and staging included."""
    found = rows(
        database,
        "SELECT quote_ident(table_schema) || '.' || quote_ident(table_name) AS name FROM information_schema.tables "
        "WHERE table_schema IN ('control', 'doorloop', 'report') ORDER BY 1",
    )
    return [row["name"] for row in found]
