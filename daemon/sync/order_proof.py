"""Whether a list that a delta leaves early came newest first: what is known to be as new must have been met.

Falling stamps are necessary, and not enough: of a vendor that sorts, but by another key, the newest by that key may
never have been changed, and so fall, while every change stands on pages that no delta reads.
"""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from typing import NamedTuple

from common.errors import EntityRefused, VendorFault
from common.rules.order import Span
from common.store import records
from common.store.database import Database
from common.store.leases import Lease
from common.store.records import Target
from daemon.integrations.base import Connector, Entity
from daemon.sync.convert import readable, updated_at, usable_id
from daemon.sync.reading import DATE_TELLS, Reading
from daemon.sync.requeue_by_id import ends_run, is_absence

MOST_ASKED = 3
"""As many that have left speak for the others."""


class Missed(NamedTuple):
    """Rows that the pages read did not show.

    ``rows``: how many; ``some``: the newest of them, and some without a stamp, each with its stamp; ``unlisted``: how
    many rows are here that the list does not hold, by its total.
    """

    rows: int
    unlisted: int
    some: list[tuple[str, datetime | None]]


class OrderProof:
    """Looks for rows that a list newest first would have shown, and asks the vendor what became of them."""

    def __init__(self, database: Database, connector: Connector, entity: Entity, lease: Lease) -> None:
        self._database = database
        self._connector = connector
        self._entity = entity
        self._lease = lease

    def fault(self, reading: Reading, *, would_insert: int = 0) -> str | None:
        """The code of what is wrong with the order of a list that was left early; None: nothing is.

        ``would_insert``: how many rows a dry run would have brought.
        A record that is gone, or was changed while the list was read, is missed in any order. So is one that is no
        longer listed; if there are enough of these, nobody is asked. Raises what ends runs.
        """
        span = reading.span
        if span is None or reading.shrank:  # anything may have moved past the reader then: the next delta looks again
            return None
        missed = self._missed(reading, span, would_insert)
        if missed.rows <= missed.unlisted:
            return None
        faults = (self._fault_of(record_id, known_stamp, span, reading) for record_id, known_stamp in missed.some)
        return next(filter(None, faults), None)

    def _missed(self, reading: Reading, span: Span, would_insert: int) -> Missed:
        target, account_key = Target(self._lease.integration, self._entity.name, ("id",)), self._lease.account_key
        # Of a reading gone on with, nobody remembers what was met before.
        below = None if reading.first_page == 1 else span.first
        count, stamped, stampless = 0, list[tuple[str, datetime | None]](), list[tuple[str, datetime | None]]()
        with self._database.transaction(self._lease.writer_name) as link:
            with closing(records.stream_newer(link, target, account_key, above=span.floor, below=below)) as known:
                for row in known:
                    if not reading.may_have_met(row[0]):
                        count += 1
                        some = stampless if row[1] is None else stamped
                        some += [row] if len(some) < MOST_ASKED else []
            total = reading.paging.total
            asks = count and total is not None
            here = records.count_here(link, target, account_key, run_id=self._lease.run_id) if asks else 0
        unlisted = 0 if total is None else max(0, here + would_insert - total)
        return Missed(count, unlisted, stamped + stampless)

    def _fault_of(self, record_id: str, known_stamp: datetime | None, span: Span, reading: Reading) -> str | None:
        """What its absence from the pages read says of the order; None: nothing.

        One that was changed before may have moved past the reader where the next delta looks there again.
        """
        try:
            record = self._connector.record(self._entity, record_id)
        except VendorFault as fault:
            if ends_run(fault):
                raise
            is_gone = isinstance(fault, EntityRefused) and is_absence(fault)
            return None if is_gone else "ORDER_NOT_PROVEN"
        stamp = updated_at(readable(record))
        if usable_id(record) != record_id:
            return "ORDER_NOT_PROVEN"
        if stamp is None:
            return "UPDATED_AT_MISSING"
        changed_since = reading.began is not None and stamp >= reading.began - DATE_TELLS
        may_have_moved = stamp != known_stamp and reading.is_deep
        return None if stamp <= span.floor or changed_since or may_have_moved else "ORDER_NOT_PROVEN"
