"""A page on its way into the database, where the reading is after it, and what it did there."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from itertools import accumulate

from common.rules.paging import ALL_BAD_FROM
from common.store.records import Change
from daemon.sync.convert import Arrived
from daemon.sync.sorting import SortedPage


@dataclass(frozen=True)
class PageCount:
    """What a page did."""

    received: int
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    dead: int = 0
    dead_new: int = 0
    duplicates: int = 0
    born: int = 0
    """How many of the inserted may have been created after the reading began."""

    @property
    def changed(self) -> int:
        """Rows written."""
        return self.inserted + self.updated


@dataclass(frozen=True)
class Checkpoint:
    """Where the reading is after this page. ``pass_id`` None in a dry run: nothing of it is stored (law 5)."""

    pass_id: int | None
    page: int
    pages_expected: int | None
    rows_per_page: int | None
    total: int | None
    watermark_candidate: datetime | None
    see_ids: bool
    removable: bool = True
    again: bool = False
    began_at: datetime | None = None
    first_total: int | None = None
    newborn: tuple[int, ...] = ()
    """Where on the page those stand that may have been created after the reading began."""


@dataclass(frozen=True)
class Work:
    """A page to be written, and where the reading is after it."""

    page: SortedPage
    checkpoint: Checkpoint

    def born(self, inserted: Collection[str]) -> int:
        """How many of these, the page's new ones by their ids, may have been created after the reading began.

        Whom we know was there before, whatever it says of itself.
        """
        if not inserted or not self.checkpoint.newborn:
            return 0
        return len(self.page.ids_at(self.checkpoint.newborn).intersection(inserted))


def count_each(works: Sequence[Work], changes: Sequence[Change]) -> list[PageCount]:
    """What will be written, page by page, judged by the hashes; in a dry run this is the answer."""
    ends = list(accumulate(len(work.page.good) for work in works))
    inserted, updated = [list[str]() for _ in works], [0] * len(works)
    for change in changes:
        which = bisect_right(ends, change.position)
        if change.is_new:
            inserted[which].append(works[which].page.good[change.position - ends[which]].id)  # so many before its end
        else:
            updated[which] += 1
    return [
        PageCount(
            received=work.page.rows,
            inserted=len(new),
            updated=other,
            unchanged=len(work.page.good) - len(new) - other,
            duplicates=work.page.duplicates,
            born=work.born(new),
        )
        for work, new, other in zip(works, inserted, updated, strict=True)
    ]


def all_new(work: Work) -> PageCount:
    """What a page does of which no record was here, and none is bad."""
    page = work.page
    return PageCount(page.rows, inserted=len(page.good), duplicates=page.duplicates, born=work.born(page.ids))


def sum_of(counts: Sequence[PageCount]) -> PageCount:
    """What several pages did together."""
    return PageCount(*map(sum, zip(*map(astuple, counts), strict=True)))


def are_all_new(differing: Sequence[tuple[int, bool | None]], good: Sequence[Arrived]) -> bool:
    """Whether none of these records is here."""
    return len(differing) == len(good) and all(is_here is None for _, is_here in differing)


def is_all_bad(rows: int, dead: int) -> bool:
    """Whether a page is one of bad records only, and of so many that it is no mishap."""
    return dead >= ALL_BAD_FROM and dead == rows
