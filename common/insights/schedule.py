"""What the daemon published of its schedule, and when the next runs are due."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from common.store.database import Link
from common.store.statements import statements

SQL = statements("insights")


@dataclass(frozen=True)
class Schedule:
    """What the daemon published of its schedule; None where it published nothing."""

    enabled: bool | None
    interval_minutes: float | None
    full_at_hour_utc: int | None
    next_delta_at: datetime | None
    next_full_at: datetime | None


def schedule_of(link: Link, params: Mapping[str, str], settings: Mapping[str, Any], now: datetime) -> Schedule:
    """The schedule of one account (``params`` names it), from the settings that its daemon published."""
    enabled = _flag(settings.get("auto_sync_enabled"))
    minutes = _number(settings.get("interval_minutes"))
    hour = _number(settings.get("full_at_hour_utc"))
    slots = {row["kind"]: row["due_at"] for row in link.execute(SQL["last_slots"], params).fetchall()}
    runs_by_itself = bool(enabled)
    return Schedule(
        enabled=enabled,
        interval_minutes=minutes,
        full_at_hour_utc=int(hour) if hour is not None else None,
        next_delta_at=_next_delta(slots.get("delta"), minutes, now) if runs_by_itself else None,
        next_full_at=_next_full(int(hour), now) if runs_by_itself and hour is not None else None,
    )


def _next_delta(last_due: datetime | None, minutes: float | None, now: datetime) -> datetime | None:
    """The next due time in step with the last one; None before there was any."""
    if last_due is None or not minutes:
        return None
    missed = max(0, int((now - last_due).total_seconds() // (minutes * 60)))
    return last_due + timedelta(minutes=minutes * (missed + 1))


def _next_full(hour: int, now: datetime) -> datetime:
    today = now.astimezone(UTC).replace(hour=hour % 24, minute=0, second=0, microsecond=0)
    return today if today > now else today + timedelta(days=1)


def _flag(value: Any) -> bool | None:
    """A published yes or no: the daemon publishes settings as they are, or as masked text."""
    if value is None or isinstance(value, bool):
        return value
    return str(value).strip().lower() in ("1", "true", "yes", "on")


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
