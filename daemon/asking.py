"""Connectors for pings and checks. They end with the daemon: their requests are cut, and none goes out any more."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from common.clock import Clock
from common.store.database import Database
from daemon.guard.guard import Witness
from daemon.integrations.base import Account, Connector, Opened


class Asking:
    """Whatever asks a vendor outside of runs. Threads share it."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._open: list[Opened] = []

    @contextmanager
    def connector(self, account: Account, witness: Witness) -> Iterator[Connector]:
        """A guarded connector for one question; ``witness`` hears of its requests.

        What it is asked raises ``StopRequested`` once this is closed.
        """
        opened = account.open(self._database, self._clock, stop=self._closing, witness=witness)
        with self._lock:
            self._open.append(opened)
        try:
            yield opened.connector
        finally:
            with self._lock:
                self._open.remove(opened)
            opened.settle()
            opened.close()

    def close(self) -> None:
        """End every question."""
        self._closing.set()
        with self._lock:
            under_way = list(self._open)
        for opened in under_way:
            opened.abort()
