"""The request budget as a pure rule: per second, per minute and per hour together.

A permit counts from when it is given and expires one window after its *answer* arrived: the vendor may count the
request at any moment in between, so whichever it takes, no window of its own ever holds more than allowed. Answers are
kept in small parts of a window, rounded up. What a window of length W can give is therefore W / (W + flight) of its
rate: 99.5 % of a minute's with 300 ms, but no more than about 85 % of a second's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

BUCKETS = {"second": 60, "minute": 240, "hour": 120}
"""Parts of a window in which answers are counted together: fine enough to give away nothing, few enough for one row."""
SECOND, MINUTE, HOUR, DAY = 1.0, 60.0, 3600.0, 86_400.0
_LENGTHS = {"second": SECOND, "minute": MINUTE, "hour": HOUR}
ONE_RESERVED_OF = 25
"""One permit of so many may be kept for pings: at most 4 %, so that runs have 95 % of the rate after all rounding."""


@dataclass(frozen=True)
class BudgetLimits:
    """Requests allowed per window; 0 means no such limit. Up to ``reserved`` of them are kept for pings."""

    per_second: float = 0
    per_minute: int = 0
    per_hour: int = 0
    reserved: int = 2

    def windows(self) -> dict[str, tuple[float, int]]:
        """Name → (length in seconds, requests allowed). A rate below one per second stretches the second."""
        found: dict[str, tuple[float, int]] = {}
        if self.per_second > 0:
            allowed = max(1, int(self.per_second))
            found["second"] = (SECOND * allowed / self.per_second, allowed)
        if self.per_minute > 0:
            found["minute"] = (MINUTE, self.per_minute)
        if self.per_hour > 0:
            found["hour"] = (HOUR, self.per_hour)
        return found

    @property
    def unlimited(self) -> bool:
        """No limit at all."""
        return not self.windows()

    @property
    def most_an_hour(self) -> float | None:
        """Requests that an hour can hold by all limits together; None without any."""
        rates = (self.per_second * HOUR, self.per_minute * HOUR / MINUTE, self.per_hour)
        return min((rate for rate in rates if rate > 0), default=None)

    def kept_back(self, allowed: int) -> int:
        """How many of a window's requests only pings may use."""
        return min(self.reserved, allowed // ONE_RESERVED_OF)


@dataclass(frozen=True)
class Lowered:
    """What an admin allows for a while instead; None leaves a limit as it is set, and nothing raises one."""

    per_minute: int | None = None
    per_hour: int | None = None
    concurrency: int | None = None

    def limits(self, base: BudgetLimits) -> BudgetLimits:
        """The limits in force."""
        return replace(
            base,
            per_minute=_lower(base.per_minute, self.per_minute),
            per_hour=_lower(base.per_hour, self.per_hour),
        )

    def connections(self, most: int) -> int:
        """The requests at a time in force."""
        return most if self.concurrency is None else min(most, self.concurrency)


def _lower(base: int, lowered: int | None) -> int:
    """The smaller of the two, where a base of 0 is no limit."""
    if lowered is None:
        return base
    return min(base, lowered) if base > 0 else lowered


@dataclass(frozen=True)
class Decision:
    """Whether a request may go out now; else after how many seconds to ask again, and which window binds."""

    granted: bool
    wait_seconds: float
    window: str | None
    state: dict[str, Any]


def used(state: Mapping[str, Any], window: str, length_seconds: float, now: float) -> int:
    """Requests that count against a window at ``now`` (epoch seconds): answered in it, or still without an answer."""
    answered = sum(count for end, count in state.get(window, ()) if end + length_seconds > now)
    flights = sum(1 for expires in state.get("flights", {}).values() if expires + length_seconds > now)
    return int(answered) + flights


def ask(
    state: Mapping[str, Any],
    limits: BudgetLimits,
    *,
    permit: str,
    now: float,
    flight_seconds: float,
    for_ping: bool = False,
) -> Decision:
    """Ask for one permit at ``now``.

    ``flight_seconds`` is when a permit whose holder died counts as answered. Pings may use the reserved ones.
    """
    pruned = _prune(state, limits, now)
    held = pruned.get("held_until", now) - now
    worst, binding = (held, "hold") if held > 0 else (0.0, None)
    for window, (length, allowed) in limits.windows().items():
        kept_back = 0 if for_ping else limits.kept_back(allowed)
        room = allowed - kept_back - used(pruned, window, length, now)
        if room <= 0:
            wait = _until_room(pruned, window, length, now, 1 - room)
            if wait > worst or binding is None:
                worst, binding = wait, window
    if binding is not None:
        return Decision(False, worst, binding, pruned)
    flights = {**pruned.get("flights", {}), permit: now + flight_seconds}
    return Decision(True, 0.0, None, {**pruned, "flights": flights})


def answered(
    state: Mapping[str, Any], limits: BudgetLimits, *, permit: str, now: float, answered_at: float
) -> dict[str, Any]:
    """The permit's answer arrived (or its request failed) at ``answered_at``: it expires one window from then.

    It may be told later, and after answers that came later.
    """
    pruned = _prune(state, limits, now)
    flights = dict(pruned.get("flights", {}))
    if flights.pop(permit, None) is None:
        return pruned
    return _count(pruned | {"flights": flights}, limits, answered_at)


def hold(state: Mapping[str, Any], limits: BudgetLimits, *, until: float, now: float) -> dict[str, Any]:
    """The vendor asked to slow down: no permit for anybody before ``until``. A shorter hold never shortens one."""
    pruned = _prune(state, limits, now)
    return pruned | {"held_until": max(until, pruned.get("held_until", until))}


def _count(state: dict[str, Any], limits: BudgetLimits, moment: float) -> dict[str, Any]:
    for window, (length, _) in limits.windows().items():
        width = length / BUCKETS[window]
        end = (int(moment / width) + 1) * width
        buckets = [list(bucket) for bucket in state.get(window, ())]
        place = len(buckets)
        while place and buckets[place - 1][0] > end:  # told after answers that came later
            place -= 1
        if place and buckets[place - 1][0] == end:
            buckets[place - 1][1] += 1
        else:
            buckets.insert(place, [end, 1])
        state[window] = buckets
    return state


def _prune(state: Mapping[str, Any], limits: BudgetLimits, now: float) -> dict[str, Any]:
    """Forget what no window counts any more; flights whose holder died become answered.

    What lies too far ahead was noted before the database's clock was set back: it counts as of now. A window that these
    limits do not have may be another daemon's.
    """
    fresh: dict[str, Any] = {"flights": {}}
    if state.get("held_until", now) > now:
        fresh["held_until"] = min(state["held_until"], now + DAY)
    windows = limits.windows()
    for window, parts in BUCKETS.items():
        length = windows[window][0] if window in windows else _LENGTHS[window]
        latest = now + length / parts
        fresh[window] = [[min(end, latest), count] for end, count in state.get(window, ()) if end + length > now]
    lost = []
    for permit, expires in state.get("flights", {}).items():
        if expires > now:
            fresh["flights"][permit] = min(expires, now + HOUR)
        else:
            lost.append(expires)
    for expires in sorted(lost):
        if windows and expires + max(length for length, _ in windows.values()) > now:
            fresh = _count(fresh, limits, expires)
    return fresh


def _until_room(state: Mapping[str, Any], window: str, length: float, now: float, needed: int) -> float:
    """Seconds until ``needed`` of the counted requests have left the window."""
    leaving: list[tuple[float, int]] = sorted(
        [(end + length, count) for end, count in state.get(window, ())]
        + [(expires + length, 1) for expires in state.get("flights", {}).values()]
    )
    for moment, count in leaving:
        needed -= count
        if needed <= 0:
            # A flight's answer may come sooner than its expiry: look again at least every window.
            return max(0.005, min(moment - now, length))
    return length
