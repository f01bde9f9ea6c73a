"""A list read once more, for its ids alone, before anything is marked removed by its first reading (law 4).

A list that gains a record on a page still to come and loses one on a page already read keeps its total, and hides a
third record: it moved past the reader. Nothing in the first reading tells such a gain from a record that came before it
(it may be a bad one, one that came back, or one whose row was here all the time). What was lost in the first reading
was met in it, and is not in the second: a list that shows the very same records twice hid none of them.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from heapq import merge
from itertools import chain, groupby

from common.errors import PagesUnreliable
from daemon.sync.sorting import SortedPage

PART = 65_536
"""Hashes sorted at a time: a million at once would take forty megabytes for a moment."""


class Met:
    """Which ids were met, by their hashes: eight bytes each, where a set would take a hundred."""

    def __init__(self, ids: Iterable[str] = (), *, hashes: Iterable[int] = ()) -> None:
        every = array("q", chain(map(hash, ids), hashes))
        parts = [array("q", sorted(every[start : start + PART])) for start in range(0, len(every), PART)]
        self._hashes = array("q", (hash_ for hash_, _ in groupby(merge(*parts))))

    def __len__(self) -> int:
        return len(self._hashes)

    def __contains__(self, id_: str) -> bool:
        wanted = hash(id_)
        spot = bisect_left(self._hashes, wanted)
        return spot < len(self._hashes) and self._hashes[spot] == wanted


@dataclass(frozen=True)
class SecondLook:
    """What it was good for. ``unproven``: why it does not show that the first reading met all; None: it does.

    ``more``: ids that were added to the list since; their rows, if we have any, are not gone.
    """

    unproven: str | None = None
    more: tuple[str, ...] = ()


class SecondReader:
    """Reads a list once more, all of it. ``met``: whom the first reading met."""

    def __init__(self, met: Met) -> None:
        self._met = met

    def read(self, pages: Iterable[SortedPage], *, most_more: int) -> SecondLook:
        """Read the pages until something of what was met must be missing, or to the last.

        A list that gains up to ``most_more`` records is as good: what the first reading had lost would be missing all
        the same. So a list that has no end is left early. As many must come as it counts: what came back on a page
        that was read already would else be taken for gone. ``Deferred``, ``StopRequested`` and what ends an entity
        pass through.
        """
        again, more = array("q"), dict[str, None]()
        told = len(self._met)
        try:
            for page in pages:
                total = page.page.total
                if total is None or not told <= total <= len(self._met) + most_more:
                    return SecondLook(f"it counts {total} records now, not {told}")
                told = total
                more.update(dict.fromkeys(id_ for id_ in page.ids if id_ not in self._met))
                again.extend(map(hash, page.ids))
                if len(again) > total or len(more) > total - len(self._met):
                    return SecondLook(f"page {page.number} holds other records now")
        except PagesUnreliable as error:
            return SecondLook(f"its pages made no sense ({error.code})")
        came = len(Met(hashes=again))
        missed = len(self._met) + len(more) - came
        if missed:
            return SecondLook(f"{missed} of its records did not come")
        return SecondLook(more=tuple(more)) if came == told else SecondLook(f"it counts {told} records now, not {came}")
