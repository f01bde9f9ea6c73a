"""How fast a run goes and when it may end. Pure: the pages' marks and ``now`` come in.

An end is a range, never a point: the last minute's speed and the whole run's seldom agree, and both may be right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

WINDOW_SECONDS = 60.0
FEWEST_MARKS = 3
"""With fewer pages any estimate would be a guess."""
SLACK = 0.15
"""Each end of the range is widened by this share: pages vary even when the two speeds agree."""
AS_EVER = 0.5
"""An entity whose total changed by a larger share says that last time's totals are no guide any more."""
NO_TOTAL = "unknown, no total"
TOO_EARLY = "unknown, too early to tell"


@dataclass(frozen=True)
class PageMark:
    """A page that was committed: when, and how many rows it brought."""

    at: datetime
    rows: int


@dataclass(frozen=True)
class Part:
    """What is known of one entity of a run. ``total`` rows at the vendor, if it said so."""

    page: int
    pages_expected: int | None
    total: int | None
    finished: bool


def rows_per_second(marks: Sequence[PageMark], now: datetime, window_seconds: float = WINDOW_SECONDS) -> float | None:
    """Speed over the last ``window_seconds`` (of ``marks``, oldest first); None with fewer than two marks in it.

    Measured up to ``now``, so a run that stands still is seen to slow down.
    """
    recent = [mark for mark in marks if (now - mark.at).total_seconds() <= window_seconds]
    if len(recent) < 2:
        return None
    seconds = (now - recent[0].at).total_seconds()
    # The first mark's rows were fetched before the stretch that is measured.
    return sum(mark.rows for mark in recent[1:]) / seconds if seconds > 0 else None


def expected_totals(pairs: Sequence[tuple[int | None, int | None]]) -> list[int | None]:
    """What each entity is expected to hold, of (what the vendor says now, what it said last time): as told now, else as
    last time, unless one that was told now has become another size. Then the others' may have, too, and none is known.
    """
    both = [(now, last) for now, last in pairs if now is not None and last is not None]
    is_as_ever = all(abs(now - last) <= AS_EVER * max(now, last) for now, last in both)
    return [now if now is not None else last if is_as_ever else None for now, last in pairs]


def remaining_rows(parts: Sequence[Part]) -> int | None:
    """Rows still to come over all entities; None when one that is not finished has no known total.

    Counted by pages, since a run that resumes did not bring the earlier ones itself.
    """
    left = 0
    for part in parts:
        if part.finished:
            continue
        if part.total is None:
            return None
        if part.pages_expected:
            done = min(1.0, part.page / part.pages_expected)
            left += round(part.total * (1 - done))
        else:
            left += part.total
    return left


def share_done(parts: Sequence[Part]) -> float | None:
    """How much of the run is done, 0 to 1, each entity weighing what it holds; None without totals."""
    totals = [part.total for part in parts]
    known = [total for total in totals if total is not None]
    left = remaining_rows(parts)
    if left is None or len(known) < len(totals):
        return None
    whole = sum(known)
    return 1.0 if whole == 0 else max(0.0, min(1.0, 1 - left / whole))


def eta_seconds(left: int | None, marks: Sequence[PageMark], now: datetime) -> tuple[float, float] | None:
    """Seconds until the end as (soonest, latest); None when it cannot be known (no total, too few pages, no speed)."""
    if left is None or len(marks) < FEWEST_MARKS:
        return None
    if left == 0:
        return (0.0, 0.0)
    whole_run = rows_per_second(marks, now, window_seconds=float("inf"))
    speeds = [speed for speed in (rows_per_second(marks, now), whole_run) if speed]
    if not speeds:
        return None
    return (left / max(speeds) * (1 - SLACK), left / min(speeds) * (1 + SLACK))


def why_no_eta(left: int | None) -> str:
    """The words that stand where an end would."""
    return NO_TOTAL if left is None else TOO_EARLY
