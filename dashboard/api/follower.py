"""Follows the log for the whole process: one connection that listens, one query per wake-up, whoever reads.

Ids are dense and in the order of commits, so going on after the last one misses nothing and repeats nothing, however
many daemons write. The one exception is a server that crashed: events are committed without waiting for the disk, so it
may take back its last ones and give their ids out again. The line last read is therefore read again each time: when it
is another one now, the follower says so and begins anew.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from common.errors import DatabaseAway
from common.insights import streams
from common.insights.streams import LogLine
from common.redact import mask
from common.store.database import Database
from common.store.listener import Listener

CHANNEL = "icc_events"
KEPT_LINES = 10_000
"""How far back a reader may go on; whoever is further behind begins anew."""
REST_SECONDS = 0.05
"""Between two looks: what is written meanwhile is sent in one piece."""
NET_SECONDS = 5.0
DEAF_SECONDS = 0.3
"""How often to look when nobody wakes us: while LISTEN works, and while a pooler swallows it or it was cut."""
RETRY_SECONDS = 1.0

log = logging.getLogger(__name__)


class Audience(Protocol):
    """Who is told, in the follower's thread. ``position`` is the id up to which everything has been told."""

    def begins(self, lines: Sequence[LogLine], position: int) -> None:
        """Forget what was told; these are the last lines there are."""

    def hears(self, lines: Sequence[LogLine], position: int) -> None:
        """The next lines."""

    def rests(self) -> None:
        """The log has been looked at: everything that was there has been told."""

    def waits(self, away: DatabaseAway | None) -> None:
        """The database is away, or (None) back."""


class Rewound(Exception):
    """The log's end is not the one we read: the server took lines back."""


class Follower:
    """A thread that reads the log's new lines and tells them."""

    def __init__(self, database: Database, audience: Audience) -> None:
        self._database = database
        self._audience = audience
        self._position = 0
        self._last_ts: datetime | None = None
        self._is_away = False
        self._wake = threading.Event()
        self._stop = threading.Event()
        # When LISTEN is cut or back, too: lines may have come unheard, and from then on it is looked at another pace.
        self._listener = Listener(database, (CHANNEL,), lambda _channel, _payload: self._wake.set(), self._wake.set)
        self._thread = threading.Thread(target=self._loop, name="log follower", daemon=True)

    def start(self) -> Follower:
        """Begin to follow."""
        self._listener.start()
        self._thread.start()
        return self

    def look(self) -> None:
        """Look now, woken or not."""
        self._wake.set()

    def close(self) -> None:
        """End; returns when the thread has ended or hangs in a query."""
        self._stop.set()
        self._wake.set()
        self._thread.join(RETRY_SECONDS)
        self._listener.close()

    def _loop(self) -> None:
        begun = False
        while not self._stop.is_set():
            try:
                if begun:
                    self._look()
                else:
                    self._begin()
                    begun = True
                self._audience.rests()
                self._say_away(None)
            except Rewound:
                log.warning("the end of the log was taken back by the database server; streams begin anew")
                begun = False
                continue
            except DatabaseAway as away:
                self._say_away(away)
                self._stop.wait(RETRY_SECONDS)
                continue
            except Exception as error:  # noqa: BLE001 -- the follower outlives whatever happens to one look
                log.error("the log could not be read, trying again: %s", mask(repr(error)))
                self._stop.wait(RETRY_SECONDS)
                continue
            self._stop.wait(REST_SECONDS)
            self._wake.wait(NET_SECONDS if self._listener.working else DEAF_SECONDS)
            self._wake.clear()

    def _begin(self) -> None:
        head = streams.log_head(self._database)
        lines: list[LogLine] = []
        first_id = head - KEPT_LINES + 1
        while page := streams.log_lines(self._database, first_id=first_id):
            lines += page
            first_id = page[-1].id + 1
        self._note(lines, head)
        self._audience.begins(lines[-KEPT_LINES:], self._position)

    def _look(self) -> None:
        """Tell everything new. The first line read is the last one known, if it is still there."""
        while True:
            found = streams.log_lines(self._database, first_id=self._position)
            if not found and streams.log_head(self._database) < self._position:
                raise Rewound
            known = bool(found) and found[0].id == self._position and self._last_ts is not None
            if known and found[0].ts != self._last_ts:
                raise Rewound
            new = found[1:] if known else found
            if new:
                self._note(new, self._position)
                self._audience.hears(new, self._position)
            if len(found) < streams.MOST_READ:
                return

    def _note(self, lines: Sequence[LogLine], head: int) -> None:
        last = lines[-1] if lines else None
        self._position = max(head, last.id) if last else head
        self._last_ts = last.ts if last and last.id == self._position else None

    def _say_away(self, away: DatabaseAway | None) -> None:
        if self._is_away != (away is not None):
            self._is_away = away is not None
            self._audience.waits(away)
