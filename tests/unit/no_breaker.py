"""A circuit breaker that never holds anything back, for tests of what lies behind it."""

from __future__ import annotations

import threading

from common.rules.breaker import Outcome


class NoBreaker:
    """Lets everything through and remembers what came of it."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    def enter(self, stop: threading.Event, *, for_ping: bool) -> str:
        """Come in."""
        return "ping" if for_ping else "request"

    def leave(self, token: str, outcome: Outcome) -> None:
        """Noted."""
        self.outcomes.append(outcome)
