"""A way to the database that can fall silent: its connections stay open, and nothing passes any more."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from psycopg import conninfo

LOOK_SECONDS = 0.05


class Way:
    """Carries every connection to the database, until ``silent`` is set."""

    def __init__(self, database_url: str, server: socket.socket) -> None:
        self.silent, self._over = threading.Event(), threading.Event()
        self._server = server
        self._parts = {name: str(value) for name, value in conninfo.conninfo_to_dict(database_url).items()}
        who = ":".join(quote(self._parts[part]) for part in ("user", "password") if part in self._parts)
        port = server.getsockname()[1]
        self.url = f"postgresql://{who}@127.0.0.1:{port}/{self._parts['dbname']}?sslmode=disable"
        self._threads = [threading.Thread(target=self._accept, name="way")]
        self._threads[0].start()

    def close(self) -> None:
        """Cut every connection."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while not self._over.is_set():
            if select.select([self._server], [], [], LOOK_SECONDS)[0]:
                near, _ = self._server.accept()
                self._threads.append(threading.Thread(target=self._carry, args=(near,), name="way"))
                self._threads[-1].start()

    def _carry(self, near: socket.socket) -> None:
        with near, self._connected() as far, suppress(OSError):
            across = {near: far, far: near}
            while not self._over.is_set():
                ready, _, _ = select.select(list(across), [], [], LOOK_SECONDS)
                if self.silent.is_set():
                    self._over.wait()
                    return
                for end in ready:
                    data = end.recv(65536)
                    if not data:
                        return
                    across[end].sendall(data)

    def _connected(self) -> socket.socket:
        host, port = self._parts.get("host", "localhost"), self._parts.get("port", "5432")
        if not host.startswith("/"):
            return socket.create_connection((host, int(port)))
        far = socket.socket(socket.AF_UNIX)
        far.connect(str(Path(host) / f".s.PGSQL.{port}"))
        return far


@contextmanager
def way_to(database_url: str) -> Generator[Way]:
    """Such a way, for as long as the block lasts."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        way = Way(database_url, server)
        try:
            yield way
        finally:
            way.close()
