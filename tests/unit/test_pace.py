"""The API's pace per caller: a minute's worth at once, then the steady rate, and never a wait that is too short."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dashboard.api.pace import MOST_CALLERS, Pace


def test_a_minutes_worth_comes_at_once_and_then_waits() -> None:
    """Sixty a minute: sixty at once, then one a second; another caller is not slowed."""
    pace = Pace()
    assert [pace.wait_seconds("a", 60, 100.0) for _ in range(60)] == [0.0] * 60
    assert pace.wait_seconds("a", 60, 100.0) == 1.0
    assert pace.wait_seconds("b", 60, 100.0) == 0.0
    assert pace.wait_seconds("a", 60, 101.0) == 0.0
    assert pace.wait_seconds("a", 60, 101.0) == 1.0


@given(st.lists(st.floats(0, 30), max_size=200), st.integers(1, 100))
def test_no_minute_holds_more_than_twice_the_rate(pauses: list[float], per_minute: int) -> None:
    """Whenever they come, a minute never brings more than the bucket and what refilled in it."""
    pace, now, answered = Pace(), 0.0, []
    for pause in pauses:
        now += pause
        if not pace.wait_seconds("a", per_minute, now):
            answered.append(now)
    for start in answered:
        assert sum(start <= moment < start + 60 for moment in answered) <= 2 * per_minute + 1


def test_waiting_as_told_is_enough() -> None:
    """Whoever waits as long as told is answered."""
    pace = Pace()
    now = 0.0
    for _ in range(50):
        wait = pace.wait_seconds("a", 7, now)
        now += wait
        if wait:
            assert pace.wait_seconds("a", 7, now + 1e-6) == 0.0


def test_callers_that_went_away_are_forgotten() -> None:
    """Memory is bounded by who asked within a minute."""
    pace = Pace()
    for number in range(MOST_CALLERS + 1):
        pace.wait_seconds(str(number), 10, 0.0)
    pace.wait_seconds("later", 10, 100.0)
    assert len(pace._buckets) <= 2
