"""Gives out permits for requests, so that the vendor never has to say 429.

Permits live in Postgres and are shared by runs, pings and daemons. With every limit switched off nothing is stored.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from common.clock import Clock
from common.errors import DatabaseAway, Deferred, StopRequested
from common.rules import budget
from common.rules.budget import BudgetLimits, Decision, answered, ask, used
from common.rules.pace import gap_seconds
from common.store import budgets
from common.store.database import Database
from daemon.guard.ceiling import LOOK_SECONDS, Ceiling
from daemon.guard.quota_headers import Quota

T = TypeVar("T")
Tell = Callable[[float, str], None]
"""Called with (seconds, why) when a wait begins."""
WORTH_TELLING_SECONDS = 1.0
JITTER_SECONDS = 1.0
"""A server-given wait is slept with a little on top, which does not make it a longer one."""
SAME_WINDOW = timedelta(seconds=2)
"""Resets told as whole seconds from now differ by so much within one window."""


@dataclass(frozen=True)
class Usage:
    """Requests of this account that count against a window now, and the limit in force; None without that limit."""

    used_minute: int | None = None
    limit_minute: int | None = None
    used_hour: int | None = None
    limit_hour: int | None = None


@dataclass(frozen=True)
class Permit:
    """The right to send one request; hand it back when the answer is there.

    ``waited_seconds`` is what it cost; ``slowed``: because the vendor says that little is left. ``usage`` counts this
    request, too.
    """

    key: str | None
    """None: nothing was stored, since no limit counts."""
    waited_seconds: float
    usage: Usage = Usage()
    slowed: bool = False


class Limiter:
    """The budget of one account.

    ``flight_seconds``: a permit whose holder died counts as answered after this. ``longest_wait_seconds``: a longer
    wait is not slept but ends the run as deferred (``Deferred`` with the moment to come back).
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        integration: str,
        account_key: str,
        limits: BudgetLimits,
        ceiling: Ceiling,
        flight_seconds: float,
        longest_wait_seconds: float,
    ) -> None:
        self._limits = limits
        self._ceiling = ceiling
        self._database = database
        self._clock = clock
        self._account = (integration, account_key)
        self._flight_seconds = flight_seconds
        self._longest_wait_seconds = longest_wait_seconds
        self._lock = threading.Lock()
        self._returned: list[tuple[str, float]] = []
        self._held_until = 0.0
        self._gap = 0.0
        self._heeded: Quota | None = None
        self._last_turn = float("-inf")
        self.usage = Usage()
        """As it was when a permit was last asked for."""

    def take(self, stop: threading.Event, *, for_ping: bool = False, tell: Tell = lambda _, __: None) -> Permit:
        """A permit, after waiting for it if need be; a wait worth telling is told as it begins.

        Raises ``StopRequested``, or ``Deferred`` for a long wait.
        """
        started = self._clock.monotonic()
        slowed = not for_ping and self._keep_pace(stop, tell)
        while True:
            limits = self._in_force()
            key, window = None, "hold"
            wait = max(self._hold_left(), self._ceiling.hold_left(for_ping=for_ping))
            if wait <= 0 and not limits.unlimited:
                key = uuid.uuid4().hex[:12]
                decision = self._ask(key, limits, for_ping=for_ping)
                wait, window = decision.wait_seconds, decision.window or ""
            if wait <= 0:
                return Permit(key, self._clock.monotonic() - started, self.usage, slowed)
            self._refuse_long(wait, window)
            if wait > WORTH_TELLING_SECONDS:
                tell(wait, "after DoorLoop asked to slow down" if window == "hold" else f"for this {window}'s requests")
            self._wait(stop, wait, limits)

    def give_back(self, permit: Permit) -> None:
        """The answer arrived (or the request failed). Told to the database with the next permit, or by ``settle``."""
        if permit.key is not None:
            with self._lock:
                self._returned.append((permit.key, self._clock.monotonic()))

    def settle(self) -> None:
        """Tell the database of every answer not yet told; at a run's end."""
        if self._returned:
            limits = self._in_force()
            self._decide(lambda windows, now: (windows, None), limits)

    def hold(self, seconds: float) -> None:
        """The vendor asked to slow down: nobody sends before ``seconds`` have passed, in no daemon."""
        with self._lock:
            self._held_until = max(self._held_until, self._clock.monotonic() + seconds)
        limits = self._in_force()
        self._decide(lambda windows, now: (budget.hold(windows, limits, until=now + seconds, now=now), None), limits)

    def heed(self, told: Quota | None) -> None:
        """What the vendor says is left of its quota; from the next request on the pace follows it."""
        gap = 0.0
        if told is not None:
            share, seconds = told.share_left, told.seconds_to_reset
            gap = gap_seconds(share_left=share, remaining=told.remaining, seconds_to_reset=seconds)
        with self._lock:
            if not _was_overtaken(told, self._heeded):
                self._heeded, self._gap = told, gap

    def _in_force(self) -> BudgetLimits:
        return self._ceiling.lowered().limits(self._limits)

    def _keep_pace(self, stop: threading.Event, tell: Tell) -> bool:
        """Wait for this request's turn when the pace is stretched; whether there was anything to wait for."""
        with self._lock:
            now = self._clock.monotonic()
            turn = max(now, self._last_turn + self._gap) if self._gap else now
            self._last_turn = turn
        if turn <= now:
            return False
        if turn - now > WORTH_TELLING_SECONDS:
            tell(turn - now, "since little of the vendor's quota is left")
        if self._clock.wait(stop, turn - now):
            raise StopRequested
        return True

    def _refuse_long(self, seconds: float, window: str) -> None:
        """A long wait leaves as ``Deferred``."""
        if seconds > self._longest_wait_seconds + (JITTER_SECONDS if window == "hold" else 0.0):
            code = "RATE_LIMITED_UNTIL" if window == "hold" else "BUDGET_SPENT"
            raise Deferred(self._clock.now() + timedelta(seconds=seconds), code)

    def _wait(self, stop: threading.Event, seconds: float, limits: BudgetLimits) -> None:
        """Wait so long, or until other limits count."""
        until = self._clock.monotonic() + seconds
        while (left := until - self._clock.monotonic()) > 0:
            if self._clock.wait(stop, min(left, LOOK_SECONDS)):
                raise StopRequested
            if self._in_force() != limits:
                return

    def _hold_left(self) -> float:
        with self._lock:
            return self._held_until - self._clock.monotonic()

    def _ask(self, key: str, limits: BudgetLimits, *, for_ping: bool) -> Decision:
        def rule(windows: dict[str, Any], now: float) -> tuple[dict[str, Any], tuple[Decision, Usage]]:
            flight = self._flight_seconds
            decision = ask(windows, limits, permit=key, now=now, flight_seconds=flight, for_ping=for_ping)
            return decision.state, (decision, _usage(decision, limits, now))

        decision, self.usage = self._decide(rule, limits)
        return decision

    def _decide(self, rule: Callable[[dict[str, Any], float], tuple[dict[str, Any], T]], limits: BudgetLimits) -> T:
        """Apply a rule to the account's row after every answer that was not yet told, in one short transaction."""
        with self._lock:
            returned, self._returned = self._returned, []

        def told(windows: dict[str, Any], now: float) -> tuple[dict[str, Any], T]:
            for key, at in returned:
                answered_at = now - (self._clock.monotonic() - at)
                windows = answered(windows, limits, permit=key, now=now, answered_at=answered_at)
            return rule(windows, now)

        try:
            return budgets.decide(self._database, *self._account, told)
        except DatabaseAway:
            with self._lock:
                self._returned = [*returned, *self._returned]
            raise


def _was_overtaken(told: Quota | None, heeded: Quota | None) -> bool:
    """Whether an answer is older than the one that counts: of the same window, with more left in it."""
    if told is None or heeded is None or told.remaining is None or heeded.remaining is None:
        return False
    if told.reset_at is None or heeded.reset_at is None:
        return False
    return told.remaining > heeded.remaining and abs(told.reset_at - heeded.reset_at) <= SAME_WINDOW


def _usage(decision: Decision, limits: BudgetLimits, now: float) -> Usage:
    counts: list[int | None] = []
    for window in ("minute", "hour"):
        length, allowed = limits.windows().get(window, (0.0, None))
        counts += [None if allowed is None else used(decision.state, window, length, now), allowed]
    return Usage(*counts)
