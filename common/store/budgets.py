"""The request budget in the database: one locked row per account, shared by every daemon."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from psycopg.types.json import Jsonb

from common.store.database import Database
from common.store.statements import statements

SQL = statements("budgets")
T = TypeVar("T")


def decide(
    database: Database,
    integration: str,
    account_key: str,
    rule: Callable[[dict[str, Any], float], tuple[dict[str, Any], T]],
) -> T:
    """Apply a pure rule ``(windows, now) -> (windows, verdict)`` to the locked row and return its verdict.

    ``now`` is the database's clock in epoch seconds. The commit does not wait for the disk: a crash of the server may
    forget the last permits of some tens of milliseconds, never more.
    """
    account = {"integration": integration, "account_key": account_key}
    with database.transaction() as link:
        link.execute("SET LOCAL synchronous_commit = off")
        link.execute(SQL["ensure"], account)
        row = link.execute(SQL["lock"], account).fetchone()
        assert row is not None
        windows, verdict = rule(row["windows"], row["now"])
        link.execute(SQL["store"], {**account, "windows": Jsonb(windows)})
        return verdict
