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


MOVED = SecondLook((), is_whole=False)


def look_again(pages: Iterator[SortedPage], met: Met, *, most: int) -> SecondLook:
    """Read the pages to the last, of a list that had ``most`` records.

    One that moves again, or has more, is left there: it proves nothing, and might have no end. ``Deferred``,
    ``StopRequested`` and what ends an entity pass through.
    """
    more: dict[str, None] = {}
    hashes = array("q")
    told: int | None = None
    try:
        for page in pages:
            total = page.page.total
            if total is None or total > most or total != (total if told is None else told):
                return MOVED
            told = total
            hashes.extend(map(hash, page.ids))
            if len(hashes) > told:
                return MOVED
            more.update(dict.fromkeys(id_ for id_ in page.ids if id_ not in met))
    except PagesUnreliable:
        return MOVED
    return SecondLook(tuple(more), is_whole=True) if len(set(hashes)) == told else MOVED
