"""The request budget in the database: one locked row per account, shared by every daemon."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from psycopg.types.json import Jsonb

from common.redact import mask
from common.rules.budget import Lowered
from common.store.database import Database, Link, Row
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

    ``now`` is the database's clock in epoch seconds.
    """
    account = {"integration": integration, "account_key": account_key}
    with database.transaction() as link:
        row = link.execute(SQL["lock"], account).fetchone()
        if row is None:
            link.execute(SQL["ensure"], account)
            row = link.execute(SQL["lock"], account).fetchone()
        assert row is not None
        windows, verdict = rule(row["windows"], row["now"])
        link.execute(SQL["store"], {**account, "windows": Jsonb(windows)})
        return verdict


def in_force(database: Database, integration: str, account_key: str) -> tuple[Lowered, float, float]:
    """What an admin has lowered, as it counts now, and for how many seconds the vendor wants nothing to be sent: by
    anybody, and by runs."""
    with database.statement() as link:
        row = link.execute(SQL["in_force"], {"integration": integration, "account_key": account_key}).fetchone()
    assert row is not None
    return as_lowered(row["lowered_to"]), row["held_seconds"], row["blocked_seconds"]


def lowered_now(link: Link, integration: str, account_key: str) -> Lowered:
    """What an admin has lowered, for who has a link already."""
    row = link.execute(SQL["lowered"], {"integration": integration, "account_key": account_key}).fetchone()
    return as_lowered(row["lowered_to"]) if row else Lowered()


def as_lowered(stored: Mapping[str, Any] | None) -> Lowered:
    """``lowered_to`` as the rule takes it; its keys are those of the wish."""
    found = stored or {}
    return Lowered(found.get("perMinute"), found.get("perHour"), found.get("concurrency"))


def lower(
    link: Link, integration: str, account_key: str, to: Mapping[str, int], *, minutes: int, by: str, reason: str
) -> datetime:
    """Lower limits for so long; returns until when. The caller commits."""
    account = {"integration": integration, "account_key": account_key}
    link.execute(SQL["ensure"], account)
    words = {"to": Jsonb(dict(to)), "minutes": minutes, "by": by, "reason": mask(reason)}
    row = link.execute(SQL["lower"], {**account, **words}).fetchone()
    assert row is not None
    until: datetime = row["lowered_until"]
    return until


def lift(link: Link, integration: str, account_key: str) -> bool:
    """What is set counts again; false when nothing was lowered. The caller commits."""
    return link.execute(SQL["lift"], {"integration": integration, "account_key": account_key}).fetchone() is not None


def blocked_by_us(link: Link, integration: str, account_key: str) -> Row | None:
    """The account's block by our own budget, locked, with the windows and the database's ``now``; None without one."""
    return link.execute(SQL["blocked_by_us"], {"integration": integration, "account_key": account_key}).fetchone()


def move_block(link: Link, integration: str, account_key: str, block: Row, until: float) -> None:
    """Let a block (as ``blocked_by_us`` gave it) and the run that waits for it end at ``until`` (epoch seconds)."""
    moved = {
        "integration": integration,
        "account_key": account_key,
        "until": until,
        "blocked_until": block["blocked_until"],
    }
    link.execute(SQL["move_run"], moved)
    link.execute(SQL["move_block"], moved)
