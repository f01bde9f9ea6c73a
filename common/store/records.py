"""Synced rows: compare by hash, take a page by COPY into staging, one upsert, mark removed. The caller commits.

Table and column names come from the connector's entity definitions, never from outside, and are quoted all the same.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from common.errors import BadRecord
from common.excerpt import excerpt
from common.store.arrays import text_array
from common.store.database import Link
from common.store.database import sql as ours

REFUSED_BY_POSTGRES = (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded)
"""What a record can do wrong in Postgres' eyes: other errors are not the record's fault."""

SEND_BUFFER_BYTES = 4 * 1024 * 1024

_SAME_FOR_PAGE = ("account_key", "_source", "_run_id", "_fetched_at")


@dataclass(frozen=True)
class Target:
    """Where an entity's rows go. ``columns`` are those of a COPY line, in order (id first, raw, flag and hash last)."""

    schema: str
    table: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Provenance:
    """What is the same for every row of a page."""

    account_key: str
    source: str
    run_id: str
    fetched_at: datetime

    @property
    def cells(self) -> str:
        """As the first cells of a COPY line."""
        return "\t".join((self.account_key, self.source, self.run_id, self.fetched_at.isoformat()))


class Change(NamedTuple):
    """A record that differs from its stored row, or has none (``is_new``), as a COPY line.

    ``position`` is its place among the records that were compared.
    """

    position: int
    is_new: bool
    line: str


def differing(
    link: Link, target: Target, account_key: str, ids: Sequence[str], hashes: bytes
) -> list[tuple[int, bool | None]]:
    """Which records did not come in the bytes their rows came in: (position, whether the row is there).

    None: there is no row. False: it is marked removed. ``hashes`` are those of ``ids``, in order, one after the other.
    """
    if not ids:
        return []
    params = {"ids": text_array(ids), "hashes": hashes, "length": len(hashes) // len(ids), "account_key": account_key}
    with link.cursor(row_factory=tuple_row) as cursor:
        return cursor.execute(_statements(target)["differing"], params).fetchall()


def same_payload(
    link: Link, target: Target, account_key: str, texts: Mapping[str, tuple[str, bool]], volatile: Collection[str]
) -> set[str]:
    """Of records by id: whose rows say the same, in whatever order, ``volatile`` keys left out.

    ``texts``: each as JSON, and whether that is escaped: an escape is not the same as its letters. Raises one of
    ``REFUSED_BY_POSTGRES`` when a text is refused.
    """
    if not texts:
        return set()
    payloads, escaped = zip(*texts.values(), strict=True)
    about = {"account_key": account_key, "volatile": list(volatile)}
    params = {"ids": list(texts), "texts": list(payloads), "escaped": list(escaped), **about}
    return {row["id"] for row in link.execute(_statements(target)["same_payload"], params).fetchall()}


def write(link: Link, target: Target, run_id: str, changes: Sequence[Change]) -> None:
    """Write changes: new rows as ``insert`` does, others by COPY into staging and one upsert.

    Raises one of ``REFUSED_BY_POSTGRES`` when a line is refused, or a new row is there after all.
    """
    named = _statements(target)
    fresh = "".join([change.line for change in changes if change.is_new])
    if fresh:
        insert(link, target, [fresh.encode()])
    other = "".join([change.line for change in changes if not change.is_new])
    if other:
        with link.cursor().copy(named["stage"]) as copy:
            copy.write(other)
        link.execute(named["upsert"], (run_id,))
        link.execute(named["clear"], (run_id,))


def make_room(link: Link) -> None:
    """Let a whole COPY lie in the kernel, as far as that allows, on a connection that will write many.

    Else the thread that sends it waits every 100 KB, and each time for Python's lock besides: an eighth of a first
    load's time (measured).
    """
    with socket.socket(fileno=os.dup(link.pgconn.socket)) as own:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)


def insert(link: Link, target: Target, lines: Iterable[bytes]) -> None:
    """New rows, so many lines at a time, by COPY into the table itself. Raises as ``write`` does."""
    with link.cursor().copy(_statements(target)["insert"]) as copy:
        for some in lines:
            copy.write(some)


def try_out(link: Link, target: Target, lines: Iterable[bytes]) -> None:
    """Have Postgres read lines as ``write`` would, by COPY into staging, and take that back. Raises as it does."""
    with link.transaction(force_rollback=True), link.cursor().copy(_statements(target)["stage"]) as copy:
        for some in lines:
            copy.write(some)


def tidy_staging(link: Link, target: Target) -> None:
    """Give staging its space back; outside a transaction. Many pages of emptied staging would slow the next ones."""
    link.execute(_statements(target)["tidy"])


def settle_new_rows(link: Link, target: Target) -> None:
    """Do at once what Postgres would do to many new rows within a minute or so, in the midst of the next reading.

    A tenth of a second for 100 000 rows, since none of them is dead yet; what is locked by autovacuum already is left.
    """
    link.execute(_statements(target)["settle"])


