"""A list read once more, for its ids alone, before anything is marked removed by its first reading (law 4).

A list that gains a record on a page still to come and loses one on a page already read keeps its total, and hides a
third record: it moved past the reader. Nothing in the first reading tells such a gain from a record that came before it
(it may be a bad one, one that came back, or one whose row was here all the time). What was lost in the first reading
was met in it, and is not in the second: a list that shows the very same records twice hid none of them.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from common.errors import PagesUnreliable
from daemon.sync.sorting import SortedPage


class Met:
    """Which ids were met, by their hashes: eight bytes each, where a set would take a hundred."""

    def __init__(self, ids: Iterable[str] = (), *, hashes: Iterable[int] = ()) -> None:
        self._hashes = array("q", (hash_ for hash_, _ in groupby(sorted([*map(hash, ids), *hashes]))))

    def __len__(self) -> int:
        return len(self._hashes)

    def __contains__(self, id_: str) -> bool:
        wanted = hash(id_)
        spot = bisect_left(self._hashes, wanted)
        return spot < len(self._hashes) and self._hashes[spot] == wanted


@dataclass(frozen=True)
class SecondLook:
    """What it was good for. ``unproven``: why it does not show that the first reading met all; None: it does."""

    unproven: str | None = None


def look_again(pages: Iterator[SortedPage], met: Met) -> SecondLook:
    """Read the pages until they differ from what was met, or to the last; so a list that has no end is left early.

    ``Deferred``, ``StopRequested`` and what ends an entity pass through.
    """
    hashes = array("q")
    try:
        for page in pages:
            if page.page.total != len(met):
                return SecondLook(f"it counts {page.page.total} records now, not {len(met)}")
            hashes.extend(map(hash, page.ids))
            if len(hashes) > len(met) or not all(id_ in met for id_ in page.ids):
                return SecondLook(f"page {page.number} holds other records now")
    except PagesUnreliable as error:
        return SecondLook(f"its pages made no sense ({error.code})")
    missed = len(met) - len(set(hashes))
    return SecondLook(f"{missed} of its records were not in it any more" if missed else None)
