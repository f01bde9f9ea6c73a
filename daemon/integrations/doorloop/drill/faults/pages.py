"""Faults that change which rows a list shows (DoorLoop fact sheet §5 and §11.8)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from random import Random

from ..lists import ListQuery, Lists, Page
from .switchboard import ActiveFault

Ask = Callable[[ActiveFault, ListQuery], ListQuery]
Show = Callable[[ActiveFault, ListQuery, Page, Lists], Page]


def page_with_faults(lists: Lists, query: ListQuery, faults: Iterable[ActiveFault]) -> Page:
    """Return a page as the vendor would show it with these faults: first those on the question, then on the answer."""
    paging = [fault for fault in faults if fault.stage == "page"]
    for fault in paging:
        if fault.key in ASKS:
            query = ASKS[fault.key](fault, query)
        elif fault.key == "shifting_rows":
            _shift_rows(fault, query, lists)
    page = lists.page(query)
    for fault in paging:
        if fault.key in SHOWS:
            page = SHOWS[fault.key](fault, query, page, lists)
    return page


def _ignore_sort(_: ActiveFault, query: ListQuery) -> ListQuery:
    return replace(query, sort_by="createdAt", descending=False)


def _clamp(fault: ActiveFault, query: ListQuery) -> ListQuery:
    return replace(query, page_size=max(1, min(query.page_size, fault["rows"])))


def _repeat(fault: ActiveFault, query: ListQuery) -> ListQuery:
    return replace(query, page_number=max(1, fault["page"]))


def _shift_rows(fault: ActiveFault, query: ListQuery, lists: Lists) -> None:
    """Really add and delete records: deleting from pages already read moves later rows forward, past the reader."""
    population = lists.populations[query.entity]
    already_read = min(query.start, lists.page(query).total)
    places = fault.dice.sample(range(already_read), min(already_read, max(0, fault["delete"])))
    gone = [lists.page(replace(query, page_number=place + 1, page_size=1)).indexes[0] for place in places]
    population.mutate(add=max(0, fault["insert"]), delete_ids=[population.id_of(index) for index in gone])


def _shuffle(fault: ActiveFault, query: ListQuery, page: Page, _: Lists) -> Page:
    if query.sort_by == "updatedAt":
        _page_dice(fault, query).shuffle(page.indexes)
    return page


def _nothing_new(fault: ActiveFault, query: ListQuery, page: Page, lists: Lists) -> Page:
    if query.page_number < fault["from_page"] or query.page_number == 1 or not page.indexes:
        return page
    earlier = lists.page(
        replace(query, page_number=1, page_size=min(query.start, (fault["from_page"] - 1) * query.page_size))
    )
    pool = earlier.indexes
    if len(pool) <= query.page_size:
        # One page to draw from: all of its rows in another order, so that it is not the very same page.
        turn = query.page_number % max(1, len(pool))
        return Page(page.total, pool[turn:] + pool[:turn])
    return Page(page.total, _page_dice(fault, query).sample(pool, query.page_size))


def _empty(fault: ActiveFault, query: ListQuery, page: Page, _: Lists) -> Page:
    last = -(-page.total // query.page_size)
    return Page(page.total, []) if query.page_number == fault["page"] < last else page


def _short(fault: ActiveFault, query: ListQuery, page: Page, _: Lists) -> Page:
    kept = max(0, len(page.indexes) - fault["rows"])
    return Page(page.total, page.indexes[:kept]) if query.page_number == fault["page"] else page


def _duplicate(fault: ActiveFault, query: ListQuery, page: Page, lists: Lists) -> Page:
    if not page.indexes:
        return page
    before = lists.page(replace(query, page_number=query.page_number - 1)).indexes[-1:]
    return Page(page.total, [*before, *page.indexes[1 if fault["replace"] else 0 :]])


def _moving_total(fault: ActiveFault, query: ListQuery, page: Page, _: Lists) -> Page:
    moves = query.page_number - 1 if fault["per"] == "page" else fault.struck - 1
    return Page(max(0, page.total + fault["step"] * moves), page.indexes)


def _total_off(fault: ActiveFault, _: ListQuery, page: Page, __: Lists) -> Page:
    return Page(max(0, page.total + fault["rows"]), page.indexes)


def _page_dice(fault: ActiveFault, query: ListQuery) -> Random:
    """Return dice that fall the same way for the same page, so that reading it again shows the same rows."""
    return Random(f"{fault.key}:{query.entity}:{query.page_number}")  # noqa: S311 - a drill must be repeatable


ASKS: dict[str, Ask] = {"ignore_sort": _ignore_sort, "page_size_clamp": _clamp, "repeated_page": _repeat}
SHOWS: dict[str, Show] = {
    "unsorted_updated_at": _shuffle,
    "no_new_ids": _nothing_new,
    "empty_page_before_last": _empty,
    "short_page": _short,
    "duplicate_row_across_pages": _duplicate,
    "moving_total": _moving_total,
    "total_off_by": _total_off,
}
