"""Asks for the records of letters one by one, by their ids.

That the vendor knows no such record is one witness that it is gone, and no more: some answer so for records that their
list still sends, and under a wrong address every record would look gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from common.clock import Clock
from common.errors import BreakerHolds, EntityRefused, VendorFault
from common.rules.requeue import RefusedInARow
from common.store.bulk_actions import Settling, Waiting
from common.store.database import Link
from daemon.integrations.base import Connector, Entity
from daemon.sync.convert import usable_id
from daemon.sync.requeue_letters import RequeuedLetters

NO_SUCH_RECORD = (404, 410)


class ById:
    """One entity's records by id.

    ``works``: in this run the vendor has answered so with the record asked for. Of the letters asked for last,
    ``settled`` are the ids of those that were settled, ``absent`` those the vendor knows no record of.
    """

    def __init__(self, letters: RequeuedLetters, connector: Connector, entity: Entity, clock: Clock) -> None:
        self._letters = letters
        self._connector = connector
        self._entity = entity
        self._clock = clock
        self.works = False
        self.settled: set[int] = set()
        self.absent: list[Waiting] = []

    def ask(self, waiting: Sequence[Waiting]) -> None:
        """Settle each letter by its record, but those the vendor knows no record of.

        Raises the fault once several in a row were refused alike: then it is not about the records.
        """
        self.settled, self.absent = set(), [letter for letter in waiting if letter.not_found]
        to_ask = [letter for letter in waiting if not letter.not_found]
        refused = RefusedInARow()
        for number, letter in enumerate(to_ask, start=1):
            assert letter.record_id is not None
            record, fault = self._look_up(letter.record_id)
            fetched_at = self._clock.now()
            if refused.by(None if fault is None or is_absence(fault) else (fault.code, fault.status)):
                assert fault is not None
                raise fault
            with self._letters.writing() as link:
                settling = self._settle(link, letter, record, fault, fetched_at)
                self._letters.count(link, page=number, pages_expected=len(to_ask))
            if settling is None:
                self.absent.append(replace(letter, not_found=True))
            else:
                self.settled.add(letter.id)
                self._letters.tell(letter, settling, fault)
        self._letters.steps_before += len(to_ask)

    def _settle(
        self, link: Link, letter: Waiting, record: Any, fault: VendorFault | None, fetched_at: datetime
    ) -> Settling | None:
        """What becomes of the letter; None: that its record is absent is noted, and not settled yet."""
        if fault is None:
            return self._letters.settle(link, letter, record, fetched_at, page=letter.page or 0)
        if is_absence(fault):
            self._letters.note_not_found(link, letter)
            return None
        return self._letters.refuse(link, letter)

    def finds(self, record_id: str | None) -> bool:
        """Whether a record that the list has just shown is found by its id, too; asked once a run."""
        if not self.works and record_id is not None:
            self._look_up(record_id)
        return self.works

    def _look_up(self, record_id: str) -> tuple[Any, VendorFault | None]:
        """The record, or why this one was not given. What ends the whole run, and no single record, is raised.

        Something else than the record asked for must not take the place of what its letter holds.
        """
        self._letters.may_ask()
        try:
            record = self._connector.record(self._entity, record_id)
        except VendorFault as fault:
            if ends_run(fault):
                raise
            return None, fault
        if usable_id(record) != record_id:
            return None, EntityRefused("WRONG_RECORD", path=f"{self._entity.path}/{record_id}")
        self.works = True
        return record, None


def ends_run(fault: VendorFault) -> bool:
    """Whether it is about no record, but about everything."""
    return isinstance(fault, BreakerHolds) or fault.code == "KEY_REFUSED"


def is_absence(fault: VendorFault) -> bool:
    """Whether it says that there is no such record; a page of HTML with that status says nothing of records."""
    return isinstance(fault, EntityRefused) and fault.status in NO_SUCH_RECORD
