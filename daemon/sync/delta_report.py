"""What a dry run would change, by example: some fields that differ, before and after. It writes no synced row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from common.errors import BadRecord
from common.excerpt import excerpt
from common.rules.field_diff import field_diffs, plain_fields
from common.store import dry_runs, records
from common.store.database import Database, Link, Row
from common.store.leases import Lease
from common.store.records import Target
from daemon.guard.answers import loads
from daemon.integrations.base import Entity
from daemon.sync.convert import Arrived, Prepared
from daemon.sync.lines import LineMaker
from daemon.sync.sorting import SortedPage

MOST_DIFFS = 20


class DeltaReport:
    """One entity of a dry run. ``note`` each page, ``store`` at its end."""

    def __init__(self, database: Database, lease: Lease, entity: Entity) -> None:
        self._database = database
        self._lease = lease
        self._entity = entity
        self._maker = LineMaker(entity)
        self._target = Target(lease.integration, entity.name, self._maker.columns)
        self._plain = plain_fields((column.sources, column.sensitive) for column in entity.columns)
        self._samples: list[dict[str, Any]] = []
        self._left = MOST_DIFFS

    def forget(self) -> None:
        """The list is read from its beginning once more."""
        self._samples, self._left = [], MOST_DIFFS

    def note(self, page: SortedPage) -> None:
        """Sample the page's changed records, until there are enough."""
        if self._left <= 0:
            return
        account_key, good = self._lease.account_key, page.good
        hashes = b"".join([arrived.payload_hash for arrived in good])
        with self._database.transaction(self._lease.writer_name) as link:
            differing = records.differing(link, self._target, account_key, [arrived.id for arrived in good], hashes)
            usable = [self._usable(good[position]) for position, is_here in differing if is_here is not None]
            prepared = {one.id: one for one in usable if one is not None}
            payloads = {one.id: one.text for one in prepared.values()}
            changed = self._changed(link, payloads)
        for row in changed:
            self._sample(row, prepared[row["id"]])

    def _changed(self, link: Link, payloads: Mapping[str, str]) -> list[Row]:
        """Stored rows that differ; a payload that Postgres refuses is found by halving, and left out."""
        try:
            with link.transaction():
                return dry_runs.changed_rows(link, self._target, self._lease.account_key, payloads, self._left)
        except records.REFUSED_BY_POSTGRES:
            several = list(payloads.items())
        middle = len(several) // 2
        parts = (several[:middle], several[middle:]) if middle else ()
        return [row for part in parts for row in self._changed(link, dict(part))]

    def store(self, link: Link) -> None:
        """Write the report beside the entity's counters, which have their final values by now."""
        dry_runs.store(link, self._lease, self._entity.name, self._samples)

    def _usable(self, arrived: Arrived) -> Prepared | None:
        """The record if a run would write it; a bad one is counted as dead, not as a change."""
        try:
            prepared = arrived.prepared()
            self._maker.line(prepared, "")
        except BadRecord:
            return None
        return prepared

    def _sample(self, row: Row, prepared: Prepared) -> None:
        if self._left <= 0:
            return
        # Both versions through one parser: a number that is the same in both must not differ by its Python type.
        diffs = field_diffs(loads(row["raw"].encode()), loads(prepared.text.encode()), self._plain, excerpt)
        kept = dict(list(diffs.items())[: self._left])
        self._left -= max(1, len(kept))
        self._samples.append({"id": row["id"], "was_removed": row["was_removed"], "fields": kept})
