"""What comes without a session, counted in memory and told to the database every few seconds.

A flood costs a number, not a row each; the audit log gets one row per minute and kind (``common/store/anonymous.py``).
"""

from __future__ import annotations

import threading

from common.store import anonymous
from common.store.database import Database

FLUSH_SECONDS = 5.0
ROWS_OF_A_MINUTE = 20
"""Failed sign-ins that get a row of their own per minute and process; the rest is counted."""

NO_SESSION = "request without a session"
NOT_OURS = "request from another site"
FAILED_SIGN_IN = "sign in"
PACED = "API request beyond the caller's pace"
CROWDED = "sign in while too many wait"
ENDED = "press on a page whose session has ended"


class Tally:
    """Counts by kind; any thread may count."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, tuple[int, str]] = {}
        self._rows = 0
        self._minute = 0

    def count(self, kind: str, address: str) -> None:
        """One more of this kind."""
        self._add({kind: (1, address)})

    def grants_a_row(self, now_seconds: float) -> bool:
        """Whether a failed sign-in of this moment gets a row of its own in the audit log; else it is to be counted."""
        with self._lock:
            minute = int(now_seconds // 60)
            if minute != self._minute:
                self._minute, self._rows = minute, 0
            self._rows += 1
            return self._rows <= ROWS_OF_A_MINUTE

    def flush(self, database: Database) -> int:
        """Tell the database, and move minutes that are over to the audit log; returns how many rows that were.

        Raises ``DatabaseAway``; what was counted is kept then, and counts for the minute in which it can be told.
        """
        with self._lock:
            counts, self._counts = self._counts, {}
        try:
            with database.transaction() as link:
                anonymous.add(link, counts)
                return anonymous.close_minutes(link)
        except BaseException:
            self._add(counts)
            raise

    def _add(self, counts: dict[str, tuple[int, str]]) -> None:
        with self._lock:
            for kind, (requests, address) in counts.items():
                known, latest = self._counts.get(kind, (0, address))
                self._counts[kind] = (known + requests, address if requests == 1 else latest)
