"""Numbers, spans and moments are said one way everywhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from common.rules.wording import clock, count, exact_span, listing, number_word, plural, span

NOW = datetime(2026, 11, 22, 14, 32, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-3, "0 s"),
        (4.4, "4 s"),
        (59.6, "1 min"),
        (3599, "59 min"),
        (18_600, "5 h 10 min"),
        (7200, "2 h"),
        (273_600, "3 d 4 h"),
    ],
)
def test_a_span_is_two_units_at_most(seconds: float, said: str) -> None:
    """A person reads 5 h 10 min, not 18600."""
    assert span(seconds) == said


@pytest.mark.parametrize(("seconds", "said"), [(0.312, "312 ms"), (4.21, "4.2 s"), (41.4, "41 s"), (372, "6 min 12 s")])
def test_a_measured_span_keeps_its_seconds(seconds: float, said: str) -> None:
    """What was measured is said as finely as it was."""
    assert exact_span(seconds) == said


def test_moments_are_utc_and_name_their_day_when_it_is_another() -> None:
    """Screens say which zone they show; yesterday's 05:00 is not today's."""
    assert clock(NOW.astimezone(timezone(timedelta(hours=5))), NOW) == "14:32 UTC"
    assert clock(NOW - timedelta(days=1), NOW) == "21 Nov 14:32 UTC"
    assert clock(NOW.replace(year=2025), NOW) == "22 Nov 2025 14:32 UTC"


def test_numbers_and_lists_read_like_sentences() -> None:
    """Digits are grouped without breaking a line; lists end with "and"."""
    assert count(48_210) == "48\xa0210"
    assert (number_word(5), number_word(12)) == ("five", "12")
    assert (plural(1, "row"), plural(2, "retry", "retries")) == ("1 row", "2 retries")
    assert listing(["a", "b", "c"]) == "a, b and c"
