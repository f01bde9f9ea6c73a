"""Takes a page apart as soon as it has come: what can be written, what cannot, which ids stand on it, how old they are.

This needs no database, so the threads that fetch do it while the writing thread waits for Postgres.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from common.errors import BadRecord
from common.store.dead_letters import DeadLetter
from daemon.integrations.base import Entity, Page
from daemon.sync.convert import Prepared, created_at, payload_text, prepare, updated_at, usable_id


@dataclass(frozen=True)
class SortedPage:
    """A page, taken apart.

    ``good`` has each id once, its last record; ``ids`` are all usable ids, each once, in order, bad records' included;
    ``stamps`` are the records' ``updatedAt``, in order, None where there is none.
    """

    page: Page
    good: tuple[Prepared, ...]
    bad: tuple[DeadLetter, ...]
    ids: tuple[str, ...]
    duplicates: int
    stamps: tuple[datetime | None, ...]

    @property
    def number(self) -> int:
        """Its number in the list."""
        return self.page.number

    @property
    def rows(self) -> int:
        """How many records came."""
        return len(self.page.records)


def sorted_page(page: Page, entity: Entity, since: datetime | None = None) -> SortedPage:
    """The page, taken apart. ``since``: only what was created or updated since is to be applied."""
    good: dict[str, Prepared] = {}
    bad: list[DeadLetter] = []
    ids: dict[str, None] = {}
    duplicates = 0
    for record in page.records:
        record_id: str | None
        try:
            if is_wanted(record, since):
                prepared = prepare(record, entity.volatile)
                record_id = prepared.id
                good[record_id] = prepared
            else:
                record_id = usable_id(record)
        except BadRecord as error:
            bad.append(letter_of(record, error))
            record_id = usable_id(record)
        if record_id is not None:
            duplicates += record_id in ids
            ids[record_id] = None
    stamps = tuple(map(updated_at, page.records))
    return SortedPage(page, tuple(good.values()), tuple(bad), tuple(ids), duplicates, stamps)


def is_wanted(record: Any, since: datetime | None) -> bool:
    """Whether the record is to be applied: in a `since` run only what was created or updated since."""
    if since is None:
        return True
    stamps = [stamp for stamp in (updated_at(record), created_at(record)) if stamp is not None]
    return not stamps or max(stamps) >= since


def letter_of(record: Any, error: BadRecord) -> DeadLetter:
    """A record that is put aside, with why."""
    payload = payload_text(record)
    kind = f"{error.code}:{error.facts.get('field', '')}:{error.facts.get('kind', '')}"
    return DeadLetter(
        record_id=usable_id(record),
        payload=payload,
        payload_hash=hashlib.blake2b(payload.encode("utf-8", "replace"), digest_size=16).hexdigest(),
        code=error.code,
        reason=error.cause,
        fingerprint=hashlib.blake2b(kind.encode(), digest_size=8).hexdigest(),
    )
