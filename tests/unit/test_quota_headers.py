"""Quota headers: every convention of the rate-limit header fact sheet; absent or malformed is unknown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.guard.quota_headers import Quota, quota

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
IN_MINUTE = NOW + timedelta(seconds=60)
EPOCH = str(int(IN_MINUTE.timestamp()))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (
            {"x-ratelimit-limit": "100", "x-ratelimit-remaining": "40", "x-ratelimit-reset": EPOCH},
            Quota(100, 40, IN_MINUTE),
        ),
        ({"x-rate-limit-remaining": "7", "x-rate-limit-reset": "60"}, Quota(None, 7, IN_MINUTE)),
        ({"ratelimit-limit": "100, 100;w=60", "ratelimit-remaining": "3"}, Quota(100, 3)),
        ({"x-ratelimit-limit": "4920.0", "x-ratelimit-remaining": "4919.0"}, Quota(4920, 4919)),
        ({"x-ratelimit-limit": "100"}, Quota(100)),
        ({"x-ratelimit-remaining": "90, 4"}, Quota(None, 4)),
        ({"x-ratelimit-limit": "-1", "x-ratelimit-remaining": "5"}, Quota(None, 5)),
        ({"x-ratelimit-remaining": "5", "x-ratelimit-reset": "2026-11-23T12:01:00Z"}, Quota(None, 5, IN_MINUTE)),
        (
            {"x-ratelimit-remaining": "5", "x-ratelimit-reset": "Mon, 23 Nov 2026 12:01:00 GMT"},
            Quota(None, 5, IN_MINUTE),
        ),
        ({"hour-quota-limit": "7200", "hour-quota-resettime": EPOCH + "000"}, Quota(7200, None, IN_MINUTE)),
        (
            {"ratelimit": '"a";r=0;t=60,"b";r=40', "ratelimit-policy": '"a";q=10;w=60,"b";q=50'},
            Quota(10, 0, IN_MINUTE),
        ),
        ({"ratelimit": '"default";r=50;t=60'}, Quota(None, 50, IN_MINUTE)),
    ],
)
def test_each_convention_is_read(headers: dict[str, str], expected: Quota) -> None:
    """Issue "An engine": every convention of the fact sheet is read."""
    assert quota(headers, NOW) == expected


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"retry-after": "3"},
        {"ratelimit": "nonsense"},
        {"ratelimit": '"a";r=x'},
        {"x-ratelimit-limit": "abc", "x-ratelimit-remaining": ""},
        {"x-ratelimit-limit": "unlimited"},
    ],
)
def test_absent_or_malformed_is_unknown(headers: dict[str, str]) -> None:
    """Fact sheet §2: missing header means unknown; never display as 0 or 100 %."""
    assert quota(headers, NOW) is None


def test_a_skewed_clock_is_cancelled_by_the_answers_date() -> None:
    """Fact sheet §2: a reset counts from the answer's own Date; an absurd one is unknown."""
    skewed = {"date": "Mon, 23 Nov 2026 11:00:00 GMT", "x-ratelimit-remaining": "1", "x-ratelimit-reset": "30"}
    assert quota(skewed, NOW) == Quota(None, 1, NOW - timedelta(hours=1) + timedelta(seconds=30))
    absurd = {"x-ratelimit-remaining": "1", "x-ratelimit-reset": "999999999"}
    assert quota(absurd, NOW) == Quota(None, 1, None)


@given(st.dictionaries(st.sampled_from(["ratelimit", "x-ratelimit-limit", "x-ratelimit-reset", "date"]), st.text()))
def test_no_header_breaks_it(headers: dict[str, str]) -> None:
    """Law 8: whatever a vendor sends, it is read or unknown, never an error of ours."""
    found = quota(headers, NOW)
    assert found is None or found.remaining is None or found.remaining >= 0
