"""Connectors for pings and checks. They end with the daemon: their requests are cut, and none goes out any more."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from common.clock import Clock
from common.errors import DatabaseAway, Deferred
from common.store import accounts, commands
from common.store.database import Database
from daemon.account_voice import AccountVoice
from daemon.integrations.base import Account, Connector, Opened

BUDGET_SPENT = "BUDGET_SPENT"
"""Ours, and judged anew whenever somebody asks."""


class Asking:
    """Whatever asks a vendor outside of runs. Threads share it."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._open: list[Opened] = []

    @contextmanager
    def connector(self, account: Account, voice: AccountVoice) -> Iterator[Connector]:
        """A guarded connector for one question; ``voice`` hears of its requests.

        What it is asked raises ``StopRequested`` once this is closed. A vendor that answers "come back in an hour"
        means whoever asks next: no run begins before.
        """
        opened = account.open(self._database, self._clock, stop=self._closing, witness=voice)
        with self._lock:
            self._open.append(opened)
        try:
            yield opened.connector
            if voice.put_off is not None and voice.put_off.code != BUDGET_SPENT:
                self._block(voice.account, voice.put_off)
        finally:
            with self._lock:
                self._open.remove(opened)
            opened.settle()
            opened.close()

    def _block(self, account: tuple[str, str], signal: Deferred) -> None:
        """Best effort: a ping that was answered is told, whether the block could be written or not."""
        with suppress(DatabaseAway), self._database.transaction() as link:
            # What was put off by this machine's clock comes due by the database's.
            ahead = commands.database_ahead_by(link, self._clock.now())
            accounts.put_off(link, *account, until=signal.until + ahead, code=signal.code)

    def close(self) -> None:
        """End every question."""
        self._closing.set()
        with self._lock:
            under_way = list(self._open)
        for opened in under_way:
            opened.abort()
