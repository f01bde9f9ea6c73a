"""The lanes at the guard's door, with real threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import ClassVar, cast

import pytest

from common.clock import SystemClock
from common.errors import StopRequested
from common.rules.budget import Lowered
from daemon.guard.ceiling import Ceiling
from daemon.guard.lanes import Lane, Lanes
from tests.unit.no_breaker import NoCeiling
from tests.waiting import wait_for

NEVER = threading.Event()


class Street:
    """Lanes, and who is in them."""

    opened: ClassVar[list[Street]] = []

    def __init__(self, most: int = 4) -> None:
        self.opened.append(self)
        self.over = threading.Event()
        self.ceiling = NoCeiling()
        self.lanes = Lanes(SystemClock(), cast("Ceiling", self.ceiling), most)
        self.inside: list[Lane] = []
        self.stopped = 0

    def send(self, stop: threading.Event | None = None) -> threading.Thread:
        """A thread that enters and stays, or waits until ``stop``, at the latest until the test is over."""

        def enter() -> None:
            try:
                self.inside.append(self.lanes.enter(stop or self.over))
            except StopRequested:
                self.stopped += 1

        thread = threading.Thread(target=enter, daemon=True)
        thread.start()
        return thread

    def climb(self, answers: int) -> None:
        """So many good answers, one after the other."""
        for _ in range(answers):
            lane = self.lanes.enter(NEVER)
            self.lanes.well(lane)
            self.lanes.leave(lane)


@pytest.fixture(autouse=True)
def nobody_waits_on() -> Iterator[None]:
    """A thread left waiting would look ten times a second until the last test has ended."""
    yield
    while Street.opened:
        Street.opened.pop().over.set()


def test_a_second_request_waits_until_the_first_was_answered_well() -> None:
    """Ramp-up from 1: two at once begin one after the other; the good answer lets both of the next pair in."""
    street = Street()
    threads = [street.send(), street.send()]
    wait_for(lambda: len(street.inside) == 1, "one is in")
    threads[0].join(0.3)
    threads[1].join(0.3)
    assert len(street.inside) == 1
    street.lanes.well(street.inside[0])
    wait_for(lambda: len(street.inside) == 2, "the second lane is open")


def test_lanes_are_given_in_the_order_in_which_they_were_asked_for() -> None:
    """A page that waits is not overtaken again and again by later ones: what is read stays in order."""
    lanes = Lanes(SystemClock(), cast("Ceiling", NoCeiling()), 1)
    entered: list[int] = []
    first = lanes.enter(NEVER)

    def go(number: int) -> None:
        lane = lanes.enter(NEVER)
        entered.append(number)
        lanes.leave(lane)

    threads = []
    for number in range(5):
        threads.append(threading.Thread(target=go, args=(number,), daemon=True))
        threads[-1].start()
        wait_for(lambda: len(lanes.line) == len(threads), "it stands in line")
    lanes.leave(first)
    for thread in threads:
        thread.join(10)
    assert entered == [0, 1, 2, 3, 4]


def test_a_stop_ends_the_wait() -> None:
    """Law 6: waiting for a lane is interruptible."""
    street, stop = Street(), threading.Event()
    street.climb(0)
    street.lanes.enter(NEVER)
    waiting = street.send(stop)
    stop.set()
    waiting.join(5)
    assert street.stopped == 1


def test_a_ping_is_let_through_beside_the_others() -> None:
    """A person's ping never waits for a run's requests, and says nothing about how many may be under way."""
    street = Street()
    street.lanes.enter(NEVER)
    ping = street.lanes.enter(NEVER, for_ping=True)
    street.lanes.well(ping)
    street.lanes.leave(ping)
    blocked = street.send()
    blocked.join(0.3)
    assert street.inside == []


def test_what_is_lowered_meanwhile_counts_from_the_next_request_on() -> None:
    """Issue 3: an admin may lower concurrency for a while; lifted, it is there again."""
    street = Street()
    street.climb(20)
    street.ceiling.what = Lowered(concurrency=1)
    street.lanes.enter(NEVER)
    waiting = street.send()
    waiting.join(0.3)
    assert street.inside == []
    street.ceiling.what = Lowered()
    wait_for(lambda: len(street.inside) == 1, "the lift is noticed while waiting")


@pytest.mark.parametrize("most", [1, 3])
def test_never_more_than_set_are_under_way(most: int) -> None:
    """Whatever the ramp says, the setting is the ceiling."""
    street = Street(most)
    street.climb(100)
    threads = [street.send() for _ in range(most + 2)]
    wait_for(lambda: len(street.inside) == most, "all lanes are taken")
    for thread in threads:
        thread.join(0.1)
    assert len(street.inside) == most
