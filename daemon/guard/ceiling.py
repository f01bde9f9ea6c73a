"""What an admin has lowered for a while, looked up at most once a second, so that a running run obeys within two."""

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

    def lowered(self) -> Lowered:
        """What counts now, at most a second old. Raises ``DatabaseAway``."""
        now = self._clock.monotonic()
        with self._lock:
            if now - self._looked_at < LOOK_SECONDS:
                return self._lowered
            self._looked_at = now
        found = budgets.lowered(self._database, *self._account)
        with self._lock:
            self._lowered = found
        return found
