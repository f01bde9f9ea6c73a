"""Law 2 at the database: what is away is waited for, what refuses a part of a run for a minute ends it."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from common.errors import DatabaseAway, DatabaseRefuses, LeaseLost, StopRequested
from daemon.sync.patient import REFUSED_SECONDS, Patient, TakenBack
from tests.unit.virtual_time import VirtualClock


class Work:
    """Fails so many times; the stop comes when it has been tried ``most`` times."""

    def __init__(self, failures: int, *, most: int = 10_000, error: Callable[[], DatabaseAway] | None = None) -> None:
        self.tries = self.done = 0
        self.stop = threading.Event()
        self._failures = failures
        self._most = most
        self._error = error or (lambda: DatabaseAway("canceling statement due to statement timeout"))

    def __call__(self) -> int:
        self.tries += 1
        if self.tries >= self._most:
            self.stop.set()
        if self.tries <= self._failures:
            raise self._error()
        return self.tries


def away() -> None:
    """Nothing else is answered either."""
    raise DatabaseAway("connection refused")


def test_what_is_refused_for_a_minute_ends_though_the_database_answers() -> None:
    """It says what Postgres said."""
    work, clock = Work(10_000), VirtualClock()
    began = clock.monotonic()
    with pytest.raises(DatabaseRefuses) as caught:
        Patient(clock, work.stop, answers=lambda: None)(work)
    assert clock.monotonic() - began >= REFUSED_SECONDS
    assert "statement timeout" in caught.value.cause


def test_what_is_away_is_waited_for_however_long() -> None:
    """A night's outage ends no run; nor does a refusal that nobody judges."""
    work, clock = Work(20_000, most=30_000), VirtualClock()
    assert Patient(clock, work.stop, answers=away)(work) == 20_001
    unjudged = Work(20_000, most=30_000)
    assert Patient(clock, unjudged.stop)(unjudged) == 20_001
    stopped = Work(20_000, most=10)
    with pytest.raises(StopRequested):
        Patient(clock, stopped.stop, answers=away)(stopped)


def test_one_that_comes_back_while_it_is_asked_was_away() -> None:
    """What failed just before, in ten minutes of an outage, proves no refusal; nor does a server's start."""
    clock, answers = VirtualClock(), [False] * 1200 + [True, False] * 200 + [True] * 3
    work = Work(len(answers))

    def ask() -> None:
        if not answers[work.tries - 1]:
            away()

    assert Patient(clock, work.stop, answers=ask)(work) == len(answers) + 1
    assert clock.seconds > 10 * REFUSED_SECONDS - REFUSED_SECONDS


def test_progress_begins_the_minute_anew() -> None:
    """What fails now and then, but gets on, is not refused."""
    work, clock = Work(2_000), VirtualClock()
    assert Patient(clock, work.stop, answers=lambda: None)(work, progress=lambda: work.tries // 50) == 2_001


@pytest.mark.parametrize("error", [LeaseLost, lambda: TakenBack("it crashed")])
def test_some_are_raised_as_they_come(error: Callable[[], DatabaseAway]) -> None:
    """Law 1: a lost lease is not waited for."""
    work = Work(1, error=error)
    with pytest.raises((LeaseLost, TakenBack)):
        Patient(VirtualClock(), work.stop, lets_pass=(LeaseLost, TakenBack))(work)
    assert work.tries == 1


def test_what_failed_is_tidied_up_before_the_next_try() -> None:
    """A connection that may be gone is given back."""
    work, tidied = Work(3), []
    assert Patient(VirtualClock(), work.stop)(work, afterwards=lambda: tidied.append(work.tries)) == 4
    assert tidied == [1, 2, 3]
