"""The request budget: never a request too many for the vendor, hardly one too few for us."""

from __future__ import annotations

import heapq
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.rules.budget import BUCKETS, BudgetLimits, answered, ask, hold, used

EPOCH = 1_790_000_000.0
FLIGHT_SECONDS = 120.0
MINUTE = BudgetLimits(per_minute=50)
DOORLOOP = BudgetLimits(per_second=4, per_minute=50, per_hour=500)


def simulate(
    limits: BudgetLimits, *, seconds: float, seed: int, workers: int = 2, latency_seconds: float = 0.3
) -> list[float]:
    """Workers that send whatever they may for so long; returns when the vendor counted each request, sorted.

    An answer takes up to ``latency_seconds``, and the vendor counts the request at any moment before it.
    """
    dice = random.Random(seed)
    state: dict[str, Any] = {}
    turns: list[tuple[float, int, str | None]] = [(EPOCH, worker, None) for worker in range(workers)]
    counted: list[float] = []
    number = 0
    while turns[0][0] < EPOCH + seconds:
        now, worker, permit = heapq.heappop(turns)
        if permit is not None:
            state = answered(state, limits, permit=permit, now=now, answered_at=now)
        number += 1
        decision = ask(state, limits, permit=f"p{number}", now=now, flight_seconds=FLIGHT_SECONDS)
        state = decision.state
        if not decision.granted:
            heapq.heappush(turns, (now + decision.wait_seconds, worker, None))
            continue
        latency = dice.uniform(0, latency_seconds)
        counted.append(now + dice.choice((0.0, 1.0, dice.random())) * latency)
        heapq.heappush(turns, (now + latency, worker, f"p{number}"))
    return sorted(counted)


def fullest_window(moments: list[float], length_seconds: float) -> int:
    """The most requests in any sliding window; a fixed window is one of them."""
    first = most = 0
    for last, moment in enumerate(moments):
        while moments[first] <= moment - length_seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


@given(seed=st.integers(0, 2**32), workers=st.integers(1, 6), latency=st.floats(0, 3))
@settings(max_examples=25)
def test_no_window_of_the_vendor_ever_holds_more_than_allowed(seed: int, workers: int, latency: float) -> None:
    """Fixed or sliding, counted at any moment between send and answer: no window exceeds its limit."""
    limits = BudgetLimits(per_second=4, per_minute=50)
    moments = simulate(limits, seconds=200, seed=seed, workers=workers, latency_seconds=latency)
    assert fullest_window(moments, 60) <= 50
    assert fullest_window(moments, 1) <= 4


@given(
    per_minute=st.integers(1, 40),
    per_second=st.sampled_from([0, 0.5, 1, 2.5, 3, 10]),
    reserved=st.integers(0, 5),
    seed=st.integers(0, 99),
)
@settings(max_examples=40)
def test_the_bound_holds_for_any_limits(per_minute: int, per_second: float, reserved: int, seed: int) -> None:
    """Whatever the settings, a minute never holds more than its limit, and some requests go out."""
    limits = BudgetLimits(per_second=per_second, per_minute=per_minute, reserved=reserved)
    moments = simulate(limits, seconds=150, seed=seed)
    assert fullest_window(moments, 60) <= per_minute
    assert moments


@pytest.mark.parametrize("seed", range(5))
def test_a_minute_limit_is_used_to_95_percent(seed: int) -> None:
    """Issue "An engine …": at least 95 % of the allowed rate over five windows with 0–300 ms jitter."""
    moments = simulate(MINUTE, seconds=300, seed=seed)
    assert len(moments) >= 0.95 * 5 * 50
    assert fullest_window(moments, 60) <= 50


