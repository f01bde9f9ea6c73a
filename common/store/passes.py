"""Passes: one reading of an entity's list, which outlives the run that began it. The caller commits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import accumulate
from typing import Any, NamedTuple

import psycopg
from psycopg.types.json import Jsonb

from common.store.arrays import text_array
from common.store.database import Database, Link, Row
from common.store.leases import Lease
from common.store.masked import masked_json
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


def go_on(link: Link, lease: Lease, pass_id: int) -> Row:
    """This run continues it; returns its ``started_at``, which is now where nothing came of it yet."""
    row = link.execute(SQL["continue_pass"], {**lease.params, "pass_id": pass_id}).fetchone()
    assert row is not None
    return row


def digest_of(ids: Sequence[str]) -> str:
    """What tells a page of a list from what stands there now."""
    return hashlib.blake2b("\x00".join(ids).encode(), digest_size=16).hexdigest()


def advance(link: Link, facts: Row, pages: Sequence[tuple[int, Sequence[str]]]) -> bool:
    """Move checkpoint, counters and seen ids past these pages (number, ids); false when they were committed before."""
    ends = list(accumulate(len(ids) for _, ids in pages))
    firsts = [end - len(ids) + 1 for end, (_, ids) in zip(ends, pages, strict=True)]
    params = {
        **facts,
        "ids": text_array([id_ for _, ids in pages for id_ in ids]),
        "numbers": [number for number, _ in pages],
        "first_ids": firsts,
        "last_ids": ends,
        "first_page": pages[0][0],
        "digest": digest_of(pages[-1][1]),
    }
    return link.execute(SQL["advance"], params).fetchone() is not None


def next_page(link: Link, pass_id: int) -> int:
    """Where the reading goes on."""
    row = link.execute(SQL["next_page"], {"pass_id": pass_id}).fetchone()
    assert row is not None
    return int(row["next_page"])


def stream_seen(link: Link, pass_id: int) -> Iterator[list[str]]:
    """The ids met on each page of a pass, some pages at a time, in any order."""
    with link.cursor(name="icc_seen") as cursor:
        cursor.itersize = 20
        cursor.execute(SQL["stream_seen"], {"pass_id": pass_id})
        for row in cursor:
            yield row["ids"]


def begin_second_look(link: Link, pass_id: int) -> int:
    """Every page of the pass has come, and its list is being read once more; returns for which time."""
    row = link.execute(SQL["begin_second_look"], {"pass_id": pass_id}).fetchone()
    assert row is not None
    return int(row["looks"])


def see_more(link: Link, pass_id: int, ids: Sequence[str]) -> None:
    """Remember what only a second look at the list of a pass met."""
    link.execute(SQL["see_more"], {"pass_id": pass_id, "ids": list(ids)})


def see_for_question(link: Link, lease: Lease, entity: str, page: int, ids: Sequence[str]) -> None:
    """Remember what a list showed while an admin may still say that what an earlier reading missed is gone."""
    link.execute(SQL["see_for_question"], {**lease.params, "entity": entity, "page": page, "ids": list(ids)})


def end(
    link: Link,
    pass_id: int,
    state: str,
    total: int | None = None,
    *,
    keep_watermark: bool = True,
    deep: bool = False,
) -> str | None:
    """Complete or abandoned; returns the transaction (``runs.is_committed``), None when it had ended before.

    Without its watermark, or where it was ``deep``, the next delta looks again at all that this reading looked at.
    """
    params = {"pass_id": pass_id, "state": state, "total": total, "keep_watermark": keep_watermark, "deep": deep}
    row = link.execute(SQL["end_pass"], params).fetchone()
    return str(row["xact_id"]) if row else None


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


def remembers_all(link: Link, pass_id: int) -> bool:
    """Whether the ids met on every page of a pass of a whole list are still there."""
    row = link.execute(SQL["remembers_all"], {"pass_id": pass_id}).fetchone()
    assert row is not None
    return bool(row["remembers_all"])


def count_unseen(link: Link, pass_id: int, page: int, ids: list[str]) -> int:
    """How many of these ids no earlier page brought."""
    row = link.execute(SQL["count_unseen"], {"pass_id": pass_id, "page": page, "ids": ids}).fetchone()
    return int(row["unseen"]) if row else 0


def store_shape(link: Link, lease: Lease, entity: str, sampled: int, diff: Any) -> None:
    """What a sample of the entity's records holds against our columns."""
    params = {**lease.params, "entity": entity, "sampled": sampled, "diff": masked_json(diff)}
    link.execute(SQL["store_shape"], params)


def watermark(link: Link, lease: Lease, entity: str) -> datetime | None:
    """Up to when the entity's changes are known; None before its first complete reading."""
    row = link.execute(SQL["watermark"], {**lease.params, "entity": entity}).fetchone()
    return row["watermark"] if row else None


class Earlier(NamedTuple):
    """Whether other readings of an entity brought records, however they ended; whether one came to its end."""

    brought_records: bool
    was_complete: bool


def earlier(link: Link, lease: Lease, entity: str, pass_id: int | None) -> Earlier:
    """What is known of the entity's other readings; ``pass_id``: this one's."""
    row = link.execute(SQL["earlier_passes"], {**lease.params, "entity": entity, "pass_id": pass_id}).fetchone()
    assert row is not None
    return Earlier(**row)


def latest_backfill(link: Link, integration: str, account_key: str, entity: str) -> int | None:
    """The last complete full reading's id."""
    params = {"integration": integration, "account_key": account_key, "entity": entity}
    row = link.execute(SQL["latest_backfill"], params).fetchone()
    return int(row["id"]) if row else None


def list_sizes(database: Database, integration: str, account_key: str, entities: tuple[str, ...]) -> list[Row]:
    """Per entity the vendor's ``total`` and whether its deltas come ``in_order``; none before the schema is there.

    Raises ``DatabaseAway``.
    """
    params = {"integration": integration, "account_key": account_key, "entities": list(entities)}
    try:
        with database.transaction() as link:
            return link.execute(SQL["list_sizes"], params).fetchall()
    except psycopg.errors.UndefinedTable:
        return []
