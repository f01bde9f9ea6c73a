"""A caller's Idempotency-Key and the answer kept under it for a day. Each function is a transaction of its own.

The id of the command that a request may give is planned from the key. So it does not matter whether the first request
is still being done, or its process died before the answer was kept: whoever asks again gives the same command, and the
gate knows it by its id.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Jsonb

from common.store.database import Database, Link
from common.store.statements import statements

SQL = statements("idempotency")
_NAMESPACE = uuid.UUID("5f0f8d7c-6a51-4a7c-9f0e-0d7c6f9b1a52")


@dataclass(frozen=True)
class Kept:
    """What stands under a key. ``is_same``: it was the same request; ``status`` None: no answer was kept yet."""

    is_same: bool
    command_id: str
    status: int | None
    body: dict[str, Any] | None


def claim(database: Database, actor: str, key: str, request_hash: bytes) -> Kept:
    """Take the key for this request, or see what stands under it."""
    params = {"actor": actor, "key": key, "request_hash": request_hash}
    while True:
        with database.transaction() as link:
            link.execute(SQL["claim"], params)
            row = link.execute(SQL["look"], params).fetchone()
        if row is not None:  # None: released in between
            planned = uuid.uuid5(_NAMESPACE, f"{actor}\n{key}\n{row['created_at'].isoformat()}")
            same = bytes(row["request_hash"]) == request_hash
            return Kept(same, str(planned), row["answer_status"], row["answer_body"])


def keep(database: Database, actor: str, key: str, status: int, body: dict[str, Any]) -> None:
    """Keep the first answer."""
    with database.transaction() as link:
        link.execute(SQL["keep"], {"actor": actor, "key": key, "status": status, "body": Jsonb(body)})


def release(database: Database, actor: str, key: str) -> None:
    """Nothing was done: let the key be used again."""
    with database.transaction() as link:
        link.execute(SQL["release"], {"actor": actor, "key": key})


def forget_old(link: Link) -> int:
    """Forget keys older than a day; returns how many."""
    return link.execute(SQL["forget_old"]).rowcount
