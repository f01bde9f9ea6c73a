"""The circuit breaker in the database: one locked row per account, shared by every daemon."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from psycopg.types.json import Jsonb

from common.rules.breaker import Breaker, unforced
from common.states import BreakerState
from common.store.database import Database, Row
from common.store.statements import statements

SQL = statements("breakers")
T = TypeVar("T")


def is_quiet(database: Database, integration: str, account_key: str) -> bool:
    """Whether requests may go out; an account without a row has never failed."""
    with database.transaction() as link:
        row = link.execute(SQL["is_quiet"], {"integration": integration, "account_key": account_key}).fetchone()
    return row is None or bool(row["is_quiet"])


def decide(
    database: Database,
    integration: str,
    account_key: str,
    rule: Callable[[Breaker, float], tuple[Breaker, T]],
) -> tuple[list[Breaker], T]:
    """Apply a pure rule ``(breaker, now) -> (breaker, verdict)`` to the locked row.

    Returns the course it took, from what it was to what it is now (one element when nothing changed), and the verdict.
    """
    account = {"integration": integration, "account_key": account_key}
    with database.transaction() as link:
        link.execute(SQL["ensure"], account)
        row = link.execute(SQL["lock"], account).fetchone()
        assert row is not None
        before = _from_row(row)
        # A force that ran out is over first: from forced to open would be no legal move.
        freed = unforced(before, row["now"])
        after, verdict = rule(freed, row["now"])
        course = [before]
        for step in (freed, after):
            if step != course[-1]:
                link.execute(SQL["store"], {**account, **_to_row(step)})
                course.append(step)
    return course, verdict


def _from_row(row: Row) -> Breaker:
    return Breaker(
        state=BreakerState(row["state"]),
        consecutive_failures=row["consecutive_failures"],
        outcomes=tuple((float(moment), bool(succeeded)) for moment, succeeded in row["outcomes"]),
        cool_down_until=row["cool_down_epoch"],
        probe_token=str(row["probe_token"]) if row["probe_token"] else None,
        probe_expires_at=row["probe_epoch"],
        forced_until=row["forced_epoch"],
        forced_by=row["forced_by"],
        forced_reason=row["forced_reason"],
    )


def _to_row(breaker: Breaker) -> Row:
    return {**vars(breaker), "state": breaker.state.value, "outcomes": Jsonb(breaker.outcomes)}
