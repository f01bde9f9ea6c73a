"""Brings a database's schema up to this version: ``python -m common.store.migrate``.

Many starters at once are safe (an advisory lock on a direct connection), and a killed one leaves nothing stuck: yoyo's
own lock is a row that a killed process leaves behind for ever, so it is broken first, under ours.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
from yoyo import get_backend, read_migrations
from yoyo.connections import parse_uri

from common import logs, redact
from common.config import SharedSettings, environment, read_process
from common.errors import DatabaseAway, IccError
from common.store.database import Database, Link, first_line, translated
from common.store.door import opened
from common.store.embedded import EmbeddedPostgresError
from common.store.statements import SQL_FOLDER

LOCK_KEY = 4_201_187_651
"""Any number, the same for every version of this program."""
ATTEMPTS = 10
_OURS = {"schema": "control", "client_encoding": "UTF8"}


def migrate(database: Database) -> list[str]:
    """Apply what is missing; returns the ids applied. Waits while another process migrates. Raises ``DatabaseAway``."""
    with _alone(database), database.connect("icc:migrate", direct=True) as link, translated():
        _refuse_other_than_utf8(link)
        try:
            link.execute("CREATE SCHEMA IF NOT EXISTS control")
            _check_rights(link)
            applied = _apply(database.direct_url)
            if applied:
                link.execute("ANALYZE")
            return applied
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction) as error:
            raise DatabaseAway(first_line(error), code="DATABASE_FORBIDS") from None


def _refuse_other_than_utf8(link: Link) -> None:
    """In any other encoding the server would refuse some of the vendor's letters, or not know them as letters."""
    row = link.execute("SELECT current_setting('server_encoding') AS encoding").fetchone()
    if row is not None and row["encoding"] != "UTF8":
        raise DatabaseAway(row["encoding"], code="DATABASE_NOT_UTF8")


def _check_rights(link: Link) -> None:
    """In somebody else's schema yoyo's tables are not forbidden, but not found, as behind a pooler."""
    row = link.execute("SELECT has_schema_privilege('control', 'USAGE') AS may").fetchone()
    if row is None or not row["may"]:
        raise DatabaseAway("permission denied for schema control", code="DATABASE_FORBIDS")


@contextmanager
def _alone(database: Database) -> Iterator[None]:
    """Nobody else migrates meanwhile; freed when the transaction ends, however this process ends.

    A transaction's lock, not a session's: a transaction-mode pooler would keep a session's lock on a connection of its
    own after we have left, and nobody could ever migrate again.
    """
    with database.connect("icc:migrate-lock", direct=True, autocommit=False) as link:
        with translated():
            link.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            link.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK_KEY])
        yield


def is_migrated(database: Database) -> bool:
    """Whether there is a schema of ours at all, of whatever version."""
    with database.transaction() as link:
        row = link.execute("SELECT to_regclass('control.accounts_synced') IS NOT NULL AS there").fetchone()
    return row is not None and bool(row["there"])


def _apply(url: str) -> list[str]:
    """Apply what is missing, by yoyo, whose search path is its session's.

    A transaction-mode pooler may hand its next statement to another connection, where its tables are not found; then
    nothing was applied, and it begins anew.
    """
    for _ in range(ATTEMPTS - 1):
        with suppress(psycopg.errors.UndefinedTable):
            return _apply_once(url)
    return _apply_once(url)


def _apply_once(url: str) -> list[str]:
    with _backend(url) as backend:
        backend.break_lock()
        with backend.lock():
            missing = backend.to_apply(read_migrations(str(SQL_FOLDER / "migrations")))
            backend.apply_migrations(missing)
            return [migration.id for migration in missing]


class _backend:  # noqa: N801 -- reads as a function
    """yoyo's connection, closed afterwards; its tables live in schema ``control``."""

    def __init__(self, url: str) -> None:
        parsed = parse_uri(url)
        self._uri = str(parsed._replace(scheme="postgresql+psycopg", args={**parsed.args, **_OURS}))

    def __enter__(self):  # type: ignore[no-untyped-def]  # yoyo has no types
        self._backend = get_backend(self._uri)
        # A prepared statement of a starter that went is still there on the pooler's connection.
        self._backend.connection.prepare_threshold = None
        return self._backend

    def __exit__(self, *_: object) -> None:
        self._backend.connection.close()


def main() -> int:
    """Migrate and say what was done; exit 2 with a sentence when it cannot."""
    try:
        settings, _ = read_process(SharedSettings, environment())
        redact.register(*settings.secrets)
        with opened(settings, name="icc:migrate", on_progress=_say) as database:
            applied = migrate(database)
            _say("\n".join(f"applied {name}" for name in applied) or "the database is up to date")
    except (IccError, EmbeddedPostgresError) as error:
        _say(f"{error.cause} {error.remedy}")
        return 2
    return 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    logs.mask_tracebacks()
    sys.exit(main())