def refusal_of(error: psycopg.Error) -> BadRecord:
    """What Postgres says of a record that it does not take.

    Its words may quote the record, so that SQLSTATE and constraint tell which errors are the same.
    """
    detail = excerpt(str(error).strip().splitlines()[0], 200)
    return BadRecord("RECORD_REFUSED", detail=detail, kind=f"{error.sqlstate} {error.diag.constraint_name or ''}")


def plan_for_bulk(link: Link) -> None:
    """Before comparing a whole table with a whole pass: no nested loops in this transaction.

    Neither has statistics worth the name right after a load, and a nested loop over 100 000 × 100 000 rows took eight
    minutes where a hash join takes a tenth of a second (measured).
    """
    link.execute("SET LOCAL enable_nestloop = off")


def count_here_before(link: Link, target: Target, account_key: str, pass_id: int) -> int:
    """Rows not marked removed that were here before the pass began."""
    row = link.execute(_statements(target)["before"], _of_pass(account_key, pass_id)).fetchone()
    return int(row["here"]) if row else 0


def is_empty(link: Link, target: Target, account_key: str) -> bool:
    """Whether no row of the account is here, none marked removed either."""
    row = link.execute(_statements(target)["empty"], (account_key,)).fetchone()
    return bool(row and row["is_empty"])


def count_missing(link: Link, target: Target, account_key: str, pass_id: int) -> int:
    """Rows that are here but that the pass did not meet."""
    row = link.execute(_statements(target)["missing"], _of_pass(account_key, pass_id)).fetchone()
    return int(row["missing"]) if row else 0


def mark_missing_removed(link: Link, target: Target, account_key: str, pass_id: int) -> int:
    """Mark those rows removed; returns how many."""
    return link.execute(_statements(target)["remove"], _of_pass(account_key, pass_id)).rowcount


def delete_all(link: Link, target: Target, account_key: str) -> int:
    """Delete every row of the account (drill rows only: the caller has checked); returns how many."""
    return link.execute(_statements(target)["delete"], (account_key,)).rowcount


def sample_missing(link: Link, target: Target, account_key: str, pass_id: int, most: int = 20) -> list[str]:
    """Some ids of those rows, for the person who decides."""
    rows = link.execute(_statements(target)["sample"], {**_of_pass(account_key, pass_id), "most": most}).fetchall()
    return [row["id"] for row in rows]


def stream_ids(link: Link, target: Target, account_key: str) -> Iterator[str]:
    """Ids of rows not marked removed, a thousand at a time; for a dry run, which stores no seen ids."""
    with link.cursor(name="icc_ids") as cursor:
        cursor.itersize = 1000
        cursor.execute(_statements(target)["ids"], (account_key,))
        for row in cursor:
            yield row["id"]


def stream_newer(
    link: Link, target: Target, account_key: str, *, above: datetime, below: datetime | None
) -> Generator[tuple[str, datetime | None]]:
    """Rows not marked removed whose ``updatedAt`` is newer than ``above``, or that have none; with ``below`` only those
    that are older than that: their ids and stamps, the newest first. The table is read through, once a delta.
    """
    with link.cursor(name="icc_newer") as cursor:
        cursor.itersize = 1000
        params = {"account_key": account_key, "above": above, "below": below}
        cursor.execute(_statements(target)["newer"], params)
        for row in cursor:
            yield row["id"], row["updated_at"]


def count_here(link: Link, target: Target, account_key: str, *, run_id: str) -> int:
    """How many records are known to be listed: rows not marked removed, and what the run put aside that has none."""
    row = link.execute(_statements(target)["here"], {"account_key": account_key, "run_id": run_id}).fetchone()
    return int(row["here"]) if row else 0


def _of_pass(account_key: str, pass_id: int) -> dict[str, str | int]:
    return {"account_key": account_key, "pass_id": pass_id}


# Nor what any later reading met, brought or changed, or a requeue looked at (which leaves a row that is as it was
# alone): an admin answers long after the pass, and others may be open.
_UNSEEN = (
    "{here} AND NOT EXISTS (SELECT FROM ("
    "SELECT unnest(s.ids) AS id FROM control.seen_ids AS s JOIN control.passes AS p ON p.id = s.pass_id "
    "JOIN control.passes AS this ON this.id = %(pass_id)s AND this.integration = p.integration "
    "AND this.account_key = p.account_key AND this.entity = p.entity "
    "JOIN control.runs AS r ON r.id = p.last_run_id WHERE p.id >= this.id OR r.started_at > this.started_at"
    ") AS seen WHERE seen.id = t.id) "
    "AND _run_id NOT IN (SELECT id FROM control.runs WHERE started_at > ("
    "SELECT started_at FROM control.passes WHERE id = %(pass_id)s)) "
    "AND NOT EXISTS (SELECT FROM control.dead_letters AS d WHERE d.integration = {schema} AND d.entity = {entity} "
    "AND d.account_key = t.account_key AND d.record_id = t.id AND greatest(d.last_seen_at, d.finished_at) > ("
    "SELECT started_at FROM control.passes WHERE id = %(pass_id)s))"
)


