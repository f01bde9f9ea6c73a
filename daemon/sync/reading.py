"""What is known of a list while it is read: its pages, its order, its watermark, which ids were met."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from datetime import datetime

from common.rules.order import NewestFirst
from common.rules.paging import Paging
from common.store.database import Row
from daemon.sync.sorting import SortedPage
from daemon.sync.work import Checkpoint

SURE_FROM_IDS = 5


class Reading:
    """The state of one list. ``pass_`` None: a dry run, of which nothing is stored."""

    def __init__(
        self,
        pass_: Row | None,
        *,
        first_page: int,
        newest_first: NewestFirst | None,
        sees_ids: bool,
    ) -> None:
        self.pass_id: int | None = pass_["id"] if pass_ else None
        self.first_page = first_page
        self.sees_ids = sees_ids
        self.met_in_dry_run: array[int] | None = array("q") if pass_ is None and sees_ids else None
        self._newest_first = newest_first
        self._cap: datetime | None = pass_["started_at"] if pass_ else None
        self._candidate: datetime | None = pass_["watermark_candidate"] if pass_ else None
        self.removable: bool = pass_["removable"] if pass_ else True
        self.paging = Paging()
        if pass_ and first_page > 1:
            self.paging = Paging(rows_per_page=pass_["rows_per_page"], total=pass_["total"])
        self._bloom = Bloom()

    @property
    def order_broken(self) -> bool:
        """Whether the list, asked for newest first, did not come so."""
        return self._newest_first is not None and not self._newest_first.proven

    def observe(self, page: SortedPage) -> bool:
        """Take the page in; true when it is the last one needed. Raises ``PagesUnreliable``."""
        total = page.page.total
        fell = total is not None and self.paging.total is not None and total < self.paging.total
        self.paging.observe(page.number, page.ids, page.rows, total)
        self.removable = self.removable and not page.page.bare_array and not fell
        self._move_candidate(page)
        if self._newest_first is not None:
            self._newest_first.observe(page.stamps)
            if self._newest_first.seen_enough:
                return True
        return self.paging.is_last(page.number, page.rows)

    def _move_candidate(self, page: SortedPage) -> None:
        newest = max((stamp for stamp in page.stamps if stamp is not None), default=None)
        if self._newest_first is not None:
            if page.number == 1:
                self._candidate = newest
            return
        # A full list: what changed after it began may stand on a page already read, so never later than its start.
        if page.number == 1 and self._cap is not None:
            self._cap = min(self._cap, page.page.answered_at)
        if newest is not None:
            capped = min(newest, self._cap) if self._cap else newest
            self._candidate = capped if self._candidate is None else max(self._candidate, capped)

    def look_ahead_to(self, number: int) -> int | None:
        """How far pages may be fetched before it is known that they are needed; None: page ``number`` only."""
        return None if self._newest_first is not None else self.paging.pages_expected

    def may_be_all_old(self, page: SortedPage) -> bool:
        """Whether every id of the page may have been met before; false is certain."""
        return self._bloom.has_all(page.ids)

    def remember(self, ids: Iterable[str]) -> None:
        """Ids that an earlier run of this pass met."""
        self._bloom.add(ids)

    def surely_all_old(self, page: SortedPage) -> bool:
        """The same without a look in the database, of which there is none in a dry run or a delta; true is as good as
        certain, since so many ids do not hit known places by chance."""
        return len(page.ids) >= SURE_FROM_IDS and self._bloom.has_all(page.ids)

    def note(self, page: SortedPage) -> None:
        """The page has been looked at: its ids were met."""
        self._bloom.add(page.ids)
        if self.met_in_dry_run is not None:
            self.met_in_dry_run.extend(map(hash, page.ids))

    def checkpoint(self, page: SortedPage, *, again: bool = False) -> Checkpoint:
        """Where the reading is once this page is written; ``again``: it was written before."""
        return Checkpoint(
            pass_id=self.pass_id,
            page=page.number,
            pages_expected=self.paging.pages_expected,
            rows_per_page=self.paging.rows_per_page,
            total=self.paging.total,
            watermark_candidate=self._candidate,
            see_ids=self.sees_ids,
            removable=self.removable,
            again=again,
        )


class Bloom:
    """Which ids were surely not met before, in one megabyte whatever the list's length.

    A false "perhaps" costs one exact look in the database; a "no" is always right.
    """

    BITS = 1 << 23

    def __init__(self) -> None:
        self._bytes = bytearray(self.BITS // 8)

    def add(self, ids: Iterable[str]) -> None:
        """Remember these."""
        for id_ in ids:
            spot = hash(id_) & (self.BITS - 1)
            self._bytes[spot >> 3] |= 1 << (spot & 7)

    def has_all(self, ids: Iterable[str]) -> bool:
        """Whether each of these may have been met."""
        for id_ in ids:
            spot = hash(id_) & (self.BITS - 1)
            if not self._bytes[spot >> 3] & (1 << (spot & 7)):
                return False
        return True
