"""Permits: counted for everybody, waited for interruptibly, deferred when the wait is long. Time is virtual."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

import pytest

from common.errors import DatabaseAway, Deferred, StopRequested
from common.rules.budget import BudgetLimits, Lowered
from common.store import budgets
from common.store.database import Database
from daemon.guard.ceiling import Ceiling
from daemon.guard.limiter import Limiter, Usage
from daemon.guard.quota_headers import Quota
from tests.unit.no_breaker import NoCeiling
from tests.unit.virtual_time import START, VirtualClock

NEVER = threading.Event()


class OneRow:
    """The budget's row, in memory; its clock is the database's, an hour ahead of ours."""

    def __init__(self, clock: VirtualClock) -> None:
        self.windows: dict[str, Any] = {}
        self.decisions = 0
        self.away = False
        self._clock = clock

    def decide(self, _database: Database, integration: str, account_key: str, rule: Callable[..., Any]) -> Any:
        """What ``budgets.decide`` does."""
        assert (integration, account_key) == ("doorloop", "main")
        if self.away:
            raise DatabaseAway("gone")
        self.decisions += 1
        now = (self._clock.now() + timedelta(hours=1)).timestamp()
        self.windows, verdict = rule(copy.deepcopy(self.windows), now)
        return verdict


@pytest.fixture
def clock() -> VirtualClock:
    """Time that only passes by waiting."""
    return VirtualClock()


@pytest.fixture
def row(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> OneRow:
    """The one row both limiters of a test share."""
    one = OneRow(clock)
    monkeypatch.setattr(budgets, "decide", one.decide)
    return one


def limiter_of(clock: VirtualClock, limits: BudgetLimits, longest_wait_seconds: float = 60) -> Limiter:
    """A limiter of the account."""
    return Limiter(
        cast("Database", None),
        clock,
        integration="doorloop",
        account_key="main",
        limits=limits,
        ceiling=cast("Ceiling", NoCeiling()),
        flight_seconds=120,
        longest_wait_seconds=longest_wait_seconds,
    )


def test_without_limits_nothing_is_stored(clock: VirtualClock, row: OneRow) -> None:
    """Every limit off: no statement, no wait, no count."""
    limiter = limiter_of(clock, BudgetLimits())
    permit = limiter.take(NEVER)
    limiter.give_back(permit)
    limiter.settle()
    assert row.decisions == 0
    assert permit.usage == Usage()


def test_permits_are_counted_over_all_limiters(clock: VirtualClock, row: OneRow) -> None:
    """Runs and pings of every daemon share one row."""
    one, other = (limiter_of(clock, BudgetLimits(per_minute=3)) for _ in range(2))
    used = [limiter.take(NEVER).usage.used_minute for limiter in (one, other, one)]
    assert used == [1, 2, 3]
    assert len(row.windows["flights"]) == 3


def test_a_spent_minute_is_waited_for(clock: VirtualClock, row: OneRow) -> None:
    """The wait is one window after the first answer, told in the permit, never longer than needed."""
    limiter = limiter_of(clock, BudgetLimits(per_minute=4))
    for _ in range(4):
        limiter.give_back(limiter.take(NEVER))
    permit = limiter.take(NEVER)
    assert 60 <= permit.waited_seconds <= 62
    assert permit.usage.used_hour is None


def test_a_long_wait_is_deferred_not_slept(clock: VirtualClock, row: OneRow) -> None:
    """A spent hour: the moment to come back, and not a second of sleep."""
    limiter = limiter_of(clock, BudgetLimits(per_hour=2))
    for _ in range(2):
        limiter.give_back(limiter.take(NEVER))
    with pytest.raises(Deferred) as caught:
        limiter.take(NEVER)
    assert caught.value.code == "BUDGET_SPENT"
    assert timedelta(seconds=3600) <= caught.value.until - START <= timedelta(seconds=3661)
    assert clock.waits == []


def test_a_stop_ends_the_wait(clock: VirtualClock, row: OneRow) -> None:
    """Law 6: stop works while waiting for budget."""
    limiter = limiter_of(clock, BudgetLimits(per_minute=1))
    limiter.give_back(limiter.take(NEVER))
    stop = threading.Event()
    stop.set()
    with pytest.raises(StopRequested):
        limiter.take(stop)


def test_a_429_holds_everybody_of_this_process(clock: VirtualClock, row: OneRow) -> None:
    """After `hold` nobody sends before the time is up; a shorter hold does not shorten it."""
    limiter = limiter_of(clock, BudgetLimits(per_minute=50))
    limiter.hold(30)
    limiter.hold(5)
    permit = limiter.take(NEVER)
    assert permit.waited_seconds == pytest.approx(30)
    assert limiter.take(NEVER).waited_seconds == 0


def test_answers_are_told_with_the_next_permit_at_their_own_time(clock: VirtualClock, row: OneRow) -> None:
    """An answer's permit expires one window after the answer, not after it was told."""
    limiter = limiter_of(clock, BudgetLimits(per_minute=1))
    permit = limiter.take(NEVER)
    limiter.give_back(permit)
    clock.seconds += 30
    assert limiter.take(NEVER).waited_seconds <= 31


def test_settle_tells_what_nobody_told(clock: VirtualClock, row: OneRow) -> None:
    """At a run's end no permit stays in flight: the next run need not wait for its expiry."""
    limiter = limiter_of(clock, BudgetLimits(per_minute=5))
    limiter.give_back(limiter.take(NEVER))
    assert len(row.windows["flights"]) == 1
    limiter.settle()
    limiter.settle()
    assert row.windows["flights"] == {}
    assert row.decisions == 2


