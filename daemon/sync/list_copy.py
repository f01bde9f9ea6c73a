"""Copies one list page by page, in order: the next pages are fetched ahead, those that have come are written behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import structlog

from common.errors import DatabaseAway, EntityRefused, PagesUnreliable, TransientFault
from common.excerpt import name_in_words, value_in_words
from common.rules.paging import Paging
from common.rules.schema_diff import Mapped, Wording, schema_diff
from common.store import leases, passes, runs
from common.store.database import Database
from common.store.leases import Lease
from daemon.integrations.base import Connector, Entity, Page, PageRequest
from daemon.sync.bookmark import UPDATED
from daemon.sync.convert import readable
from daemon.sync.delta_report import DeltaReport
from daemon.sync.fetch_ahead import FetchAhead, PagedList
from daemon.sync.order_proof import OrderProof
from daemon.sync.reading import Reading
from daemon.sync.reporter import RunReporter
from daemon.sync.sorting import SortedPage, Sorter
from daemon.sync.work import PageCount, Work
from daemon.sync.write_behind import WriteBehind
from daemon.sync.writer import PageWriter

log = structlog.get_logger("run")
SHAPE_SAMPLE = 100
ROWS_TOGETHER = 4000
ROWS_AHEAD = 5000

Fetch = Callable[[int], SortedPage]


def pages_together(page_size: int) -> int:
    """How many pages are written together when they are there: small ones share the cost of a transaction."""
    return max(1, ROWS_TOGETHER // page_size)


def pages_ahead(page_size: int, connections: int) -> int:
    """How many more pages than connections may be asked for and not yet be written; less than none for large pages.

    Ten of a thousand records each, taken apart, were 60 MB.
    """
    return min(pages_together(page_size), ROWS_AHEAD // page_size - connections)


class OrderBroken(Exception):
    """The list is not newest first; read it whole. ``code``: of the warning that says so."""

    def __init__(self, code: str = "ORDER_NOT_PROVEN") -> None:
        self.code = code
        super().__init__(code)


class EntityWarnings:
    """The warnings of an entity, told as they arise."""

    def __init__(self, reporter: RunReporter, entity: str) -> None:
        self._reporter = reporter
        self._entity = entity
        self.all: list[dict[str, Any]] = []

    def add(self, code: str, **facts: Any) -> None:
        """Another one."""
        self.all.append(self._reporter.warn(code, **{"entity": self._entity, **facts}))

    def once(self, code: str, **facts: Any) -> None:
        """The same, unless one of this code is there."""
        if not any(warning["code"] == code for warning in self.all):
            self.add(code, **facts)


class ListCopy:
    """One entity's list. ``last_page``, ``inserted``, ``dead`` and ``dead_new`` are of what has been written.

    ``met_twice``: how many rows were written before the list was begun anew, and are met again as unchanged.
    ``delta``: what a dry run would change is noted there; None when it is none.
    """

    def __init__(
        self,
        *,
        database: Database,
        connector: Connector,
        entity: Entity,
        lease: Lease,
        fetcher: FetchAhead,
        sorter: Sorter,
        writer: PageWriter,
        reporter: RunReporter,
        delta: DeltaReport | None,
    ) -> None:
        self._database = database
        self._connector = connector
        self._entity = entity
        self._lease = lease
        self._fetcher = fetcher
        self._sorter = sorter
        self._behind = WriteBehind(writer, self._tell_of_wait)
        self._writer = writer
        self._reporter = reporter
        self.warnings = EntityWarnings(reporter, entity.name)
        self.delta = delta
        self.page_size = connector.page_size
        self._together = pages_together(connector.page_size)
        self.last_page = self.inserted = self.dead = self.dead_new = self.met_twice = 0
        self._needed: int | None = None
        """The last page that the list's total makes expect; None: whatever is asked for is needed."""

    def close(self) -> None:
        """No more pages."""
        self._behind.close()

    def count_anew(self) -> None:
        """The list is read from its beginning once more: what is met counts anew, what was written stays."""
        with self._database.transaction(self._lease.writer_name) as link:
            keeps_written = self.delta is None
            written = runs.count_anew(link, self._lease.run_id, self._entity.name, keeps_written=keeps_written)
            leases.fence(link, self._lease)
        self.dead, self.met_twice = 0, written
        if self.delta is not None:
            self.inserted = 0
            self.delta.forget()

    def expect_changes(self) -> None:
        """Nothing of the list is here yet: have its first pages, too, converted while they come."""
        self._sorter.expects_changes = True

    def fetch(self, sort_by: str) -> Fetch:
        """A function that fetches a page by its number and takes it apart, in the thread that calls it."""
        list_ = self._paged(sort_by)
        return lambda number: list_.sort(list_.fetch(number, lambda: True))

    def _paged(self, sort_by: str) -> PagedList:
        def fetch(number: int, wanted: Callable[[], bool]) -> Page:
            descending = sort_by == UPDATED

            def tries_again() -> bool:  # a page that is asked for out of doubt only is tried once
                return wanted() and (self._needed is None or number <= self._needed)

            request = PageRequest(
                self._entity, number, self.page_size, sort_by, descending=descending, wanted=tries_again
            )
            return self._connector.page(request)

        return PagedList(fetch, self._sorter.sort)

    def copy(self, reading: Reading, sort_by: str, before: SortedPage | None) -> SortedPage:
        """Every page in order; returns the last, when all are written. ``before``: the page before the first.

        Raises ``PagesUnreliable``, ``OrderBroken``, or what fetching or writing raised; what came before is written.
        """
        try:
            last = self._copy(reading, sort_by, before)
            proof = OrderProof(self._database, self._connector, self._entity, self._lease)
            fault = proof.fault(reading, would_insert=self.inserted if self.delta is not None else 0)
            if fault is not None:
                raise OrderBroken(fault)
            return last
        except BaseException:
            self._fetcher.drop()
            self._settle(reading)  # what was under way counts, and its own failure weighs more
            raise

    def write(self, reading: Reading, works: Sequence[Work]) -> None:
        """Write these pages, and wait for it."""
        self._settle(reading)
        if works:
            self._behind.begin(works)
            self._settle(reading)

    def pages_again(self, sort_by: str) -> Iterator[SortedPage]:
        """The list's pages once more, for their ids: nothing is written. Raises as ``copy`` does."""
        paging, number, rows, self._needed = Paging(), 1, 0, None
        self._sorter.expects_changes = False
        self._fetcher.begin(self._paged(sort_by), number)
        self._fetcher.ask(number, None)
        try:
            while True:
                page = self._fetcher.take(number)
                paging.observe(number, page.ids, page.rows, page.page.total)
                yield page
                rows += page.rows
                is_short = bool(page.rows) and rows < (paging.total or 0)  # so was the first reading's, and it went on
                if paging.is_last(number, page.rows) and not is_short:
                    return
                number += 1
                self._fetcher.ask(number, paging.pages_expected)
        finally:
            self._fetcher.drop()  # it may be left early

    def _copy(self, reading: Reading, sort_by: str, before: SortedPage | None) -> SortedPage:
        self._needed = None
        self._fetcher.begin(self._paged(sort_by), reading.first_page)
        if before is not None and reading.ended_at(before) and not self._goes_on(reading, before):
            return before  # it ended between its last page and its end
        number = reading.first_page
        self._fetcher.ask(number, None)
        waiting: list[Work] = []
        while True:
            if not self._fetcher.is_there(number):
                self._settle(reading)  # nothing else to do
            page = self._fetcher.take(number)
            last = self._look_at(reading, page, waiting)
            if number == reading.first_page and self.delta is None:
                self._note_shape(page.page)
            waiting.append(Work(page, reading.checkpoint(page)))
            if last or len(waiting) >= self._together or not self._fetcher.is_there(number + 1):
                self._settle(reading, leaving=1)
                self._behind.begin(waiting)
                waiting = []
            if last:
                self._settle(reading)
                if not self._goes_on(reading, page):
                    return page
            number += 1

    def _look_at(self, reading: Reading, page: SortedPage, waiting: list[Work]) -> bool:
        """Take a page in and have the next ones fetched; true when it is the last one needed."""
        try:
            last = reading.observe(page)
            expected = reading.paging.pages_expected
            self._needed = expected if last or expected is None else max(expected, page.number + 1)
            if reading.ahead is not None:
                stamp, record_id = reading.ahead
                self.warnings.once("STAMP_AHEAD", stamp=f"{stamp:%Y-%m-%d %H:%M} UTC", id=record_id)
            if reading.order_broken:
                raise OrderBroken
            if not last:
                self._fetcher.ask(page.number + 1, reading.look_ahead_to(page.number + 1))
            self._check_new_ids(reading, page, waiting)
        except (PagesUnreliable, OrderBroken):
            self.write(reading, waiting)  # what came before it is good
            raise
        reading.note(page)
        return last

    def _goes_on(self, reading: Reading, page: SortedPage) -> bool:
        """Whether new records stand behind the last page, looked at when that is full or the list tells no total.

        A total that is too small by whole pages would pass for a complete list, and prove that the rest is gone;
        without one, a page cut short would. Raises ``PagesUnreliable`` when they stand behind an empty page.
        """
        if not reading.is_open_ended(page):
            return False
        self._needed = reading.paging.pages_expected if reading.has_all_counted else None
        self._fetcher.ask(page.number + 1, None)
        try:
            beyond = self._fetcher.look_at(page.number + 1)
            self._check_new_ids(reading, beyond, [])
        except (EntityRefused, PagesUnreliable):
            # Asked for out of doubt only: to some vendors a page behind the end is a mistake, others show their whole
            # list, or its last page, whatever page is asked for.
            reading.note_behind(None)
            return False
        except TransientFault as fault:
            if not reading.has_all_counted:
                raise
            reading.note_end_unseen()
            self.warnings.add("END_NOT_SEEN", page=page.number + 1, why=fault.code)
            return False
        if not beyond.ids or reading.is_mostly_old(beyond):  # so does this one, and a record was added meanwhile
            reading.note_behind(beyond)
            return False
        if not page.rows:
            raise PagesUnreliable("EMPTY_PAGE_EARLY", page=page.number, pages=f"at least {beyond.number}")
        return True

    def _check_new_ids(self, reading: Reading, page: SortedPage, waiting: list[Work]) -> None:
        """A page made of records of earlier pages: the vendor's paging cannot be trusted."""
        if page.number == 1 or not reading.may_be_all_old(page):
            return
        if reading.pass_id is None or not reading.sees_ids:
            if reading.surely_all_old(page):
                raise PagesUnreliable("NO_NEW_IDS", page=page.number)
            return
        works, waiting[:] = list(waiting), []
        self.write(reading, works)
        with self._database.transaction(self._lease.writer_name) as link:
            unseen = passes.count_unseen(link, reading.pass_id, page.number, list(page.ids))
        if page.ids and unseen == 0:
            raise PagesUnreliable("NO_NEW_IDS", page=page.number)

    def _note_shape(self, page: Page) -> None:
        """Compare the keys and types of this page's records with the table's columns; never changes a table.

        It is telemetry: whatever the records hold, it costs a line in the log and never the entity.
        """
        columns = [Mapped(c.name, c.kind, c.sources, c.sensitive) for c in self._entity.columns]
        try:
            sample = [readable(record) for record in page.records[:SHAPE_SAMPLE]]
            diff = schema_diff(sample, columns, Wording(name_in_words, value_in_words))
            with self._database.transaction(self._lease.writer_name) as link:
                passes.store_shape(link, self._lease, self._entity.name, len(sample), diff)
        except DatabaseAway:  # and a lost lease, which is one
            raise
        except Exception:
            log.exception("the shape of a sample is not noted", entity=self._entity.name, run=self._lease.run_id)

    def _settle(self, reading: Reading, *, leaving: int = 0) -> None:
        """Wait for the pages under way, but for so many batches, and take in what they did. Raises what ended them."""
        written, error = self._behind.settle(leaving=leaving)
        for work, count in written:
            self._note_written(reading, work, count)
        if error is not None:
            raise error

    def _tell_of_wait(self, seconds: float) -> None:
        self._reporter.waits_for_database(self._entity.name, seconds, self._writer.waits_because)

    def _note_written(self, reading: Reading, work: Work, count: PageCount) -> None:
        page = work.page
        if self.delta is not None:
            self.delta.note(page)
        self.last_page = page.number
        reading.wrote(count.born)
        self.inserted += count.inserted
        self.dead += count.dead
        self.dead_new += count.dead_new
        self._sorter.expects_changes = 2 * count.changed > page.rows
        self._reporter.page(
            self._entity.name,
            page.number,
            work.checkpoint.pages_expected,
            rows=count.received,
            changed=count.changed,
            dead=count.dead,
            again=work.checkpoint.again,
            rate=page.page.rate,
        )
        if page.duplicates:
            self.warnings.once("DUPLICATE_IDS", page=page.number, count=page.duplicates)
        if page.page.repeated_key is not None:
            self.warnings.add("DUPLICATE_KEYS", field=name_in_words(page.page.repeated_key))
        if self._sorter.met_credential:
            self.warnings.once("CREDENTIAL_IN_RECORD")
        if page.page.total is None:
            code = "BARE_ARRAY" if page.page.bare_array else "TOTAL_UNUSABLE"
            self.warnings.once(code, path=self._entity.path)
