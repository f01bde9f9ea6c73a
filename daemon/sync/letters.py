"""A bad record as a dead letter."""

from __future__ import annotations

import hashlib
from typing import Any

from common.errors import BadRecord
from common.rules.fingerprint import normalised
from common.store.dead_letters import DeadLetter
from daemon.sync.convert import payload_text, readable, usable_id


def letter_of(record: Any, error: BadRecord, record_id: str | None = None) -> DeadLetter:
    """The letter of a record; ``record_id``: the id it was asked for by, when its own may be what is wrong with it."""
    record = readable(record)
    payload = payload_text(record)
    kind = f"{error.code}:{error.facts.get('field', '')}:{error.facts.get('kind', '')}"
    if "kind" not in error.facts and "detail" in error.facts:  # each sentence of ours is an error of its own
        kind += normalised(str(error.facts["detail"]))
    return DeadLetter(
        record_id=record_id or usable_id(record),
        payload=payload,
        payload_hash=hashlib.blake2b(payload.encode("utf-8", "replace"), digest_size=16).hexdigest(),
        code=error.code,
        reason=error.cause,
        fingerprint=hashlib.blake2b(kind.encode(), digest_size=8).hexdigest(),
    )
