"""The one clock. Decisions take ``now`` as an argument; reading it happens here, at the edge.

Wall time is UTC and aware; elapsed time is monotonic, so a stepped system clock never makes a wait longer or shorter.
"""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the daemon needs of time."""

    def now(self) -> datetime:
        """The present moment, UTC and aware."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that only goes forward; only differences mean anything."""
        ...

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait at most ``seconds`` for ``event``; true when it was set (somebody wants us to stop waiting)."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present moment, UTC and aware."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds on a clock that only goes forward."""
        return time.monotonic()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait at most ``seconds`` for ``event``; true when it was set."""
        return event.wait(max(0.0, seconds))


def use_utc() -> None:
    """Make this process and its children think in UTC (``schedule`` and log lines read local time)."""
    os.environ["TZ"] = "UTC"
    time.tzset()
