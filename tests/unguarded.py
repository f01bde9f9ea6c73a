"""Writes into ``control.commands`` what only a daemon may write: its guard is off for as long as the block lasts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from common.store.database import Database, Link


@contextmanager
def unguarded(database: Database) -> Iterator[Link]:
    """A transaction in which the table of commands takes every claim and every end."""
    with database.transaction() as link:
        link.execute("ALTER TABLE control.commands DISABLE TRIGGER commands_guard")
        yield link
        link.execute("ALTER TABLE control.commands ENABLE TRIGGER commands_guard")
