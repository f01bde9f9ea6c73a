"""The listening socket on loopback: one thread per connection, a port that can close and come back, a quick end."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from selectors import EVENT_READ, DefaultSelector
from threading import Lock, Thread, current_thread
from time import monotonic

HOST = "127.0.0.1"
BACKLOG = 128
JOIN_SECONDS = 0.5


class Listener:
    """Accepts connections and gives each to `serve` in a thread of its own.

    While refusing, the port stays bound without listening: clients are refused, and no other program can take it.

    Raises:
        OSError: the port is taken.
    """

    def __init__(self, port: int, serve: Callable[[socket.socket], None]) -> None:
        self._serve = serve
        self._lock = Lock()
        self._connections: dict[socket.socket, Thread] = {}
        self._socket = _bound(port)
        self._session: tuple[Thread, socket.socket] | None = None
        self.port: int = self._socket.getsockname()[1]

    def listen(self) -> None:
        """Take connections; nothing happens when it already does."""
        with self._lock:
            if self._session is None:
                self._socket.listen(BACKLOG)
                wake_reader, wake_writer = socket.socketpair()
                thread = Thread(target=self._accept, args=(self._socket, wake_reader), name="drill-accept", daemon=True)
                self._session = (thread, wake_writer)
                thread.start()

    def refuse(self) -> None:
        """Cut every connection and refuse new ones, until `listen`."""
        self._close()
        self._socket = _bound(self.port)
        self._cut_all()

    def stop(self) -> None:
        """Cut everything and give the port back; threads that sit in a long computation are left behind."""
        self._close()
        deadline = monotonic() + JOIN_SECONDS
        for thread in self._cut_all():
            if thread is not current_thread():
                thread.join(max(0.0, deadline - monotonic()))

    def _close(self) -> None:
        with self._lock:
            if self._session is not None:
                thread, wake_writer = self._session
                self._session = None
                wake_writer.close()
                thread.join()
            self._socket.close()

    def _accept(self, listening: socket.socket, wake_reader: socket.socket) -> None:
        """Accept until the other end of the wake pair closes: closing a socket does not wake its accept()."""
        with DefaultSelector() as selector, wake_reader:
            selector.register(listening, EVENT_READ)
            selector.register(wake_reader, EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in selector.select()]
                if wake_reader in ready:
                    return
                with suppress(OSError):
                    self._begin(listening.accept()[0])

    def _begin(self, connection: socket.socket) -> None:
        thread = Thread(target=self._run, args=(connection,), name="drill-connection", daemon=True)
        self._connections[connection] = thread
        thread.start()

    def _run(self, connection: socket.socket) -> None:
        try:
            self._serve(connection)
        finally:
            self._connections.pop(connection, None)
            connection.close()

    def _cut_all(self) -> list[Thread]:
        open_now = list(self._connections.items())
        for connection, _ in open_now:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        return [thread for _, thread in open_now]


def _bound(port: int) -> socket.socket:
    """Return a socket bound to a port on loopback; the drill never listens to the network."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((HOST, port))
    except OSError:
        bound.close()
        raise
    return bound
