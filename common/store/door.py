"""Opens the database a process was given: the outside one of DATABASE_URL, else the embedded one."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

from common.config import SharedSettings
from common.errors import SettingsError
from common.store import embedded
from common.store.address import can_work
from common.store.database import Database


def known_url(settings: SharedSettings) -> str | None:
    """The database's address when it can be had without starting or making anything; None when it cannot.

    Raises ``SettingsError`` for one that can never work.
    """
    _check(settings)
    if settings.database_url:
        return settings.database_url
    if not settings.icc_data_dir.exists():
        return None
    found = embedded.status(settings.icc_data_dir)
    return found.url if found.answers else None


@contextmanager
def opened(
    settings: SharedSettings, *, name: str, on_progress: Callable[[str], None] = lambda _: None, apart: int = 0
) -> Generator[Database]:
    """A ``Database`` for as long as the block lasts.

    ``name`` is what the server calls this process (``icc:web``, ``icc:daemon``); ``apart`` of its connections are left
    to other pools (``Database.apart``). Starting the embedded database is told through ``on_progress``; its troubles
    come as ``EmbeddedPostgresError`` with cause and remedy. An address that can never work comes as ``SettingsError``.
    """
    _check(settings)
    most = settings.icc_database_connections - apart
    if settings.database_url:
        with Database(settings.database_url, direct_url=settings.database_direct_url, name=name, most=most) as database:
            yield database
        return
    with (
        embedded.join(settings.icc_data_dir, on_progress=on_progress) as postgres,
        Database(postgres.url, name=name, most=most, revive=postgres.revive) as database,
    ):
        yield database


def _check(settings: SharedSettings) -> None:
    for name in ("database_url", "database_direct_url"):
        address = getattr(settings, name)
        if address and not can_work(address):
            raise SettingsError(
                "SETTING_UNUSABLE",
                setting=name.upper(),
                problem="an address that Postgres's client does not take",
                expected="one whose port is a port, whose %-codes are UTF-8 and whose options after the ? are known, "
                "such as sslmode=require",
            )
