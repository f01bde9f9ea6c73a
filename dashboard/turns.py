"""When an attempt to sign in is looked at: it waits for the failures before it, and for its turn in two lines.

Nobody is turned away for having failed, and a right password given among many wrong ones is looked at like any other.
Only where a line is longer than a proxy lets an answer wait (Heroku: 30 s) is nobody more taken, for the moment.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from weakref import WeakValueDictionary

import anyio

LONGEST_DELAY_SECONDS = 15.0
LONGEST_LINE_SECONDS = 22.0
KEPT_FREE_SECONDS = 6.0
"""The end of an account's line that addresses which have failed of late cannot take: for its person, come anew."""
SEATS = 8
"""How many sign-ins by a provider are under way at a time from one address; more wait for a seat."""


class TooManyAtOnce(Exception):
    """The line is so long that this attempt is not even looked at; ``retry_seconds`` says when there may be room."""

    def __init__(self, retry_seconds: float) -> None:
        super().__init__(f"no room for {retry_seconds:g} s")
        self.retry_seconds = retry_seconds


@dataclass(frozen=True)
class Pace:
    """How a place slows attempts down, by the failures past ``free_failures`` of the last minutes.

    Each attempt on its own waits twice as long as the one before. Between any two, however many come at once and from
    wherever, lies a gap that grows by ``gap_per_failure_seconds``, up to ``longest_gap_seconds``.
    """

    free_failures: int
    gap_per_failure_seconds: float
    longest_gap_seconds: float

    def delay_seconds(self, failures: int) -> float:
        """How long an attempt waits at least."""
        over = failures - self.free_failures
        return 0.0 if over < 0 else min(LONGEST_DELAY_SECONDS, 0.5 * 2 ** min(over, 10))

    def gap_seconds(self, failures: int) -> float:
        """How long the one after it in line waits for it."""
        over = max(0, failures - self.free_failures)
        return min(self.longest_gap_seconds, self.gap_per_failure_seconds * over)


OF_ACCOUNT = Pace(free_failures=3, gap_per_failure_seconds=0.02, longest_gap_seconds=2.0)
OF_ADDRESS = Pace(free_failures=10, gap_per_failure_seconds=0.04, longest_gap_seconds=4.0)
"""An address's gap is twice an account's, so that one address never fills an account's line."""


@dataclass(frozen=True)
class Place:
    """An account or an address where attempts wait, the failures there before this one, and how long a line may be."""

    name: str
    pace: Pace
    failures: int
    room_seconds: float = LONGEST_LINE_SECONDS


def places(
    account: str, address: str, *, known: bool = False, of_account: int = 0, of_address: int = 0
) -> tuple[Place, ...]:
    """Where an attempt waits, after so many failures of the account and of the address.

    Who is ``known`` at an address stands in a line of their own there, whoever tries the account elsewhere and whoever
    fails with other accounts at the same address, which may be a whole office's. Anybody else waits in both lines.
    """
    if known:
        return (Place(f"account {account} at {address}", OF_ACCOUNT, of_account),)
    kept_free = 0.0 if of_address < OF_ACCOUNT.free_failures else KEPT_FREE_SECONDS
    return (
        Place(f"account {account}", OF_ACCOUNT, of_account, LONGEST_LINE_SECONDS - kept_free),
        Place(f"address {address}", OF_ADDRESS, of_address),
    )


class Lines:
    """The lines of a process: per place, until when those who wait already keep it busy."""

    def __init__(self) -> None:
        self._busy_until: dict[str, float] = {}
        self._lock = threading.Lock()

    def check_room(self, places: Sequence[Place], now: float) -> None:
        """Raises ``TooManyAtOnce`` when a line is too long to join; costs nothing and notes nothing."""
        for place in places:
            excess_seconds = self._busy_until.get(place.name, now) - now - place.room_seconds
            if excess_seconds > 0:
                raise TooManyAtOnce(excess_seconds)

    def join(self, places: Sequence[Place], now: float) -> float:
        """Take a place in every line; returns how many seconds to wait before the attempt is looked at.

        Raises ``TooManyAtOnce`` when one of them has no room; then it takes none.
        """
        with self._lock:
            self.check_room(places, now)
            self._busy_until = {name: until for name, until in self._busy_until.items() if until > now}
            waits = [place.pace.delay_seconds(place.failures) for place in places]
            for place in places:
                until = self._busy_until.get(place.name, now)
                waits.append(until - now)
                self._busy_until[place.name] = until + place.pace.gap_seconds(place.failures)
        return max(waits, default=0.0)


_seats: WeakValueDictionary[str, anyio.CapacityLimiter] = WeakValueDictionary()


@asynccontextmanager
async def seat(place: str) -> AsyncIterator[None]:
    """Hold one of the few seats at a place, once it is free. Raises ``TooManyAtOnce`` after the longest wait."""
    limiter = _seats.setdefault(place, anyio.CapacityLimiter(SEATS))
    try:
        with anyio.fail_after(LONGEST_LINE_SECONDS):
            await limiter.acquire()
    except TimeoutError:
        raise TooManyAtOnce(LONGEST_LINE_SECONDS) from None
    try:
        yield
    finally:
        limiter.release()
