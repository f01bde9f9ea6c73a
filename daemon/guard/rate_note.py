"""What is kept of a request's place in the vendor's quota and our budget: one note for samples and page events."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, NamedTuple

from daemon.guard.limiter import Permit, Usage
from daemon.guard.quota_headers import Quota

Decision = Literal["sent", "waited", "slowed", "deferred"]
WORTH_TELLING_SECONDS = 0.05


class RateNote(NamedTuple):
    """``decision``: sent at once, after a wait for our budget, slowed because the vendor says that little is left, or
    deferred. ``source``: `header` when the vendor told of its quota, else `counted`; the ``used_*`` are always our own
    count. None is unknown."""

    decision: Decision
    waited_seconds: float
    source: Literal["counted", "header"]
    request_limit: int | None
    remaining: int | None
    reset_at: datetime | None
    used_minute: int | None
    limit_minute: int | None
    used_hour: int | None
    limit_hour: int | None

    def as_event(self) -> dict[str, Any]:
        """As page events carry it; what is unknown is left out."""
        found = {
            "source": self.source,
            "decision": self.decision,
            "limit": self.request_limit,
            "remaining": self.remaining,
            "resetAt": self.reset_at.isoformat() if self.reset_at else None,
            "usedMinute": self.used_minute,
            "limitMinute": self.limit_minute,
            "usedHour": self.used_hour,
            "limitHour": self.limit_hour,
        }
        return {name: value for name, value in found.items() if value is not None}


def of_request(permit: Permit, told: Quota | None) -> RateNote:
    """The note of a request that went out."""
    decision: Decision = "waited" if permit.waited_seconds > WORTH_TELLING_SECONDS else "sent"
    return _note("slowed" if permit.slowed else decision, permit.waited_seconds, permit.usage, told)


def of_deferral(usage: Usage, told: Quota | None) -> RateNote:
    """The note of a request that is put off."""
    return _note("deferred", 0.0, usage, told)


def _note(decision: Decision, waited_seconds: float, usage: Usage, told: Quota | None) -> RateNote:
    return RateNote(
        decision,
        round(waited_seconds, 3),
        "counted" if told is None else "header",
        told.limit if told else None,
        told.remaining if told else None,
        told.reset_at if told else None,
        usage.used_minute,
        usage.limit_minute,
        usage.used_hour,
        usage.limit_hour,
    )
