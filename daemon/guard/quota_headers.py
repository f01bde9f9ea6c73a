"""What the vendor says of our quota, in every convention we know (rate-limit header fact sheet §2–§3).

Absent or malformed means unknown, never zero or 100 %. With several policies the tightest one counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from daemon.guard.header_values import MEANINGLESS, count, counts, decimal, http_date, reset
from daemon.guard.structured_headers import policies

_TRIPLES = (
    ("x-ratelimit-limit", "x-ratelimit-remaining", ("x-ratelimit-reset", "x-ratelimit-reset-after")),
    ("x-rate-limit-limit", "x-rate-limit-remaining", ("x-rate-limit-reset",)),
    ("ratelimit-limit", "ratelimit-remaining", ("ratelimit-reset",)),
    ("x-sib-ratelimit-limit", "x-sib-ratelimit-remaining", ("x-sib-ratelimit-reset",)),
    ("x-mws-quota-max", "x-mws-quota-remaining", ("x-mws-quota-resetson",)),
    ("x-current-token-limit", "x-current-token-count", ("x-next-replenishment-time",)),
    ("hour-quota-limit", "hour-quota-remaining", ("hour-quota-resettime",)),
    ("minute-quota-limit", "minute-quota-remaining", ("minute-quota-resettime",)),
)
"""(limit, remaining, where the reset may stand): GitHub and most, Miro, SharePoint, Brevo, Amazon, Walmart, Trestle."""
_THROTTLE_SHARE = "x-ms-throttle-limit-percentage"
"""Microsoft Graph: the used share of the limit, sent from 0.8 on; above 1 it throttles."""
NO_SKEW = timedelta(seconds=10)
"""A ``Date`` tells whole seconds, and an answer takes its time: so much is no clock set wrong."""


@dataclass(frozen=True)
class Quota:
    """What the vendor says: requests allowed, requests left, when it starts anew; None where it does not say."""

    limit: int | None = None
    remaining: int | None = None
    reset_at: datetime | None = None
    """By our clock."""
    used_share: float | None = None
    """Where it tells a share instead of numbers: 0.8 is four fifths of the limit."""
    told_at: datetime | None = field(default=None, compare=False)
    """When it said so, by the clock of ``reset_at``."""

    @property
    def share_left(self) -> float | None:
        """The share of the quota that is left; None where the vendor does not say."""
        if self.used_share is not None:
            return max(0.0, 1.0 - self.used_share)
        if self.remaining is None or not self.limit:
            return None
        return self.remaining / self.limit

    @property
    def seconds_to_reset(self) -> float | None:
        """As the vendor counts them, whatever our clock says."""
        if self.reset_at is None or self.told_at is None:
            return None
        return (self.reset_at - self.told_at).total_seconds()


def quota(headers: Mapping[str, str], received_at: datetime, *, delta_unit_seconds: float = 1.0) -> Quota | None:
    """The quota an answer tells of, None when it tells nothing. ``headers`` have lower-case names.

    ``delta_unit_seconds``: the unit of a bare number of a reset; 0.001 for vendors known to count in milliseconds.
    """
    now = http_date(headers.get("date", "")) or received_at
    told, behind = _told(headers, now, delta_unit_seconds), received_at - now
    if told is None or told.reset_at is None or abs(behind) <= NO_SKEW:
        return told
    return replace(told, reset_at=told.reset_at + behind, told_at=received_at)


def _told(headers: Mapping[str, str], now: datetime, delta_unit_seconds: float) -> Quota | None:
    """The same by the vendor's clock."""
    structured = _structured(headers, now)
    if structured is not None:
        return structured
    found = [told for names in _TRIPLES for told in _of_triple(headers, names, now, delta_unit_seconds)]
    if found:
        return min(found, key=_room)
    used = decimal(headers.get(_THROTTLE_SHARE, ""))
    return None if used is None else Quota(used_share=used, told_at=now)


def _room(told: Quota) -> tuple[float, float]:
    """The less, the tighter; of two that are used up, what starts anew last says when there is room again."""
    share = told.share_left
    if share is None:
        share = math.inf if told.remaining is None else float(told.remaining)
    return share, -(told.seconds_to_reset or 0.0)


def _of_triple(
    headers: Mapping[str, str], names: tuple[str, str, Sequence[str]], now: datetime, unit_seconds: float
) -> list[Quota]:
    """What one of the conventions says: several quotas where each of its headers joins as many with commas."""
    limit_text, remaining_text, *reset_texts = (headers.get(name, "") for name in (*names[:2], *names[2]))
    if not limit_text and not remaining_text:
        return []
    limits, left = counts(limit_text), counts(remaining_text)
    parts = reset_texts[0].split(",")
    if len(limits) == len(left) == len(parts) > 1:
        resets = [reset(part, now, unit_seconds=unit_seconds) for part in parts]
        each = zip(limits, left, resets, strict=True)
        return [Quota(limit, max(0, rest), at, told_at=now) for limit, rest, at in each if limit > 0]
    limit, remaining = _pair(limit_text, remaining_text)
    if limit is None and remaining is None:
        return []
    known = (reset(text, now, unit_seconds=unit_seconds) for text in reset_texts)
    return [Quota(limit, remaining, next(filter(None, known), None), told_at=now)]


def _pair(limit_text: str, remaining_text: str) -> tuple[int | None, int | None]:
    """Limit and remaining of the tightest limiter, where several are joined by commas."""
    limits, left = counts(limit_text), counts(remaining_text)
    if len(limits) == len(left) > 1:
        pairs = [(limit, rest) for limit, rest in zip(limits, left, strict=True) if limit > 0]
        if pairs:
            limit, rest = min(pairs, key=lambda pair: pair[1] / pair[0])
            return limit, max(0, rest)
    # The older drafts put the limit that counts first and the policies after it.
    limit_or_none = limits[0] if limits and limits[0] >= 0 else None
    if not left:
        return limit_or_none, None
    least = min(left)
    # Below zero is overdrawn, unless the limit says "unlimited" in the same breath.
    unlimited = bool(limit_text.strip()) and limit_or_none is None
    return limit_or_none, None if least < 0 and (unlimited or least == MEANINGLESS) else max(0, least)


def _structured(headers: Mapping[str, str], now: datetime) -> Quota | None:
    """The current draft: ``RateLimit: "name";r=50;t=30`` beside ``RateLimit-Policy: "name";q=100``."""
    left = policies(headers.get("ratelimit", ""))
    allowed = policies(headers.get("ratelimit-policy", "")) or {}
    found: list[Quota] = []
    for name, parameters in (left or {}).items():
        policy = allowed.get(name, {})
        if policy.get("qu", "requests") != "requests":
            continue  # bytes or connections left say nothing of requests
        remaining, seconds = count(parameters.get("r", "")), parameters.get("t")
        if remaining is None or (seconds is not None and count(seconds) is None):
            return None  # a malformed field is ignored as a whole, not repaired
        limit = count(policy.get("q", ""))
        found.append(Quota(limit, remaining, reset(seconds or "", now), told_at=now))
    return min(found, key=_room) if found else None