@pytest.mark.parametrize("seed", range(2))
def test_doorloops_limits_together_are_used_to_95_percent(seed: int) -> None:
    """Per second, minute and hour at once: the hour binds, and 95 % of it is used over five hours."""
    moments = simulate(DOORLOOP, seconds=5 * 3600, seed=seed)
    assert len(moments) >= 0.95 * 5 * 500
    assert fullest_window(moments, 3600) <= 500
    assert fullest_window(moments, 60) <= 50
    assert fullest_window(moments, 1) <= 4


def test_pings_may_use_what_runs_may_not() -> None:
    """A few permits are kept for pings, so that a run at its limit never makes a ping wait."""
    state: dict[str, Any] = {}
    for number in range(48):
        decision = ask(state, MINUTE, permit=f"r{number}", now=EPOCH, flight_seconds=1)
        assert decision.granted
        state = decision.state
    assert not ask(state, MINUTE, permit="run", now=EPOCH, flight_seconds=1).granted
    for number in range(2):
        ping = ask(state, MINUTE, permit=f"ping{number}", now=EPOCH, flight_seconds=1, for_ping=True)
        assert ping.granted
        state = ping.state
    assert not ask(state, MINUTE, permit="one more", now=EPOCH, flight_seconds=1, for_ping=True).granted


@pytest.mark.parametrize("per_minute", [1, 2, 4])
def test_a_small_limit_keeps_nothing_back(per_minute: int) -> None:
    """A limit under five has no permit to spare for pings: a run must not starve."""
    limits = BudgetLimits(per_minute=per_minute)
    assert ask({}, limits, permit="a", now=EPOCH, flight_seconds=1).granted


def test_a_permit_whose_holder_died_counts_from_its_expiry() -> None:
    """A killed daemon's permit counts as answered when its flight ends, then leaves after one window."""
    limits = BudgetLimits(per_minute=1)
    state = ask({}, limits, permit="dead", now=EPOCH, flight_seconds=30).state
    for later in (1, 29, 31, 60, 89):
        assert not ask(state, limits, permit="next", now=EPOCH + later, flight_seconds=30).granted, later
    assert ask(state, limits, permit="next", now=EPOCH + 30 + 60 + 60 / BUCKETS["minute"], flight_seconds=30).granted


def test_the_wait_says_which_window_binds_and_is_enough() -> None:
    """The window named is the one with the longest wait, and after that wait the permit is there."""
    state: dict[str, Any] = {}
    for number in range(498):
        now = EPOCH + number * 2
        state = ask(state, DOORLOOP, permit=f"r{number}", now=now, flight_seconds=1, for_ping=True).state
        state = answered(state, DOORLOOP, permit=f"r{number}", now=now + 0.1, answered_at=now + 0.1)
    now = EPOCH + 1000
    refused = ask(state, DOORLOOP, permit="x", now=now, flight_seconds=1)
    assert (refused.granted, refused.window) == (False, "hour")
    assert 2500 < refused.wait_seconds <= 2662
    assert ask(refused.state, DOORLOOP, permit="x", now=now + refused.wait_seconds, flight_seconds=1).granted


def test_an_answer_told_twice_or_of_nobody_counts_once() -> None:
    """Telling an unknown permit's answer changes nothing."""
    state = ask({}, MINUTE, permit="a", now=EPOCH, flight_seconds=9).state
    state = answered(state, MINUTE, permit="a", now=EPOCH + 1, answered_at=EPOCH + 1)
    assert used(state, "minute", 60, EPOCH + 1) == 1
    state = answered(state, MINUTE, permit="a", now=EPOCH + 2, answered_at=EPOCH + 2)
    state = answered(state, MINUTE, permit="stranger", now=EPOCH + 2, answered_at=EPOCH + 2)
    assert used(state, "minute", 60, EPOCH + 2) == 1


