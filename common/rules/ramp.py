"""How many requests may be under way at a time, as a pure rule: from one, a step per clean batch, halved on a 429.

A vendor that has just come back, or that counts requests in parallel, is met carefully; one that answers well is soon
used with all the connections that are set.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Ramp:
    """Where the climb is. ``clean``: good answers since the last step; ``halved_at``: in monotonic seconds."""

    lanes: int = 1
    clean: int = 0
    halved_at: float = float("-inf")


def answered_well(ramp: Ramp, most: int, *, sent_at: float) -> Ramp:
    """A good answer; as many in a row as there are lanes are a clean batch, which opens one more, up to ``most``.

    One to a request from before the last halving says nothing of the lanes since.
    """
    if sent_at < ramp.halved_at:
        return ramp
    if ramp.clean + 1 < ramp.lanes:
        return replace(ramp, clean=ramp.clean + 1)
    return replace(ramp, lanes=max(ramp.lanes, min(ramp.lanes + 1, most)), clean=0)


def answered_badly(ramp: Ramp) -> Ramp:
    """Neither good nor a 429: the batch is not clean."""
    return replace(ramp, clean=0)


def limited(ramp: Ramp, *, sent_at: float, now: float) -> Ramp:
    """A 429: half the lanes. One for a request that was sent before the last halving says nothing new."""
    if sent_at < ramp.halved_at:
        return ramp
    return Ramp(max(1, ramp.lanes // 2), 0, now)
