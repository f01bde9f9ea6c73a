"""What a dry run would change, by example: some fields that differ, before and after. It writes no synced row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from common.errors import BadRecord
from common.rules.field_diff import field_diffs, plain_fields
from common.store import dry_runs
from common.store.database import Database, Link, Row
from common.store.leases import Lease
from common.store.records import Target
from daemon.guard.answers import loads
from daemon.integrations.base import Entity, Page
from daemon.sync.convert import LineMaker, Prepared, prepare

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

    def note(self, page: Page, wanted: Callable[[Any], bool]) -> None:
        """Sample the page's changed records, until there are enough."""
        if self._left <= 0:
            return
        prepared = {one.id: one for one in map(self._usable, filter(wanted, page.records)) if one is not None}
        hashes = {one.id: one.payload_hash for one in prepared.values()}
        with self._database.transaction() as link:
            changed = dry_runs.changed_rows(link, self._target, self._lease.account_key, hashes, self._left)
        for row in changed:
            self._sample(row, prepared[row["id"]])

    def store(self, link: Link) -> None:
        """Write the report beside the entity's counters, which have their final values by now."""
        dry_runs.store(link, self._lease, self._entity.name, self._samples)

    def _usable(self, record: Any) -> Prepared | None:
        """The record if a run would write it; a bad one is counted as dead, not as a change."""
        try:
            prepared = prepare(record, self._entity.volatile)
            self._maker.line(prepared)
        except BadRecord:
            return None
        return prepared

    def _sample(self, row: Row, prepared: Prepared) -> None:
        if self._left <= 0:
            return
        # Both versions through one parser: a number that is the same in both must not differ by its Python type.
        diffs = field_diffs(loads(row["raw"].encode()), loads(prepared.dumped), self._plain)
        kept = dict(list(diffs.items())[: self._left])
        self._left -= max(1, len(kept))
        self._samples.append({"id": row["id"], "was_removed": row["was_removed"], "fields": kept})
