"""The circuit breaker as a pure rule: when to hold requests back, who may probe, when to trust again.

Being rate-limited is not failing (law 7): 429, other 4xx and a stop are neutral. Times are epoch seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from common.states import BreakerState

FARTHEST_SECONDS = 3600.0
"""No cool-down and no probe lasts longer: what lies farther ahead was noted before the database's clock went back."""


class Outcome(StrEnum):
    """What a request says about the vendor's health."""

    SUCCESS = "success"
    FAILURE = "failure"
    NEUTRAL = "neutral"


@dataclass(frozen=True)
class BreakerLimits:
    """When it opens and for how long.

    ``failures`` in a row open it, or a ``share`` of failed requests among at least ``least`` in ``window_seconds``.
    ``probe_seconds``: a probe whose prober died may be taken over after this.
    """

    failures: int = 5
    share: float = 0.5
    least: int = 20
    window_seconds: float = 60.0
    cool_down_seconds: float = 60.0
    probe_seconds: float = 150.0


@dataclass(frozen=True)
class Breaker:
    """The breaker of one account. ``outcomes``: (moment, succeeded) of recent requests, oldest first."""

    state: BreakerState = BreakerState.CLOSED
    consecutive_failures: int = 0
    outcomes: tuple[tuple[float, bool], ...] = ()
    cool_down_until: float | None = None
    probe_token: str | None = None
    probe_expires_at: float | None = None
    forced_until: float | None = None
    forced_by: str | None = None
    forced_reason: str | None = None


@dataclass(frozen=True)
class Admission:
    """Whether a request may go out; when not, after how many seconds to ask again."""

    allowed: bool
    wait_seconds: float = 0.0
    is_probe: bool = False


FORCED = (BreakerState.FORCED_OPEN, BreakerState.FORCED_CLOSED)


def force(state: BreakerState, *, until: float, by: str, reason: str) -> Breaker:
    """The breaker as an admin wants it, until a moment: open holds runs back, closed lets all requests through."""
    return Breaker(state, forced_until=until, forced_by=by, forced_reason=reason)


def unforced(breaker: Breaker, now: float) -> Breaker:
    """A force that has expired is over: the breaker is closed and starts to count anew."""
    if breaker.state in FORCED and breaker.forced_until is not None and breaker.forced_until <= now:
        return Breaker()
    return breaker


def admit(breaker: Breaker, limits: BreakerLimits, *, now: float, token: str) -> tuple[Breaker, Admission]:
    """Ask to send one request; ``token`` names the asker's probe, should this become one."""
    breaker = unforced(breaker, now)
    if breaker.state in (BreakerState.CLOSED, BreakerState.FORCED_CLOSED):
        return breaker, Admission(True)
    if breaker.state is BreakerState.FORCED_OPEN:
        return breaker, Admission(False, (breaker.forced_until or now) - now)
    if breaker.state is BreakerState.OPEN:
        left = (breaker.cool_down_until or now) - now
        if 0 < left <= FARTHEST_SECONDS:
            return breaker, Admission(False, left)
    elif breaker.probe_token is not None and 0 < (breaker.probe_expires_at or now) - now <= FARTHEST_SECONDS:
        return breaker, Admission(False, min(1.0, (breaker.probe_expires_at or now) - now))
    probing = replace(
        breaker,
        state=BreakerState.HALF_OPEN,
        probe_token=token,
        probe_expires_at=now + limits.probe_seconds,
    )
    return probing, Admission(True, is_probe=True)


def record(breaker: Breaker, limits: BreakerLimits, outcome: Outcome, *, now: float, token: str) -> Breaker:
    """Take a request's outcome in."""
    breaker = unforced(breaker, now)
    if breaker.state is BreakerState.HALF_OPEN:
        return _probed(breaker, limits, outcome, now, token)
    if outcome is Outcome.NEUTRAL or breaker.state is not BreakerState.CLOSED:
        return breaker
    recent = tuple(pair for pair in breaker.outcomes if pair[0] > now - limits.window_seconds)
    recent = (*recent, (now, outcome is Outcome.SUCCESS))
    failures = 0 if outcome is Outcome.SUCCESS else breaker.consecutive_failures + 1
    counted = replace(breaker, consecutive_failures=failures, outcomes=recent)
    return _opened(counted, limits, now) if _too_bad(counted, limits) else counted


def _probed(breaker: Breaker, limits: BreakerLimits, outcome: Outcome, now: float, token: str) -> Breaker:
    if breaker.probe_token != token:
        return breaker  # a request from before it opened; only the probe decides
    if outcome is Outcome.SUCCESS:
        return Breaker()
    if outcome is Outcome.FAILURE:
        return _opened(breaker, limits, now)
    return replace(breaker, probe_token=None, probe_expires_at=None)


def _too_bad(breaker: Breaker, limits: BreakerLimits) -> bool:
    if breaker.consecutive_failures >= limits.failures:
        return True
    failed = sum(not succeeded for _, succeeded in breaker.outcomes)
    enough = len(breaker.outcomes) >= limits.least
    return enough and failed > 0 and failed / len(breaker.outcomes) >= limits.share


def _opened(breaker: Breaker, limits: BreakerLimits, now: float) -> Breaker:
    return replace(
        breaker,
        state=BreakerState.OPEN,
        cool_down_until=now + limits.cool_down_seconds,
        probe_token=None,
        probe_expires_at=None,
        outcomes=(),
    )
