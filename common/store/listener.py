"""LISTEN on a connection of its own, and honest about whether it works.

It counts as working only after it has heard its own nonce: a transaction-mode pooler swallows LISTEN silently. No
statement is ever run inside ``notifies()`` (psycopg 3.3.9 hangs there, measured).
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable

import psycopg
from psycopg import sql

from common.errors import DatabaseAway
from common.store.database import Database, Link

NONCE_CHANNEL = "icc_nonce"
LOOK_SECONDS = 0.5
RETRY_SECONDS = 1.0
NONCE_SECONDS = 30.0


class Listener:
    """Calls ``on_note(channel, payload)`` for every notification, in a thread of its own.

    ``on_change()`` is called when it begins or ceases to work: whoever relied on it must look for what it missed.
    """

    def __init__(
        self,
        database: Database,
        channels: tuple[str, ...],
        on_note: Callable[[str, str], None],
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._channels = channels
        self._on_note = on_note
        self._on_change = on_change
        self._stop = threading.Event()
        self._nonce = ""
        self._heard = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="listener", daemon=True)

    @property
    def working(self) -> bool:
        """Whether notifications really arrive; otherwise poll often."""
        return self._heard.is_set()

    def start(self) -> Listener:
        """Begin to listen."""
        self._thread.start()
        return self

    def close(self, wait_seconds: float = 2 * LOOK_SECONDS + 1) -> None:
        """Stop listening; a connection that is just being made is waited for no longer than that."""
        self._stop.set()
        self._thread.join(wait_seconds)

    def _loop(self) -> None:
        while not self._stop.is_set():
            try:
                with self._database.connect("icc:listen", direct=True) as link:
                    self._listen(link)
            except (DatabaseAway, psycopg.Error):
                if self._heard.is_set():
                    self._heard.clear()
                    self._database.heard(notes=False)
                    self._on_change()
                self._stop.wait(RETRY_SECONDS)

    def _listen(self, link: Link) -> None:
        for channel in (*self._channels, NONCE_CHANNEL):
            link.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        since_nonce = NONCE_SECONDS
        while not self._stop.is_set():
            if not self._heard.is_set() and since_nonce >= NONCE_SECONDS:
                self._send_nonce()
                since_nonce = 0.0
            for note in link.notifies(timeout=LOOK_SECONDS, stop_after=1):
                self._take(note.channel, note.payload)
            since_nonce += LOOK_SECONDS

    def _take(self, channel: str, payload: str) -> None:
        if channel == NONCE_CHANNEL:
            if payload == self._nonce:
                self._heard.set()
                self._database.heard(notes=True)
                self._on_change()
            return
        self._on_note(channel, payload)

    def _send_nonce(self) -> None:
        self._nonce = uuid.uuid4().hex
        with self._database.transaction() as link:
            link.execute("SELECT pg_notify(%s, %s)", (NONCE_CHANNEL, self._nonce))
