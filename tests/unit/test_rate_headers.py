"""What Retry-After says: seconds or a date; absent or malformed means unknown, never zero."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.guard.rate_headers import LONGEST, SMALLEST_SECONDS, asked_wait_seconds, retry_after_seconds

NOW = datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)
DAY = LONGEST.total_seconds()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        ("0", SMALLEST_SECONDS),
        ("1.5", 2),
        (" 30 ", 30),
        ("3600", 3600),
        ("999999999", DAY),
        ("9" * 400, DAY),
        ("5, 60, 7", 60),
        ("2,", 2),
        ("30, Sun, 06 Nov 1994 08:50:37 GMT", 60),
        ("Sun, 06 Nov 1994 08:50:37 GMT, 90", 90),
        ("90, Sunday, 06-Nov-94 08:50:37 GMT", 90),
        ("Sun,06 Nov 1994 08:50:37 GMT", 60),
        (",", None),
        ("-5", None),
        ("", None),
        ("   ", None),
        ("abc", None),
        ("NaN", None),
        ("inf", None),
        ("12abc", None),
        ("1e3", None),
        ("120, abc", 120),
        ("abc, 120", 120),
        ("-1, 120", 120),
        ("abc, -5", None),
        ("\u0663\u0663", None),
        ("Sun, 06 Nov 1994 08:50:37 GMT", 60),
        ("Sunday, 06-Nov-94 08:50:37 GMT", 60),
        ("Sun Nov  6 08:50:37 1994", 60),
        ("Sun, 06 Nov 1994 08:49:07 GMT", SMALLEST_SECONDS),
        ("Sun, 06 Nov 1994 08:49:07 GMT, Sun, 06 Nov 1994 08:50:37 GMT", 60),
        ("Sun, 06 Nov 1994 08:50:37 GMT, soon", 60),
        ("Sun, 06 Nov 1994 08:59:60 GMT", 623),
        ("Sunday, 06-Nov-94 08:59:60 GMT", 623),
        ("Sun, 06 Nov 1994 08:60 GMT", None),
        ("Sun, 06 Nov 1994 08:60:60 GMT", None),
        ("Fri, 31 Dec 9999 23:59:60 GMT", None),
        ("Sun, 06 Nov 2094 08:49:37 GMT", DAY),
        ("Sun, 06 Nov 99999999999999999999 08:49:37 GMT", None),
        ("Sun, 99 Nov 1994 08:49:37 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 -2300", None),
    ],
)
def test_every_form_seen_in_the_wild(value: str, seconds: float | None) -> None:
    """Fact sheet §1 and §6: fractions up, several values the largest, capped at a day, nonsense ignored.

    Nonsense beside a value that can be read, too: without any the vendor would be asked again at once.
    """
    assert retry_after_seconds({"retry-after": value}, NOW) == seconds


@pytest.mark.parametrize("skew_hours", [-5, 3, 1000])
def test_a_skewed_clock_cancels_out(skew_hours: int) -> None:
    """A date counts from the answer's own Date, whatever our clock thinks."""
    here = NOW.replace(year=1995) if skew_hours > 500 else NOW.replace(hour=(8 + skew_hours) % 24)
    headers = {"retry-after": "Sun, 06 Nov 1994 08:50:07 GMT", "date": "Sun, 06 Nov 1994 08:49:37 GMT"}
    assert retry_after_seconds(headers, here) == 30


def test_a_broken_date_header_falls_back_to_our_clock() -> None:
    """No usable Date: our own clock."""
    headers = {"retry-after": "Sun, 06 Nov 1994 08:50:07 GMT", "date": "yesterday"}
    assert retry_after_seconds(headers, NOW) == 30


def test_absent_means_unknown() -> None:
    """Never 0 and never a guess."""
    assert retry_after_seconds({}, NOW) is None


digits = st.text(st.sampled_from("0123456789.,:- +GMTSunNov"), max_size=40)


@given(value=st.text(max_size=40) | digits, date=st.text(max_size=40) | digits)
def test_any_header_gives_a_bounded_wait_or_none(value: str, date: str) -> None:
    """Whatever a vendor or proxy writes there: between the floor and a day, or unknown."""
    wait = retry_after_seconds({"retry-after": value, "date": date}, NOW)
    assert wait is None or SMALLEST_SECONDS <= wait <= DAY


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"retry-after": "7", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "90"}, {"retry_after": 300}, 7),
        ({"retry-after": "soon"}, {"retry_after": 300}, 300),
        ({}, {"retry_after": Decimal("1e400")}, DAY),
        ({}, {"retry_after": 10**25}, DAY),
        ({}, {"error_summary": "too_many_requests/", "error": {"reason": {}, "retry_after": 4.2}}, 5),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "90"}, {"error": "slow down"}, 90),
        ({"ratelimit": '"a";r=0;t=12,"b";r=40'}, None, 12),
        ({"ratelimit": '"minute";r=0;t=12,"hour";r=0;t=1800'}, None, 1800),
        (
            {"x-ratelimit-limit": "50, 500", "x-ratelimit-remaining": "20, 0", "x-ratelimit-reset": "1, 1800"},
            None,
            1800,
        ),
        ({"x-ratelimit-remaining": "3", "x-ratelimit-reset": "90"}, None, None),
        ({"x-ratelimit-remaining": "0"}, ["retry_after", 5], None),
        ({}, {"retry_after": -5}, None),
        ({}, {"retry_after": True}, None),
        ({}, {"retry_after": "9"}, None),
        ({}, {"retry_after": 1e300}, DAY),
        ({}, {"retry_after": float("nan")}, None),
        ({}, None, None),
    ],
)
def test_the_order_of_what_is_believed(headers: dict[str, str], body: Any, seconds: float | None) -> None:
    """Fact sheet §4: Retry-After, then the body's value, then nothing left and a known reset, else our own back-off."""
    assert asked_wait_seconds(headers, body, NOW) == seconds
