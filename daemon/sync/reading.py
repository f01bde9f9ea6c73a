"""What is known of a list while it is read: its pages, its order, its watermark, which ids were met."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

from common.rules.order import NewestFirst, Span
from common.rules.paging import Paging
from common.store.database import Row
from daemon.sync.convert import readable
from daemon.sync.sorting import SortedPage
from daemon.sync.work import Checkpoint

SURE_FROM_IDS = 5
DATE_TELLS = timedelta(seconds=2)
CLOCKS_DIFFER = timedelta(hours=1)
"""A stamp that lies further ahead than this is wrong, whoever's clock is off."""


class Reading:
    """The state of one list.

    ``pass_`` None: a dry run, of which nothing is stored; ``began``: when, since no pass says so then. ``is_first``: no
    reading before it brought records.
    ``is_asked``: an admin may still say that what an earlier reading missed is gone: what this one meets is remembered.
    """

    def __init__(
        self,
        pass_: Row | None,
        *,
        first_page: int,
        newest_first: NewestFirst | None,
        sees_ids: bool,
        page_size: int,
        is_first: bool = False,
        is_asked: bool = False,
        began: datetime | None = None,
    ) -> None:
        self.pass_id: int | None = pass_["id"] if pass_ else None
        self.first_page, self.sees_ids, self.is_asked = first_page, sees_ids, is_asked
        self._page_size, self._newest_first = page_size, newest_first
        self._is_first = is_first
        self._rows_met: int | None = 0 if first_page == 1 else None  # None: nobody knows how many came before
        self.met_in_dry_run: array[int] | None = array("q") if pass_ is None and sees_ids else None
        self._candidate: datetime | None = pass_["watermark_candidate"] if pass_ else None
        self.removable: bool = pass_["removable"] if pass_ else True
        self.is_end_unseen = False
        """Whether the page behind the last was asked for and did not come: the list may go on there, or end."""
        self.shrank = False
        """Whether the list lost records while it was read newest first: a changed one may have moved past us."""
        self.paging = Paging()
        self._cap = _started_at(pass_)
        self._began = self._cap or began
        self._first_total: int | None = None
        self._pages_read = self._born = 0
        self.ahead: tuple[datetime, str] | None = None
        """The first ``updatedAt`` met that is yet to come, and whose it is."""
        self._bloom = Bloom()
        if pass_ and first_page > 1:
            self._go_on(pass_)

    def _go_on(self, pass_: Row) -> None:
        """What earlier runs of the pass knew of the list."""
        self.paging = Paging(pass_["rows_per_page"], pass_["total"], pass_["first_total"])
        self._began = pass_["began_at"] or pass_["started_at"]
        self._first_total, self._born = pass_["first_total"], pass_["born"]
        if self._cap is not None and self._began is not None:
            self._cap = min(self._cap, self._began)
        # One that began before this was remembered proves nothing.
        self.removable = self.removable and self._first_total is not None

    @property
    def order_broken(self) -> bool:
        """Whether the list, asked for newest first, did not come so."""
        return self._newest_first is not None and not self._newest_first.proven

    @property
    def span(self) -> Span | None:
        """What was read of a list newest first that is left early; None of any other."""
        return self._newest_first.span if self._newest_first is not None else None

    @property
    def began(self) -> datetime | None:
        """When its first page was answered, by the clock that its records are stamped by; None: nobody knows."""
        return self._began

    def may_have_met(self, record_id: str) -> bool:
        """Whether the record may have stood on a page; false is certain."""
        return self._bloom.has_all((record_id,))

    @property
    def is_deep(self) -> bool:
        """Whether a change may have moved past the reader of a list newest first: one on a page behind a new one."""
        return self._newest_first is not None and (self._newest_first.is_deep or self.first_page > 1)

    def observe(self, page: SortedPage) -> bool:
        """Take the page in; true when it is the last one needed. Raises ``PagesUnreliable``."""
        total = page.page.total
        self._note_fall(total)
        self.paging.observe(page.number, page.ids, page.rows, total)
        self._pages_read += 1
        self._rows_met = None if self._rows_met is None else self._rows_met + page.rows
        if page.number == 1:
            self._first_total = total
            self._began = _begun(self._began, page.page.answered_at) if self._began else None
        self.removable = self.removable and not page.page.bare_array
        self._move_candidate(page)
        if self._newest_first is not None:
            self._newest_first.observe(page.stamps)
            if self._newest_first.seen_enough:
                return True
        return self.paging.is_last(page.number, page.rows)

    def _note_fall(self, total: int | None) -> None:
        """A list that counts fewer than before lost records while it was read."""
        if total is None or self.paging.total is None or total >= self.paging.total:
            return
        self.removable = False
        if self._newest_first is not None:
            self.shrank, self._candidate = True, None  # without a watermark of its own: the next delta looks again

    def ended_at(self, page: SortedPage) -> bool:
        """Whether the page before the first, read again, is the list's last: every page has come."""
        self._note_fall(page.page.total)
        if page.page.total is not None:
            self.paging.total = page.page.total
        return self.paging.is_last(page.number, page.rows)

    def _move_candidate(self, page: SortedPage) -> None:
        newest = page.newest
        self._note_ahead(page, newest)
        if page.number == 1 and self._cap is not None:
            self._cap = min(self._cap, page.page.answered_at)
        if self.paging.total is None:  # nobody knows whether it came whole: the next delta looks at all of it again
            self._candidate = None
        elif self._newest_first is not None:
            self._take_newest([stamp for stamp in page.stamps if stamp is not None])
        elif newest is not None:
            # What changed after a full list began may stand on a page already read, so never later than its start.
            capped = min(newest, self._cap) if self._cap else newest
            self._candidate = capped if self._candidate is None else max(self._candidate, capped)

    def _take_newest(self, stamps: Sequence[datetime]) -> None:
        """The first record's stamp, in a list that comes newest first; one that is yet to come says nothing.

        As a watermark it would make every change until then look old.
        """
        if self._candidate is None and not self.shrank:
            here = [stamp for stamp in stamps if self._cap is None or stamp <= self._cap]
            self._candidate = max(here, default=None)

    def _note_ahead(self, page: SortedPage, newest: datetime | None) -> None:
        now = max(self._began or page.page.answered_at, page.page.answered_at)
        if self.ahead is None and newest is not None and newest - now > CLOCKS_DIFFER:
            record = readable(page.page.records[page.stamps.index(newest)])
            self.ahead = (newest, str(record.get("id")) if isinstance(record, dict) else "?")

    def is_open_ended(self, page: SortedPage) -> bool:
        """Whether more may stand behind the last page, so that it is to be looked at.

        The page is full, and only the list's total says that it is the last; or there is no total at all; or fewer
        records came than that. A vendor may give fewer a page than it is asked for, and count them: so a whole list of
        one page is looked behind as well, and one read newest first whose only page is new to its end.
        """
        if self._newest_first is not None and self._newest_first.seen_enough:
            return False
        if page.number > 1:
            is_short = self._rows_met is not None and not self.has_all_counted
            return self.paging.total is None or is_short or page.rows >= (self.paging.rows_per_page or 1)
        may_be_limited = self.sees_ids or (self._newest_first is not None and self._newest_first.ends_new)
        return self.paging.total is None or page.rows >= self._page_size or may_be_limited

    @property
    def has_all_counted(self) -> bool:
        """Whether as many records came as the list's total tells; false where nobody knows."""
        total, met = self.paging.total, self._rows_met
        return total is not None and met is not None and met >= total

    def look_ahead_to(self, number: int) -> int | None:
        """How far pages may be fetched before it is known that they are needed; None: page ``number`` only.

        One further than the last where that will be full, which is to be looked behind.
        """
        if self._newest_first is not None or self.paging.pages_expected is None:
            return None
        return self.paging.pages_expected + (self.sees_ids and self.paging.ends_full)

    def may_be_all_old(self, page: SortedPage) -> bool:
        """Whether every id of the page may have been met before; false is certain."""
        return self._bloom.has_all(page.ids)

    def is_mostly_old(self, page: SortedPage) -> bool:
        """Whether half of its ids, or more, were met before: a next page has a few such at most, which moved."""
        return bool(page.ids) and 2 * self._bloom.count(page.ids) >= len(page.ids)

    def remember(self, ids: Collection[str]) -> None:
        """Ids that an earlier run of this pass met."""
        self._bloom.add(ids)
        self._rows_met = (self._rows_met or 0) + len(ids)

    def note_behind(self, page: SortedPage | None) -> None:
        """What stands behind the last page of a list that is taken to end there; None: nothing of its own.

        A record that was not met proves that it does not end there, and so that nothing is gone for not being met.
        """
        if page is not None and not self._bloom.has_all(page.ids):
            self.removable = False

    def note_end_unseen(self) -> None:
        """What stands behind the last page was asked for and did not come: nothing is gone for not being met."""
        self.is_end_unseen, self.removable = True, False

    def surely_all_old(self, page: SortedPage) -> bool:
        """The same without a look in the database, of which there is none in a dry run or a delta; true is as good as
        certain, since so many ids do not hit known places by chance."""
        return len(page.ids) >= SURE_FROM_IDS and self._bloom.has_all(page.ids)

    @property
    def is_proof(self) -> bool:
        """Whether the ids met prove that others are gone: for all that shows, the list did not move meanwhile."""
        return self.removable and not self.may_have_moved

    @property
    def may_have_moved(self) -> bool:
        """Whether the list may have gained a record and lost another, though no total says so.

        It keeps its total then, but what stood behind the lost one moved past the reader. The gain shows: a record that
        is new to us and may have been created after the reading began.
        """
        if self._first_total is None or self.paging.total is None or self.came_at_once:
            return False
        return self._born > self.paging.total - self._first_total

    @property
    def came_at_once(self) -> bool:
        """Whether the whole list was one answer: nothing could move under its reader."""
        return self.first_page == 1 and self._pages_read == 1

    def _born_on(self, page: SortedPage) -> tuple[int, ...]:
        """Where on the page those records stand that may be younger than the reading.

        One that does not say when it was created may be; but not of a list that is read for the first time, where every
        record is new to us.
        """
        if self._began is None or self._newest_first is not None:
            return ()
        return page.may_be_born_after(self._began, without_stamp=not self._is_first)

    def wrote(self, born: int) -> None:
        """A page was written, with so many new records that may have been created after the reading began."""
        self._born += born

    def note(self, page: SortedPage, *, again: bool = False) -> None:
        """The page has been looked at: its ids were met. ``again``: so it was before."""
        self._pages_read += again
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
            see_ids=self.sees_ids or self.is_asked,
            removable=self.removable,
            again=again,
            began_at=self._began,
            first_total=self._first_total,
            newborn=self._born_on(page),
        )


