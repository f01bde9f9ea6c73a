"""Gives out permits for requests, so that the vendor never has to say 429.

Permits live in Postgres and are shared by runs, pings and daemons. With every limit switched off nothing is stored.
"""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from common.clock import Clock
from common.errors import Deferred, StopRequested
from common.rules.budget import BudgetLimits, Decision, answered, ask, used
from common.store import budgets
from common.store.database import Database

_Counts = tuple[int | None, int | None]


@dataclass(frozen=True)
class Permit:
    """The right to send one request. ``waited_seconds`` is what it cost; hand it back when the answer is there.

    ``used_*``: requests of this account that count against the window now, this one included; None without that limit.
    """

    key: str
    waited_seconds: float
    used_minute: int | None = None
    used_hour: int | None = None


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
        flight_seconds: float,
        longest_wait_seconds: float,
    ) -> None:
        self.limits = limits
        self._database = database
        self._clock = clock
        self._integration = integration
        self._account_key = account_key
        self._flight_seconds = flight_seconds
        self._longest_wait_seconds = longest_wait_seconds
        self._lock = threading.Lock()
        self._returned: list[tuple[str, float]] = []
        self._held_until = 0.0

    def take(self, stop: threading.Event, *, for_ping: bool = False) -> Permit:
        """A permit, after waiting for it if need be. Raises ``StopRequested``, or ``Deferred`` for a long wait."""
        started = self._clock.monotonic()
        key = uuid.uuid4().hex[:12]
        while True:
            wait = self._wait_for_hold()
            counts: _Counts = (None, None)
            if wait <= 0 and not self.limits.unlimited:
                decision, counts = self._ask(key, for_ping=for_ping)
                wait = 0.0 if decision.granted else decision.wait_seconds
            if wait <= 0:
                return Permit(key, self._clock.monotonic() - started, *counts)
            if wait > self._longest_wait_seconds:
                raise Deferred(self._clock.now() + timedelta(seconds=wait), "BUDGET_SPENT")
            if self._clock.wait(stop, wait):
                raise StopRequested

    def give_back(self, permit: Permit) -> None:
        """The answer arrived (or the request failed). Told to the database with the next permit, or by ``settle``."""
        if self.limits.unlimited:
            return
        with self._lock:
            self._returned.append((permit.key, self._clock.monotonic()))

    def settle(self) -> None:
        """Tell the database of every answer not yet told; at a run's end."""
        with self._lock:
            returned, self._returned = self._returned, []
        if returned:
            budgets.decide(
                self._database,
                self._integration,
                self._account_key,
                lambda w, now: (self._tell(w, now, returned), None),
            )

    def hold(self, seconds: float) -> None:
        """The vendor asked to slow down: nobody of this process sends before ``seconds`` have passed."""
        with self._lock:
            self._held_until = max(self._held_until, self._clock.monotonic() + seconds)

    def _wait_for_hold(self) -> float:
        with self._lock:
            return self._held_until - self._clock.monotonic()

    def _ask(self, key: str, *, for_ping: bool) -> tuple[Decision, _Counts]:
        with self._lock:
            returned, self._returned = self._returned, []

        def rule(windows: dict[str, Any], now: float) -> tuple[dict[str, Any], tuple[Decision, _Counts]]:
            decision = ask(
                self._tell(windows, now, returned),
                self.limits,
                permit=key,
                now=now,
                flight_seconds=self._flight_seconds,
                for_ping=for_ping,
            )
            return decision.state, (decision, (self._used(decision, "minute", now), self._used(decision, "hour", now)))

        return budgets.decide(self._database, self._integration, self._account_key, rule)

    def _used(self, decision: Decision, window: str, now: float) -> int | None:
        known = self.limits.windows().get(window)
        return used(decision.state, window, known[0], now) if known else None

    def _tell(self, windows: dict[str, Any], now: float, returned: list[tuple[str, float]]) -> dict[str, Any]:
        for key, at in returned:
            windows = answered(windows, self.limits, permit=key, now=now - (self._clock.monotonic() - at))
        return windows
