"""The forecast of requests per hour: from totals, page size, interval and the nightly full copy."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.rules.forecast import LARGEST_PAGE, ListSize, Plan, busiest_hour, remedies

PAGE = "DOORLOOP_PAGE_SIZE"


def plan(*totals: int | None, page_size: int = 100, minutes: float = 10, in_order: bool = True) -> Plan:
    """Lists of these lengths."""
    return Plan(tuple(ListSize(total, in_order) for total in totals), page_size, minutes)


@pytest.mark.parametrize(
    ("found", "requests"),
    [
        (plan(50), 12),
        (plan(250), 4 + 5 * 4),
        (plan(10_000), 101 + 5 * 4),
        (plan(10_000, in_order=False), 101 + 5 * 102),
        (plan(10_000, page_size=1000), 11 + 5 * 4),
        (plan(None, None, None, None, None), 36),
        (plan(0), 12),
        (plan(10_000, minutes=60), 101),
        (plan(10_000, minutes=1440), 101),
        (plan(10_000, minutes=25), 107),
    ],
)
def test_the_busiest_hour(found: Plan, requests: int) -> None:
    """One full copy and the deltas beside it: an identity each; a delta in order reads at most three pages a list."""
    assert busiest_hour(found) == requests


@pytest.mark.parametrize(
    ("found", "allowed", "remedy"),
    [
        (plan(20_000, 20_000, 20_000), 500, "Set DOORLOOP_PAGE_SIZE=1000."),
        (plan(5_000, 5_000, minutes=1), 500, "Set DOORLOOP_PAGE_SIZE=1000, or AUTO_SYNC_INTERVAL_MINUTES=2."),
        (plan(50, minutes=1, page_size=1000), 100, "Set AUTO_SYNC_INTERVAL_MINUTES=2."),
        (plan(90_000, 90_000, minutes=1), 500, "Set DOORLOOP_PAGE_SIZE=1000 and AUTO_SYNC_INTERVAL_MINUTES=2."),
        (
            plan(900_000),
            500,
            "Leave entities out of SYNC_ENTITIES; as it is, the nightly full copy goes on in parts, hour by hour.",
        ),
    ],
)
def test_the_remedy_really_fits(found: Plan, allowed: int, remedy: str) -> None:
    """Issue 3: with its remedy (`DOORLOOP_PAGE_SIZE=1000`, or the interval that fits), and none that does not help."""
    assert busiest_hour(found) > allowed
    assert remedies(found, allowed, PAGE) == remedy


@given(
    totals=st.lists(st.none() | st.integers(0, 200_000), min_size=1, max_size=6),
    page_size=st.integers(1, 1000),
    minutes=st.integers(1, 1440),
    allowed=st.integers(1, 2000),
)
def test_whatever_is_named_fits(totals: list[int | None], page_size: int, minutes: int, allowed: int) -> None:
    """Every setting that a remedy names brings the busiest hour within what is allowed."""
    found = plan(*totals, page_size=page_size, minutes=minutes)
    said = remedies(found, allowed, PAGE)
    choices = said.removeprefix("Set ").removesuffix(".").split(", or ") if said.startswith("Set ") else []
    for choice in choices:
        tried = found
        for pair in choice.split(" and "):
            name, value = pair.split("=")
            number = int(value)
            tried = replace(tried, page_size=number) if name == PAGE else replace(tried, interval_minutes=number)
        assert tried.page_size in (page_size, LARGEST_PAGE)
        assert busiest_hour(tried) <= allowed
