"""Reads the records of letters by one pass over the list, with the guards that every reading of a list has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from common.clock import Clock
from common.errors import BadRecord, EntityRefused, PagesUnreliable
from common.rules.paging import ALL_BAD_FROM, Paging
from common.rules.requeue import ListPlace, askable
from common.store.bulk_actions import Waiting
from daemon.integrations.base import Connector, Entity, Page, PageRequest
from daemon.sync.convert import readable, usable_id
from daemon.sync.letters import letter_of
from daemon.sync.reading import Reading
from daemon.sync.reconcile import drift_of
from daemon.sync.requeue_letters import RequeuedLetters
from daemon.sync.sorting import SortedPage

SORT = "createdAt"


@dataclass(frozen=True)
class PassEnd:
    """What a pass left. ``is_whole``: every page came and none moved, so that what it did not meet is not in the list.

    ``shown``: the id of a record that it met.
    """

    unmet: tuple[Waiting, ...]
    is_whole: bool
    pages: int
    shown: str | None


class ListPass:
    """One pass over an entity's list from a place on, until all its letters are met or the list ends."""

    def __init__(
        self,
        letters: RequeuedLetters,
        connector: Connector,
        entity: Entity,
        clock: Clock,
        waiting: Sequence[Waiting],
        *,
        place: ListPlace,
    ) -> None:
        self._letters = letters
        self._connector = connector
        self._entity = entity
        self._clock = clock
        self._missing = {letter.record_id or letter.payload_hash: letter for letter in waiting}
        self._first_page = first = place.next_page
        self._reading = Reading(None, first_page=first, newest_first=None, sees_ids=True, page_size=connector.page_size)
        if first > 1:
            self._reading.paging = Paging(rows_per_page=place.rows_per_page, total=place.total)
            self._reading.removable = False
        self._began = clock.now()
        self._last: SortedPage | None = None
        self._ended = False
        self._rows_without_id = 0
        self._shown: str | None = None

    @property
    def unmet(self) -> list[Waiting]:
        """The letters that it has not met yet."""
        return list(self._missing.values())

    @property
    def pages_left(self) -> int | None:
        """How many pages are still to be read; None when the list does not say."""
        if self._last is not None and self._ended:
            return int(self._reading.is_open_ended(self._last))
        expected = self._reading.paging.pages_expected
        return None if expected is None or self._last is None else expected - self._last.number

    def read_first(self) -> None:
        """Its first page, which tells how long the list is."""
        self._take(self._fetch(self._first_page))

    def read(self) -> PassEnd:
        """The rest of it. Raises ``PagesUnreliable``, or ``EntityRefused`` where no record of the list has an id."""
        if self._last is None:
            self.read_first()
        page = self._next() if self._missing else None
        while page is not None:
            self._take(page)
            page = self._next() if self._missing else None
        assert self._last is not None
        self._letters.steps_before += self._last.number
        return PassEnd(tuple(self._missing.values()), self._is_whole, self._last.number, self._shown)

    @property
    def _is_whole(self) -> bool:
        """As many different records as the list counts, which neither lost any meanwhile nor gained any for others."""
        total, met = self._reading.paging.total, self._reading.met_in_dry_run
        assert met is not None
        if total is None:
            return False
        return drift_of(len(set(met)), total, removable=self._reading.is_proof) is None

    def _fetch(self, number: int) -> Page:
        self._letters.may_ask()
        return self._connector.page(_request(self._connector, self._entity, number))

    def _next(self) -> Page | None:
        """The page after the last one; None when the list has ended, which the vendor's total alone does not prove."""
        last = self._last
        assert last is not None
        if self._ended and not self._reading.is_open_ended(last):
            return None
        following = self._fetch(last.number + 1)
        if not self._ended:
            return following
        beyond = _sorted(following, [readable(record) for record in following.records])
        if not beyond.rows or self._is_old(beyond):
            return None
        if not last.rows:
            raise PagesUnreliable("EMPTY_PAGE_EARLY", page=last.number, pages=f"at least {beyond.number}")
        return following

    def _take(self, page: Page) -> None:
        """Look at a page as any run does, settle the letters whose records stand on it, and go no further than that."""
        fetched_at = self._clock.now()
        found = [readable(record) for record in page.records]
        sorted_page = _sorted(page, found)
        if self._last is None:
            self._began = min(self._began, page.answered_at)
        self._ended = self._reading.observe(sorted_page)
        if self._last is not None and sorted_page.rows and self._is_old(sorted_page):
            raise PagesUnreliable("NO_NEW_IDS", page=page.number)
        self._reading.note(sorted_page)
        self._reading.wrote(self._born_among(page, found))
        self._last = sorted_page
        self._settle_page(page.number, found, fetched_at)
        self._note_ids(page.number, found)

    def _is_old(self, page: SortedPage) -> bool:
        """Whether every record of the page was met before; looked at exactly where the quick look says perhaps."""
        met = self._reading.met_in_dry_run
        assert met is not None
        return self._reading.may_be_all_old(page) and all(hash(key) in met for key in page.ids)

    def _born_among(self, page: Page, found: Sequence[Any]) -> int:
        """How many may have been created since the pass began; a letter's record was there before.

        One that does not say when it was created may be: when in doubt, nothing is gone.
        """
        strangers = [record for record in found if _key(record) not in self._missing]
        births = tuple(record.get("createdAt") if isinstance(record, dict) else None for record in strangers)
        taken = SortedPage(page, (), (), (), 0, (), births)
        return len(taken.may_be_born_after(self._began, without_stamp=True))

    def _note_ids(self, number: int, found: Sequence[Any]) -> None:
        """Refuse a list without ids as any run does: it would never end where its contents change."""
        ids = list(filter(None, map(usable_id, found)))
        self._shown = next(filter(askable, ids), self._shown)
        self._rows_without_id = 0 if ids else self._rows_without_id + len(found)
        if self._rows_without_id >= ALL_BAD_FROM:
            raise EntityRefused("ALL_RECORDS_BAD", count=self._rows_without_id, page=number)

    def _settle_page(self, number: int, found: Sequence[Any], fetched_at: datetime) -> None:
        """The letters whose records stand on this page; they leave ``_missing`` when that is committed."""
        here = {key: record for key, record in zip(map(_key, found), found, strict=True) if key in self._missing}
        paging = self._reading.paging
        place = ListPlace(number + 1, paging.total, paging.rows_per_page)
        with self._letters.writing() as link:
            settled = {
                key: self._letters.settle(link, self._missing[key], record, fetched_at, page=number)
                for key, record in here.items()
            }
            self._letters.note_met(link, number, list(filter(None, map(usable_id, found))))
            self._letters.note_place(link, {**asked_of(self._connector, self._entity), **asdict(place)})
            self._letters.count(link, page=number, pages_expected=paging.pages_expected)
        for key, settling in settled.items():
            self._letters.tell(self._missing.pop(key), settling)


def asked_of(connector: Connector, entity: Entity) -> Mapping[str, Any]:
    """What a page number means only together with: another size, order or filter puts other records on that page."""
    return {"page_size": connector.page_size, "sort": SORT, "filters": dict(entity.filters)}


def _request(connector: Connector, entity: Entity, number: int) -> PageRequest:
    return PageRequest(entity, number, connector.page_size, SORT, descending=False)


def _key(record: Any) -> str:
    """What a letter knows its record by: its id, else the hash of its content."""
    return usable_id(record) or letter_of(record, BadRecord("RECORD_WITHOUT_ID")).payload_hash


def _sorted(page: Page, found: Sequence[Any]) -> SortedPage:
    """A page as a reading takes it, with a record's hash in place of an id that it does not have."""
    return SortedPage(page, (), (), tuple(dict.fromkeys(map(_key, found))), 0, (), ())
