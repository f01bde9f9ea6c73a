"""Speed and time left: never a promise that the pages do not carry."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from common.rules.progress import (
    NO_TOTAL,
    PageMark,
    Part,
    eta_seconds,
    expected_totals,
    remaining_rows,
    rows_per_second,
    share_done,
    why_no_eta,
)

NOW = datetime(2026, 11, 22, 14, 32, tzinfo=UTC)


def pages(*seconds_ago: float, rows: int = 100) -> list[PageMark]:
    return [PageMark(NOW - timedelta(seconds=ago), rows) for ago in seconds_ago]


def test_speed_is_measured_up_to_now() -> None:
    """A run that stands still is seen to slow down, page by page that does not come."""
    assert rows_per_second(pages(10, 5, 0), NOW) == 20
    assert rows_per_second(pages(50, 45, 40), NOW) == 4


def test_one_page_is_no_speed() -> None:
    """With fewer than two pages in the window nothing is said."""
    assert rows_per_second(pages(5), NOW) is None
    assert rows_per_second(pages(300, 200), NOW) is None


def test_without_a_total_there_is_no_end() -> None:
    """An unfinished entity whose total the vendor did not say makes the end unknown, and the words say why."""
    parts = [Part(10, 10, 1000, True), Part(3, None, None, False)]
    assert remaining_rows(parts) is None
    assert share_done(parts) is None
    assert eta_seconds(None, pages(3, 2, 1), NOW) is None
    assert why_no_eta(None) == NO_TOTAL


def test_a_resumed_run_counts_pages_not_its_own_rows() -> None:
    """A run that went on at page 60 of 100 has 40 % left, although it brought few rows itself."""
    assert remaining_rows([Part(60, 100, 20_000, False)]) == 8_000
    assert share_done([Part(60, 100, 20_000, False)]) == 0.6


def test_the_end_is_a_range_around_both_speeds() -> None:
    """The last minute's speed and the whole run's make the two ends, each with slack."""
    marks = pages(600, 500, 400, 300, 50, 40, 30, 20, 10, 0)
    left = 10_000
    found = eta_seconds(left, marks, NOW)
    assert found is not None
    fast, slow = rows_per_second(marks, NOW), rows_per_second(marks, NOW, window_seconds=float("inf"))
    assert fast is not None
    assert slow is not None
    assert found == (left / fast * 0.85, left / slow * 1.15)


def test_nothing_left_is_now() -> None:
    """When every page has come, the end is now."""
    assert eta_seconds(0, pages(3, 2, 1), NOW) == (0.0, 0.0)


@given(
    st.lists(
        st.builds(
            Part,
            page=st.integers(0, 500),
            pages_expected=st.none() | st.integers(1, 300),
            total=st.none() | st.integers(0, 10**6),
            finished=st.booleans(),
        ),
        max_size=6,
    )
)
def test_a_share_is_a_share(parts: list[Part]) -> None:
    """Whatever the vendor says of its totals, the bar stays between nothing and done."""
    share = share_done(parts)
    assert share is None or 0 <= share <= 1


@given(st.lists(st.floats(0, 3000), min_size=0, max_size=40), st.none() | st.integers(0, 10**7))
def test_soonest_is_never_after_latest(seconds_ago: list[float], left: int | None) -> None:
    """A range has its ends in order, and neither is negative."""
    found = eta_seconds(left, pages(*sorted(seconds_ago, reverse=True)), NOW)
    assert found is None or 0 <= found[0] <= found[1]


def test_last_times_totals_are_a_guide_while_the_lists_are_as_ever() -> None:
    """Issue 2: what the page shows is true: 500 rows last time say nothing once another list holds 20 000, not 500."""
    assert expected_totals([(510, 500), (None, 500), (None, None)]) == [510, 500, None]
    assert expected_totals([(20_000, 500), (None, 500)]) == [20_000, None]
    assert expected_totals([(10, 20_000), (None, 500)]) == [10, None]
    assert expected_totals([(20_000, None), (None, 500)]) == [20_000, 500]
    assert expected_totals([]) == []
