"""What rate-limit headers say (rate-limit header fact sheet). Absent or malformed means unknown, never zero."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

LONGEST = timedelta(hours=24)
SMALLEST_SECONDS = 0.05
_NUMBER = re.compile(r"^[0-9]+(\.[0-9]+)?$")


def retry_after_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds to wait by ``Retry-After``: whole seconds or an HTTP date, None when absent or unusable.

    A date counts from the answer's own ``Date``, which cancels skewed clocks; several values: the largest; never more
    than 24 h, never less than a small floor. ``now`` is used when the answer has no ``Date``.
    """
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    numbers = [part.strip() for part in text.split(",")]
    if all(_NUMBER.match(part) for part in numbers):
        seconds = max(float(part) for part in numbers)
        seconds = math.ceil(min(seconds, LONGEST.total_seconds()))  # enough digits make it infinite
    else:
        until = _http_date(text)
        if until is None:
            return None
        seconds = (until - (_http_date(headers.get("date", "")) or now)).total_seconds()
    return min(max(seconds, SMALLEST_SECONDS), LONGEST.total_seconds())


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