@cache
def _statements(target: Target) -> dict[str, bytes]:
    table = sql.Identifier(target.schema, target.table)
    staging = sql.Identifier(target.schema, f"staging_{target.table}")
    columns = [*_SAME_FOR_PAGE, *target.columns]
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    changes = sql.SQL(", ").join(
        sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name))
        for name in columns
        if name not in ("account_key", "id")
    )
    here = sql.SQL("account_key = %(account_key)s AND _removed_at IS NULL")
    place = {"schema": sql.Literal(target.schema), "entity": sql.Literal(target.table)}
    unseen = sql.SQL(_UNSEEN).format(here=here, **place)
    parts = {"table": table, "staging": staging, "names": names, "changes": changes, "here": here, "unseen": unseen}
    texts = {
        # One unique-index look-up per id, whatever the statistics say: on a table that grows while it is loaded they
        # are always behind, and `id = ANY (…)` then reads the account's whole index for every page (measured).
        "differing": "SELECT w.n::integer - 1, CASE WHEN t.id IS NOT NULL THEN t._removed_at IS NULL END "
        "FROM unnest(%(ids)s::text[]) WITH ORDINALITY AS w (id, n) "
        "LEFT JOIN LATERAL (SELECT t.id, t._payload_hash, t._removed_at FROM {table} AS t "
        "WHERE t.account_key = %(account_key)s AND t.id = w.id OFFSET 0) AS t ON true "
        "WHERE t.id IS NULL OR t._removed_at IS NOT NULL OR t._payload_hash <> substring(%(hashes)b::bytea "
        "FROM (w.n::integer - 1) * %(length)s + 1 FOR %(length)s)",
        "same_payload": "SELECT w.id FROM unnest(%(ids)s::text[], %(texts)s::text[], %(escaped)s::boolean[]) "
        "AS w (id, payload, escaped), LATERAL (SELECT t.raw, t._raw_escaped FROM {table} AS t "
        "WHERE t.account_key = %(account_key)s AND t.id = w.id OFFSET 0) AS t "
        "WHERE t._raw_escaped = w.escaped AND t.raw - %(volatile)s::text[] = w.payload::jsonb - %(volatile)s::text[]",
        "insert": "COPY {table} ({names}) FROM STDIN",
        "stage": "COPY {staging} ({names}) FROM STDIN",
        "upsert": "INSERT INTO {table} AS t ({names}) SELECT {names} FROM {staging} WHERE _run_id = %s "
        "ON CONFLICT (account_key, id) DO UPDATE SET {changes}, _removed_at = NULL "
        "WHERE t._payload_hash <> excluded._payload_hash OR t._removed_at IS NOT NULL",
        "clear": "DELETE FROM {staging} WHERE _run_id = %s",
        "tidy": "VACUUM (TRUNCATE) {staging}",
        "settle": "VACUUM (SKIP_LOCKED, INDEX_CLEANUP OFF, TRUNCATE OFF) {table}",
        "before": "SELECT count(*) AS here FROM {table} WHERE {here} "
        "AND _first_seen_at < (SELECT started_at FROM control.passes WHERE id = %(pass_id)s)",
        "empty": "SELECT NOT EXISTS (SELECT FROM {table} WHERE account_key = %s) AS is_empty",
        "missing": "SELECT count(*) AS missing FROM {table} AS t WHERE {unseen}",
        "remove": "UPDATE {table} AS t SET _removed_at = clock_timestamp() WHERE {unseen}",
        "sample": "SELECT id FROM {table} AS t WHERE {unseen} ORDER BY id LIMIT %(most)s",
        "delete": "DELETE FROM {table} WHERE account_key = %s",
        "newer": "SELECT id, updated_at FROM {table} WHERE {here} AND (updated_at > %(above)s OR updated_at IS NULL) "
        "AND (%(below)s::timestamptz IS NULL OR updated_at < %(below)s) ORDER BY updated_at DESC NULLS LAST",
        "here": "SELECT (SELECT count(*) FROM {table} WHERE {here}) + (SELECT count(*) FROM control.dead_letters AS d "
        "WHERE d.run_id = %(run_id)s AND d.integration = {schema} AND d.entity = {entity} "
        "AND d.account_key = %(account_key)s AND NOT EXISTS (SELECT FROM {table} AS t "
        "WHERE t.account_key = d.account_key AND t.id = d.record_id AND t._removed_at IS NULL)) AS here",
        "ids": "SELECT id FROM {table} WHERE account_key = %s AND _removed_at IS NULL",
    }
    return {name: sql.SQL(ours(text)).format(**parts, **place).as_bytes(None) for name, text in texts.items()}
