"""What flows: the lines of the log and samples of the request budget. Look-back and length are clamped."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from common.store.database import Database
from common.store.statements import statements

SQL = statements("insights")
LEVELS = ("debug", "info", "warn", "error")
MOST_SAMPLES = 500
MOST_HOURS = 24 * 31
MOST_READ = 1000


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line as the live stream reads it. ``rate_limit`` is what the line says of the request budget, if it does."""

    id: int
    ts: datetime
    entity: str | None
    page: int | None
    rows: int | None
    level: str
    code: str
    msg: str
    run_id: str | None
    rate_limit: Any


@dataclass(frozen=True)
class RateSample:
    """The request budget at one moment. ``source`` "counted": our own count, since the vendor says nothing."""

    ts: datetime
    decision: str
    waited_seconds: float
    source: str
    limit: int | None
    remaining: int | None
    reset_at: datetime | None
    used_minute: int | None
    limit_minute: int | None
    used_hour: int | None
    limit_hour: int | None


def log_head(database: Database) -> int:
    """The last event id given out; ids are dense and in the order of commits (design §4)."""
    with database.statement() as link:
        row = link.execute(SQL["log_head"]).fetchone()
    assert row is not None
    return int(row["last_id"])


def log_lines(database: Database, *, first_id: int, limit: int = MOST_READ) -> tuple[LogLine, ...]:
    """Up to ``limit`` lines in the order of their ids, from ``first_id`` on, itself included."""
    with database.statement() as link:
        rows = link.execute(SQL["log_lines"], {"first_id": first_id, "limit": limit}).fetchall()
    return tuple(LogLine(**{**row, "run_id": str(row["run_id"]) if row["run_id"] else None}) for row in rows)


def rate_samples(
    database: Database, integration: str, account_key: str = "main", *, limit: int = 120, hours: int = 1
) -> tuple[RateSample, ...]:
    """The latest samples, oldest first."""
    params = {
        "integration": integration,
        "account_key": account_key,
        "limit": max(1, min(limit, MOST_SAMPLES)),
        "hours": max(1, min(hours, MOST_HOURS)),
    }
    with database.transaction() as link:
        rows = link.execute(SQL["rate_samples"], params).fetchall()
    return tuple(RateSample(**_renamed(row)) for row in reversed(rows))


def _renamed(row: dict[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in row.items() if key != "request_limit"}
    return {**rest, "limit": row["request_limit"]}
