"""The circuit breaker's rule, in virtual time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from common.rules.breaker import Admission, Breaker, BreakerLimits, Outcome, admit, record
from common.states import MOVES, BreakerState

LIMITS = BreakerLimits(failures=3, share=0.5, least=10, window_seconds=60, cool_down_seconds=60, probe_seconds=30)


def _after(outcomes: list[Outcome], breaker: Breaker | None = None, now: float = 0.0) -> Breaker:
    breaker = breaker or Breaker()
    for outcome in outcomes:
        now += 1
        breaker = record(breaker, LIMITS, outcome, now=now, token="t")
    return breaker


def test_it_opens_after_failures_in_a_row() -> None:
    """Issue "An engine": N consecutive hard failures open it; a success in between starts the count again."""
    assert _after([Outcome.FAILURE] * 2).state is BreakerState.CLOSED
    assert _after([Outcome.FAILURE] * 2 + [Outcome.SUCCESS] + [Outcome.FAILURE] * 2).state is BreakerState.CLOSED
    assert _after([Outcome.FAILURE] * 3).state is BreakerState.OPEN


def test_being_rate_limited_is_neutral() -> None:
    """Law 7: any number of 429s, refusals and stops leaves it closed."""
    assert _after([Outcome.NEUTRAL] * 100) == Breaker()


def test_a_failing_share_opens_it() -> None:
    """Issue "An engine": half of a window's requests failing opens it, even without a row of failures."""
    mixed = [Outcome.FAILURE, Outcome.SUCCESS] * 4
    assert _after(mixed).state is BreakerState.CLOSED
    assert _after([*mixed, Outcome.SUCCESS, Outcome.FAILURE]).state is BreakerState.OPEN


def test_one_probe_after_the_cool_down_decides() -> None:
    """Issue "An engine": one probe, claimed by its token; success closes, failure opens, a stop frees the probe."""
    opened = _after([Outcome.FAILURE] * 3)
    held, refused = admit(opened, LIMITS, now=30, token="a")
    assert (held, refused.allowed, refused.wait_seconds) == (opened, False, 33.0)
    probing, first = admit(opened, LIMITS, now=64, token="a")
    assert first.allowed
    assert first.is_probe
    assert not admit(probing, LIMITS, now=65, token="b")[1].allowed
    assert record(probing, LIMITS, Outcome.SUCCESS, now=66, token="b") == probing  # an old request decides nothing
    assert record(probing, LIMITS, Outcome.SUCCESS, now=66, token="a") == Breaker()
    assert record(probing, LIMITS, Outcome.FAILURE, now=66, token="a").state is BreakerState.OPEN
    freed = record(probing, LIMITS, Outcome.NEUTRAL, now=66, token="a")
    assert admit(freed, LIMITS, now=67, token="b")[1].is_probe


def test_a_dead_probers_probe_is_taken_over() -> None:
    """Issue "An engine": the probe expires, so a prober that died holds nobody for ever."""
    probing, _ = admit(_after([Outcome.FAILURE] * 3), LIMITS, now=64, token="a")
    assert not admit(probing, LIMITS, now=93, token="b")[1].allowed
    assert admit(probing, LIMITS, now=95, token="b")[1].is_probe


def test_a_force_holds_until_it_expires() -> None:
    """Issue "An engine": forced open or closed by an admin, with expiry."""
    forced = Breaker(state=BreakerState.FORCED_OPEN, forced_until=100)
    assert not admit(forced, LIMITS, now=99, token="a")[1].allowed
    assert admit(forced, LIMITS, now=100, token="a") == (Breaker(), admit(Breaker(), LIMITS, now=100, token="a")[1])
    closed = Breaker(state=BreakerState.FORCED_CLOSED, forced_until=100)
    assert _after([Outcome.FAILURE] * 50, closed).state is BreakerState.FORCED_CLOSED


@given(st.lists(st.tuples(st.sampled_from(list(Outcome)), st.booleans(), st.floats(0, 90)), max_size=60))
def test_it_only_makes_legal_moves(steps: list[tuple[Outcome, bool, float]]) -> None:
    """Style 9: whatever happens, only moves of common/states.py are made, and open always has a cool-down."""
    breaker, now = Breaker(), 0.0
    for outcome, asks, seconds in steps:
        now += seconds
        after = admit(breaker, LIMITS, now=now, token="t")[0] if asks else breaker
        for old, new in ((breaker, after), (after, record(after, LIMITS, outcome, now=now, token="t"))):
            if old.state is not new.state:
                assert (old.state.value, new.state.value) in MOVES["breakers"]
            assert new.state is not BreakerState.OPEN or new.cool_down_until is not None
            breaker = new


def test_a_clock_that_was_set_back_holds_nothing_for_hours() -> None:
    """A cool-down or a probe that lies farther ahead than any began by the clock of before: it is over."""
    limits = BreakerLimits(cool_down_seconds=60, probe_seconds=150)
    opened = Breaker(BreakerState.OPEN, cool_down_until=5 * 3600.0)
    assert admit(opened, limits, now=0.0, token="a")[1] == Admission(True, is_probe=True)
    probing = Breaker(BreakerState.HALF_OPEN, probe_token="dead", probe_expires_at=5 * 3600.0)
    assert admit(probing, limits, now=0.0, token="a")[1] == Admission(True, is_probe=True)
