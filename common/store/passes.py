"""Passes: one reading of an entity's list, which outlives the run that began it. The caller commits."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from common.redact import mask_value
from common.store.database import Link, Row
from common.store.leases import Lease
from common.store.statements import statements

SQL = statements("runs")


def open_one(link: Link, lease: Lease, entity: str, mode: str, oldest_seconds: float) -> Row | None:
    """The unfinished reading, with ``young`` and ``pages_seen``; None when there is none."""
    params = {**lease.params, "entity": entity, "mode": mode, "oldest_seconds": oldest_seconds}
    return link.execute(SQL["open_pass"], params).fetchone()


def insert(link: Link, lease: Lease, entity: str, mode: str, *, page_size: int, sort: str, filters: Any) -> Row:
    """A new reading, from page 1."""
    params = {**lease.params, "entity": entity, "mode": mode, "page_size": page_size, "sort": sort}
    row = link.execute(SQL["insert_pass"], {**params, "filter": Jsonb(filters)}).fetchone()
    assert row is not None
    return row


def go_on(link: Link, lease: Lease, pass_id: int) -> None:
    """This run continues it."""
    link.execute(SQL["continue_pass"], {**lease.params, "pass_id": pass_id})


def end(link: Link, pass_id: int, state: str, total: int | None = None) -> None:
    """Complete or abandoned."""
    link.execute(SQL["end_pass"], {"pass_id": pass_id, "state": state, "total": total})


def forget_seen(link: Link, lease: Lease, entity: str, keep_pass_id: int) -> None:
    """Drop the seen ids of an entity's other ended passes."""
    link.execute(SQL["forget_seen"], {**lease.params, "entity": entity, "keep_pass_id": keep_pass_id})


def forget_pass(link: Link, pass_id: int) -> None:
    """Drop the seen ids of one pass."""
    link.execute(SQL["forget_pass"], {"pass_id": pass_id})


def count_distinct_ids(link: Link, pass_id: int) -> int:
    """How many different records a pass met."""
    row = link.execute(SQL["count_distinct_ids"], {"pass_id": pass_id}).fetchone()
    return int(row["ids"]) if row else 0


def count_unseen(link: Link, pass_id: int, page: int, ids: list[str]) -> int:
    """How many of these ids no earlier page brought."""
    row = link.execute(SQL["count_unseen"], {"pass_id": pass_id, "page": page, "ids": ids}).fetchone()
    return int(row["unseen"]) if row else 0


def store_shape(link: Link, lease: Lease, entity: str, sampled: int, diff: Any) -> None:
    """What a sample of the entity's records holds against our columns."""
    params = {**lease.params, "entity": entity, "sampled": sampled, "diff": Jsonb(mask_value(diff))}
    link.execute(SQL["store_shape"], params)


def watermark(link: Link, lease: Lease, entity: str) -> datetime | None:
    """Up to when the entity's changes are known; None before its first complete reading."""
    row = link.execute(SQL["watermark"], {**lease.params, "entity": entity}).fetchone()
    return row["watermark"] if row else None


def latest_backfill(link: Link, integration: str, account_key: str, entity: str) -> int | None:
    """The last complete full reading's id."""
    params = {"integration": integration, "account_key": account_key, "entity": entity}
    row = link.execute(SQL["latest_backfill"], params).fetchone()
    return int(row["id"]) if row else None
