"""How many rows of an entity are here: exact for small tables, by Postgres' own counters for large ones.

A page must not count a million rows at each tick. An exact number is kept as long as the table's counters say that
nothing changed; above ``EXACT_UP_TO`` the estimate stands, and says that it is one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from psycopg import sql as composing

from common.store.database import Link
from common.store.statements import statements

EXACT_UP_TO = 200_000
COUNT_AGAIN_SECONDS = 3.0
"""While a run writes, its table is counted no more often than this."""

# Not in sql/queries: its table is a name from the catalogue, which no parameter can be.
_LIVE: Final = "SELECT count(*) AS live FROM {table} WHERE account_key = %(account_key)s AND _removed_at IS NULL"


@dataclass(frozen=True)
class LiveRows:
    """Rows that are not marked removed. ``is_estimate``: by Postgres' counters, removed ones included."""

    number: int
    is_estimate: bool


@dataclass
class _Counted:
    changes: int
    at: float
    number: int


class LiveRowCounter:
    """Remembers what was counted, per database; one instance a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counted: dict[tuple[str, str, str], _Counted] = {}

    def count(self, link: Link, integration: str, account_key: str, entities: Sequence[str]) -> dict[str, LiveRows]:
        """Rows per entity. Entities come from the catalogue: they are names of tables."""
        params = {"integration": integration, "entities": list(entities)}
        counters = link.execute(statements("insights")["table_counters"], params).fetchall()
        return {
            row["entity"]: self._one(link, (integration, account_key, row["entity"]), row["estimate"], row["changes"])
            for row in counters
        }

    def _one(self, link: Link, key: tuple[str, str, str], estimate: int, changes: int) -> LiveRows:
        if estimate > EXACT_UP_TO:
            return LiveRows(estimate, is_estimate=True)
        integration, account_key, entity = key
        with self._lock:
            known = self._counted.get(key)
            now = time.monotonic()
            if known and (known.changes == changes or now - known.at < COUNT_AGAIN_SECONDS):
                return LiveRows(known.number, is_estimate=False)
        statement = composing.SQL(_LIVE).format(table=composing.Identifier(integration, entity))
        row = link.execute(statement, {"account_key": account_key}).fetchone()
        assert row is not None
        with self._lock:
            self._counted[key] = _Counted(changes, now, int(row["live"]))
        return LiveRows(int(row["live"]), is_estimate=False)
