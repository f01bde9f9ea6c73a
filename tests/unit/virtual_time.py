"""A clock that only moves when somebody waits, so that no test sleeps."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


class VirtualClock:
    """Time that passes by waiting; ``waits`` are the seconds of every wait."""

    def __init__(self, start: datetime = START) -> None:
        self._start = start
        self.seconds = 0.0
        self.waits: list[float] = []

    def now(self) -> datetime:
        """The virtual moment."""
        return self._start + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        """Virtual seconds since some moment long ago."""
        return 1000.0 + self.seconds

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Pass the time at once, unless the event is set."""
        if event.is_set():
            return True
        self.waits.append(seconds)
        self.seconds += max(0.0, seconds)
        return False
