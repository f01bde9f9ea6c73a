"""Pages are fetched ahead, come out in order, and stop at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from common.errors import StopRequested, TransientFault
from daemon.integrations.base import Entity, Page
from daemon.sync.fetch_ahead import FetchAhead, PagedList
from daemon.sync.lines import LineMaker
from daemon.sync.sorting import SortedPage, Sorter

PATIENCE_SECONDS = 5


SORTER = Sorter(LineMaker(Entity("things", "/things", ())), str, threading.Event())


def page(number: int) -> Page:
    """A page of one record."""
    return Page(number, [{"id": str(number)}], None, datetime(2026, 11, 1, tzinfo=UTC), 0.0)


def paged(fetch: Callable[[int], Page] = page) -> PagedList:
    """A list that is fetched so."""
    return PagedList(lambda number, _wanted: fetch(number), SORTER.sort)


@contextmanager
def fetching(threads: int) -> Iterator[tuple[FetchAhead, threading.Event]]:
    """A fetcher whose threads have ended afterwards."""
    stop = threading.Event()
    fetcher = FetchAhead(threads, stop)
    try:
        yield fetcher, stop
    finally:
        stop.set()
        fetcher.close()
        for thread in fetcher._threads:
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive()


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_pages_come_out_in_order_however_they_arrive(threads: int) -> None:
    """Design §5 law 2: page order, while later pages may arrive earlier."""
    with fetching(threads) as (fetcher, _):
        fetcher.begin(paged(), 1)
        for number in range(1, 41):
            fetcher.ask(number, 40)
            assert fetcher.take(number).number == number


def test_never_more_than_a_window_and_never_beyond_the_last() -> None:
    """Memory holds a window of pages; a request beyond the last page would be wasted."""
    asked: list[int] = []
    gate = threading.Event()

    def fetch(number: int) -> Page:
        asked.append(number)
        gate.wait(PATIENCE_SECONDS)
        return page(number)

    with fetching(2) as (fetcher, _):
        fetcher.begin(paged(fetch), 5)
        fetcher.ask(5, 100)
        gate.set()
        assert fetcher.take(5).number == 5
        assert set(asked) <= {5, 6, 7}
        fetcher.ask(6, 6)
        fetcher.take(6)
        assert set(asked) <= {5, 6, 7}


def test_a_page_beyond_the_known_last_is_fetched_when_asked_for() -> None:
    """A vendor whose total is too small: whoever asks for the next page all the same must not wait for it for ever."""
    with fetching(2) as (fetcher, stop):
        fetcher.begin(paged(), 1)
        watchdog = threading.Timer(PATIENCE_SECONDS, stop.set)
        watchdog.start()
        for number in (1, 2, 3):
            fetcher.ask(number, 1)
            assert fetcher.take(number).number == number
        watchdog.cancel()


def test_a_page_that_was_looked_at_is_still_there() -> None:
    """Behind a list's last page may stand another one, which is then read as any other."""
    asked: list[int] = []

    def fetch(number: int) -> Page:
        asked.append(number)
        return page(number)

    with fetching(1) as (fetcher, _):
        fetcher.begin(paged(fetch), 1)
        fetcher.ask(1, 1)
        assert fetcher.look_at(1) is fetcher.look_at(1)
        assert fetcher.take(1).number == 1
        assert not fetcher.is_there(1)
    assert asked == [1]


def test_without_a_known_last_only_the_page_itself_is_fetched() -> None:
    """A delta reads no further than it must."""
    asked: list[int] = []

    def fetch(number: int) -> Page:
        asked.append(number)
        return page(number)

    with fetching(3) as (fetcher, _):
        fetcher.begin(paged(fetch), 1)
        for number in (1, 2):
            fetcher.ask(number, None)
            fetcher.take(number)
    assert sorted(asked) == [1, 2]


def test_no_page_is_fetched_twice() -> None:
    """Asking again for what is under way asks for nothing."""
    asked: list[int] = []

    def fetch(number: int) -> Page:
        asked.append(number)
        return page(number)

    with fetching(2) as (fetcher, _):
        fetcher.begin(paged(fetch), 1)
        for number in range(1, 11):
            fetcher.ask(number, 10)
            fetcher.ask(number, 10)
            fetcher.take(number)
    assert sorted(asked) == list(range(1, 11))


def test_an_error_comes_out_at_its_page_not_before() -> None:
    """Page 2 fails while page 1 is still on its way: page 1 is written first."""

    def fetch(number: int) -> Page:
        if number == 2:
            raise TransientFault("VENDOR_ERROR", status=500, path="/owners")
        return page(number)

    with fetching(2) as (fetcher, _):
        fetcher.begin(paged(fetch), 1)
        fetcher.ask(1, 2)
        assert fetcher.take(1).number == 1
        with pytest.raises(TransientFault):
            fetcher.take(2)


def test_an_error_in_taking_a_page_apart_comes_out_at_it() -> None:
    """Whatever it is: a thread that died of it would leave the run waiting for ever."""

    def sort(came: Page) -> SortedPage:
        if came.number == 2:
            raise RecursionError
        return SORTER.sort(came)

    with fetching(2) as (fetcher, _):
        fetcher.begin(PagedList(lambda number, _wanted: page(number), sort), 1)
        fetcher.ask(1, 3)
        assert fetcher.take(1).number == 1
        with pytest.raises(RecursionError):
            fetcher.take(2)
        fetcher.ask(3, 3)
        assert fetcher.take(3).number == 3


