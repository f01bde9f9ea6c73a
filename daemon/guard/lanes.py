"""How many requests of a run may be under way at a time; the rest wait here, and hear a stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from common.clock import Clock
from common.errors import StopRequested
from common.rules import ramp
from common.rules.ramp import Ramp
from daemon.guard.ceiling import Ceiling

LOOK_SECONDS = 0.1
"""How soon a waiting request hears of a stop or of a lowered limit."""


@dataclass(frozen=True)
class Lane:
    """The right to have one request under way. ``counted`` false: a ping, which is let through beside the others."""

    entered_at: float
    counted: bool = True


class Lanes:
    """The lanes of one run, from one up to ``most`` or what an admin allows meanwhile; its threads share them."""

    def __init__(self, clock: Clock, ceiling: Ceiling, most: int) -> None:
        self._clock = clock
        self._ceiling = ceiling
        self._most = most
        self._ramp = Ramp()
        self._taken = 0
        self.line: list[object] = []
        """Who waits, in order."""
        self._moved = threading.Condition()

    def enter(self, stop: threading.Event, *, for_ping: bool = False) -> Lane:
        """Wait for a free lane. Raises ``StopRequested``, or ``DatabaseAway`` when nobody knows what is allowed."""
        if not for_ping:
            self._wait_in_line(stop)
        return Lane(self._clock.monotonic(), counted=not for_ping)

    def _wait_in_line(self, stop: threading.Event) -> None:
        """First come, first served: else who has just left may enter again before those who wait, for many pages."""
        place = object()
        with self._moved:
            self.line.append(place)
        try:
            while True:
                open_lanes = min(self._ramp.lanes, self._allowed())
                with self._moved:
                    if stop.is_set():
                        raise StopRequested
                    if self.line[0] is place and self._taken < open_lanes:
                        self._taken += 1
                        return
                    self._moved.wait(LOOK_SECONDS)
        finally:
            with self._moved:
                self.line.remove(place)
                self._moved.notify_all()

    def leave(self, lane: Lane) -> None:
        """The request is over, whatever came of it; next say what (below)."""
        if lane.counted:
            with self._moved:
                self._taken -= 1
                self._moved.notify_all()

    def well(self, lane: Lane) -> None:
        """It brought a good answer."""
        self._step(lane, lambda now: ramp.answered_well(now, self._most, sent_at=lane.entered_at))

    def limited(self, lane: Lane) -> None:
        """It was told to slow down."""
        at = self._clock.monotonic()
        self._step(lane, lambda now: ramp.limited(now, sent_at=lane.entered_at, now=at))

    def badly(self, lane: Lane) -> None:
        """It failed otherwise."""
        self._step(lane, ramp.answered_badly)

    def _allowed(self) -> int:
        return self._ceiling.lowered().connections(self._most)

    def _step(self, lane: Lane, step: Callable[[Ramp], Ramp]) -> None:
        if not lane.counted:
            return
        with self._moved:
            self._ramp = step(self._ramp)
            self._moved.notify_all()