def _started_at(pass_: Row | None) -> datetime | None:
    return pass_["started_at"] if pass_ else None


def _begun(ours: datetime, vendors: datetime) -> datetime:
    """When a reading began, by the clock that its records are stamped by where that is behind ours.

    A little behind is none: ``Date`` tells whole seconds.
    """
    return vendors if ours - vendors > DATE_TELLS else max(ours, vendors)


class Bloom:
    """Which ids were surely not met before, in eight megabytes whatever the list's length.

    A false "perhaps" costs one exact look in the database; a "no" is always right. A byte for each place: setting a bit
    in it took twice as long, for every record of a list.
    """

    PLACES = 1 << 23

    def __init__(self) -> None:
        self._met = bytearray(self.PLACES)

    def add(self, ids: Iterable[str]) -> None:
        """Remember these."""
        met, within = self._met, self.PLACES - 1
        for id_ in ids:
            met[hash(id_) & within] = 1

    def count(self, ids: Iterable[str]) -> int:
        """How many of these may have been met."""
        return sum(self._met[hash(id_) & (self.PLACES - 1)] for id_ in ids)

    def has_all(self, ids: Iterable[str]) -> bool:
        """Whether each of these may have been met."""
        return all(self._met[hash(id_) & (self.PLACES - 1)] for id_ in ids)