@given(seed=st.integers(0, 1000))
@settings(max_examples=10)
def test_the_state_stays_small_and_survives_jsonb(seed: int) -> None:
    """The locked row holds at most a bucket per sixtieth and the flights; nothing is lost by storing it as JSON."""
    dice = random.Random(seed)
    state: dict[str, Any] = {}
    now = EPOCH
    for number in range(300):
        now += dice.expovariate(1 / 20)
        state = ask(state, DOORLOOP, permit=f"p{number}", now=now, flight_seconds=5).state
        if dice.random() < 0.8:
            now += dice.random()
            state = answered(state, DOORLOOP, permit=f"p{number}", now=now, answered_at=now)
        state = json.loads(json.dumps(state))
        assert all(len(state[window]) <= buckets + 1 for window, buckets in BUCKETS.items())
        assert len(state["flights"]) <= 50


def test_without_limits_everything_is_granted() -> None:
    """0 turns a limit off; all off means unlimited."""
    limits = BudgetLimits()
    assert limits.unlimited
    assert ask({}, limits, permit="a", now=EPOCH, flight_seconds=1).granted
    assert not BudgetLimits(per_hour=1).unlimited


def test_a_rate_below_one_a_second_stretches_the_second() -> None:
    """0.5 requests a second is one request in two seconds, not none in one."""
    assert BudgetLimits(per_second=0.5).windows() == {"second": (2.0, 1)}


def test_another_daemons_limits_forget_nothing() -> None:
    """One that has no hour limit, since its environment is another, must not give the hour away."""
    both, minute = BudgetLimits(per_minute=50, per_hour=500), BudgetLimits(per_minute=50)
    state: dict[str, Any] = {}
    for number in range(40):
        state = ask(state, both, permit=str(number), now=1000.0 + number, flight_seconds=60).state
        state = answered(state, both, permit=str(number), now=1000.5 + number, answered_at=1000.5 + number)
    state = ask(state, minute, permit="other", now=1041.0, flight_seconds=60).state
    assert used(state, "hour", 3600, 1041.0) == 41


def test_a_clock_that_was_set_back_costs_a_window_at_most() -> None:
    """Five hours back: what was counted by the clock of before counts as of now, and leaves with its window."""
    limits, ahead = BudgetLimits(per_minute=3, per_hour=500), 5 * 3600.0
    state: dict[str, Any] = {}
    for number in range(3):
        state = ask(state, limits, permit=str(number), now=ahead + number, flight_seconds=10).state
        state = answered(state, limits, permit=str(number), now=ahead + number, answered_at=ahead + number)
    state = hold(state, limits, until=ahead + 200_000, now=ahead)
    now = 0.0
    decision = ask(state, limits, permit="x", now=now, flight_seconds=10)
    assert (decision.window, decision.wait_seconds) == ("hold", 86_400)
    state = {name: value for name, value in decision.state.items() if name != "held_until"}
    for _ in range(5):
        decision = ask(state, limits, permit="x", now=now, flight_seconds=10)
        if decision.granted:
            break
        now, state = now + decision.wait_seconds, decision.state
    assert decision.granted
    assert now <= 61


def test_answers_told_late_give_nothing_away() -> None:
    """The vendor allows so many in any window: whoever tells an answer late, and in whatever order, moves no other."""
    dice = random.Random(11)
    for _ in range(40):
        sent: list[float] = []
        under_way: list[tuple[float, str, float]] = []
        state: dict[str, Any] = {}
        now = EPOCH
        for number in range(300):
            now += dice.choice((0.0, 0.05, 0.4, 9.0))
            decision = ask(state, MINUTE, permit=str(number), now=now, flight_seconds=150)
            state = decision.state
            if decision.granted:
                sent.append(now)
                answered_at = now + dice.choice((0.1, 3.0))
                under_way.append((answered_at + dice.choice((0.0, 1.0, 40.0)), str(number), answered_at))
            for told in [told for told in under_way if told[0] <= now]:
                under_way.remove(told)
                state = answered(state, MINUTE, permit=told[1], now=now, answered_at=told[2])
        allowed = MINUTE.per_minute
        assert all(later - first >= 60 for first, later in zip(sent, sent[allowed:], strict=False))