def test_while_the_database_is_away_no_permit_is_given(clock: VirtualClock, row: OneRow) -> None:
    """Better no request than one nobody counted."""
    row.away = True
    with pytest.raises(DatabaseAway):
        limiter_of(clock, BudgetLimits(per_minute=5)).take(NEVER)


def test_a_hold_counts_in_every_daemon(clock: VirtualClock, row: OneRow) -> None:
    """The vendor said 429 to one; the other one waits, too, pings included."""
    one, other = (limiter_of(clock, BudgetLimits(per_minute=50)) for _ in range(2))
    one.hold(30)
    one.hold(3)
    assert other.take(NEVER, for_ping=True).waited_seconds == pytest.approx(30)
    assert other.take(NEVER).waited_seconds == 0


def test_a_hold_of_a_minute_and_a_little_is_slept(clock: VirtualClock, row: OneRow) -> None:
    """What the vendor asked for at most is not deferred for the jitter on top."""
    one, other = (limiter_of(clock, BudgetLimits(per_minute=50)) for _ in range(2))
    one.hold(60.2)
    assert other.take(NEVER).waited_seconds == pytest.approx(60.2)


def test_lowered_limits_count_for_who_waits_already(clock: VirtualClock, row: OneRow) -> None:
    """A wait begun under one limit is judged anew when another counts."""
    limiter, ceiling = limiter_of(clock, BudgetLimits(per_minute=50)), NoCeiling()
    limiter._ceiling = cast("Ceiling", ceiling)
    ceiling.what = Lowered(per_minute=1)
    limiter.give_back(limiter.take(NEVER))
    wait = clock.wait

    def lifted_in_the_middle(event: threading.Event, seconds: float) -> bool:
        if clock.seconds >= 5:
            ceiling.what = Lowered()
        return wait(event, seconds)

    clock.wait = lifted_in_the_middle  # type: ignore[method-assign]
    permit = limiter.take(NEVER)
    assert 5 <= permit.waited_seconds <= 7
    assert permit.usage == Usage(2, 50)


def test_lowering_limits_nothing_that_was_not_and_raises_nothing() -> None:
    """Lowered means lower: a larger number changes nothing, a limit that was off is on."""
    base = BudgetLimits(per_second=4, per_minute=50)
    assert Lowered(per_minute=70).limits(base) == base
    assert Lowered(per_minute=7, per_hour=9).limits(base) == BudgetLimits(per_second=4, per_minute=7, per_hour=9)
    assert (Lowered(concurrency=9).connections(4), Lowered(concurrency=1).connections(4)) == (4, 1)


def test_the_pace_is_stretched_and_let_go_by_what_the_vendor_says(clock: VirtualClock, row: OneRow) -> None:
    """A fifth of a tenth left for ten seconds: requests come apart and say `slowed`; unknown lets the pace go."""
    limiter = limiter_of(clock, BudgetLimits())
    limiter.heed(Quota(100, 4, START + timedelta(seconds=10), told_at=START))
    permits = [limiter.take(NEVER) for _ in range(3)]
    assert [permit.waited_seconds for permit in permits] == pytest.approx([0, 2, 2])
    assert [permit.slowed for permit in permits] == [False, True, True]
    assert not limiter.take(NEVER, for_ping=True).slowed
    limiter.heed(None)
    assert limiter.take(NEVER).waited_seconds == 0


def test_an_answer_that_was_overtaken_does_not_let_the_pace_go(clock: VirtualClock, row: OneRow) -> None:
    """Two threads' answers may come in another order than they were given: the one with less left counts."""
    limiter = limiter_of(clock, BudgetLimits())
    reset_at = START + timedelta(seconds=10)
    limiter.heed(Quota(100, 4, reset_at, told_at=START))
    limiter.heed(Quota(100, 50, reset_at + timedelta(seconds=1), told_at=START))
    assert [limiter.take(NEVER).slowed for _ in range(2)] == [False, True]
    limiter.heed(Quota(100, 99, reset_at + timedelta(seconds=60), told_at=START))
    assert not limiter.take(NEVER).slowed


def test_what_was_not_told_is_told_when_the_database_is_back(clock: VirtualClock, row: OneRow) -> None:
    """An answer met while the database was away still frees its flight afterwards."""
    limiter = limiter_of(clock, BudgetLimits(per_minute=5))
    limiter.give_back(limiter.take(NEVER))
    row.away = True
    with pytest.raises(DatabaseAway):
        limiter.take(NEVER)
    row.away = False
    limiter.settle()
    assert row.windows["flights"] == {}


def test_a_wait_is_told_as_it_begins(clock: VirtualClock, row: OneRow) -> None:
    """Whoever looks meanwhile reads what the run waits for and how long; a short wait is not worth a line."""
    limiter = limiter_of(clock, BudgetLimits(per_second=4, per_minute=5))
    told: list[tuple[int, str, float]] = []

    def tell(seconds: float, why: str) -> None:
        told.append((round(seconds), why, clock.seconds))

    for _ in range(6):
        limiter.give_back(limiter.take(NEVER, tell=tell))
    ((seconds, why, at),) = told
    assert why == "for this minute's requests"
    assert at == pytest.approx(1.0, abs=0.1)
    assert 58 <= seconds <= 60
    limiter.hold(20)
    limiter.take(NEVER, tell=tell)
    assert told[-1][:2] == (20, "after DoorLoop asked to slow down")
