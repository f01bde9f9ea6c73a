"""Request limits per key, and the header conventions that may announce them (DoorLoop fact sheet §4).

The vendor documents 50 requests per minute and 500 per hour; whether its windows are fixed or sliding is unknown, so
the drill can play both. It documents no rate-limit headers, so none are sent unless a convention is switched on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from threading import Lock
from time import monotonic, time

WINDOWS = ("fixed", "sliding")
CONVENTIONS = ("none", "x-epoch-seconds", "x-delta-seconds", "draft-delta", "draft-structured", "quota-epoch-ms")


@dataclass(frozen=True)
class LimitSettings:
    """Requests allowed per window, 0 for no limit. The windows' lengths can be shortened for tests."""

    per_minute: int = 0
    per_hour: int = 0
    window: str = "sliding"
    minute_seconds: float = 60.0
    hour_seconds: float = 3600.0
    convention: str = "none"

    def __post_init__(self) -> None:
        if self.window not in WINDOWS:
            raise ValueError(f"window must be one of {', '.join(WINDOWS)}, not {self.window!r}.")
        if self.convention not in CONVENTIONS:
            raise ValueError(f"convention must be one of {', '.join(CONVENTIONS)}, not {self.convention!r}.")
        if min(self.per_minute, self.per_hour) < 0 or min(self.minute_seconds, self.hour_seconds) <= 0:
            raise ValueError("Limits must not be negative, and windows must be longer than nothing.")


@dataclass(frozen=True, slots=True)
class Quota:
    """One window's state after a request: `reset_seconds` until a permit comes back."""

    limit: int
    remaining: int
    reset_seconds: float
    window_seconds: float


class Window:
    """Counts the admitted requests of one window; refused ones are not counted."""

    def __init__(self, limit: int, seconds: float, *, sliding: bool) -> None:
        self.limit = limit
        self.seconds = seconds
        self._sliding = sliding
        self._admitted: deque[float] = deque()

    def room(self, now: float) -> bool:
        """Return whether one more request fits at a monotonic instant."""
        admitted = self._admitted
        if self._sliding:
            while admitted and admitted[0] <= now - self.seconds:
                admitted.popleft()
        elif admitted and now >= admitted[0] + self.seconds:
            admitted.clear()
        return len(admitted) < self.limit

    def admit(self, now: float) -> None:
        """Count a request; a fixed window opens with its first one."""
        self._admitted.append(now)

    def quota(self, now: float) -> Quota:
        """Return what is left, and the seconds until the oldest request (or the fixed window) expires."""
        reset = self._admitted[0] + self.seconds - now if self._admitted else 0.0
        return Quota(self.limit, self.limit - len(self._admitted), max(0.0, reset), self.seconds)


class Limiter:
    """The limits of one key. Thread-safe."""

    def __init__(self, settings: LimitSettings, clock: Callable[[], float] = monotonic) -> None:
        self.settings = settings
        self._clock = clock
        self._lock = Lock()
        pairs = ((settings.per_minute, settings.minute_seconds), (settings.per_hour, settings.hour_seconds))
        self._windows = [Window(limit, span, sliding=settings.window == "sliding") for limit, span in pairs if limit]

    def admit(self) -> tuple[int | None, list[Quota]]:
        """Count a request and return (None, quotas), or return (seconds to wait, quotas) when it does not fit."""
        if not self._windows:
            return None, []
        with self._lock:
            now = self._clock()
            full = [window for window in self._windows if not window.room(now)]
            if not full:
                for window in self._windows:
                    window.admit(now)
            quotas = [window.quota(now) for window in self._windows]
            wait = max((window.quota(now).reset_seconds for window in full), default=None)
        return (None if wait is None else max(1, ceil(wait))), quotas


def quota_headers(convention: str, quotas: list[Quota]) -> list[tuple[str, str]]:
    """Return the headers that a convention announces quotas with, the tightest one where it can name only one."""
    if convention == "none" or not quotas:
        return []
    tight = min(quotas, key=lambda quota: quota.remaining / quota.limit)
    delta, reset_at = ceil(tight.reset_seconds), time() + tight.reset_seconds
    if convention == "draft-structured":
        policies = ",".join(f'"w{q.window_seconds:.0f}";q={q.limit};w={q.window_seconds:.0f}' for q in quotas)
        states = ",".join(f'"w{q.window_seconds:.0f}";r={q.remaining};t={ceil(q.reset_seconds)}' for q in quotas)
        return [("RateLimit-Policy", policies), ("RateLimit", states)]
    if convention == "quota-epoch-ms":
        return [("Hour-Quota-Limit", str(tight.limit)), ("Hour-Quota-ResetTime", str(int(reset_at * 1000)))]
    prefix = "RateLimit" if convention == "draft-delta" else "X-RateLimit"
    reset = ceil(reset_at) if convention == "x-epoch-seconds" else delta
    values = (("Limit", tight.limit), ("Remaining", tight.remaining), ("Reset", reset))
    return [(f"{prefix}-{name}", str(value)) for name, value in values]
