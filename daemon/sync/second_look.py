"""A list read once more, for its ids alone, before anything is marked removed by its first reading (law 4).

A list that gains a record on a page still to come and loses one on a page already read keeps its total, and hides a
third record: it moved past the reader. Nothing in the first reading tells such a gain from a record that came before it
(it may be a bad one, or one that came back, or bear an old stamp). In the second one what was hidden shows.
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
    """``more``: ids that the first reading did not meet; ``is_whole``: the list stood still while it was looked at."""

    more: tuple[str, ...]
    is_whole: bool


def look_again(pages: Iterator[SortedPage], met: Met) -> SecondLook:
    """Read the pages to the last. ``Deferred``, ``StopRequested`` and what ends an entity pass through."""
    more: dict[str, None] = {}
    hashes = array("q")
    totals: set[int | None] = set()
    try:
        for page in pages:
            totals.add(page.page.total)
            hashes.extend(map(hash, page.ids))
            more.update(dict.fromkeys(id_ for id_ in page.ids if id_ not in met))
    except PagesUnreliable:
        return SecondLook((), is_whole=False)
    return SecondLook(tuple(more), is_whole=totals == {len(set(hashes))})
