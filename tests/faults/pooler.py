"""A pgbouncer in transaction mode between a process and its database: what many managed Postgres plans put there."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo

from tests.waiting import wait_for

FEW_SERVER_CONNECTIONS = 4
"""Fewer than a daemon opens by itself, so that its connections really change places."""
MISSING = (
    "pgbouncer is missing, which the tests of transaction-mode poolers need. Install it (Debian: apt-get install "
    "pgbouncer; macOS: brew install pgbouncer) and start again."
)
SETTINGS = """
[databases]
* = {server}
[pgbouncer]
pool_mode = transaction
default_pool_size = {size}
auth_type = any
unix_socket_dir = {folder}
listen_port = 6432
"""


@contextmanager
def pooler(database_url: str) -> Generator[str]:
    """The address of the same database through a pooler of this block's own."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.fail(MISSING)
    parts = conninfo.conninfo_to_dict(database_url)
    folder = Path(tempfile.mkdtemp(prefix="icc-pooler-"))
    names = {"host": "host", "port": "port", "user": "user", "password": "password"}
    server = " ".join(f"{ours}='{parts[theirs]}'" for theirs, ours in names.items() if parts.get(theirs))
    settings = folder / "pgbouncer.ini"
    settings.write_text(SETTINGS.format(server=server, size=FEW_SERVER_CONNECTIONS, folder=folder))
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen([program, *_as_whom(folder, str(parts.get("host", ""))), str(settings)], stderr=out)
    url = f"postgresql://icc@/{parts['dbname']}?host={folder}&port=6432"

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            with psycopg.connect(url, connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False

    try:
        wait_for(answers, "the pooler answers")
        yield url
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def _as_whom(folder: Path, server_folder: str) -> list[str]:
    """It refuses to run as root: then as the owner of the server's socket, who may go there, or as nobody."""
    if os.geteuid() != 0:
        return []
    owner = pwd.getpwuid(Path(server_folder).stat().st_uid) if server_folder.startswith("/") else pwd.getpwnam("nobody")
    name = owner.pw_name if owner.pw_uid != 0 else "nobody"
    shutil.chown(folder, name)
    return ["--user", name]
