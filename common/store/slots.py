"""Due times of the schedule, each taken once over all daemons. The caller commits."""

from __future__ import annotations

from datetime import datetime

from common.store.database import Link
from common.store.statements import statements

SQL = statements("accounts")


def latest(link: Link, integration: str, account_key: str, kind: str) -> datetime | None:
    """The last due time of a kind that was taken."""
    params = {"integration": integration, "account_key": account_key, "kind": kind}
    row = link.execute(SQL["latest_slot"], params).fetchone()
    return row["due_at"] if row else None


def take(
    link: Link,
    integration: str,
    account_key: str,
    kind: str,
    due_at: datetime,
    *,
    daemon_id: str,
    command_id: str | None = None,
    reason: str | None = None,
) -> bool:
    """Take a due time for the command that is given in this very transaction, or skip it for a reason.

    False when another daemon has it. That of a continuation comes back where nothing came of it.
    """
    params = {
        "integration": integration,
        "account_key": account_key,
        "kind": kind,
        "due_at": due_at,
        "outcome": "started" if command_id else "skipped",
        "reason": reason,
        "command_id": command_id,
        "daemon_id": daemon_id,
    }
    return link.execute(SQL["take_slot"], params).fetchone() is not None
