"""A second look at a list: whether it shows the very records that the first one met (law 4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import count

import pytest

from common.errors import PagesUnreliable
from daemon.integrations.base import Page
from daemon.sync.second_look import PART, Met, SecondLook, SecondReader
from daemon.sync.sorting import SortedPage

AT = datetime(2026, 11, 1, tzinfo=UTC)


def page(number: int, *ids: str, total: int | None) -> SortedPage:
    """A page as it was taken apart."""
    return SortedPage(Page(number, list(ids), total, AT, 0.0), (), (), ids, 0, (), ())


def look(pages: Iterable[SortedPage], *, most_more: int = 1) -> SecondLook:
    """A second look after a first one of two pages."""
    return SecondReader(Met(["a", "b", "c"])).read(pages, most_more=most_more)


def test_the_same_records_twice_are_proof() -> None:
    """In whatever order they come: what the first reading had lost behind it would not be here."""
    pages = iter([page(1, "c", "b", total=3), page(2, "a", total=3)])
    assert look(pages) == SecondLook()


def test_a_list_that_only_grew_is_proof_too() -> None:
    """What came since has its rows spared; what the first reading had lost would be missing all the same."""
    grown = SecondLook(more=("new",))
    pages = [page(1, "a", "new", total=4), page(2, "b", "c", total=4)]
    assert look(pages) == grown
    assert look([page(1, "a", "b", total=3), page(2, "c", "new", total=4)]) == grown
    assert look(pages, most_more=0) == SecondLook("it counts 4 records now, not 3")


@pytest.mark.parametrize(
    ("pages", "why"),
    [
        ([page(1, "a", "b", total=5)], "it counts 5 records now, not 3"),
        ([page(1, "a", "b", total=4), page(2, "new", "newer", total=4)], "page 2 holds other records now"),
        ([page(1, "a", "b", total=None)], "it counts None records now, not 3"),
        ([page(1, "a", "b", total=3), page(2, "c", total=2)], "it counts 2 records now, not 3"),
        ([page(1, "a", "b", total=4), page(2, "new", total=3)], "it counts 3 records now, not 4"),
        ([page(1, "a", "hidden", total=3), page(2, "c", total=3)], "page 1 holds other records now"),
        ([page(1, "a", "b", total=3), page(2, "b", total=3)], "1 of its records did not come"),
        ([page(1, "a", "b", total=3), page(2, total=3)], "1 of its records did not come"),
        ([page(1, "a", "b", total=3), page(2, "c", total=4)], "it counts 4 records now, not 3"),
    ],
    ids=[
        "grew much",
        "two for one",
        "tells no total",
        "shrank",
        "shrinks again",
        "shows what was hidden",
        "one twice",
        "fewer than told",
        "one came back behind the reader",
    ],
)
def test_anything_else_is_none(pages: list[SortedPage], why: str) -> None:
    """Then nothing is marked removed, and the warning says this."""
    assert look(pages) == SecondLook(why)


@pytest.mark.parametrize(("total", "pages_asked"), [(10**9, [1]), (2, [1, 2])])
def test_a_list_without_end_is_left(total: int, pages_asked: list[int]) -> None:
    """It is asked for a page or two, not for a thousand million, whether its total says so or not."""
    asked: list[int] = []

    def pages() -> Iterator[SortedPage]:
        for number in count(1):
            asked.append(number)
            yield page(number, "a", "b", total=total)

    assert SecondReader(Met(["a", "b"])).read(pages(), most_more=20).unproven is not None
    assert asked == pages_asked


def test_pages_that_make_no_sense_prove_nothing() -> None:
    """The first reading had none such; its rows stay."""

    def pages() -> Iterator[SortedPage]:
        yield page(1, "a", total=1)
        raise PagesUnreliable("REPEATED_PAGE", page=2)

    assert SecondReader(Met(["a"])).read(pages(), most_more=1) == SecondLook("its pages made no sense (REPEATED_PAGE)")


def test_who_was_met_is_known_by_id_or_hash() -> None:
    """A dry run keeps hashes only."""
    for met in (Met(["a", "b", "a"]), Met(hashes=[hash("b"), hash("a"), hash("b")])):
        assert ("a" in met, "c" in met, len(met)) == (True, False, 2)


def test_many_ids_are_sorted_in_parts() -> None:
    """Each is found, and counted once, in whichever part it was."""
    ids = [f"id{number}" for number in range(PART + 10)]
    met = Met([*ids, *ids[:20]])
    assert (len(met), ids[0] in met, ids[-1] in met, "no" in met) == (len(ids), True, True, False)
