"""How this page says numbers and moments, over the words that everything shares (``common.rules.wording``)."""

from __future__ import annotations

from datetime import UTC, datetime

from common.rules.wording import clock, count, exact_span, listing, plural, span
from common.store.live_rows import LiveRows

__all__ = [
    "NONE",
    "ago",
    "clock",
    "count",
    "exact_span",
    "iso",
    "listing",
    "plural",
    "rows",
    "second",
    "short_id",
    "span",
]

NONE = "–"
"""Stands where there is nothing to say: no data is not zero."""


def ago(moment: datetime, now: datetime) -> str:
    """How long ago: 12 min ago."""
    return f"{span((now - moment).total_seconds())} ago"


def second(moment: datetime) -> str:
    """A moment to the second, UTC: 14:32:01."""
    return f"{moment.astimezone(UTC):%H:%M:%S}"


def iso(moment: datetime) -> str:
    """A moment for machines."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def rows(number: LiveRows | None) -> str:
    """Rows of a table; an estimate says that it is one."""
    if number is None:
        return NONE
    return f"≈ {count(number.number)}" if number.is_estimate else count(number.number)


def short_id(run_id: str) -> str:
    """A run's id, short enough to say and long enough to find."""
    return run_id[:8]
