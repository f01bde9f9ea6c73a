"""How many requests the schedule needs in its busiest hour, as a pure rule, and what to set when that is too many."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

DELTA_PAGES = 3
"""A delta read newest first: the page with the newest record, then two whole pages that bring nothing new."""
LARGEST_PAGE = 1000
LONGEST_INTERVAL_MINUTES = 1440
_INTERVALS = (*range(1, 60), *range(60, LONGEST_INTERVAL_MINUTES + 1, 30))


@dataclass(frozen=True)
class ListSize:
    """One entity's list: the vendor's total at its last complete reading, None when it was never told.

    ``in_order``: deltas need not read it whole, since the vendor sorts it as asked.
    """

    total: int | None
    in_order: bool = True


@dataclass(frozen=True)
class Plan:
    """What is scheduled. A list whose total is unknown counts as one page: less it can never be."""

    lists: tuple[ListSize, ...]
    page_size: int
    interval_minutes: float


def busiest_hour(plan: Plan) -> int:
    """Requests in the hour of the nightly full copy. It absorbs one delta; each run asks once whose account it is."""
    full = 1 + sum(_pages(one, plan.page_size) for one in plan.lists)
    delta = 1 + sum(_delta_pages(one, plan.page_size) for one in plan.lists)
    deltas = max(1.0, 60 / plan.interval_minutes) - 1
    return math.ceil(full + deltas * delta)


def remedies(plan: Plan, allowed: float, page_setting: str) -> str:
    """What to set so that the busiest hour fits: only what really does. ``page_setting`` is the variable's name."""
    larger = replace(plan, page_size=LARGEST_PAGE)
    choices: list[str] = []
    if plan.page_size < LARGEST_PAGE and busiest_hour(larger) <= allowed:
        choices.append(f"{page_setting}={LARGEST_PAGE}")
    slower = next(_fitting(plan, allowed), None)
    if slower is not None:
        choices.append(f"AUTO_SYNC_INTERVAL_MINUTES={slower}")
    both = next(_fitting(larger, allowed), None) if not choices and plan.page_size < LARGEST_PAGE else None
    if both is not None:
        return f"Set {page_setting}={LARGEST_PAGE} and AUTO_SYNC_INTERVAL_MINUTES={both}."
    if choices:
        return f"Set {', or '.join(choices)}."
    return "Leave entities out of SYNC_ENTITIES; as it is, the nightly full copy goes on in parts, hour by hour."


def _fitting(plan: Plan, allowed: float) -> Iterator[int]:
    longer = (minutes for minutes in _INTERVALS if minutes > plan.interval_minutes)
    return (minutes for minutes in longer if busiest_hour(replace(plan, interval_minutes=minutes)) <= allowed)


def _pages(one: ListSize, page_size: int) -> int:
    return max(1, math.ceil((one.total or 0) / page_size))


def _delta_pages(one: ListSize, page_size: int) -> int:
    pages = _pages(one, page_size)
    # A list that does not come in order is read whole, after the page that showed it.
    return min(pages, DELTA_PAGES) if one.in_order else pages + (pages > 1)
