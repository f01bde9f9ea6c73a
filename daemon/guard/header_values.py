"""Numbers, moments and counts as rate-limit headers write them (rate-limit header fact sheet §1–§2)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

FIRST_EPOCH_MILLISECOND = 1e11
FIRST_EPOCH_SECOND = 1e9
FARTHEST = timedelta(hours=24)
MEANINGLESS = -1
"""What many write for "no limit"."""
_NUMBER = re.compile(r"^-?[0-9]{1,18}(\.[0-9]{1,18})?$", re.ASCII)
_LEAP_SECOND = re.compile(r"(?<=:[0-9]{2}):60\b")
_COUNT = re.compile(r"^[0-9]{1,15}$", re.ASCII)


def count(text: str) -> int | None:
    """A whole number of the structured fields; anything else is malformed."""
    return int(text) if _COUNT.match(text) else None


def counts(text: str) -> list[int]:
    """Every count of a header: several limiters joined by commas, ``100;w=60``, ``30/10m``, ``4920.0``. One part that
    is no number makes the whole unknown."""
    parts = [re.split(r"[;/]", part, maxsplit=1)[0].strip() for part in text.split(",") if part.strip()]
    if not all(_NUMBER.match(part) for part in parts):
        return []
    return [int(float(part)) for part in parts]


def decimal(text: str) -> float | None:
    """A number that is not negative; None for anything else."""
    text = text.strip()
    return float(text) if _NUMBER.match(text) and not text.startswith("-") else None


def reset(text: str, now: datetime, *, unit_seconds: float = 1.0) -> datetime | None:
    """When a quota starts anew: epoch milliseconds, epoch seconds, a time from now, an ISO moment or an HTTP date.

    Of several the first; outside of the next 24 h it is unknown.
    """
    text = text.strip()
    first = text.split(",")[0].strip()
    try:
        if _NUMBER.match(first):
            moment = _of_number(float(first), now, unit_seconds)
        else:
            found = iso(text) or http_date(text)
            if found is None:
                return None
            moment = found
    except (OverflowError, ValueError, OSError):
        return None
    return moment if now <= moment <= now + FARTHEST else None


def _of_number(number: float, now: datetime, unit_seconds: float) -> datetime:
    if number > FIRST_EPOCH_MILLISECOND:
        return datetime.fromtimestamp(number / 1000, UTC)
    if number > FIRST_EPOCH_SECOND:
        return datetime.fromtimestamp(number, UTC)
    return now + timedelta(seconds=number * unit_seconds)


def iso(text: str) -> datetime | None:
    """An ISO moment; without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def http_date(text: str) -> datetime | None:
    """An HTTP date in any of its three forms (RFC 9110 §5.6.7); a leap second is the one after it."""
    leap = ":60" in text and _LEAP_SECOND.search(text)
    try:
        moment = parsedate_to_datetime(_LEAP_SECOND.sub(":59", text) if leap else text)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        return moment + timedelta(seconds=1) if leap else moment
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
