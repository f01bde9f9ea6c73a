"""Reads one entity from its first page (or where an earlier run stopped) to its last, and settles what that proves."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from common.errors import BreakerHolds, Deferred, EntityRefused, IccError, PagesUnreliable, TransientFault
from common.rules.order import NewestFirst
from common.states import EntityState
from common.store import accounts, commands, leases, passes, runs
from common.store.database import Database
from common.store.leases import Lease
from daemon.integrations.base import Entity
from daemon.sync.bookmark import CREATED, UPDATED, Bookmark, Order, Place
from daemon.sync.list_copy import ListCopy, OrderBroken
from daemon.sync.patient import Patient, TakenBack
from daemon.sync.proving import Proving
from daemon.sync.reading import Reading
from daemon.sync.reconcile import Settled
from daemon.sync.reporter import RunReporter
from daemon.sync.second_look import SecondLook
from daemon.sync.sorting import SortedPage
from daemon.sync.work import Work
from daemon.sync.writer import PageWriter

MANY_NEW_ROWS = 10_000
MOST_LOOKS = 4


@dataclass
class EntityOutcome:
    """What became of an entity."""

    entity: str
    state: EntityState
    dead_new: int = 0
    error: dict[str, Any] | None = None
    warnings: list[dict[str, Any]] = field(default_factory=list)


class EntityReading:
    """One entity of one run."""

    def __init__(
        self,
        copy: ListCopy,
        *,
        database: Database,
        entity: Entity,
        lease: Lease,
        order: Order,
        writer: PageWriter,
        reporter: RunReporter,
        patient: Patient,
    ) -> None:
        self._copy = copy
        self._database = database
        self._entity = entity
        self._lease = lease
        self._order = order
        self._writer = writer
        self._reporter = reporter
        self._patient = patient
        self._warnings = copy.warnings
        self._bookmark = Bookmark(database, lease, entity, order, page_size=copy.page_size)
        self._proof = Proving(writer, lease, entity, removes=order.mode == "backfill")

    def run(self) -> EntityOutcome:
        """Read the entity. ``StopRequested``, ``Deferred``, ``LeaseLost`` and ``RunFault`` pass through to the run."""
        try:
            return self._outcome()
        finally:
            self._copy.close()

    def _outcome(self) -> EntityOutcome:
        self._reporter.event("info", "entity_started", f"reading {self._entity.name}", entity=self._entity.name)
        try:
            # While the database is away, and then on from the checkpoint, as a next run would. A dry run has none.
            settled = self._read() if self._order.dry_run else self._patient(self._read, progress=self._progress)
        except PagesUnreliable as error:
            # A list that contradicts itself leads nowhere: gone on with, one page that came wrong once ended every run
            # of a day at the same place.
            self._patient(self._bookmark.drop)
            return self._ended(EntityState.PARTIAL, error)
        except TransientFault as error:
            return self._ended(EntityState.PARTIAL if self._copy.last_page else EntityState.FAILED, error)
        except EntityRefused as error:
            return self._ended(EntityState.FORBIDDEN if error.code == "ROLE_FORBIDDEN" else EntityState.FAILED, error)
        if settled.asked is not None:
            missing, here = settled.asked
            error_ = PagesUnreliable("MASS_REMOVAL", missing=missing, here=here, entity=self._entity.name)
            return self._ended(EntityState.PARTIAL, error_)
        return self._ended(EntityState.COMPLETE, None, settled.removed)

    def _progress(self) -> int:
        return self._copy.last_page

    def _read(self) -> Settled:
        with self._database.transaction(self._lease.writer_name) as link:
            runs.begin_entity(link, self._lease.run_id, self._entity.name)
            watermark = passes.watermark(link, self._lease, self._entity.name)
            leases.fence(link, self._lease)
        self._proof.has_watermark = watermark is not None
        if watermark is not None and self._order.mode == "delta" and not self._bookmark.is_in_whole_list(CREATED):
            try:
                return self._read_list(UPDATED, NewestFirst(watermark))
            except OrderBroken as broken:
                self._warnings.add(broken.code)
                self._bookmark.drop()
                self._copy.count_anew()
        return self._read_list(CREATED, None)

    def _read_list(self, sort_by: str, newest_first: NewestFirst | None) -> Settled:
        place = self._bookmark.find(sort_by, self._copy.fetch(sort_by))
        if place.restarted is not None:
            self._warnings.add("PASS_RESTARTED", why=place.restarted)
        reading = self._begun(place, newest_first)
        if place.has_all:
            return self._settle(reading, place.page - 1, sort_by)
        page = self._copy.copy(reading, sort_by, place.before)
        return self._settle(reading, page.number, sort_by)

    def _begun(self, place: Place, newest_first: NewestFirst | None) -> Reading:
        """The reading from that place, knowing what earlier runs of its pass met."""
        name, lease = self._entity.name, self._lease
        resumed = place.page if place.page > 1 and not place.has_all else None
        pass_id = place.pass_["id"] if place.pass_ else None
        account = (lease.integration, lease.account_key)
        with self._database.transaction(lease.writer_name) as link:
            runs.start_entity(link, lease.run_id, name, pass_id=pass_id, resumed_at_page=resumed)
            earlier = passes.earlier(link, lease, name, pass_id)
            is_asked = accounts.is_asked_about_removal(link, *account, name, within_seconds=self._order.pass_seconds)
            now = commands.database_now(link)
            leases.fence(link, lease)
        self._proof.was_complete_before = earlier.was_complete
        if not earlier.brought_records:
            self._copy.expect_changes()
        if resumed:
            self._reporter.event("info", "resumed", f"{name}: going on at page {resumed}", entity=name)
        reading = Reading(
            place.pass_,
            first_page=place.page,
            newest_first=newest_first,
            sees_ids=newest_first is None,
            page_size=self._copy.page_size,
            is_first=not earlier.brought_records,
            is_asked=is_asked,
            began=now,
        )
        if place.page > 1 and reading.sees_ids and pass_id is not None:
            self._remember(reading, pass_id)
        return reading

    def _remember(self, reading: Reading, pass_id: int) -> None:
        with self._database.transaction(self._lease.writer_name) as link:
            for ids in passes.stream_seen(link, pass_id):
                reading.remember(ids)

    def _settle(self, reading: Reading, last_page: int, sort_by: str) -> Settled:
        settled = self._judged(reading, last_page, sort_by)
        if self._copy.inserted >= MANY_NEW_ROWS and not self._order.dry_run:
            self._writer.settle_new_rows()
        self._warn_of(settled, reading)
        if reading.shrank:
            self._warnings.add("LIST_SHRANK")
        return settled

    def _judged(self, reading: Reading, last_page: int, sort_by: str) -> Settled:
        """What the reading proves, after whatever has to be looked at once more."""
        settled = self._proven(reading, may_read_again=True)
        if settled is None:
            # A moving list: read its last page once more, then take what there is.
            page = self._copy.fetch(sort_by)(last_page)
            if page.rows:
                told = page.page.total
                reading.paging.total = reading.paging.total if told is None else told
                self._note_again(reading, page)
            settled = self._proven(reading)
            assert settled is not None
        if settled.is_doubtful:
            settled = self._proven(reading, second=self._look_again(reading, sort_by))
            assert settled is not None
        return settled

    def _warn_of(self, settled: Settled, reading: Reading) -> None:
        if settled.drift is not None and not (reading.is_end_unseen and reading.has_all_counted):  # that was told
            ids, total = settled.drift
            self._warnings.add("COUNT_DRIFT", ids=ids, total=total)
        if settled.unproven is not None:
            missing, why = settled.unproven
            self._warnings.add("ABSENCE_NOT_PROVEN", missing=missing, why=why)

    def _proven(
        self, reading: Reading, *, may_read_again: bool = False, second: SecondLook | None = None
    ) -> Settled | None:
        settled = self._patient(lambda: self._proof.of(reading, may_read_again=may_read_again, second=second))
        if settled is not None and settled.is_forgotten:
            raise TakenBack("it crashed, and forgot which records were seen")
        return settled

    def _look_again(self, reading: Reading, sort_by: str) -> SecondLook:
        """Put off, it is begun at page 1 again by the run's continuation: what was the same hours ago may not be now.

        Where our own budget is spent, that waits until an hour's requests are free. Tried some times, not for ever: a
        list may be longer than what any hour has.
        """
        name = self._entity.name
        msg = f"{name}: read once more before rows are marked removed"
        self._reporter.event("info", "second_look", msg, entity=name)
        reader, looks = self._patient(lambda: self._proof.begin_second_look(reading))
        try:
            return reader.read(self._copy.pages_again(sort_by), most_more=self._copy.page_size)
        except Deferred as signal:
            if looks < MOST_LOOKS and reading.pass_id is not None:
                hour = timedelta(hours=signal.code == "BUDGET_SPENT")
                raise Deferred(signal.until, signal.code, signal.fault, run_until=signal.until + hour) from signal
            return SecondLook(f"it was cut short ({signal.code})")
        except (BreakerHolds, EntityRefused, TransientFault) as fault:
            return SecondLook(f"it was cut short ({fault.code})")

    def _note_again(self, reading: Reading, page: SortedPage) -> None:
        reading.note(page, again=True)
        self._writer.began_empty = False  # what it showed before may be gone by now
        if reading.pass_id is not None:  # of a dry run its records were counted when it came first
            self._copy.write(reading, [Work(page, reading.checkpoint(page, again=True))])

    # --- the end

    def _ended(self, state: EntityState, error: IccError | None, removed: int = 0) -> EntityOutcome:
        name = self._entity.name
        record = error.as_record() if error else None
        if self._copy.dead and not self._copy.dead_new and not self._order.dry_run:
            self._warnings.add("KNOWN_DEAD_LETTERS", count=self._copy.dead)

        warnings = self._warnings.all

        def finish() -> None:
            with self._database.transaction(self._lease.writer_name) as link:
                runs.finish_entity(
                    link,
                    self._lease.run_id,
                    name,
                    state=state,
                    error=record,
                    warnings=self._warnings.all,
                    removed=removed,
                    met_twice=self._copy.met_twice if state is EntityState.COMPLETE else 0,
                )
                if self._copy.delta is not None:
                    self._copy.delta.store(link)
                leases.fence(link, self._lease)

        self._patient(finish)
        if error is not None:
            self._reporter.trouble(error, level="error" if state is not EntityState.PARTIAL else "warn", entity=name)
        gone = f", {removed} marked removed" if removed else ""
        self._reporter.event("info", "entity_finished", f"{name}: {state}{gone}", entity=name)
        return EntityOutcome(name, state, self._copy.dead_new, record, warnings)
