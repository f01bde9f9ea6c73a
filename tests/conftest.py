"""Fixtures for every ring: a real Postgres (embedded, or TEST_DATABASE_URL) and a fresh database per test.

A database is copied from a migrated template, which takes tens of milliseconds.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from psycopg import conninfo, sql

from common.store import embedded
from common.store.database import Database
from common.store.migrate import migrate

_ROOM_BYTES = 4 * 2**30
_LEAVE_WITHIN_SECONDS = 5.0

# The same examples every time: a red build is red for a reason, not by luck, nor for being slow on a busy machine.
settings.register_profile(
    "icc", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("icc")

for _name in list(os.environ):
    # A developer's own settings must not leak into what is tested.
    if _name.startswith(("DOORLOOP_", "ICC_", "AUTO_SYNC_", "DATABASE_", "INTEGRATIONS_", "SYNC_")):
        del os.environ[_name]


@pytest.fixture(scope="session")
def server_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A Postgres for the whole session: TEST_DATABASE_URL, else an embedded one in a throw-away folder.

    A benchmark's lies on a disk, as a user's does.
    """
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield given
        return
    measures = any(item.get_closest_marker("bench") for item in request.session.items)
    folder = Path(tempfile.mkdtemp(prefix="icc-test-", dir=None if measures else _quick_disk()))
    folder.chmod(0o711)  # as root, the server runs as another user, below this folder
    data_dir, root_base = folder / "data", folder / "root"
    try:
        with embedded.join(data_dir, root_base=root_base) as postgres:
            yield postgres.url
        embedded.delete(data_dir, root_base=root_base)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def template_database(server_url: str) -> Iterator[str]:
    """The name of a migrated database that tests copy."""
    name = f"icc_template_{uuid.uuid4().hex[:8]}"
    _on(server_url, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    with Database(_in(server_url, name)) as database:
        migrate(database)
    yield name
    _drop(server_url, name)


@pytest.fixture
def database_url(server_url: str, template_database: str) -> Iterator[str]:
    """The address of a fresh, migrated database of this test's own."""
    name = f"icc_test_{uuid.uuid4().hex[:12]}"
    _on(
        server_url,
        sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template_database)),
    )
    yield _in(server_url, name)
    _drop(server_url, name)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The same, opened."""
    with Database(database_url, name="icc:test", most=6) as opened_database:
        yield opened_database


@pytest.fixture
def empty_database_url(server_url: str) -> Iterator[str]:
    """The address of a database with nothing in it."""
    name = f"icc_empty_{uuid.uuid4().hex[:12]}"
    _on(server_url, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    yield _in(server_url, name)
    _drop(server_url, name)


def _quick_disk() -> Path | None:
    """Memory, where it is mounted with room to spare and may hold programs; None: the usual place.

    Some file systems grow slow where thousands of files are made and deleted within minutes: ext4 without a journal
    passes over every inode deleted in the last ones to find a free one, and a database took half a second, not 40 ms.
    """
    memory = Path("/dev/shm")
    try:
        found = os.statvfs(memory)
    except OSError:
        return None
    has_room = found.f_bavail * found.f_frsize >= _ROOM_BYTES
    return memory if has_room and not found.f_flag & os.ST_NOEXEC and os.access(memory, os.W_OK) else None


def _on(url: str, statement: sql.Composed) -> None:
    with psycopg.connect(url, autocommit=True) as link:
        link.execute(statement)


def _drop(url: str, name: str) -> None:
    """Drop a database whoever is still in it.

    Not WITH (FORCE): that is refused while an autovacuum worker is in it, which only a superuser may terminate. A plain
    DROP asks the worker to leave by itself.
    """
    with psycopg.connect(url, autocommit=True) as link:
        for attempts_left in reversed(range(5)):
            _send_away(link, name)
            try:
                link.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))
                return
            except psycopg.errors.ObjectInUse:
                if not attempts_left:
                    raise


def _send_away(link: psycopg.Connection, name: str) -> None:
    """End the sessions in a database and see them leave: DROP itself looks again only every tenth of a second."""
    give_up_at = time.monotonic() + _LEAVE_WITHIN_SECONDS
    ending = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND usename = current_user"
    while link.execute(ending, [name]).fetchall() and time.monotonic() < give_up_at:
        time.sleep(0.002)


def _in(url: str, name: str) -> str:
    """The same server, another database, as a ``postgresql://`` address."""
    parts = conninfo.conninfo_to_dict(url)
    host, port, user = str(parts.get("host", "")), parts.get("port", 5432), parts.get("user", "")
    password = f":{parts['password']}" if parts.get("password") else ""
    if host.startswith("/"):
        return f"postgresql://{user}{password}@/{name}?host={host}&port={port}"
    return f"postgresql://{user}{password}@{host}:{port}/{name}"
