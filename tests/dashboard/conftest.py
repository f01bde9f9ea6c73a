"""A real web process on a real database, and a script run without a browser."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from psycopg import sql

from common.access import Role
from common.store.database import Database
from tests.conftest import _drop, _in, _on
from tests.dashboard import seed
from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
SECRET_KEY = "a-key-for-tests-only-0123456789"


@dataclass
class Web:
    """A running web process. ``output`` is what it wrote so far, both streams."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    clients: list[httpx.Client] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        return self.log.read_text()

    def client(self) -> httpx.Client:
        """A browser's worth of cookies."""
        client = httpx.Client(base_url=self.address, headers={"origin": self.address}, timeout=30)
        self.clients.append(client)
        return client

    def signed_in(self, name: str = "ana", password: str = "correct-horse-battery") -> httpx.Client:
        """A client with a session."""
        client = self.client()
        answer = client.post("/auth/local", data={"name": name, "password": password})
        assert answer.status_code == 303, answer.text
        return client

    def answers(self) -> bool:
        """Whether it is ready."""
        assert self.process.poll() is None, self.output
        try:
            return httpx.get(f"{self.address}/readyz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_web(port: int | None = None, *, wait: bool = True, **environment: str) -> Web:
    """Start ``streamlit run dashboard/app.py`` as a user would; ``environment`` holds its settings."""
    port = port or free_port()
    folder = Path(tempfile.mkdtemp(prefix="icc-web-"))
    log = folder / "output.txt"
    command = [sys.executable, "-m", "streamlit", "run", "dashboard/app.py", "--server.port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **environment}, stdout=output, stderr=subprocess.STDOUT
        )
    web = Web(process, port, log)
    if wait:
        wait_for(web.answers, "the web process is ready", seconds=60)
    return web


def stop_web(web: Web) -> None:
    """End it as a platform would, and insist that it obeys."""
    for client in web.clients:
        client.close()
    if web.process.poll() is None:
        web.process.send_signal(signal.SIGTERM)
    web.process.wait(timeout=10)


@pytest.fixture
def start(database_url: str) -> Iterator[Callable[..., Web]]:
    """Starts web processes on this test's database; ends them afterwards."""
    started: list[Web] = []

    def begin(**environment: str) -> Web:
        settings = {"DATABASE_URL": database_url, "ICC_SECRET_KEY": SECRET_KEY, **environment}
        web = start_web(**settings)  # type: ignore[arg-type]  # settings are strings by name
        started.append(web)
        return web

    yield begin
    for web in started:
        stop_web(web)


@contextmanager
def copied_database(server_url: str, template_database: str) -> Generator[Database]:
    """A fresh database for as long as the block lasts."""
    name = f"icc_web_{uuid.uuid4().hex[:12]}"
    names = {"new": sql.Identifier(name), "template": sql.Identifier(template_database)}
    _on(server_url, sql.SQL("CREATE DATABASE {new} TEMPLATE {template}").format(**names))
    with Database(_in(server_url, name), name="icc:test", most=6) as opened:
        yield opened
    _drop(server_url, name)


def emptied(database: Database) -> None:
    """Take away what a test left, so that the next one finds a database as after a first start."""
    with database.transaction() as link:
        link.execute(
            """TRUNCATE control.sessions, control.people, control.sign_in_attempts, control.commands, control.runs,
                        control.run_entities, control.passes, control.leases, control.daemons, control.accounts_synced,
                        control.integrations, control.pings, control.events, control.rate_limit_samples,
                        control.confirmations, control.dry_run_reports, control.dead_letters, control.bulk_actions,
                        control.bulk_letters, control.error_groups, control.schema_diffs, doorloop.owners"""
        )


@pytest.fixture(scope="module")
def shared_database(server_url: str, template_database: str) -> Iterator[Database]:
    """One database for a whole module."""
    with copied_database(server_url, template_database) as opened:
        yield opened


@pytest.fixture(scope="module")
def shared_web(shared_database: Database) -> Iterator[Web]:
    """One web process for a whole module, on ``shared_database``."""
    web = start_web(DATABASE_URL=shared_database.url, ICC_SECRET_KEY=SECRET_KEY, ICC_HEARTBEAT_SECONDS="1")
    yield web
    stop_web(web)


@pytest.fixture
def house(shared_web: Web, shared_database: Database) -> Web:
    """The shared web process with nobody signed in, an admin ``ana`` and a viewer ``vera``."""
    emptied(shared_database)
    seed.person(shared_database, "ana", Role.ADMIN)
    seed.person(shared_database, "vera", Role.VIEWER)
    return shared_web
