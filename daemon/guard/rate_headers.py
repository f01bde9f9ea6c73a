"""How long the vendor asks us to wait (rate-limit header fact sheet §1, §4). What is absent or malformed is unknown."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from daemon.guard.header_values import http_date
from daemon.guard.quota_headers import quota

LONGEST = timedelta(hours=24)
SMALLEST_SECONDS = 0.05
_NUMBER = re.compile(r"^[0-9]+(\.[0-9]+)?$", re.ASCII)
_PARTS = re.compile(r"\s*[A-Za-z]{3,9},\s*\d+[ -][A-Za-z][^,]*|[^,]+")
"""The values of a header joined by commas, where a date has one of its own."""


def asked_wait_seconds(headers: Mapping[str, str], body: Any, now: datetime) -> float | None:
    """What a 429 or 503 asks for: ``Retry-After``, else the body's ``retry_after`` (Dropbox), else, with nothing left,
    the moment its quota starts anew. None when it says nothing usable."""
    for asked in (retry_after_seconds(headers, now), _of_body(body), _of_quota(headers, now)):
        if asked is not None:
            return asked
    return None


def retry_after_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds to wait by ``Retry-After``: whole seconds or an HTTP date, None when absent or unusable.

    A date counts from the answer's own ``Date``, which cancels skewed clocks; several values: the largest of those
    that can be read; never more than 24 h, never less than a small floor. ``now`` is used when the answer has no
    ``Date``.
    """
    parts = [part.strip() for part in _PARTS.findall(headers.get("retry-after", "")) if part.strip()]
    asked = [_seconds(part, headers, now) for part in parts]
    known = [seconds for seconds in asked if seconds is not None]
    return _bounded(max(known)) if known else None


def _seconds(text: str, headers: Mapping[str, str], now: datetime) -> float | None:
    if _NUMBER.match(text):
        return float(text)
    date = http_date(text)
    return None if date is None else (date - (http_date(headers.get("date", "")) or now)).total_seconds()


def _of_body(body: Any) -> float | None:
    """``retry_after`` at the top of a body, or in its ``error``."""
    if not isinstance(body, Mapping):
        return None
    inner = body.get("error")
    for place in (body, inner if isinstance(inner, Mapping) else {}):
        value = place.get("retry_after")
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool) and value >= 0:
            return _bounded(float(value))
    return None


def _of_quota(headers: Mapping[str, str], now: datetime) -> float | None:
    told = quota(headers, now)
    if told is None or told.remaining != 0 or told.seconds_to_reset is None:
        return None
    return _bounded(told.seconds_to_reset)


def _bounded(seconds: float) -> float:
    """Fractions up; enough digits make it infinite, so the cap comes first."""
    return max(math.ceil(min(seconds, LONGEST.total_seconds())), SMALLEST_SECONDS)
