"""A second look at a list: whether it shows the very records that the first one met (law 4)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count

import pytest

from common.errors import PagesUnreliable
from daemon.integrations.base import Page
from daemon.sync.second_look import Met, SecondLook, look_again
from daemon.sync.sorting import SortedPage

AT = datetime(2026, 11, 1, tzinfo=UTC)


def page(number: int, *ids: str, total: int | None) -> SortedPage:
    """A page as it was taken apart."""
    return SortedPage(Page(number, list(ids), total, AT, 0.0), (), (), ids, 0, (), ())


def test_the_same_records_twice_are_proof() -> None:
    """In whatever order they come: what the first reading had lost behind it would not be here."""
    pages = iter([page(1, "c", "b", total=3), page(2, "a", total=3)])
    assert look_again(pages, Met(["a", "b", "c"])) == SecondLook()


@pytest.mark.parametrize(
    ("pages", "why"),
    [
        ([page(1, "a", "b", total=4)], "it counts 4 records now, not 3"),
        ([page(1, "a", "b", total=None)], "it counts None records now, not 3"),
        ([page(1, "a", "b", total=3), page(2, "c", total=2)], "it counts 2 records now, not 3"),
        ([page(1, "a", "hidden", total=3), page(2, "c", total=3)], "page 1 holds other records now"),
        ([page(1, "a", "b", total=3), page(2, "b", total=3)], "1 of its records were not in it any more"),
        ([page(1, "a", "b", total=3), page(2, total=3)], "1 of its records were not in it any more"),
    ],
    ids=["grew", "tells no total", "shrank", "shows what was hidden", "one twice", "fewer than told"],
)
def test_anything_else_is_none(pages: list[SortedPage], why: str) -> None:
    """Then nothing is marked removed, and the warning says this."""
    assert look_again(iter(pages), Met(["a", "b", "c"])) == SecondLook(why)


@pytest.mark.parametrize(("total", "pages_asked"), [(10**9, [1]), (2, [1, 2])])
def test_a_list_without_end_is_left(total: int, pages_asked: list[int]) -> None:
    """It is asked for a page or two, not for a thousand million, whether its total says so or not."""
    asked: list[int] = []

    def pages() -> Iterator[SortedPage]:
        for number in count(1):
            asked.append(number)
            yield page(number, "a", "b", total=total)

    assert look_again(pages(), Met(["a", "b"])).unproven is not None
    assert asked == pages_asked


def test_pages_that_make_no_sense_prove_nothing() -> None:
    """The first reading had none such; its rows stay."""

    def pages() -> Iterator[SortedPage]:
        yield page(1, "a", total=1)
        raise PagesUnreliable("REPEATED_PAGE", page=2)

    assert look_again(pages(), Met(["a"])) == SecondLook("its pages made no sense (REPEATED_PAGE)")


def test_who_was_met_is_known_by_id_or_hash() -> None:
    """A dry run keeps hashes only."""
    for met in (Met(["a", "b", "a"]), Met(hashes=[hash("b"), hash("a"), hash("b")])):
        assert ("a" in met, "c" in met, len(met)) == (True, False, 2)
