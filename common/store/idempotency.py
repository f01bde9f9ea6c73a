"""A caller's Idempotency-Key and the answer kept under it for a day. Every function is a transaction of its own.

The id of the command that a request may give is planned from the key, so that a web process that dies between giving
the command and keeping the answer leaves enough behind: whoever asks again finds that command and gives no second one.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from common.store.database import Database, Link
from common.store.statements import statements

SQL = statements("idempotency")
_NAMESPACE = uuid.UUID("5f0f8d7c-6a51-4a7c-9f0e-0d7c6f9b1a52")


@dataclass(frozen=True)
class Kept:
    """What stands under a key. ``status`` None: its request is being done, or its process died ``age_seconds`` ago."""

    is_ours: bool
    is_same: bool
    command_id: str
    age_seconds: float
    status: int | None = None
    body: dict[str, Any] | None = None


def claim(database: Database, actor: str, key: str, request_hash: bytes) -> Kept:
    """Take the key, or see what stands under it."""
    params = {"actor": actor, "key": key, "request_hash": request_hash}
    while True:
        with database.transaction() as link:
            row = link.execute(SQL["claim"], params).fetchone()
            if row is not None:
                return Kept(True, True, _planned(actor, key, row["created_at"]), 0.0)
            found = look(link, actor, key, request_hash)
        if found is not None:  # None: released in between
            return found


def look(link: Link, actor: str, key: str, request_hash: bytes) -> Kept | None:
    """What stands under a key; None when nothing does."""
    row = link.execute(SQL["look"], {"actor": actor, "key": key}).fetchone()
    if row is None:
        return None
    return Kept(
        is_ours=False,
        is_same=bytes(row["request_hash"]) == request_hash,
        command_id=_planned(actor, key, row["created_at"]),
        age_seconds=row["age_seconds"],
        status=row["answer_status"],
        body=row["answer_body"],
    )


def keep(database: Database, actor: str, key: str, status: int, body: dict[str, Any]) -> None:
    """Keep the answer."""
    with database.transaction() as link:
        link.execute(SQL["keep"], {"actor": actor, "key": key, "status": status, "body": Jsonb(body)})


def release(database: Database, actor: str, key: str) -> None:
    """Nothing was done: let the key be used again."""
    with database.transaction() as link:
        link.execute(SQL["release"], {"actor": actor, "key": key})


def forget_old(link: Link) -> int:
    """Forget keys older than a day; returns how many."""
    return link.execute(SQL["forget_old"]).rowcount


def _planned(actor: str, key: str, claimed_at: datetime) -> str:
    return str(uuid.uuid5(_NAMESPACE, f"{actor}\n{key}\n{claimed_at.isoformat()}"))
