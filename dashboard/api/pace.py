"""A sober limit per caller: a bucket of requests that refills all the time. Each web process counts for itself."""

from __future__ import annotations

MOST_CALLERS = 10_000


class Pace:
    """``wait_seconds`` is asked once per request. Only the event loop's thread uses it."""

    def __init__(self) -> None:
        self._buckets: dict[str, tuple[float, float]] = {}

    def wait_seconds(self, caller: str, per_minute: int, now: float) -> float:
        """0 when the request may be answered now; else how long until the next one may. ``now`` is monotonic.

        A minute's worth may come at once; after that requests are answered at the steady rate.
        """
        rate = per_minute / 60
        left, at = self._buckets.get(caller, (float(per_minute), now))
        left = min(float(per_minute), left + (now - at) * rate)
        if left < 1:
            self._buckets[caller] = (left, now)
            return (1 - left) / rate
        self._buckets[caller] = (left - 1, now)
        if len(self._buckets) > MOST_CALLERS:
            self._forget_idle(now)
        return 0.0

    def _forget_idle(self, now: float) -> None:
        """Whoever asked nothing for a minute has a full bucket again, as if never seen."""
        self._buckets = {caller: bucket for caller, bucket in self._buckets.items() if now - bucket[1] < 60}
