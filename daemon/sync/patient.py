"""Waiting for the database: a restart of the server, or a cut connection, is no reason to end a run.

What Postgres refuses again and again although it answers otherwise (a full disk, a timeout of its own, no connection
left) is one, or the run would stand as running for ever.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

import structlog

from common.clock import Clock
from common.errors import DatabaseAway, DatabaseRefuses, LeaseLost, StopRequested

T = TypeVar("T")
SOON_SECONDS = 0.05
RECONNECT_SECONDS = 0.5
REFUSED_TIMES, REFUSED_SECONDS = 5, 60.0

log = structlog.get_logger("run")


class TakenBack(DatabaseAway):
    """A crash of the server took the last pages back, rows and checkpoint together: read on from what is left."""


class Patient:
    """Does something again while the database is away. What it does must bear being done twice.

    ``answers`` raises ``DatabaseAway`` when the database is away for everything else, too; without it, it is waited for
    in any case. ``lets_pass`` are raised as they come.
    """

    def __init__(
        self,
        clock: Clock,
        stop: threading.Event,
        *,
        answers: Callable[[], object] | None = None,
        lets_pass: tuple[type[DatabaseAway], ...] = (LeaseLost,),
    ) -> None:
        self._clock = clock
        self._stop = stop
        self._answers = answers
        self._lets_pass = lets_pass
        self.why: str | None = None
        """What Postgres said last, while it is waited for."""

    def __call__(
        self,
        act: Callable[[], T],
        *,
        afterwards: Callable[[], object] = lambda: None,
        progress: Callable[[], object] = lambda: None,
    ) -> T:
        """What ``act`` returns; ``afterwards`` is called when it failed.

        Raises ``DatabaseRefuses`` when it failed for so long without any ``progress``, ``StopRequested`` when told to
        stop waiting.
        """
        pause_seconds = SOON_SECONDS  # a deadlock, or one connection cut, has passed by then
        spell = _Spell(self._clock, progress)
        while True:
            try:
                result = act()
            except self._lets_pass:
                raise
            except DatabaseAway as error:
                log.warning("waiting for the database", why=error.cause)
                self.why = str(error.facts["detail"])
                afterwards()
                self._judge(spell)
                if self._clock.wait(self._stop, pause_seconds):
                    raise StopRequested from None
                pause_seconds = min(2 * pause_seconds, RECONNECT_SECONDS)
            else:
                self.why = None
                return result

    def _judge(self, spell: _Spell) -> None:
        """After a failure: raises ``DatabaseRefuses`` when the database refuses this alone."""
        if self._answers is None:
            return
        try:
            self._answers()
        except self._lets_pass:
            raise
        except DatabaseAway:
            spell.away()
            return
        times, seconds = spell.refused()
        if times >= REFUSED_TIMES and seconds >= REFUSED_SECONDS:
            raise DatabaseRefuses("DATABASE_REFUSES", seconds=round(seconds), detail=self.why) from None


class _Spell:
    """Failures in a row without any progress, each while the database answered: right before as right after it.

    Right after alone proves nothing: it may just have come back.
    """

    def __init__(self, clock: Clock, progress: Callable[[], object]) -> None:
        self._clock = clock
        self._progress = progress
        self._reached = progress()
        self._times: int | None = None
        """None: it was away when it was asked last, or was not asked yet."""
        self._began = 0.0

    def away(self) -> None:
        """It answers nothing."""
        self._times = None

    def refused(self) -> tuple[int, float]:
        """It answers: how often it has refused this now, and for how many seconds."""
        reached, now = self._progress(), self._clock.monotonic()
        if self._times is None or reached != self._reached:
            self._times, self._began, self._reached = -1, now, reached
        self._times += 1
        return self._times, now - self._began


def insisting(clock: Clock, until: threading.Event | None) -> Callable[[Callable[[], T]], T]:
    """How something is done: again while the database is away, until that is set; without it, once."""
    return _at_once if until is None else Patient(clock, until)


def _at_once(act: Callable[[], T]) -> T:
    return act()
