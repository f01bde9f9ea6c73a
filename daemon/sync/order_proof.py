"""Whether a list that a delta leaves early came newest first: what is known to be as new must have been met.

Falling stamps are necessary, and not enough: of a vendor that sorts, but by another key, the newest by that key may
never have been changed, and so fall, while every change stands on pages that no delta reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import islice

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


class OrderProof:
    """Looks for rows that a list newest first would have shown, and asks the vendor what became of them."""

    def __init__(self, database: Database, connector: Connector, entity: Entity, lease: Lease) -> None:
        self._database = database
        self._connector = connector
        self._entity = entity
        self._lease = lease

    def fault(self, reading: Reading) -> str | None:
        """The code of what is wrong with the order of a list that was left early; None: nothing is.

        A record that is gone, or was changed while the list was read, is missed in any order: a few are asked for.
        Raises what ends runs.
        """
        span = reading.span
        if span is None or reading.shrank:  # anything may have moved past the reader then: the next delta looks again
            return None
        missed = self._missed(reading, span)
        if any(stamp is None for _, stamp in missed):
            return "UPDATED_AT_MISSING"
        proven = all(self._has_left(record_id, known_stamp, span, reading) for record_id, known_stamp in missed)
        return None if proven else "ORDER_NOT_PROVEN"

    def _missed(self, reading: Reading, span: Span) -> Sequence[tuple[str, datetime | None]]:
        """Some rows that the pages read did not show, the newest: their ids and stamps."""
        target = Target(self._lease.integration, self._entity.name, ("id",))
        below = None if reading.first_page == 1 else span.first  # of a reading gone on with, the rest was met before
        with self._database.transaction(self._lease.writer_name) as link:
            known = records.stream_newer(link, target, self._lease.account_key, above=span.floor, below=below)
            return list(islice((row for row in known if not reading.may_have_met(row[0])), MOST_ASKED))

    def _has_left(self, record_id: str, known_stamp: datetime | None, span: Span, reading: Reading) -> bool:
        """Whether the record has left the part of the list that was read: it is gone, or was changed since.

        One that was changed before may have moved past the reader where the next delta looks there again.
        """
        try:
            record = self._connector.record(self._entity, record_id)
        except VendorFault as fault:
            if ends_run(fault):
                raise
            return isinstance(fault, EntityRefused) and is_absence(fault)
        stamp = updated_at(readable(record))
        if usable_id(record) != record_id or stamp is None:
            return False
        changed_since = reading.began is not None and stamp >= reading.began - DATE_TELLS
        may_have_moved = stamp != known_stamp and reading.is_deep
        return stamp <= span.floor or changed_since or may_have_moved
