"""What an admin has lowered for a while, and until when the vendor wants nothing at all.

Looked up at most once a second, so that a running run obeys within two.
"""

from __future__ import annotations

import threading

from common.clock import Clock
from common.rules.budget import Lowered
from common.store import budgets
from common.store.database import Database

LOOK_SECONDS = 1.0


class Ceiling:
    """The lowered limits of one account; threads share it."""

    def __init__(self, database: Database, clock: Clock, *, integration: str, account_key: str) -> None:
        self._database = database
        self._clock = clock
        self._account = (integration, account_key)
        self._lock = threading.Lock()
        self._looked_at = float("-inf")
        self._lowered = Lowered()
        self._held_until = self._blocked_until = float("-inf")

    def hold_left(self, *, for_ping: bool) -> float:
        """For how many seconds nothing is to be sent, whoever was told so, as of the last look.

        A block of the account is for runs; by a ping one learns that the vendor is back.
        """
        with self._lock:
            until = self._held_until if for_ping else max(self._held_until, self._blocked_until)
        return until - self._clock.monotonic()

    def lowered(self) -> Lowered:
        """What counts now, at most a second old. Raises ``DatabaseAway``."""
        now = self._clock.monotonic()
        with self._lock:
            if now - self._looked_at < LOOK_SECONDS:
                return self._lowered
            self._looked_at = now
        found, held_seconds, blocked_seconds = budgets.in_force(self._database, *self._account)
        with self._lock:
            self._lowered = found
            self._held_until, self._blocked_until = now + held_seconds, now + blocked_seconds
        return found