def test_a_stop_wakes_who_waits_for_a_page() -> None:
    """Law 6: stop works in the middle of a slow request."""
    hanging = threading.Event()

    def fetch(number: int) -> Page:
        hanging.wait(PATIENCE_SECONDS)
        return page(number)

    with fetching(1) as (fetcher, stop):
        fetcher.begin(paged(fetch), 1)
        fetcher.ask(1, 1)
        stop.set()
        with pytest.raises(StopRequested):
            fetcher.take(1)
        hanging.set()


def test_what_was_coming_for_an_earlier_list_is_dropped() -> None:
    """A new list's page 1 is its own, not the one still under way for the last list."""
    release = threading.Event()
    entered = threading.Event()

    def slow(number: int) -> Page:
        entered.set()
        release.wait(PATIENCE_SECONDS)
        return replace(page(number), records=["old"])

    with fetching(1) as (fetcher, _):
        fetcher.begin(paged(slow), 1)
        fetcher.ask(1, 3)
        assert entered.wait(PATIENCE_SECONDS)
        fetcher.begin(paged(), 1)
        release.set()
        fetcher.ask(1, 1)
        assert fetcher.take(1).page.records == [{"id": "1"}]


def test_closing_sends_nothing_for_pages_still_waiting() -> None:
    """A run that ended by an error does not go on asking."""
    asked: list[int] = []
    release = threading.Event()
    entered = threading.Event()

    def fetch(number: int) -> Page:
        asked.append(number)
        entered.set()
        release.wait(PATIENCE_SECONDS)
        return page(number)

    fetcher = FetchAhead(1, threading.Event())
    fetcher.begin(paged(fetch), 1)
    fetcher.ask(1, 2)
    assert entered.wait(PATIENCE_SECONDS)
    fetcher.close()
    release.set()
    fetcher._threads[0].join(PATIENCE_SECONDS)
    assert not fetcher._threads[0].is_alive()
    assert asked == [1]


def test_nothing_behind_a_page_that_failed_is_asked_for() -> None:
    """The list ends there: more of it would be asked of a vendor in trouble, and hold up the next list."""
    asked: list[int] = []
    failing = threading.Event()

    def fetch(number: int) -> Page:
        asked.append(number)
        if number == 2:
            failing.wait(PATIENCE_SECONDS)
            raise TransientFault("VENDOR_TIMEOUT")
        return page(number)

    with fetching(1) as (fetcher, _):
        fetcher.begin(paged(fetch), 1)
        fetcher.ask(1, 9)
        fetcher.take(1)
        fetcher.ask(2, 9)
        failing.set()
        with pytest.raises(TransientFault):
            fetcher.take(2)
        fetcher.begin(paged(), 1)
        fetcher.ask(1, 1)
        assert fetcher.take(1).number == 1
    assert asked == [1, 2]


def test_who_fetches_is_told_when_nobody_wants_the_page_any_more() -> None:
    """One that is tried again and again while an earlier page ends the list would be asked for in vain."""
    both, failing = threading.Barrier(2), threading.Event()
    wanted: list[bool] = []
    seen = threading.Event()

    def fetch(number: int, is_wanted: Callable[[], bool]) -> Page:
        both.wait(PATIENCE_SECONDS)
        if number == 1:
            wanted.append(is_wanted())
            failing.wait(PATIENCE_SECONDS)
            raise TransientFault("VENDOR_TIMEOUT")
        wanted.append(is_wanted())
        failing.set()
        while is_wanted():
            assert not seen.wait(0.01)
        seen.set()
        raise TransientFault("VENDOR_TIMEOUT")

    with fetching(2) as (fetcher, _):
        fetcher.begin(PagedList(fetch, SORTER.sort), 1)
        fetcher.ask(1, 2)
        with pytest.raises(TransientFault):
            fetcher.take(1)
        assert seen.wait(PATIENCE_SECONDS)
    assert wanted == [True, True]


def test_what_is_still_coming_for_a_dropped_list_is_not_asked_for() -> None:
    """A list whose pages cannot be trusted has ended, however many of them were to be fetched ahead."""
    asked: list[int] = []
    entered, release = threading.Event(), threading.Event()

    def fetch(number: int) -> Page:
        asked.append(number)
        entered.set()
        release.wait(PATIENCE_SECONDS)
        return page(number)

    with fetching(1) as (fetcher, _):
        fetcher.begin(paged(fetch), 1)
        fetcher.ask(1, 2)
        assert entered.wait(PATIENCE_SECONDS)
        fetcher.drop()
        release.set()
        fetcher.begin(paged(), 1)
        fetcher.ask(1, 1)
        assert fetcher.take(1).number == 1
    assert asked == [1]


def test_behind_a_page_that_brought_nothing_only_the_next_is_fetched() -> None:
    """A total that was told wrong once cost hundreds of requests for pages that are not there."""
    asked: list[int] = []
    second_is_here = threading.Event()

    def fetch(number: int) -> Page:
        asked.append(number)
        if number == 3:
            second_is_here.wait(PATIENCE_SECONDS)
        return page(number) if number == 1 else replace(page(number), records=[])

    with fetching(1) as (fetcher, _):
        fetcher._window = 9
        fetcher.begin(paged(fetch), 1)
        fetcher.ask(1, 9)
        assert [fetcher.take(number).rows for number in (1, 2)] == [1, 0]
        second_is_here.set()
        assert fetcher.take(3).rows == 0
    assert asked == [1, 2, 3]
