"""What runs found besides rows: alike errors, keys against columns, and what a dry run would change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from common.insights.problems import remedy_of
from common.store.database import Database, Row
from common.store.statements import statements

SQL = statements("letters")
MOST_GROUPS = 200
MOST_HOURS = 24 * 31


@dataclass(frozen=True)
class ErrorGroup:
    """Errors with one fingerprint; ``run_ids`` are the latest runs that they touched, newest first."""

    fingerprint: str
    fingerprint_version: int
    code: str
    status: int | None
    path_template: str | None
    snippet: str
    first_seen_at: datetime
    last_seen_at: datetime
    count: int
    run_ids: tuple[str, ...]

    @property
    def remedy(self) -> str | None:
        """What to do, in the catalogue's words."""
        return remedy_of(self.code)


@dataclass(frozen=True)
class SchemaDiff:
    """One entity's sample against our columns. ``unmapped`` and ``drift``: key or column → JSON type → examples."""

    entity: str
    sampled: int
    unmapped: Mapping[str, Mapping[str, tuple[str, ...]]]
    never_seen: tuple[str, ...]
    drift: Mapping[str, Mapping[str, tuple[str, ...]]]
    sampled_at: datetime
    run_id: str | None

    @property
    def differences(self) -> int:
        """How many keys and columns differ."""
        return len(self.unmapped) + len(self.never_seen) + len(self.drift)


@dataclass(frozen=True)
class SampledChange:
    """One row that a dry run would change: ``fields`` is field → (before, after), personal values masked."""

    record_id: str
    was_removed: bool
    fields: Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class EntityDelta:
    """What a dry run would do with one entity."""

    entity: str
    insert: int
    update: int
    unchanged: int
    removed: int
    dead: int
    samples: tuple[SampledChange, ...]


def error_groups(
    database: Database, integration: str, account_key: str = "main", *, limit: int = 20, hours: int = 24 * 7
) -> tuple[ErrorGroup, ...]:
    """Alike errors of the last ``hours``, the latest first. At most ``MOST_GROUPS``."""
    params = {
        "integration": integration,
        "account_key": account_key,
        "limit": max(1, min(limit, MOST_GROUPS)),
        "hours": max(1, min(hours, MOST_HOURS)),
    }
    with database.transaction() as link:
        rows = link.execute(SQL["error_groups"], params).fetchall()
    return tuple(ErrorGroup(**{**row, "run_ids": tuple(map(str, row["run_ids"]))}) for row in rows)


def schema_diffs(database: Database, integration: str, account_key: str = "main") -> tuple[SchemaDiff, ...]:
    """The latest sample of each entity."""
    params = {"integration": integration, "account_key": account_key}
    with database.transaction() as link:
        return tuple(_diff(row) for row in link.execute(SQL["schema_diffs"], params).fetchall())


def dry_run(database: Database, run_id: str) -> tuple[EntityDelta, ...]:
    """What a dry run found, in reading order; empty for any other run."""
    with database.transaction() as link:
        return tuple(delta(row["entity"], row["report"]) for row in link.execute(SQL["dry_run"], {"run_id": run_id}))


def delta(entity: str, report: Mapping[str, Any]) -> EntityDelta:
    """A stored report."""
    samples = tuple(
        SampledChange(
            sample["id"],
            bool(sample.get("was_removed")),
            {field: (pair[0], pair[1]) for field, pair in sample["fields"].items()},
        )
        for sample in report["samples"]
    )
    numbers = {name: int(report[name]) for name in ("insert", "update", "unchanged", "removed", "dead")}
    return EntityDelta(entity, samples=samples, **numbers)


def _diff(row: Row) -> SchemaDiff:
    diff = row["diff"]
    return SchemaDiff(
        entity=row["entity"],
        sampled=row["sampled"],
        unmapped=_examples(diff["unmapped"]),
        never_seen=tuple(diff["never_seen"]),
        drift=_examples(diff["drift"]),
        sampled_at=row["created_at"],
        run_id=str(row["run_id"]) if row["run_id"] else None,
    )


def _examples(found: Mapping[str, Any]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Name → type → examples; a sample of an earlier version named only the types."""
    return {
        name: {kind: tuple(types[kind]) if isinstance(types, Mapping) else () for kind in types}
        for name, types in found.items()
    }
