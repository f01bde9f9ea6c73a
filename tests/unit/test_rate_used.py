"""Issue 3: against fixed and sliding windows with 0–300 ms jitter, at least 95 % of the allowed rate and no 429.

The whole limiter plays, in virtual time, for one to eight connections at once, against a vendor that counts a request
at any moment of its flight.
"""

from __future__ import annotations

import heapq
import itertools
import random
import threading
from datetime import timedelta
from typing import Any, cast

import pytest

from common.rules.budget import BudgetLimits
from common.store import budgets
from common.store.database import Database
from daemon.guard.ceiling import Ceiling
from daemon.guard.limiter import Limiter, Permit
from tests.unit.no_breaker import NoCeiling
from tests.unit.virtual_time import VirtualClock

JITTER_SECONDS = 0.3


class Waits(Exception):
    """A connection would wait so long; the others go on meanwhile."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


class SharedClock(VirtualClock):
    """One time for many connections: who waits steps aside."""

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Step aside."""
        raise Waits(seconds)


class Vendor:
    """Counts requests in fixed windows with a phase of its own, or in sliding ones; more than allowed is a 429."""

    def __init__(self, limits: BudgetLimits, *, window: str, phase: float) -> None:
        self._limits = limits.windows()
        self._window = window
        self._phase = phase
        self.counted: list[float] = []

    def refused(self) -> int:
        """How many requests met a full window, judged when all are known (they may be counted out of order)."""
        moments = sorted(self.counted)
        return sum(self._over(moments, length, allowed) for length, allowed in self._limits.values())

    def _over(self, moments: list[float], length: float, allowed: int) -> int:
        if self._window == "fixed":
            by_window = itertools.groupby(moments, key=lambda moment: (moment + self._phase) // length)
            return sum(max(0, len(list(inside)) - allowed) for _, inside in by_window)
        return sum(later - earlier < length for earlier, later in zip(moments, moments[allowed:], strict=False))


def play(
    monkeypatch: pytest.MonkeyPatch, limits: BudgetLimits, vendor: Vendor, *, connections: int, seconds: float
) -> list[float]:
    """Connections that ask as fast as they may for so long; returns when each request was sent."""
    clock, dice = SharedClock(), random.Random(connections)
    state: dict[str, Any] = {}

    def decide(_database: Database, _integration: str, _account_key: str, rule: Any) -> Any:
        state["windows"], verdict = rule(state.get("windows", {}), (clock.now() + timedelta(hours=1)).timestamp())
        return verdict

    monkeypatch.setattr(budgets, "decide", decide)
    limiter = Limiter(
        cast("Database", None),
        clock,
        integration="doorloop",
        account_key="main",
        limits=limits,
        ceiling=cast("Ceiling", NoCeiling()),
        flight_seconds=120,
        longest_wait_seconds=4000,
    )
    sent: list[float] = []
    turns: list[tuple[float, int, Permit | None]] = [(0.0, number, None) for number in range(connections)]
    while turns[0][0] < seconds:
        clock.seconds, number, permit = heapq.heappop(turns)
        if permit is not None:
            limiter.give_back(permit)
        try:
            granted = limiter.take(threading.Event())
        except Waits as waits:
            heapq.heappush(turns, (clock.seconds + waits.seconds, number, None))
            continue
        flight = dice.uniform(0, JITTER_SECONDS)
        sent.append(clock.seconds)
        vendor.counted.append(clock.seconds + flight * dice.choice((0.0, 1.0, dice.random())))
        heapq.heappush(turns, (clock.seconds + flight, number, granted))
    return sent


@pytest.mark.parametrize("window", ["fixed", "sliding"])
@pytest.mark.parametrize("connections", [1, 2, 8])
@pytest.mark.parametrize(
    "limits",
    [
        BudgetLimits(per_minute=50),
        BudgetLimits(per_minute=20),
        BudgetLimits(per_minute=7),
        BudgetLimits(per_second=4, per_minute=50),
        BudgetLimits(per_second=10, per_minute=120),
    ],
    ids=["50/min", "20/min", "7/min", "4/s 50/min", "10/s 120/min"],
)
def test_95_percent_of_the_rate_and_no_429(
    monkeypatch: pytest.MonkeyPatch, limits: BudgetLimits, connections: int, window: str
) -> None:
    """Over the first five minutes, and at the rate that it comes to after that, at least 95 %; never one too many."""
    vendor, allowed = Vendor(limits, window=window, phase=17.3), limits.per_minute
    sent = play(monkeypatch, limits, vendor, connections=connections, seconds=12 * 60)
    assert vendor.refused() == 0
    assert sum(moment < 5 * 60 for moment in sent) >= 0.95 * 5 * allowed
    assert (len(sent) - allowed) / (sent[-1] - sent[allowed - 1]) >= 0.95 * allowed / 60


@pytest.mark.parametrize("window", ["fixed", "sliding"])
def test_doorloops_three_limits_together(monkeypatch: pytest.MonkeyPatch, window: str) -> None:
    """4 a second, 50 a minute and 500 an hour: the hour binds, and over five of them 95 % of it is used."""
    limits = BudgetLimits(per_second=4, per_minute=50, per_hour=500)
    vendor = Vendor(limits, window=window, phase=1234.5)
    sent = play(monkeypatch, limits, vendor, connections=2, seconds=5 * 3600)
    assert vendor.refused() == 0
    assert len(sent) >= 0.95 * 5 * 500


@pytest.mark.parametrize("window", ["fixed", "sliding"])
@pytest.mark.parametrize("per_second", [2.0, 4.0, 0.5])
def test_a_limit_per_second_gives_what_the_flight_leaves(
    monkeypatch: pytest.MonkeyPatch, per_second: float, window: str
) -> None:
    """Over its first five windows 95 % of it; after that a second with flights of 0–300 ms can safely give no more than
    1 / (1 + flight) of its rate: we are near that."""
    limits = BudgetLimits(per_second=per_second)
    vendor = Vendor(limits, window=window, phase=0.4)
    seconds = 120
    sent = play(monkeypatch, limits, vendor, connections=8, seconds=seconds)
    assert vendor.refused() == 0
    length, allowed = limits.windows()["second"]
    assert sum(moment < 5 * length for moment in sent) >= 0.95 * 5 * allowed
    assert len(sent) >= 0.95 * seconds * allowed / (length + JITTER_SECONDS)
