"""What the vendor's records hold against our tables' columns, from the latest sample of each entity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from common.store.database import Database, Row
from common.store.statements import statements

SQL = statements("api")


@dataclass(frozen=True)
class ShapeDiff:
    """Keys without a column (with their types), columns never seen, and columns whose type drifted (with examples)."""

    entity: str
    sampled: int
    sampled_at: datetime
    run_id: str | None
    unmapped: Mapping[str, list[str]]
    never_seen: tuple[str, ...]
    drift: Mapping[str, Mapping[str, list[str]]]


def shape_diffs(database: Database, integration: str, account_key: str = "main") -> tuple[ShapeDiff, ...]:
    """One answer per entity that has been sampled."""
    params = {"integration": integration, "account_key": account_key}
    with database.transaction() as link:
        return tuple(_diff(row) for row in link.execute(SQL["shapes"], params).fetchall())


def _diff(row: Row) -> ShapeDiff:
    diff = row["diff"]
    return ShapeDiff(
        entity=row["entity"],
        sampled=row["sampled"],
        sampled_at=row["created_at"],
        run_id=str(row["run_id"]) if row["run_id"] else None,
        unmapped=diff.get("unmapped") or {},
        never_seen=tuple(diff.get("never_seen") or ()),
        drift=diff.get("drift") or {},
    )
