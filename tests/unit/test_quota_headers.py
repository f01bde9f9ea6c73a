"""Quota headers: every convention of the rate-limit header fact sheet; absent or malformed is unknown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.guard.quota_headers import Quota, quota

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
IN_MINUTE = NOW + timedelta(seconds=60)
NAMES = [
    "ratelimit",
    "ratelimit-policy",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-ms-throttle-limit-percentage",
    "date",
]
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
        ({"ratelimit": '"default"; r=50; t=60'}, Quota(None, 50, IN_MINUTE)),
        ({"ratelimit": '"a, b";r=5;pk=:cHNrPQ==:'}, Quota(None, 5)),
        ({"ratelimit": '"a";x;r=50;t=60;scope=per-key;load=0.5;hard=?1'}, Quota(None, 50, IN_MINUTE)),
        (
            {
                "ratelimit": '"bytes";r=1;t=60,"calls";r=9',
                "ratelimit-policy": '"bytes";q=99;qu="content-bytes","calls";q=10',
            },
            Quota(10, 9),
        ),
        ({"x-ratelimit-limit": "5000, 20", "x-ratelimit-remaining": "100, 19"}, Quota(5000, 100)),
        ({"ratelimit-limit": "10, 10;w=1, 5;w=0", "ratelimit-remaining": "3"}, Quota(10, 3)),
        ({"x-ratelimit-limit": "30/10m", "x-ratelimit-remaining": "12"}, Quota(30, 12)),
        ({"x-ratelimit-limit": "50", "x-ratelimit-remaining": "-3"}, Quota(50, 0)),
        ({"x-ratelimit-limit": "50", "x-ratelimit-remaining": "60"}, Quota(50, 60)),
        ({"x-ratelimit-limit": "unlimited", "x-ratelimit-remaining": "-1"}, None),
        ({"x-ratelimit-remaining": "-1"}, None),
        (
            {"x-ratelimit-limit": "5", "x-ratelimit-remaining": "4", "x-ratelimit-reset-after": "60.0"},
            Quota(5, 4, IN_MINUTE),
        ),
        (
            {"x-sib-ratelimit-limit": "400", "x-sib-ratelimit-remaining": "1", "x-sib-ratelimit-reset": "60"},
            Quota(400, 1, IN_MINUTE),
        ),
        (
            {
                "x-mws-quota-max": "3600",
                "x-mws-quota-remaining": "10",
                "x-mws-quota-resetson": "2026-11-23T12:01:00.000Z",
            },
            Quota(3600, 10, IN_MINUTE),
        ),
        (
            {"x-current-token-count": "19", "x-next-replenishment-time": EPOCH + "000"},
            Quota(None, 19, IN_MINUTE),
        ),
        ({"minute-quota-limit": "180", "quotatype": "Minute"}, Quota(180)),
        (
            {
                "hour-quota-limit": "7200",
                "hour-quota-remaining": "5000",
                "minute-quota-limit": "180",
                "minute-quota-remaining": "0",
                "minute-quota-resettime": EPOCH + "000",
            },
            Quota(180, 0, IN_MINUTE),
        ),
        (
            {"x-ratelimit-limit": "50, 500", "x-ratelimit-remaining": "20, 9", "x-ratelimit-reset": "1, 60"},
            Quota(500, 9, IN_MINUTE),
        ),
        (
            {"ratelimit": '"a";r=0;t=5,"b";r=0;t=60', "ratelimit-policy": '"a";q=10;w=60,"b";q=50'},
            Quota(50, 0, IN_MINUTE),
        ),
        ({"x-ms-throttle-limit-percentage": "0.85"}, Quota(used_share=0.85)),
        ({"x-ms-throttle-limit-percentage": "1.8"}, Quota(used_share=1.8)),
    ],
)
def test_each_convention_is_read(headers: dict[str, str], expected: Quota | None) -> None:
    """Issue "An engine": every convention of the fact sheet is read."""
    assert quota(headers, NOW) == expected


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"retry-after": "3"},
        {"ratelimit": "nonsense"},
        {"ratelimit": '"a";r=x'},
        {"ratelimit": '"a";r=1.5'},
        {"ratelimit": '"a";r=-1'},
        {"ratelimit": '"a";t=5'},
        {"ratelimit": '"a";r=5;t=soon'},
        {"ratelimit": '"a";r=5,b;r=1'},
        {"ratelimit": '"a;r=5'},
        {"ratelimit": "a;r=5"},
        {"x-ms-throttle-limit-percentage": "-0.9"},
        {"x-ratelimit-remaining": "\u0663"},
        {"x-ratelimit-limit": "abc", "x-ratelimit-remaining": ""},
        {"x-ratelimit-limit": "unlimited"},
    ],
)
def test_absent_or_malformed_is_unknown(headers: dict[str, str]) -> None:
    """Fact sheet §2: missing header means unknown; never display as 0 or 100 %."""
    assert quota(headers, NOW) is None


@pytest.mark.parametrize("reset", ["60", str(int((IN_MINUTE - timedelta(hours=1)).timestamp()))], ids=["wait", "epoch"])
def test_a_skewed_clock_is_cancelled_by_the_answers_date(reset: str) -> None:
    """Fact sheet §2: a reset counts from the answer's own Date, and is kept by our clock; an absurd one is unknown."""
    skewed = {"date": "Mon, 23 Nov 2026 11:00:00 GMT", "x-ratelimit-remaining": "1", "x-ratelimit-reset": reset}
    told = quota(skewed, NOW)
    assert told == Quota(None, 1, IN_MINUTE)
    assert told.seconds_to_reset == 60
    absurd = {"x-ratelimit-remaining": "1", "x-ratelimit-reset": "999999999"}
    assert quota(absurd, NOW) == Quota(None, 1, None)


def test_what_is_left_and_until_when() -> None:
    """The tightest share and the seconds by the vendor's own clock; unknown stays unknown."""
    told = quota({"x-ratelimit-limit": "50", "x-ratelimit-remaining": "5", "x-ratelimit-reset": "30"}, NOW)
    assert told is not None
    assert (told.share_left, told.seconds_to_reset) == (0.1, 30.0)
    graph = quota({"x-ms-throttle-limit-percentage": "1.2"}, NOW)
    assert graph is not None
    assert (graph.share_left, graph.seconds_to_reset) == (0.0, None)
    for unknown in (Quota(), Quota(limit=0, remaining=0), Quota(limit=9), Quota(remaining=4)):
        assert unknown.share_left is None
        assert unknown.seconds_to_reset is None


def test_a_vendor_known_to_count_milliseconds_is_read_so() -> None:
    """Fact sheet §2: milliseconds only when the connector says so."""
    headers = {"x-ratelimit-remaining": "1", "x-ratelimit-reset": "60000"}
    assert quota(headers, NOW, delta_unit_seconds=0.001) == Quota(None, 1, IN_MINUTE)
    seconds = quota(headers, NOW)
    assert seconds is not None
    assert seconds.reset_at == NOW + timedelta(seconds=60000)


@given(st.dictionaries(st.sampled_from(NAMES), st.text() | st.text('0123456789.,;:/"-abrqtw= ')))
def test_no_header_breaks_it(headers: dict[str, str]) -> None:
    """Law 8: whatever a vendor sends, it is read or unknown, never an error of ours."""
    found = quota(headers, NOW)
    assert found is None or found.remaining is None or found.remaining >= 0
