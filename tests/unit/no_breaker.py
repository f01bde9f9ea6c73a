"""A breaker and lowered limits that never hold anything back, for tests of what lies behind them; and one who hears."""

from __future__ import annotations

import threading

from common.errors import BreakerHolds, Deferred, TransientFault
from common.http.transport import Answer
from common.rules.breaker import Outcome
from common.rules.budget import Lowered
from daemon.guard.rate_note import RateNote


class NoBreaker:
    """Lets everything through and remembers what came of it; ``holds`` is what a test wants it to end requests with."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.faults: list[TransientFault] = []
        self.holds: BreakerHolds | None = None

    def enter(self, stop: threading.Event, *, for_ping: bool) -> str:
        """Come in."""
        return "ping" if for_ping else "request"

    def leave(self, token: str, outcome: Outcome, fault: TransientFault | None = None) -> None:
        """Noted."""
        self.outcomes.append(outcome)
        if fault is not None:
            self.faults.append(fault)

    def held(self) -> BreakerHolds | None:
        """What the test says."""
        return self.holds


class NoCeiling:
    """Nothing is lowered, until a test sets ``what``."""

    def __init__(self) -> None:
        self.what = Lowered()

    def lowered(self) -> Lowered:
        """What the test says."""
        return self.what

    def hold_left(self, *, for_ping: bool) -> float:
        """The vendor asked for nothing."""
        return 0.0


class Unwitnessed:
    """Nobody is told."""

    def sent(self, *, entity: str, note: RateNote, answer: Answer | None) -> None:
        """Nothing."""

    def waiting(self, *, entity: str, seconds: float, why: str) -> None:
        """Nothing."""

    def deferred(self, note: RateNote, signal: Deferred) -> None:
        """Nothing."""

    def retried(self, *, entity: str, attempt: int, wait_seconds: float, error: TransientFault) -> None:
        """Nothing."""

    def gave_up(self, *, entity: str, error: TransientFault) -> None:
        """Nothing."""

    def breaker(self, level: str, sentence: str) -> None:
        """Nothing."""
