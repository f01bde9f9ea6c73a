"""A second look at a list: what the first one did not meet, and whether it stood still (law 4)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count

import pytest

from common.errors import PagesUnreliable
from daemon.integrations.base import Page
from daemon.sync.second_look import MOVED, Met, SecondLook, look_again
from daemon.sync.sorting import SortedPage

AT = datetime(2026, 11, 1, tzinfo=UTC)


def page(number: int, *ids: str, total: int | None) -> SortedPage:
    """A page as it was taken apart."""
    return SortedPage(Page(number, list(ids), total, AT, 0.0), (), (), ids, 0, (), ())


def test_what_was_hidden_shows() -> None:
    """The third record had moved past the first reader."""
    pages = iter([page(1, "a", "b", total=3), page(2, "c", total=3)])
    assert look_again(pages, Met(["a", "b", "gone"]), most=3) == SecondLook(("c",), is_whole=True)


def test_one_that_lost_a_record_since_is_still_proof() -> None:
    """It shows what is there now, as long as it stands still while it is looked at."""
    assert look_again(iter([page(1, "a", total=1)]), Met(["a", "b"]), most=2) == SecondLook((), is_whole=True)


@pytest.mark.parametrize(
    "pages",
    [
        [page(1, "a", "b", total=4)],
        [page(1, "a", "b", total=None)],
        [page(1, "a", "b", total=3), page(2, "c", total=2)],
        [page(1, "a", "b", total=3), page(2, total=3)],
    ],
    ids=["grew", "tells no total", "shrank", "fewer than told"],
)
def test_a_list_that_moves_proves_nothing(pages: list[SortedPage]) -> None:
    """Nor does one whose records and total do not agree."""
    assert look_again(iter(pages), Met(["a"]), most=3) == MOVED


@pytest.mark.parametrize(("total", "pages_asked"), [(10**9, [1]), (2, [1, 2])])
def test_a_list_without_end_is_left(total: int, pages_asked: list[int]) -> None:
    """It is asked for a page or two, not for a thousand million, whether its total says so or not."""
    asked: list[int] = []

    def pages() -> Iterator[SortedPage]:
        for number in count(1):
            asked.append(number)
            yield page(number, "a", "b", total=total)

    assert look_again(pages(), Met(["a", "b"]), most=2) == MOVED
    assert asked == pages_asked


def test_pages_that_make_no_sense_prove_nothing() -> None:
    """The first reading had none such; its rows stay."""

    def pages() -> Iterator[SortedPage]:
        yield page(1, "a", total=3)
        raise PagesUnreliable("REPEATED_PAGE", page=2)

    assert look_again(pages(), Met(["a"]), most=3) == MOVED


def test_who_was_met_is_known_by_id_or_hash() -> None:
    """A dry run keeps hashes only."""
    for met in (Met(["a", "b", "a"]), Met(hashes=[hash("b"), hash("a"), hash("b")])):
        assert ("a" in met, "c" in met, len(met)) == (True, False, 2)
