"""How long to wait before trying a request again. The one place that uses ``backoff`` (archived upstream).

Only its wait generator is used: its decorator sleeps uninterruptibly, and Stop must work within a second.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import backoff

BASE, FIRST_SECONDS, LONGEST_SECONDS = 1.8, 0.5, 20.0


def waits(dice: random.Random) -> Iterator[float]:
    """Endless waits in seconds: 0.5, 0.9, 1.6 … at most 20, each drawn uniformly from zero to that (full jitter)."""
    steps = backoff.expo(base=BASE, factor=FIRST_SECONDS, max_value=LONGEST_SECONDS)
    next(steps)  # it yields None first
    while True:
        ceiling = next(steps)
        yield dice.uniform(0, ceiling)


def at_least(drawn_seconds: float, server_seconds: float | None, dice: random.Random) -> float:
    """Never below what the server asked for; a little above it, so that many clients do not return at once."""
    if server_seconds is None:
        return drawn_seconds
    return max(drawn_seconds, server_seconds + dice.uniform(0.0, 0.25))
