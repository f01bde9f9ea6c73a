"""What becomes of each letter of a requeue's entity: its record is written, or why that is still bad, or it stays open.

Whatever is written for a letter is one transaction, fenced by the lease; so a killed requeue goes on with the rest.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from common.clock import Clock
from common.errors import BadRecord, Deferred, StopRequested, VendorFault
from common.store import bulk_actions, dead_letters, leases, newer_rows, passes, records
from common.store.bulk_actions import Settling, Waiting
from common.store.database import Database, Link
from common.store.leases import Lease
from common.store.records import Change, Provenance, Target
from daemon.integrations.base import Entity
from daemon.sync.convert import Prepared, prepare
from daemon.sync.letters import letter_of
from daemon.sync.lines import LineMaker
from daemon.sync.reporter import RunReporter

SHARE_SPENT = "REQUEUE_SHARE_SPENT"

RECOVERED = Settling("recovered", "recovered", "a requeue brought it good")
GONE = Settling("gone", "recovered", "the vendor no longer has this record")
NAMELESS_GONE = Settling(
    "gone", "recovered", "the vendor no longer sends it without an id; if it was mended, the next run brings it"
)
SAME, OTHER = Settling("same", "open"), Settling("other", "open")
MISSED, REFUSED = Settling("missed", "open"), Settling("refused", "open")


class RequeuedLetters:
    """The letters of one entity that a requeue settles, and the requests that it may still send for them.

    ``most_requests``: the run's share of the hour, over all its entities.
    """

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        entity: Entity,
        lease: Lease,
        reporter: RunReporter,
        stop: threading.Event,
        most_requests: int | None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._entity = entity.name
        self._lease = lease
        self._reporter = reporter
        self._stop = stop
        self._most_requests = most_requests
        self._maker = LineMaker(entity)
        self._target = Target(lease.integration, entity.name, self._maker.columns)
        self.bulk_id: Any = None
        self.steps_before = 0
        """Requests of the way that was gone before: letters by id, or pages of the list."""

    # --- requests

    @property
    def requests_left(self) -> int | None:
        """How many requests the share still has; None: it has no end."""
        return None if self._most_requests is None else self._most_requests - self._reporter.requests

    def may_ask(self) -> None:
        """Before a request: not after a stop, and not beyond the share of the hour."""
        if self._stop.is_set():
            raise StopRequested
        left = self.requests_left
        if left is not None and left <= 0:
            raise Deferred(self._clock.now() + timedelta(hours=1), SHARE_SPENT)

    # --- writing

    @contextmanager
    def writing(self) -> Iterator[Link]:
        """A transaction that commits only under the lease."""
        with self._database.transaction(self._lease.writer_name) as link:
            yield link
            leases.fence(link, self._lease)

    def count(self, link: Link, *, page: int, pages_expected: int | None) -> None:
        """How far the entity is."""
        expected = None if pages_expected is None else self.steps_before + pages_expected
        bulk_actions.count_requeued(
            link,
            self._lease,
            self._entity,
            page=self.steps_before + page,
            pages_expected=expected,
            requests=self._reporter.requests,
        )

    def note_place(self, link: Link, place: Mapping[str, Any]) -> None:
        """Where the list pass goes on, should it be cut short."""
        bulk_actions.note_place(link, self.bulk_id, self._entity, place)

    def note_met(self, link: Link, page: int, ids: Sequence[str]) -> None:
        """Records that stood on a page of the list: they are not gone."""
        passes.see_for_question(link, self._lease, self._entity, page, ids)

    def note_not_found(self, link: Link, letter: Waiting) -> None:
        """The vendor knows no record of this id: one witness that it is gone, kept should the run be cut short."""
        bulk_actions.note_not_found(link, self.bulk_id, letter.id)

    def settle(self, link: Link, letter: Waiting, record: Any, fetched_at: datetime, *, page: int) -> Settling:
        """Write the record, or why it is still bad, and what becomes of its letter."""
        settling = self._bring(link, letter, record, fetched_at, page=page)
        bulk_actions.settle_letter(link, self.bulk_id, letter.id, settling)
        return settling

    def refuse(self, link: Link, letter: Waiting) -> Settling:
        """The vendor did not give this record: it was tried once more, and the letter stays open."""
        bulk_actions.note_refused(link, self._lease, letter.id)
        bulk_actions.settle_letter(link, self.bulk_id, letter.id, REFUSED)
        return REFUSED

    def settle_unread(self, letters: Sequence[Waiting], settling: Settling, words: str) -> None:
        """What becomes of letters whose record nobody brought."""
        if not letters:
            return
        with self.writing() as link:
            for letter in letters:
                bulk_actions.settle_letter(link, self.bulk_id, letter.id, settling)
        what = f"{self._entity}: {len(letters)} letters {words}"
        self._reporter.event("info", "letters", what, entity=self._entity)

    def tell(self, letter: Waiting, settling: Settling, fault: VendorFault | None = None) -> None:
        """One line, once it is committed; a refusal is told with its cause and kept with its like."""
        words = {"recovered": "recovered", "same": "the same error", "refused": "refused by the vendor"}
        told = f"{self._entity} {letter.record_id or 'without id'}: {words.get(settling.outcome, 'another error')}"
        self._reporter.event("info", "letter", told, entity=self._entity)
        if fault is not None:
            self._reporter.trouble(fault, level="warn", entity=self._entity)

    def _bring(self, link: Link, letter: Waiting, record: Any, fetched_at: datetime, *, page: int) -> Settling:
        try:
            prepared = prepare(record)
            inserted, updated = self._write(link, prepared, fetched_at)
        except BadRecord as error:
            again = letter_of(record, error, letter.record_id)
            dead_letters.put_aside(link, self._lease, self._entity, page, [again])
            bulk_actions.count_letter(link, self._lease, self._entity, dead=1)
            return SAME if again.fingerprint == letter.fingerprint else OTHER
        wrote = {"inserted": inserted, "updated": updated, "unchanged": 1 - inserted - updated}
        bulk_actions.count_letter(link, self._lease, self._entity, **wrote)
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
                text = {prepared.id: (prepared.text, prepared.escaped)} if is_here else {}
                if records.same_payload(link, self._target, account_key, text, self._maker.volatile):
                    return 0, 0
                records.write(link, self._target, self._lease.run_id, [Change(0, is_new, line)])
        except records.REFUSED_BY_POSTGRES as error:
            raise records.refusal_of(error) from None
        return (1, 0) if is_new else (0, 1)
