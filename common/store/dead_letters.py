"""Records put aside, inside the transaction of the page that brought them (law 2 and 3). The caller commits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from common.redact import mask
from common.store.database import Link
from common.store.leases import Lease
from common.store.masked import masked_text
from common.store.statements import statements

SQL = statements("dead_letters")


@dataclass(frozen=True)
class DeadLetter:
    """One bad record: its id when it has one, the payload as it came, and why it was put aside."""

    record_id: str | None
    payload: str
    payload_hash: str
    code: str
    reason: str
    fingerprint: str

    @property
    def key(self) -> str:
        """What makes it the same letter when it is seen again."""
        return self.record_id if self.record_id is not None else self.payload_hash


def put_aside(link: Link, lease: Lease, entity: str, page: int, letters: Sequence[DeadLetter]) -> int:
    """Store the letters; returns how many of them are new (known ones are only counted up)."""
    once = list({letter.key: letter for letter in letters}.values())
    params = {
        **lease.params,
        "entity": entity,
        "page": page,
        "record_ids": [letter.record_id for letter in once],
        "payloads": [mask(letter.payload) for letter in once],
        "hashes": [letter.payload_hash for letter in once],
        "codes": [letter.code for letter in once],
        "reasons": [masked_text(letter.reason) for letter in once],
        "fingerprints": [letter.fingerprint for letter in once],
    }
    return sum(row["is_new"] for row in link.execute(SQL["put_aside"], params).fetchall())


def recover(link: Link, lease: Lease, entity: str, ids: Sequence[str]) -> int:
    """Close the letters of records that came good; returns how many."""
    return link.execute(SQL["recover"], {**lease.params, "entity": entity, "ids": list(ids)}).rowcount


def any_open(link: Link, lease: Lease, entity: str) -> bool:
    """Whether the entity has open letters at all."""
    row = link.execute(SQL["any_open"], {**lease.params, "entity": entity}).fetchone()
    return bool(row and row["any_open"])
