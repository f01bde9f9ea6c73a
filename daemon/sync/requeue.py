"""Reads the records of queued dead letters again, by id or by one list pass, and says what became of each letter.

It works for the bulk action whose ``run_id`` is this run's. Each letter (of a list: each page) is settled with its row
in a transaction of its own, fenced by the lease; so a killed requeue goes on with the letters it has not come to.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from common.clock import Clock
from common.errors import BadRecord, Deferred, EntityRefused, IccError, PagesUnreliable, StopRequested, TransientFault
from common.excerpt import excerpt
from common.rules.paging import Paging
from common.rules.requeue import Way, askable, cheaper_way
from common.states import EntityState
from common.store import bulk_actions, dead_letters, leases, newer_rows, records, runs
from common.store.bulk_actions import Settling, Waiting
from common.store.database import Database, Link
from common.store.leases import Lease
from common.store.records import Change, Provenance, Target
from daemon.integrations.base import Connector, Entity, Page, PageRequest
from daemon.sync.convert import LineMaker, Prepared, prepare, readable, usable_id
from daemon.sync.entity import EntityOutcome
from daemon.sync.letters import letter_of
from daemon.sync.patient import Patient
from daemon.sync.reconcile import drift_of
from daemon.sync.reporter import RunReporter

REQUEUE = "requeue"
SHARE_SPENT = "REQUEUE_SHARE_SPENT"
SORT = "createdAt"

RECOVERED = Settling("recovered", "recovered", "a requeue brought it good")
GONE = Settling("gone", "recovered", "the vendor no longer has this record")
SAME, OTHER, MISSED = Settling("same", "open"), Settling("other", "open"), Settling("missed", "open")


class Requeue:
    """One entity of a requeue. ``most_requests``: the run's share of the hour, over all its entities."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        connector: Connector,
        entity: Entity,
        lease: Lease,
        reporter: RunReporter,
        patient: Patient,
        stop: threading.Event,
        most_requests: int | None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._connector = connector
        self._entity = entity
        self._lease = lease
        self._reporter = reporter
        self._patient = patient
        self._stop = stop
        self._most_requests = most_requests
        self._maker = LineMaker(entity)
        self._target = Target(lease.integration, entity.name, self._maker.columns)
        self._list_answers = False
        self._bulk_id: Any = None

    def run(self) -> EntityOutcome:
        """Settle the entity's letters. ``StopRequested``, ``Deferred``, ``LeaseLost`` and ``RunFault`` pass through."""
        try:
            self._patient(self._read)
        except (PagesUnreliable, TransientFault) as error:
            return self._ended(EntityState.PARTIAL, error)
        except EntityRefused as error:
            return self._ended(EntityState.FORBIDDEN if error.code == "ROLE_FORBIDDEN" else EntityState.FAILED, error)
        return self._ended(EntityState.COMPLETE, None)

    def _read(self) -> None:
        name = self._entity.name
        with self._database.transaction(self._lease.writer_name) as link:
            self._bulk_id, place = bulk_actions.of_run(link, self._lease.run_id, name)
            bulk_actions.settle_elsewhere(link, self._bulk_id)
            letters = bulk_actions.waiting_letters(link, self._bulk_id, name)
            total = bulk_actions.list_total(link, self._lease, name)
            runs.start_entity(link, self._lease.run_id, name, pass_id=None, resumed_at_page=None)
            leases.fence(link, self._lease)
        pages = None if total is None else max(1, -(-total // self._connector.page_size))
        by_id = [letter for letter in letters if askable(letter.record_id)]
        way = cheaper_way(len(by_id), len(letters) - len(by_id), pages)
        what = f"{name}: {len(letters)} letters to read again, {way}"
        self._reporter.event("info", "entity_started", what, entity=name)
        if way is Way.BY_ID:
            self._read_by_id(by_id)
        else:
            self._read_by_list(letters, max(1, place - 1))

    # --- by id

    def _read_by_id(self, letters: Sequence[Waiting]) -> None:
        for number, letter in enumerate(letters, start=1):
            assert letter.record_id is not None
            self._may_ask()
            record = self._connector.record(self._entity, letter.record_id)
            fetched_at = self._clock.now()
            if record is None:
                self._check_list_answers()
            with self._database.transaction(self._lease.writer_name) as link:
                settling = self._settle(link, letter, record, fetched_at, page=letter.page or 0)
                self._count(link, page=number, pages_expected=len(letters))
                leases.fence(link, self._lease)
            self._tell(letter, settling)

    def _check_list_answers(self) -> None:
        """A record's 404 counts only where its list is known: under a wrong address every record would look gone."""
        if not self._list_answers:
            self._may_ask()
            self._connector.page(PageRequest(self._entity, 1, 1, SORT, descending=False))
            self._list_answers = True

    # --- by list

    def _read_by_list(self, letters: Sequence[Waiting], first_page: int) -> None:
        """One pass over the list; afterwards a letter that it did not meet is gone, if the pass proves that."""
        missing = {letter.record_id or letter.payload_hash: letter for letter in letters}
        paging, met, steady = Paging(), array("q"), first_page == 1
        page: Page | None = self._page(first_page)
        while missing and page is not None:
            fetched_at = self._clock.now()
            found = [readable(record) for record in page.records]
            ids = tuple(filter(None, map(usable_id, found)))
            fell = page.total is not None and paging.total is not None and page.total < paging.total
            steady = steady and not page.bare_array and not fell
            paging.observe(page.number, ids, len(page.records), page.total)
            met.extend(map(hash, ids))
            self._settle_page(page.number, found, missing, fetched_at, paging.pages_expected)
            page = self._next(paging, page, met) if missing else None
        distinct = len(set(met))  # eight bytes an id while the list is read; a set only at its end
        proven = paging.total is not None and drift_of(distinct, paging.total, removable=steady) is None
        self._settle_unmet(list(missing.values()), proven=proven)

    def _page(self, number: int) -> Page:
        self._may_ask()
        return self._connector.page(
            PageRequest(self._entity, number, self._connector.page_size, SORT, descending=False)
        )

    def _next(self, paging: Paging, page: Page, met: array[int]) -> Page | None:
        """The page after this one; None when the list has ended, which the vendor's total alone does not prove."""
        following = self._page(page.number + 1)
        if not paging.is_last(page.number, len(page.records)):
            return following
        ids = {hash(id_) for id_ in filter(None, (usable_id(readable(record)) for record in following.records))}
        return following if ids - set(met) else None

    def _settle_page(
        self,
        number: int,
        records_here: Sequence[Any],
        missing: dict[str, Waiting],
        fetched_at: datetime,
        pages_expected: int | None,
    ) -> None:
        """The letters whose records stand on this page; they leave ``missing`` when that is committed."""
        found: dict[str, Any] = {}
        for record in records_here:
            key = usable_id(record) or letter_of(record, BadRecord("RECORD_WITHOUT_ID")).payload_hash
            if key in missing:
                found[key] = record
        with self._database.transaction(self._lease.writer_name) as link:
            settled = {
                key: self._settle(link, missing[key], record, fetched_at, page=number) for key, record in found.items()
            }
            bulk_actions.note_place(link, self._bulk_id, self._entity.name, number + 1)
            self._count(link, page=number, pages_expected=pages_expected)
            leases.fence(link, self._lease)
        for key, settling in settled.items():
            self._tell(missing.pop(key), settling)

    def _settle_unmet(self, letters: Sequence[Waiting], *, proven: bool) -> None:
        with self._database.transaction(self._lease.writer_name) as link:
            for letter in letters:
                bulk_actions.settle_letter(link, self._bulk_id, letter.id, GONE if proven else MISSED)
            leases.fence(link, self._lease)
        if letters:
            what = "no longer in the list" if proven else "not met in a list that proves no absence"
            text = f"{self._entity.name}: {len(letters)} letters {what}"
            self._reporter.event("info", "letters", text, entity=self._entity.name)

    # --- one letter

    def _settle(self, link: Link, letter: Waiting, record: Any, fetched_at: datetime, *, page: int) -> Settling:
        """Write the record, or why it is still bad, and what becomes of its letter. ``record`` None: it is gone."""
        settling = GONE if record is None else self._bring(link, letter, record, fetched_at, page=page)
        bulk_actions.settle_letter(link, self._bulk_id, letter.id, settling)
        return settling

    def _tell(self, letter: Waiting, settling: Settling) -> None:
        """One line, once it is committed."""
        name = self._entity.name
        words = {"recovered": "recovered", "gone": "no longer at the vendor", "same": "the same error"}
        told = f"{name} {letter.record_id or 'without id'}: {words.get(settling.outcome, 'another error')}"
        self._reporter.event("info", "letter", told, entity=name)

    def _bring(self, link: Link, letter: Waiting, record: Any, fetched_at: datetime, *, page: int) -> Settling:
        try:
            prepared = prepare(record)
            if letter.record_id is not None and prepared.id != letter.record_id:
                raise BadRecord("RECORD_REFUSED", detail="the vendor answered with another record")
            inserted, updated = self._write(link, prepared, fetched_at)
        except BadRecord as error:
            again = letter_of(record, error, letter.record_id)
            dead_letters.put_aside(link, self._lease, self._entity.name, page, [again])
            bulk_actions.count_letter(link, self._lease, self._entity.name, dead=1)
            return SAME if again.fingerprint == letter.fingerprint else OTHER
        wrote = {"inserted": inserted, "updated": updated, "unchanged": 1 - inserted - updated}
        bulk_actions.count_letter(link, self._lease, self._entity.name, **wrote)
        return RECOVERED

    def _write(self, link: Link, prepared: Prepared, fetched_at: datetime) -> tuple[int, int]:
        """(inserted, updated); a row that was fetched later is left alone. Raises ``BadRecord``."""
        account_key = self._lease.account_key
        provenance = Provenance(account_key, self._lease.integration, self._lease.run_id, fetched_at)
        line = self._maker.line(prepared, provenance.cells)
        if newer_rows.is_newer(link, self._target, account_key, prepared.id, fetched_at):
            return 0, 0
        found = records.differing(link, self._target, account_key, [prepared.id], prepared.payload_hash)
        if not found:
            return 0, 0
        is_new, is_here = found[0][1] is None, bool(found[0][1])
        try:
            with link.transaction():
                text = {prepared.id: prepared.text} if is_here else {}
                if records.same_payload(link, self._target, account_key, text, self._maker.volatile):
                    return 0, 0
                records.write(link, self._target, self._lease.run_id, [Change(0, is_new, line)])
        except records.REFUSED_BY_POSTGRES as error:
            detail = excerpt(str(error).strip().splitlines()[0], 200)
            raise BadRecord("RECORD_REFUSED", detail=detail) from None
        return (1, 0) if is_new else (0, 1)

    # --- counting

    def _may_ask(self) -> None:
        """Before a request: not after a stop, and not beyond the share of the hour."""
        if self._stop.is_set():
            raise StopRequested
        if self._most_requests is not None and self._reporter.requests >= self._most_requests:
            raise Deferred(self._clock.now() + timedelta(hours=1), SHARE_SPENT)

    def _count(self, link: Link, *, page: int, pages_expected: int | None) -> None:
        requests = self._reporter.requests
        bulk_actions.count_requeued(
            link, self._lease, self._entity.name, page=page, pages_expected=pages_expected, requests=requests
        )

    def _ended(self, state: EntityState, error: IccError | None) -> EntityOutcome:
        name = self._entity.name
        record = error.as_record() if error else None

        def finish() -> None:
            with self._database.transaction(self._lease.writer_name) as link:
                runs.finish_entity(link, self._lease.run_id, name, state=state, error=record)
                leases.fence(link, self._lease)

        self._patient(finish)
        if error is not None:
            self._reporter.trouble(error, entity=name)
        self._reporter.event("info", "entity_finished", f"{name}: {state}", entity=name)
        return EntityOutcome(name, state, error=record)
