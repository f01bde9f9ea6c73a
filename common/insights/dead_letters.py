"""Records put aside: the latest that match. Masked when stored; what a viewer may see is the caller's affair."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from common.insights.problems import Problem, problem
from common.states import DeadLetterState
from common.store.database import Database, Row
from common.store.statements import statements

SQL = statements("api")
MOST_LETTERS = 200


@dataclass(frozen=True)
class Letter:
    """One record put aside. ``payload`` is the record as it came, as JSON text."""

    id: int
    integration: str
    account_key: str
    entity: str
    record_id: str | None
    problem: Problem
    fingerprint: str
    page: int | None
    run_id: str | None
    state: DeadLetterState
    attempts: int
    first_seen_at: datetime
    last_seen_at: datetime
    finished_at: datetime | None
    finished_by: str | None
    finish_reason: str | None
    payload_hash: str
    payload: str


def letters(
    database: Database,
    *,
    integration: str | None = None,
    entity: str | None = None,
    state: str | None = None,
    code: str | None = None,
    fingerprint: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> tuple[Letter, ...]:
    """The latest letters that match, newest first; ``before`` an id pages on. At most ``MOST_LETTERS``."""
    params: dict[str, Any] = {
        "integration": integration,
        "entity": entity,
        "state": state,
        "code": code,
        "fingerprint": fingerprint,
        "before": before,
        "limit": max(1, min(limit, MOST_LETTERS)),
    }
    with database.transaction() as link:
        return tuple(_letter(row) for row in link.execute(SQL["found_dead_letters"], params).fetchall())


def _letter(row: Row) -> Letter:
    reason = problem({"code": row["code"], "cause": row["reason"]})
    assert reason is not None
    fields = {name: row[name] for name in Letter.__dataclass_fields__ if name in row}
    fields |= {"run_id": str(row["run_id"]) if row["run_id"] else None, "state": DeadLetterState(row["state"])}
    return Letter(**fields, problem=reason)
