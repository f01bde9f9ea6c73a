"""Reads one entity from its first page (or where an earlier run stopped) to its last, and settles what that proves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog

from common.errors import DatabaseAway, EntityRefused, IccError, PagesUnreliable, TransientFault
from common.excerpt import name_in_words, value_in_words
from common.rules.order import NewestFirst
from common.rules.schema_diff import Mapped, Wording, schema_diff
from common.states import EntityState
from common.store import leases, passes, runs
from common.store.database import Database
from common.store.leases import Lease
from daemon.integrations.base import Connector, Entity, Page, PageRequest
from daemon.sync.bookmark import CREATED, UPDATED, Bookmark, Order
from daemon.sync.convert import readable
from daemon.sync.delta_report import DeltaReport
from daemon.sync.fetch_ahead import FetchAhead
from daemon.sync.patient import Patient
from daemon.sync.proving import Proving
from daemon.sync.reading import Reading
from daemon.sync.reconcile import Settled
from daemon.sync.reporter import RunReporter
from daemon.sync.sorting import SortedPage, Sorter
from daemon.sync.work import Work
from daemon.sync.writer import PageWriter

log = structlog.get_logger("run")
SHAPE_SAMPLE = 100
ROWS_TOGETHER = 1000


@dataclass
class EntityOutcome:
    """What became of an entity."""

    entity: str
    state: EntityState
    dead_new: int = 0
    error: dict[str, Any] | None = None
    warnings: list[dict[str, Any]] = field(default_factory=list)


def pages_together(page_size: int) -> int:
    """How many pages are written together when they are there: small ones share the cost of a transaction."""
    return max(1, ROWS_TOGETHER // page_size)


class _OrderBroken(Exception):
    """The list is not newest first; read it whole."""


class EntityReading:
    """One entity of one run."""

    def __init__(
        self,
        *,
        database: Database,
        connector: Connector,
        entity: Entity,
        lease: Lease,
        order: Order,
        fetcher: FetchAhead,
        sorter: Sorter,
        writer: PageWriter,
        reporter: RunReporter,
        patient: Patient,
    ) -> None:
        self._database = database
        self._connector = connector
        self._entity = entity
        self._lease = lease
        self._order = order
        self._fetcher = fetcher
        self._sorter = sorter
        self._writer = writer
        self._reporter = reporter
        self._patient = patient
        self._delta = DeltaReport(database, lease, entity) if order.dry_run else None
        self._bookmark = Bookmark(database, lease, entity, order, page_size=connector.page_size)
        self._together = pages_together(connector.page_size)
        self._warnings: list[dict[str, Any]] = []
        self._proof = Proving(writer, lease, entity, removes=order.mode == "backfill")
        self._dead = self._dead_new = self._last_page = 0

    def run(self) -> EntityOutcome:
        """Read the entity. ``StopRequested``, ``Deferred``, ``LeaseLost`` and ``RunFault`` pass through to the run."""
        self._reporter.event("info", "entity_started", f"reading {self._entity.name}", entity=self._entity.name)
        try:
            # While the database is away, and then on from the checkpoint, as a next run would. A dry run has none.
            settled = self._read() if self._order.dry_run else self._patient(self._read)
        except PagesUnreliable as error:
            return self._ended(EntityState.PARTIAL, error)
        except TransientFault as error:
            return self._ended(EntityState.PARTIAL if self._last_page else EntityState.FAILED, error)
        except EntityRefused as error:
            return self._ended(EntityState.FORBIDDEN if error.code == "ROLE_FORBIDDEN" else EntityState.FAILED, error)
        if settled.asked is not None:
            missing, here = settled.asked
            error_ = PagesUnreliable("MASS_REMOVAL", missing=missing, here=here, entity=self._entity.name)
            return self._ended(EntityState.PARTIAL, error_)
        return self._ended(EntityState.COMPLETE, None, settled.removed)

    def _read(self) -> Settled:
        with self._database.transaction(self._lease.writer_name) as link:
            runs.begin_entity(link, self._lease.run_id, self._entity.name)
            leases.fence(link, self._lease)
        watermark = self._watermark()
        if watermark is not None:
            try:
                return self._read_list(UPDATED, NewestFirst(watermark))
            except _OrderBroken:
                self._warn("ORDER_NOT_PROVEN")
                self._bookmark.drop()
        return self._read_list(CREATED, None)

    def _watermark(self) -> datetime | None:
        """The watermark of a delta that may read newest first; None when the whole list is to be read."""
        if self._order.mode != "delta" or self._bookmark.is_in_whole_list(CREATED):
            return None
        with self._database.transaction() as link:
            return passes.watermark(link, self._lease, self._entity.name)

    def _read_list(self, sort_by: str, newest_first: NewestFirst | None) -> Settled:
        place = self._bookmark.find(sort_by, self._fetch(sort_by))
        if place.restarted is not None:
            self._warn("PASS_RESTARTED", why=place.restarted)
        with self._database.transaction(self._lease.writer_name) as link:
            resumed = place.page if place.page > 1 else None
            pass_id = place.pass_["id"] if place.pass_ else None
            runs.start_entity(link, self._lease.run_id, self._entity.name, pass_id=pass_id, resumed_at_page=resumed)
            leases.fence(link, self._lease)
        if resumed:
            self._reporter.event(
                "info", "resumed", f"{self._entity.name}: going on at page {resumed}", entity=self._entity.name
            )
        reading = Reading(
            place.pass_,
            first_page=place.page,
            newest_first=newest_first,
            sees_ids=newest_first is None,
            page_size=self._connector.page_size,
        )
        if resumed and reading.sees_ids and reading.pass_id is not None:
            with self._database.transaction() as link:
                for ids in passes.stream_seen(link, reading.pass_id):
                    reading.remember(ids)
        page = self._pages(reading, sort_by)
        return self._settle(reading, page, sort_by)

    def _pages(self, reading: Reading, sort_by: str) -> SortedPage:
        """Every page in order, the next ones fetched while these are written; returns the last."""
        fetch = self._fetch(sort_by)
        self._fetcher.begin(reading.first_page)
        number = reading.first_page
        self._fetcher.ask(fetch, number, None)
        waiting: list[Work] = []
        while True:
            page = self._fetcher.take(number)
            if number == reading.first_page and not self._order.dry_run:
                self._note_shape(page.page)
            last = self._look_at(reading, page, fetch, waiting)
            waiting.append(Work(page, reading.checkpoint(page)))
            if last or len(waiting) >= self._together or not self._fetcher.is_there(number + 1):
                self._write(reading, waiting)
                waiting = []
            if last and not self._goes_on(reading, page, fetch):
                return page
            number += 1
            if last:
                self._fetcher.ask(fetch, number, None)

    def _look_at(
        self, reading: Reading, page: SortedPage, fetch: Callable[[int], SortedPage], waiting: list[Work]
    ) -> bool:
        """Take a page in and have the next ones fetched; true when it is the last one needed."""
        try:
            last = reading.observe(page)
            if reading.ahead is not None:
                stamp, record_id = reading.ahead
                self._warn_once("STAMP_AHEAD", stamp=f"{stamp:%Y-%m-%d %H:%M} UTC", id=record_id)
            if reading.order_broken:
                raise _OrderBroken
            if not last:
                self._fetcher.ask(fetch, page.number + 1, reading.look_ahead_to(page.number + 1))
            self._check_new_ids(reading, page, waiting)
        except (PagesUnreliable, _OrderBroken):
            self._write(reading, waiting)  # what came before it is good
            raise
        reading.note(page)
        return last

    def _goes_on(self, reading: Reading, page: SortedPage, fetch: Callable[[int], SortedPage]) -> bool:
        """Whether new records stand behind the last page, looked at when that is full or the list tells no total.

        A total that is too small by whole pages would pass for a complete list, and prove that the rest is gone;
        without one, a page cut short would. Raises ``PagesUnreliable`` when they stand behind an empty page.
        """
        if not reading.is_open_ended(page):
            return False
        beyond = fetch(page.number + 1)
        try:
            self._check_new_ids(reading, beyond, [])
        except PagesUnreliable:  # a vendor that shows its whole list, or its last page, whatever page is asked for
            return False
        if beyond.ids and not page.rows:
            raise PagesUnreliable("EMPTY_PAGE_EARLY", page=page.number, pages=f"at least {beyond.number}")
        return bool(beyond.ids)

    def _note_shape(self, page: Page) -> None:
        """Compare the keys and types of this page's records with the table's columns; never changes a table.

        It is telemetry: whatever the records hold, it costs a line in the log and never the entity.
        """
        columns = [Mapped(c.name, c.kind, c.sources, c.sensitive) for c in self._entity.columns]
        try:
            sample = [readable(record) for record in page.records[:SHAPE_SAMPLE]]
            diff = schema_diff(sample, columns, Wording(name_in_words, value_in_words))
            with self._database.transaction() as link:
                passes.store_shape(link, self._lease, self._entity.name, len(sample), diff)
        except DatabaseAway:  # and a lost lease, which is one
            raise
        except Exception:
            log.exception("the shape of a sample is not noted", entity=self._entity.name, run=self._lease.run_id)

    def _fetch(self, sort_by: str) -> Callable[[int], SortedPage]:
        size = self._connector.page_size

        def fetch(number: int) -> SortedPage:
            request = PageRequest(self._entity, number, size, sort_by, descending=sort_by == UPDATED)
            return self._sorter.sort(self._connector.page(request))

        return fetch

    def _check_new_ids(self, reading: Reading, page: SortedPage, waiting: list[Work]) -> None:
        """A page made of records of earlier pages: the vendor's paging cannot be trusted."""
        if page.number == 1 or not reading.may_be_all_old(page):
            return
        if reading.pass_id is None or not reading.sees_ids:
            if reading.surely_all_old(page):
                raise PagesUnreliable("NO_NEW_IDS", page=page.number)
            return
        self._write(reading, waiting)
        waiting.clear()
        with self._database.transaction() as link:
            unseen = passes.count_unseen(link, reading.pass_id, page.number, list(page.ids))
        if page.ids and unseen == 0:
            raise PagesUnreliable("NO_NEW_IDS", page=page.number)

    def _write(self, reading: Reading, works: Sequence[Work]) -> None:
        for work, count in self._writer.write(works):
            page = work.page
            if self._delta is not None:
                self._delta.note(page)
            self._last_page = page.number
            reading.wrote(page, count.inserted)
            self._dead += count.dead
            self._dead_new += count.dead_new
            self._sorter.expects_changes = 2 * count.changed > page.rows
            self._reporter.page(
                self._entity.name,
                page.number,
                work.checkpoint.pages_expected,
                rows=page.rows,
                changed=count.changed,
                dead=count.dead,
            )
            if page.page.repeated_key is not None:
                self._warn("DUPLICATE_KEYS", field=name_in_words(page.page.repeated_key))
            if page.page.total is None:
                self._warn_once("BARE_ARRAY" if page.page.bare_array else "TOTAL_UNUSABLE", path=self._entity.path)

    def _settle(self, reading: Reading, last: SortedPage, sort_by: str) -> Settled:
        settled = self._proof.of(reading, may_read_again=True)
        if settled is None:
            # A moving list: read its last page once more, then take what there is.
            page = self._fetch(sort_by)(last.number)
            if page.rows:
                told = page.page.total
                reading.paging.total = reading.paging.total if told is None else told
                self._note_again(reading, page)
            settled = self._proof.of(reading, may_read_again=False)
            assert settled is not None
        if settled.drift is not None:
            ids, total = settled.drift
            self._warn("COUNT_DRIFT", ids=ids, total=total)
        if reading.shrank:
            self._warn("LIST_SHRANK")
        return settled

    def _note_again(self, reading: Reading, page: SortedPage) -> None:
        reading.note(page)
        if reading.pass_id is not None:  # of a dry run its records were counted when it came first
            self._write(reading, [Work(page, reading.checkpoint(page, again=True))])

    # --- the end

    def _ended(self, state: EntityState, error: IccError | None, removed: int = 0) -> EntityOutcome:
        name = self._entity.name
        record = error.as_record() if error else None
        if self._dead and not self._dead_new and not self._order.dry_run:
            self._warn("KNOWN_DEAD_LETTERS", count=self._dead)

        def finish() -> None:
            with self._database.transaction(self._lease.writer_name) as link:
                runs.finish_entity(
                    link, self._lease.run_id, name, state=state, error=record, warnings=self._warnings, removed=removed
                )
                if self._delta is not None:
                    self._delta.store(link)
                leases.fence(link, self._lease)

        self._patient(finish)
        if error is not None:
            self._reporter.trouble(error, level="error" if state is not EntityState.PARTIAL else "warn", entity=name)
        gone = f", {removed} marked removed" if removed else ""
        self._reporter.event("info", "entity_finished", f"{name}: {state}{gone}", entity=name)
        return EntityOutcome(name, state, self._dead_new, record, self._warnings)

    def _warn_once(self, code: str, **facts: Any) -> None:
        if not any(warning["code"] == code for warning in self._warnings):
            self._warn(code, **facts)

    def _warn(self, code: str, **facts: Any) -> None:
        facts = {"entity": self._entity.name, **facts}
        self._warnings.append(self._reporter.warn(code, **facts))
