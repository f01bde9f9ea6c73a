"""Asks the breaker before a request and tells it what came; waits at most one cool-down, then gives the run up.

While it is closed a success costs nothing and a look at the row is at most a second old: other daemons' failures and an
admin's force are noticed within that, and one's own failures at once.
"""

from __future__ import annotations

import threading
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

from common.clock import Clock
from common.errors import BreakerHolds, StopRequested, TransientFault
from common.rules.breaker import FORCED, Admission, Breaker, BreakerLimits, Outcome, admit, record
from common.states import BreakerState
from common.store import breakers
from common.store.database import Database

LOOK_SECONDS = 1.0
MOST_SUCCESSES = 100
"""Successes remembered for the failed share; more of them would not change what opens it."""
Tell = Callable[[str, str], None]
"""Called with (level, sentence) at every transition and refused call."""


NO_PROBE = "no probe"
"""The token of a request that goes out since the breaker is closed: none of its own, which would cost a system call."""


class CircuitBreaker:
    """The breaker of one account, as one run or ping uses it; threads share it."""

    def __init__(
        self, database: Database, clock: Clock, limits: BreakerLimits, *, integration: str, account_key: str, tell: Tell
    ) -> None:
        self._database = database
        self._clock = clock
        self._limits = limits
        self._account = (integration, account_key)
        self._tell = tell
        self._lock = threading.Lock()
        self._looked_at = float("-inf")
        self._failing = False
        self._successes: deque[float] = deque(maxlen=MOST_SUCCESSES)
        self._held_since: float | None = None
        self._seen = Breaker()
        self._probe: str | None = None
        """The last token with which a request of this run was sent to see whether the vendor is back."""
        self._last_fault: TransientFault | None = None

    def enter(self, stop: threading.Event, *, for_ping: bool) -> str:
        """Before a request: returns the token to leave with. A person's ping is let through as it is.

        Raises ``BreakerHolds`` after one cool-down in vain, or ``StopRequested``.
        """
        if self._seen_quiet() or for_ping:
            return NO_PROBE
        token, told = str(uuid.uuid4()), False
        while True:
            breaker, admission = self._ask(token)
            if admission.allowed:
                return token
            if not told:
                self._tell("warn", f"held a request back for {admission.wait_seconds:.0f} s: {in_words(breaker)}")
                told = True
            self._give_up_in_time(breaker, admission.wait_seconds)
            # In short waits, so that a force is obeyed, and its end, while we wait.
            if self._clock.wait(stop, min(LOOK_SECONDS, admission.wait_seconds)):
                raise StopRequested

    def leave(self, token: str, outcome: Outcome, fault: TransientFault | None = None) -> None:
        """After a request: what it says about the vendor's health."""
        at = self._clock.monotonic()
        with self._lock:
            self._last_fault = fault or self._last_fault
            if outcome is Outcome.SUCCESS:
                self._held_since = None
            if outcome is Outcome.SUCCESS and not self._failing:
                self._successes.append(at)
                return
            if outcome is Outcome.NEUTRAL and not self._failing:
                return
            ages = [at - moment for moment in self._successes]
            self._successes.clear()

        def rule(breaker: Breaker, now: float) -> tuple[Breaker, None]:
            if ages and breaker.state is BreakerState.CLOSED:
                quiet = tuple((now - age, True) for age in ages)
                breaker = replace(breaker, consecutive_failures=0, outcomes=(*breaker.outcomes, *quiet))
            return record(breaker, self._limits, outcome, now=now, token=token), None

        course, _ = breakers.decide(self._database, *self._account, rule)
        self._notice(course)

    def held(self) -> BreakerHolds | None:
        """What ends a request that has just failed for the last time; None while further ones may go out."""
        with self._lock:
            seen = self._seen
        return None if seen.state in (BreakerState.CLOSED, BreakerState.FORCED_CLOSED) else self._holds(seen)

    def _holds(self, breaker: Breaker) -> BreakerHolds:
        if breaker.state is BreakerState.FORCED_OPEN:
            by, until = breaker.forced_by, _moment(breaker.forced_until)
            return BreakerHolds("BREAKER_FORCED_OPEN", by=by, until=until, reason=breaker.forced_reason)
        with self._lock:
            fault = self._last_fault
        if fault is None:
            return BreakerHolds("BREAKER_OPEN", last="before this run began")
        return BreakerHolds("BREAKER_OPEN", last=f"the last one: {fault.cause.rstrip('.')}", last_code=fault.code)

    def _give_up_in_time(self, breaker: Breaker, wait_seconds: float) -> None:
        """One cool-down since a request of this run was first held back, whoever waits; then the run ends.

        Not while its own probe is on its way: that decides, and it has an end of its own.
        """
        if breaker.probe_token is not None and breaker.probe_token == self._probe:
            return
        now = self._clock.monotonic()
        with self._lock:
            if self._held_since is None:
                self._held_since = now
            waited = now - self._held_since
        if waited + wait_seconds <= self._limits.cool_down_seconds + LOOK_SECONDS:
            return
        raise self._holds(breaker)

    def _seen_quiet(self) -> bool:
        now = self._clock.monotonic()
        with self._lock:
            if self._failing or now - self._looked_at < LOOK_SECONDS:
                return not self._failing
            self._looked_at = now
        quiet = breakers.is_quiet(self._database, *self._account)
        with self._lock:
            self._failing = not quiet
        return quiet

    def _ask(self, token: str) -> tuple[Breaker, Admission]:
        def rule(breaker: Breaker, now: float) -> tuple[Breaker, Admission]:
            after, admission = admit(breaker, self._limits, now=now, token=token)
            if admission.is_probe:
                self._probe = token  # before anybody can read the row that names it
            return after, admission

        course, admission = breakers.decide(self._database, *self._account, rule)
        self._notice(course)
        return course[-1], admission

    def _notice(self, course: list[Breaker]) -> None:
        after = course[-1]
        with self._lock:
            self._seen = after
            self._failing = after.state is not BreakerState.CLOSED or after.consecutive_failures > 0
        for sentence, level in transitions(course):
            self._tell(level, sentence)


def transitions(course: list[Breaker]) -> list[tuple[str, str]]:
    """Each change of state as (sentence, level)."""
    return [
        (
            f"circuit breaker: {before.state} → {after.state}: {in_words(after)}",
            "warn" if after.state in (BreakerState.OPEN, BreakerState.FORCED_OPEN) else "info",
        )
        for before, after in pairwise(course)
        if before.state is not after.state
    ]


def in_words(breaker: Breaker) -> str:
    """Why it is as it is."""
    if breaker.state in FORCED:
        return f"forced by {breaker.forced_by} until {_moment(breaker.forced_until)}: {breaker.forced_reason}"
    return {
        BreakerState.OPEN: f"too many requests failed; the next try is at {_moment(breaker.cool_down_until)}",
        BreakerState.HALF_OPEN: "one request is on its way to see whether the vendor is back",
    }.get(breaker.state, "requests go out")


def _moment(epoch_seconds: float | None) -> str:
    return f"{datetime.fromtimestamp(epoch_seconds or 0, UTC):%Y-%m-%d %H:%M:%S} UTC"
