"""What convert makes, Postgres takes: lines are copied and read back on a real server."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.clock import SystemClock
from common.errors import BadRecord
from common.rules.budget import BudgetLimits
from common.store import records
from common.store.database import Database
from common.store.records import Change, Provenance, Target
from daemon.guard.answers import loads
from daemon.guard.ceiling import Ceiling
from daemon.guard.limiter import Limiter
from daemon.integrations.base import Kind
from daemon.integrations.doorloop.entities import ENTITIES
from daemon.sync.convert import prepare
from daemon.sync.lines import LineMaker

on_one_database = settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
RUN = "00000000-0000-0000-0000-0000000000a1"
SAME = Provenance("main", "doorloop", RUN, datetime(2026, 11, 1, 12, 0, tzinfo=UTC)).cells

texts = st.text(st.characters(), max_size=10) | st.sampled_from(
    ["\0", "\\N", "\\.", "a\tb\nc\rd\\", "\ud800", '{"', "NULL"]
)
moments = st.datetimes(timezones=st.timezones()).map(lambda moment: moment.isoformat()) | st.integers(-(10**11), 10**14)
VALUES: dict[Kind, st.SearchStrategy[Any]] = {
    "text": texts | st.booleans() | st.integers(-(10**25), 10**25),
    "boolean": st.booleans() | st.sampled_from(["yes", "NO", " ", 0, 1]),
    "integer": st.integers(-(2**63), 2**63 - 1),
    "numeric": st.floats(allow_nan=False, allow_infinity=False)
    | st.decimals(allow_nan=False, allow_infinity=False).map(str),
    "date": st.dates().map(lambda day: day.isoformat()) | moments,
    "timestamp": moments,
    "texts": st.lists(texts, max_size=4) | texts,
}


def a_record(entity: str) -> st.SearchStrategy[dict[str, Any]]:
    """A record whose top-level fields fit their columns, besides fields nobody knows."""
    fields = {
        column.sources[0]: st.none() | VALUES[column.kind]
        for column in ENTITIES[entity].columns
        if "." not in column.sources[0]
    }
    known = st.fixed_dictionaries({"id": texts.filter(str.strip)}, optional=fields)
    unknown = st.dictionaries(texts, texts | st.integers() | st.lists(texts, max_size=2), max_size=2)
    return st.builds(lambda one, other: {**other, **one}, known, unknown)


def copied(database: Database, entity: str, record: dict[str, Any]) -> dict[str, Any] | None:
    """The row that a record becomes; None when it is put aside before Postgres sees it. Nothing is kept."""
    maker = LineMaker(ENTITIES[entity])
    try:
        prepared = prepare(loads(json.dumps(record).encode()))
        line = maker.line(prepared, SAME)
    except BadRecord:
        return None
    target = Target("doorloop", entity, maker.columns)
    with database.transaction() as link:
        seen = (link, target, "main", [prepared.id], prepared.payload_hash)
        assert records.differing(*seen) == [(0, None)]
        records.write(link, target, RUN, [Change(0, True, line)])
        assert records.differing(*seen) == []
        records.write(link, target, RUN, [Change(0, False, line)])
        row = link.execute(f"SELECT *, raw::text AS raw_text FROM doorloop.{entity}".encode()).fetchone()
        link.execute(f"DELETE FROM doorloop.{entity}".encode())
    assert row is not None
    assert row["id"] == prepared.id
    assert row["_payload_hash"] == prepared.payload_hash
    assert row["_raw_escaped"] == prepared.escaped
    return row


@given(record=a_record("tenants"))
@on_one_database
def test_postgres_takes_every_line_of_a_tenant(database: Database, record: dict[str, Any]) -> None:
    """Whatever text, moment or boolean stands in it: no line is refused, and its text comes back as it went."""
    row = copied(database, "tenants", record)
    if row is not None and not row["_raw_escaped"] and isinstance(record.get("notes"), str):
        assert row["notes"] == record["notes"]


@given(record=a_record("leases"))
@on_one_database
def test_postgres_takes_every_line_of_a_lease(database: Database, record: dict[str, Any]) -> None:
    """Money of any size and lists of any texts."""
    row = copied(database, "leases", record)
    if row is None:
        return
    balance = record.get("currentBalance")
    if isinstance(balance, float):
        assert row["current_balance"] == Decimal(repr(balance))
    units = record.get("units")
    if isinstance(units, list) and not row["_raw_escaped"]:
        assert row["unit_ids"] == [unit for unit in units if unit != ""]


def test_long_numbers_arrive_to_the_last_digit(database: Database) -> None:
    """In raw and in their column; a double would have lost them."""
    maker = LineMaker(ENTITIES["properties"])
    body = b'{"id": "1", "purchasePrice": 12345678.123456789, "currentValue": 1234567890123456789012.5}'
    target = Target("doorloop", "properties", maker.columns)
    with database.transaction() as link:
        line = maker.line(prepare(loads(body)), SAME)
        records.write(link, target, RUN, [Change(0, True, line)])
        row = link.execute("SELECT *, raw::text AS raw_text FROM doorloop.properties").fetchone()
    assert row is not None
    assert (row["purchase_price"], row["current_value"]) == (
        Decimal("12345678.123456789"),
        Decimal("1234567890123456789012.5"),
    )
    assert "1234567890123456789012.5" in row["raw_text"]


def test_limiters_of_two_processes_share_the_stored_budget(database: Database) -> None:
    """One locked row per account: what one daemon used, another one sees, by the database's clock."""
    stop = threading.Event()

    def limiter() -> Limiter:
        clock = SystemClock()
        return Limiter(
            database,
            clock,
            integration="doorloop",
            account_key="main",
            limits=BudgetLimits(per_minute=50, per_hour=500),
            ceiling=Ceiling(database, clock, integration="doorloop", account_key="main"),
            flight_seconds=60,
            longest_wait_seconds=60,
        )

    one, other = limiter(), limiter()
    permits = [one.take(stop), other.take(stop), one.take(stop)]
    assert [permit.usage.used_minute for permit in permits] == [1, 2, 3]
    assert [permit.usage.used_hour for permit in permits] == [1, 2, 3]
    for permit in permits:
        one.give_back(permit)
    one.settle()
    with database.transaction() as link:
        row = link.execute("SELECT windows FROM control.budgets").fetchone()
    assert row is not None
    assert row["windows"]["flights"] == {}
    assert sum(count for _, count in row["windows"]["minute"]) == 3
