"""What the vendor says of our quota, in every convention we know (rate-limit header fact sheet §2–§3).

Absent or malformed means unknown, never zero or 100 %. With several policies the tightest one counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

FIRST_EPOCH_MILLISECOND = 1e11
FIRST_EPOCH_SECOND = 1e9
FARTHEST = timedelta(hours=24)
_TRIPLES = (
    ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"),
    ("x-rate-limit-limit", "x-rate-limit-remaining", "x-rate-limit-reset"),
    ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"),
    ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset-after"),
    ("hour-quota-limit", "hour-quota-remaining", "hour-quota-resettime"),
)
_NUMBER = re.compile(r"^-?[0-9]+(\.[0-9]+)?$")
_POLICY = re.compile(r'^"(?P<name>[^"]*)"(?P<parameters>(?:;[a-z]+=[^;,]+)*)$')


@dataclass(frozen=True)
class Quota:
    """What the vendor says: requests allowed, requests left, when it starts anew; None where it does not say."""

    limit: int | None = None
    remaining: int | None = None
    reset_at: datetime | None = None


def quota(headers: Mapping[str, str], received_at: datetime) -> Quota | None:
    """The quota an answer tells of, None when it tells nothing. ``headers`` have lower-case names."""
    now = _date(headers.get("date", "")) or received_at
    structured = _structured(headers, now)
    if structured is not None:
        return structured
    for limit_name, remaining_name, reset_name in _TRIPLES:
        if limit_name in headers or remaining_name in headers:
            found = Quota(
                _count(headers.get(limit_name, "")),
                _count(headers.get(remaining_name, "")),
                _reset(headers.get(reset_name, ""), now),
            )
            if found != Quota():
                return found
    return None


def _count(text: str) -> int | None:
    """A count of requests; of several stacked limiters the smallest. Negative ("unlimited") and text are unknown."""
    first = text.split(";", maxsplit=1)[0]
    parts = [part.strip() for part in first.split(",") if part.strip()]
    if not parts or not all(_NUMBER.match(part) for part in parts):
        return None
    least = min(float(part) for part in parts)
    return int(least) if least >= 0 else None


def _reset(text: str, now: datetime) -> datetime | None:
    """Epoch milliseconds, epoch seconds, seconds from now, an ISO moment or an HTTP date; outside 24 h is unknown."""
    text = text.strip()
    if not text:
        return None
    first = text.split(",")[0].strip()
    try:
        if _NUMBER.match(first):
            number = float(first)
            if number > FIRST_EPOCH_MILLISECOND:
                moment = datetime.fromtimestamp(number / 1000, UTC)
            elif number > FIRST_EPOCH_SECOND:
                moment = datetime.fromtimestamp(number, UTC)
            else:
                moment = now + timedelta(seconds=number)
        else:
            moment = _iso(text) or _date(text) or now - timedelta(seconds=1)
    except (OverflowError, ValueError, OSError):
        return None
    return moment if now <= moment <= now + FARTHEST else None


def _structured(headers: Mapping[str, str], now: datetime) -> Quota | None:
    """The current draft: ``RateLimit: "name";r=50;t=30`` beside ``RateLimit-Policy: "name";q=100``."""
    left = _policies(headers.get("ratelimit", ""))
    if not left:
        return None
    allowed = _policies(headers.get("ratelimit-policy", "")) or {}
    found: list[tuple[float, Quota]] = []
    for name, parameters in left.items():
        remaining = _count(parameters.get("r", ""))
        if remaining is None:
            return None  # a malformed field is ignored as a whole, not repaired
        limit = _count(allowed.get(name, {}).get("q", ""))
        tightness = remaining / limit if limit else float(remaining)
        found.append((tightness, Quota(limit, remaining, _reset(parameters.get("t", ""), now))))
    return min(found, key=lambda pair: pair[0])[1]


def _policies(text: str) -> dict[str, dict[str, str]] | None:
    """Name → parameters of a structured list; None when any part of it is malformed."""
    policies: dict[str, dict[str, str]] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        match = _POLICY.match(part.replace("; ", ";"))
        if match is None:
            return None
        pairs = (pair.split("=", 1) for pair in match["parameters"].split(";") if pair)
        policies[match["name"]] = {key: value.strip() for key, value in pairs}
    return policies


def _iso(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
