"""Reads the records of queued dead letters again, by id or by one list pass, and says what became of each letter.

It works for the bulk action whose ``run_id`` is this run's. Each letter (of a list: each page) is settled with its row
in a transaction of its own, fenced by the lease; so a killed requeue goes on with the letters it has not come to.

A record is gone only by two witnesses: a whole list that did not move has not shown it, and asking for it by id, a way
that was seen to work, finds none. When in doubt its letter stays open.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

from common.clock import Clock
from common.errors import EntityRefused, IccError, PagesUnreliable, TransientFault, VendorFault
from common.rules.requeue import ListPlace, Way, askable, asked_after, cheaper_way, pages_of, place_of, worth_a_look
from common.states import EntityState
from common.store import bulk_actions, runs
from common.store.bulk_actions import Waiting
from common.store.database import Database
from common.store.leases import Lease
from daemon.integrations.base import Connector, Entity
from daemon.sync.entity import EntityOutcome
from daemon.sync.patient import Patient
from daemon.sync.reporter import RunReporter
from daemon.sync.requeue_by_id import ById, ends_run
from daemon.sync.requeue_by_list import ListPass, PassEnd, asked_of
from daemon.sync.requeue_letters import GONE, MISSED, NAMELESS_GONE, SHARE_SPENT, RequeuedLetters

__all__ = ["REQUEUE", "SHARE_SPENT", "Requeue"]

REQUEUE = "requeue"
PROOF_COSTS = 2
"""Requests that proving an absence takes beside the list's pages: one behind its end, one to see that by id works."""


@dataclass(frozen=True)
class _Beginning:
    """The letters to be read, how many pages the list has (None: nobody knows), and where a pass of it goes on."""

    waiting: list[Waiting]
    pages: int | None
    place: ListPlace

    @property
    def to_ask(self) -> list[Waiting]:
        """Those whose record may be found by its id; of the others only the list can tell more."""
        return [letter for letter in self.waiting if askable(letter.record_id) and not letter.not_found]

    @property
    def way(self) -> Way:
        """How they are to be read."""
        return cheaper_way(len(self.to_ask), len(self.waiting) - len(self.to_ask), self.pages)


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
        self._clock = clock
        self._connector = connector
        self._entity = entity
        self._lease = lease
        self._reporter = reporter
        self._patient = patient
        self._letters = RequeuedLetters(
            database=database,
            clock=clock,
            entity=entity,
            lease=lease,
            reporter=reporter,
            stop=stop,
            most_requests=most_requests,
        )
        self._by_id = ById(self._letters, connector, entity, clock)

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
        begun = self._begin()
        list_pass: ListPass | None = None
        only_in_list = len(begun.waiting) - len(begun.to_ask)
        if begun.place.next_page == 1 and worth_a_look(len(begun.to_ask), only_in_list, begun.pages):
            list_pass = self._pass(begun.waiting, ListPlace())
            list_pass.read_first()
            begun = _Beginning(list_pass.unmet, list_pass.pages_left, ListPlace())
        what = f"{self._entity.name}: {len(begun.waiting)} letters to read again, {begun.way}"
        self._reporter.event("info", "entity_started", what, entity=self._entity.name)
        if begun.way is Way.BY_LIST:
            list_pass = list_pass or self._pass(begun.waiting, self._first_place(begun))
            self._conclude(list_pass.read())
            return
        self._letters.steps_before = int(list_pass is not None)
        self._by_id.ask(begun.waiting)
        if self._by_id.absent:
            self._conclude(self._pass(self._by_id.absent, ListPlace()).read())

    def _begin(self) -> _Beginning:
        name = self._entity.name
        with self._letters.writing() as link:
            self._letters.bulk_id, stored = bulk_actions.of_run(link, self._lease.run_id, name)
            bulk_actions.settle_elsewhere(link, self._letters.bulk_id)
            waiting = bulk_actions.waiting_letters(link, self._letters.bulk_id, name)
            total = bulk_actions.list_total(link, self._lease, name)
            runs.start_entity(link, self._lease.run_id, name, pass_id=None, resumed_at_page=None)
        place = place_of(stored, asked_of(self._connector, self._entity))
        pages = pages_of(total if place.total is None else place.total, self._connector.page_size)
        self._letters.steps_before = 0
        return _Beginning(waiting, pages, place)

    def _first_place(self, begun: _Beginning) -> ListPlace:
        """Where a pass begins: at the page before the one it had come to, which is read again.

        But at the list's beginning where only a whole pass tells whether records are gone, and the share suffices for
        it; unless the list has turned out to be longer than anybody knew.
        """
        left = self._letters.requests_left
        fits = begun.pages is not None and (left is None or begun.pages + PROOF_COSTS <= left)
        longer = begun.pages is not None and begun.place.next_page > begun.pages + PROOF_COSTS
        if fits and not longer and any(letter.not_found for letter in begun.waiting):
            return ListPlace()
        again = left is None or left > 1  # with one request an hour it would never come further
        return replace(begun.place, next_page=max(1, begun.place.next_page - again))

    def _pass(self, waiting: Sequence[Waiting], place: ListPlace) -> ListPass:
        return ListPass(self._letters, self._connector, self._entity, self._clock, waiting, place=place)

    def _conclude(self, end: PassEnd) -> None:
        """What becomes of letters that the list did not show. By id all are asked for, or some of many;
        one without an id has only the list as its witness."""
        with_id = [letter for letter in end.unmet if askable(letter.record_id)]
        known = [letter for letter in with_id if letter.not_found]
        to_ask = [letter for letter in with_id if not letter.not_found]
        is_answered = self._ask_unmet(
            [*known, *to_ask[: asked_after(len(to_ask), end.pages, self._letters.requests_left)]]
        )
        nameless = [letter for letter in end.unmet if letter.record_id is None] if end.is_whole else []
        gone: list[Waiting] = []
        absent = self._by_id.absent
        if absent and end.is_whole and is_answered and self._by_id.finds(end.shown):
            gone += absent
        closed = self._by_id.settled | {letter.id for letter in (*nameless, *gone)}
        missed = [letter for letter in end.unmet if letter.id not in closed]
        self._letters.settle_unread(nameless, NAMELESS_GONE, "no longer sent without an id")
        self._letters.settle_unread(gone, GONE, "no longer at the vendor")
        self._letters.settle_unread(missed, MISSED, "not met in the list, without a proof that they are gone")

    def _ask_unmet(self, letters: Sequence[Waiting]) -> bool:
        """Ask for them by id; false where the vendor refuses that, which says nothing of them."""
        try:
            self._by_id.ask(letters)
        except VendorFault as fault:
            if ends_run(fault):
                raise
            self._reporter.trouble(fault, level="warn", entity=self._entity.name)
            return False
        return True

    def _ended(self, state: EntityState, error: IccError | None) -> EntityOutcome:
        name = self._entity.name
        record = error.as_record() if error else None

        def finish() -> None:
            with self._letters.writing() as link:
                runs.finish_entity(link, self._lease.run_id, name, state=state, error=record)

        self._patient(finish)
        if error is not None:
            self._reporter.trouble(error, entity=name)
        self._reporter.event("info", "entity_finished", f"{name}: {state}", entity=name)
        return EntityOutcome(name, state, error=record)
