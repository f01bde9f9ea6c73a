"""Requests without a session in the audit log: one row per minute and kind, not one each.

Processes add to the present minute; whoever comes first after it is over moves it to ``control.admin_logs``. Every
function takes an open transaction; the caller commits.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC

from common.store import commands
from common.store.database import Link
from common.store.statements import statements

SQL = statements("anonymous")
NOBODY = "anonymous"
PATIENCE_SECONDS = 15.0
"""A minute is closed this long after its end: every process has told its last counts by then."""


def add(link: Link, counts: Mapping[str, tuple[int, str]]) -> None:
    """Add to the present minute: kind → (how many, where the latest came from)."""
    for kind in sorted(counts):  # in one order everywhere, so that two processes cannot wait for each other
        requests, address = counts[kind]
        link.execute(SQL["add"], {"kind": kind, "requests": requests, "address": address})


def close_minutes(link: Link, *, patience_seconds: float = PATIENCE_SECONDS) -> int:
    """Move the minutes that are over to the audit log; returns how many rows were written."""
    over = link.execute(SQL["take_over"], {"patience_seconds": patience_seconds}).fetchall()
    for row in sorted(over, key=lambda row: (row["minute"], row["kind"])):
        minute = row["minute"].astimezone(UTC).isoformat(timespec="minutes")
        commands.log_action(
            link,
            actor=NOBODY,
            action=row["kind"],
            result="refused",
            source="page",
            address=row["address"],
            summary={"minute": minute, "requests": row["requests"]},
        )
    return len(over)
