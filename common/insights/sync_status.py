"""Where an account's copying stands: who holds its lock, when each entity failed last, what is left of the budget."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from common.insights.problems import Problem, problem
from common.insights.streams import RateSample, rate_samples
from common.states import EntityState
from common.store.database import Database
from common.store.statements import statements

SQL = statements("api")


@dataclass(frozen=True)
class LockHolder:
    """The run and daemon that may write the account. ``holds`` false: its time is over, the next run takes it."""

    run_id: str
    daemon_id: str
    requested_by: str | None
    term: int
    acquired_at: datetime | None
    expires_at: datetime
    holds: bool


@dataclass(frozen=True)
class EntityFailure:
    """The latest time that an entity could not be read to its end."""

    at: datetime
    state: EntityState
    run_id: str
    problem: Problem | None


@dataclass(frozen=True)
class SyncStatus:
    """``failures`` by entity; ``sample`` is the budget as the last request saw it, within the hour."""

    lock: LockHolder | None
    failures: dict[str, EntityFailure]
    sample: RateSample | None


def sync_status(database: Database, integration: str, account_key: str) -> SyncStatus:
    """Where the account stands now."""
    params = {"integration": integration, "account_key": account_key}
    with database.transaction() as link:
        lock = link.execute(SQL["lock_holder"], params).fetchone()
        failures = link.execute(SQL["last_failures"], params).fetchall()
    return SyncStatus(
        lock=LockHolder(**{**lock, "run_id": str(lock["run_id"]), "daemon_id": str(lock["daemon_id"])})
        if lock
        else None,
        failures={
            row["entity"]: EntityFailure(
                row["at"], EntityState(row["state"]), str(row["run_id"]), problem(row["error"])
            )
            for row in failures
        },
        sample=last_sample(database, integration, account_key),
    )


def last_sample(database: Database, integration: str, account_key: str) -> RateSample | None:
    """The request budget as the last request of this hour saw it."""
    return next(reversed(rate_samples(database, integration, account_key, limit=1)), None)
