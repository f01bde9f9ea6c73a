"""Orders in closed form: which record stands at position n, without sorting a million of them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable
from math import gcd


class GappedRange:
    """The numbers 0..size-1 without some holes; finding the n-th one costs a binary search."""

    def __init__(self, size: int, holes: Iterable[int] = ()) -> None:
        self.size = size
        self._holes = sorted(holes)

    def __len__(self) -> int:
        return self.size - len(self._holes)

    def slice(self, start: int, stop: int) -> list[int]:
        """Return the members at places start..stop-1, places counted without the holes."""
        stop = min(stop, len(self))
        if start >= stop:
            return []
        holes = self._holes
        # holes[j] - j members stand before hole j, and that number never falls: it can be searched.
        passed = bisect_right(range(len(holes)), start, key=lambda j: holes[j] - j)
        at, wanted, found = start + passed, stop - start, list[int]()
        while len(found) < wanted:
            end = holes[passed] if passed < len(holes) else self.size
            found.extend(range(at, min(end, at + wanted - len(found))))
            at, passed = end + 1, passed + 1
        return found

    def add_hole(self, number: int) -> None:
        """Take a number out; taking it out twice changes nothing."""
        if not self._is_hole(number):
            insort(self._holes, number)

    def fill_hole(self, number: int) -> None:
        """Put a number back."""
        if self._is_hole(number):
            del self._holes[bisect_left(self._holes, number)]

    def _is_hole(self, number: int) -> bool:
        at = bisect_left(self._holes, number)
        return at < len(self._holes) and self._holes[at] == number


class UpdateRanks:
    """A fixed shuffle of 0..size-1: who was updated first, who last, in closed form both ways.

    Ranks 4k+2 and 4k+3 carry the same time stamp, so that ties fall on page borders too; the lower index stands first.
    """

    def __init__(self, size: int, salt: int) -> None:
        self.size = size
        step = max(1, int(size * 0.6180339887) + salt % 97)
        while gcd(step, max(1, size)) != 1:
            step += 1
        self._step, self._shift = step, salt % max(1, size)
        self._inverse = pow(step, -1, size) if size > 1 else 0

    def index_at(self, rank: int) -> int:
        """Return the index of the record at a rank."""
        index, partner = self._plain_index(rank), self._tied_with(rank)
        if partner is None:
            return index
        other = self._plain_index(partner)
        return min(index, other) if rank < partner else max(index, other)

    def rank_of(self, index: int) -> int:
        """Return the rank of a record: the inverse of `index_at`."""
        rank = (index * self._step + self._shift) % self.size
        partner = self._tied_with(rank)
        if partner is None or (self._plain_index(partner) > index) == (partner > rank):
            return rank
        return partner

    def tie_start(self, rank: int) -> int:
        """Return the rank whose time stamp this rank carries."""
        return rank - 1 if rank % 4 == 3 else rank

    def _plain_index(self, rank: int) -> int:
        return (rank - self._shift) * self._inverse % self.size

    def _tied_with(self, rank: int) -> int | None:
        partner = rank ^ 1
        return partner if rank % 4 >= 2 and partner < self.size else None


class CreatedOrder:
    """Records by creation: the index itself, since indexes, ids and creation times rise together."""

    def __init__(self, size: int, holes: Iterable[int] = ()) -> None:
        self._members = GappedRange(size, holes)

    def __len__(self) -> int:
        return len(self._members)

    def slice(self, start: int, stop: int) -> list[int]:
        """Return the indexes at places start..stop-1."""
        return self._members.slice(start, stop)

    def append(self, index: int) -> None:
        """Let the newest record in; indexes skipped on the way stay out."""
        for skipped in range(self._members.size, index):
            self._members.add_hole(skipped)
        self._members.size = max(self._members.size, index + 1)
        self._members.fill_hole(index)

    def discard(self, index: int) -> None:
        """Take a record out."""
        if index < self._members.size:
            self._members.add_hole(index)


class UpdatedOrder:
    """Records by last update: the untouched ones by their fixed rank, then the touched ones by time."""

    def __init__(self, ranks: UpdateRanks, without: Iterable[int] = ()) -> None:
        self._ranks = ranks
        self._untouched = GappedRange(ranks.size, map(ranks.rank_of, without))
        self._touched: list[tuple[int, int]] = []
        self._touched_at: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._untouched) + len(self._touched)

    def slice(self, start: int, stop: int) -> list[int]:
        """Return the indexes at places start..stop-1."""
        split = len(self._untouched)
        found = [self._ranks.index_at(rank) for rank in self._untouched.slice(start, stop)]
        found.extend(index for _, index in self._touched[max(0, start - split) : max(0, stop - split)])
        return found

    def append(self, index: int, updated_ms: int) -> None:
        """Put a record behind every untouched one, at its new time; the caller's clock never goes back."""
        self.discard(index)
        insort(self._touched, (updated_ms, index))
        self._touched_at[index] = updated_ms

    def discard(self, index: int) -> None:
        """Take a record out."""
        if index < self._ranks.size:
            self._untouched.add_hole(self._ranks.rank_of(index))
        updated_ms = self._touched_at.pop(index, None)
        if updated_ms is not None:
            del self._touched[bisect_left(self._touched, (updated_ms, index))]
