"""What a dry run found, and the stored versions that it compares with. The caller commits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from psycopg import sql

from common.store.database import Link, Row
from common.store.leases import Lease
from common.store.masked import masked_json
from common.store.records import Target
from common.store.statements import statements

SQL = statements("dry_runs")

# Not in sql/queries: its table is a name from the connector, which no parameter can be. One index look-up per id.
_CHANGED: Final = (
    "SELECT found.* FROM unnest(%(ids)s::text[], %(payloads)s::text[]) AS wanted (id, payload), LATERAL ("
    "SELECT t.id, t.raw::text AS raw, t._removed_at IS NOT NULL AS was_removed FROM {table} AS t "
    "WHERE t.account_key = %(account_key)s AND t.id = wanted.id "
    "AND (t.raw <> wanted.payload::jsonb OR t._removed_at IS NOT NULL) OFFSET 0) AS found LIMIT %(most)s"
)


def changed_rows(link: Link, target: Target, account_key: str, payloads: Mapping[str, str], most: int) -> list[Row]:
    """Stored rows that say something else than the given JSON, or are marked removed: id, raw text, was_removed."""
    statement = sql.SQL(_CHANGED).format(table=sql.Identifier(target.schema, target.table))
    params = {"ids": list(payloads), "payloads": list(payloads.values()), "account_key": account_key, "most": most}
    return link.execute(statement, params).fetchall()


def store(link: Link, lease: Lease, entity: str, samples: list[dict[str, Any]]) -> None:
    """The report of an entity that has ended (masked)."""
    link.execute(SQL["store"], {**lease.params, "entity": entity, "samples": masked_json(samples)})


def samples_of(link: Link, run_id: str) -> dict[str, Any]:
    """Entity → its sampled changes."""
    return {row["entity"]: row["samples"] for row in link.execute(SQL["samples"], {"run_id": run_id}).fetchall()}
