"""Waiting for the database: a restart of the server, or a cut connection, is no reason to end a run."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

import structlog

from common.clock import Clock
from common.errors import DatabaseAway, LeaseLost, StopRequested

T = TypeVar("T")
SOON_SECONDS = 0.05
RECONNECT_SECONDS = 0.5

log = structlog.get_logger("run")


class Patient:
    """Does something again while the database is away. What it does must bear being done twice."""

    def __init__(self, clock: Clock, stop: threading.Event) -> None:
        self._clock = clock
        self._stop = stop

    def __call__(self, act: Callable[[], T]) -> T:
        """What ``act`` returns. Raises ``LeaseLost`` as it comes, and ``StopRequested`` when told to stop waiting."""
        pause_seconds = SOON_SECONDS  # a deadlock, or one connection cut, has passed by then
        while True:
            try:
                return act()
            except LeaseLost:
                raise
            except DatabaseAway as error:
                log.warning("waiting for the database", why=error.cause)
                if self._clock.wait(self._stop, pause_seconds):
                    raise StopRequested from None
                pause_seconds = min(2 * pause_seconds, RECONNECT_SECONDS)


def insisting(clock: Clock, until: threading.Event | None) -> Callable[[Callable[[], T]], T]:
    """How something is done: again while the database is away, until that is set; without it, once."""
    return _at_once if until is None else Patient(clock, until)


def _at_once(act: Callable[[], T]) -> T:
    return act()
