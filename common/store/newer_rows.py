"""Whether a synced row is newer than what a requeue brings. The caller commits."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from psycopg import sql

from common.store.database import Link
from common.store.records import Target

# Not in sql/queries: its table is a name from the connector, which no parameter can be.
_NEWER: Final = (
    "SELECT _fetched_at > %(fetched_at)s AS is_newer FROM {table} "
    "WHERE account_key = %(account_key)s AND id = %(record_id)s AND _removed_at IS NULL FOR UPDATE"
)


def is_newer(link: Link, target: Target, account_key: str, record_id: str, fetched_at: datetime) -> bool:
    """Whether the row here was fetched later than ``fetched_at``; it stays locked until the transaction ends."""
    statement = sql.SQL(_NEWER).format(table=sql.Identifier(target.schema, target.table))
    params = {"account_key": account_key, "record_id": record_id, "fetched_at": fetched_at}
    row = link.execute(statement, params).fetchone()
    return bool(row and row["is_newer"])
