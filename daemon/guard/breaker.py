"""Asks the breaker before a request and tells it what came; waits at most one cool-down, then gives the run up.

While it is closed a success costs nothing and a look at the row is at most a second old: other daemons' failures are
noticed within that, and one's own at once.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from dataclasses import replace

from common.clock import Clock
from common.errors import BreakerHolds, StopRequested
from common.rules.breaker import Admission, Breaker, BreakerLimits, Outcome, admit, record
from common.states import BreakerState
from common.store import breakers
from common.store.database import Database

LOOK_SECONDS = 1.0
Tell = Callable[[str, str], None]
"""Called with (level, sentence) at every transition and refused call."""


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
        self._successes = 0
        self._held_since: float | None = None

    def enter(self, stop: threading.Event, *, for_ping: bool) -> str:
        """Before a request: returns the token to leave with. A person's ping is let through as it is.

        Raises ``BreakerHolds`` after one cool-down in vain, or ``StopRequested``.
        """
        token = str(uuid.uuid4())
        if for_ping or self._seen_closed():
            return token
        while True:
            admission = self._ask(token)
            if admission.allowed:
                return token
            self._tell("warn", f"held a request back for {admission.wait_seconds:.0f} s")
            self._give_up_in_time(admission.wait_seconds)
            if self._clock.wait(stop, admission.wait_seconds):
                raise StopRequested

    def leave(self, token: str, outcome: Outcome) -> None:
        """After a request: what it says about the vendor's health."""
        with self._lock:
            if outcome is Outcome.SUCCESS:
                self._held_since = None
            if outcome is Outcome.SUCCESS and not self._failing:
                self._successes += 1
                return
            successes, self._successes = self._successes, 0
        if outcome is Outcome.NEUTRAL and not self._failing:
            return

        def rule(breaker: Breaker, now: float) -> tuple[Breaker, None]:
            if successes and breaker.state is BreakerState.CLOSED:
                quiet = tuple((now, True) for _ in range(min(successes, 100)))
                breaker = replace(breaker, consecutive_failures=0, outcomes=(*breaker.outcomes, *quiet))
            return record(breaker, self._limits, outcome, now=now, token=token), None

        before, after, _ = breakers.decide(self._database, *self._account, rule)
        self._notice(before, after)

    def _give_up_in_time(self, wait_seconds: float) -> None:
        """One cool-down since a request of this run was first held back, whoever waits; then the run ends."""
        now = self._clock.monotonic()
        with self._lock:
            if self._held_since is None:
                self._held_since = now
            waited = now - self._held_since
        if waited + wait_seconds > self._limits.cool_down_seconds + LOOK_SECONDS:
            raise BreakerHolds("BREAKER_OPEN")

    def _seen_closed(self) -> bool:
        now = self._clock.monotonic()
        with self._lock:
            if self._failing or now - self._looked_at < LOOK_SECONDS:
                return not self._failing
            self._looked_at = now
        closed = breakers.is_closed(self._database, *self._account)
        with self._lock:
            self._failing = not closed
        return closed

    def _ask(self, token: str) -> Admission:
        def rule(breaker: Breaker, now: float) -> tuple[Breaker, Admission]:
            return admit(breaker, self._limits, now=now, token=token)

        before, after, admission = breakers.decide(self._database, *self._account, rule)
        self._notice(before, after)
        return admission

    def _notice(self, before: Breaker, after: Breaker) -> None:
        with self._lock:
            self._failing = after.state is not BreakerState.CLOSED or after.consecutive_failures > 0
        if before.state is not after.state:
            level = "warn" if after.state is BreakerState.OPEN else "info"
            self._tell(level, f"circuit breaker: {before.state} → {after.state}")
