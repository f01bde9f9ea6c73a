"""When runs are due. Slots are aligned to UTC: every daemon sees the same ones. One catch-up, not one per miss."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

FULL_CATCH_UP = timedelta(hours=12)
"""How late a nightly full run may still start by itself."""


def delta_slot(now: datetime, interval_minutes: float) -> datetime:
    """The latest delta slot at or before ``now``: multiples of the interval since midnight UTC."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    interval = timedelta(minutes=interval_minutes)
    return midnight + interval * int((now - midnight) / interval)


def full_slot(now: datetime, hour_utc: int) -> datetime:
    """The latest nightly slot at or before ``now``."""
    today = now.astimezone(UTC).replace(hour=hour_utc, minute=0, second=0, microsecond=0)
    return today if today <= now else today - timedelta(days=1)


def due(
    now: datetime,
    *,
    interval_minutes: float,
    full_hour_utc: int,
    last_delta: datetime | None,
    last_full: datetime | None,
) -> tuple[str, datetime] | None:
    """What is due: (``full`` or ``delta``, its slot), None when nothing is. ``last_*``: the latest slot already taken.

    However many slots an outage missed, only the latest one is returned. A full run absorbs the delta of its moment. A
    nightly run that nobody started within twelve hours, or that lies before the first delta, waits for its next night.
    """
    night = full_slot(now, full_hour_utc)
    known = last_full if last_full is not None else last_delta
    if known is not None and known < night and now - night < FULL_CATCH_UP:
        return "full", night
    slot = delta_slot(now, interval_minutes)
    if last_delta is None or last_delta < slot:
        return "delta", slot
    return None
