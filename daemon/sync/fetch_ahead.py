"""Fetches the next pages while this one is written. Pages come out in order; memory holds a window of them, no more."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from common.errors import StopRequested
from daemon.integrations.base import Page
from daemon.sync.sorting import SortedPage

LOOK_SECONDS = 0.1


@dataclass(frozen=True, eq=False)
class PagedList:
    """How a page of a list is fetched by its number, and how one that has come is taken apart.

    ``fetch`` is told, too, how to ask whether the page is still wanted.
    """

    fetch: Callable[[int, Callable[[], bool]], Page]
    sort: Callable[[Page], SortedPage]


class FetchAhead:
    """``threads`` daemon threads that fetch the pages asked for; ``ahead`` is how many more may wait to be taken.

    One more thread takes apart what has come, so that those that fetch ask for the next page at once. Several would be
    no quicker, as Python runs one of them, and the thread that writes would wait for its turn behind them whenever
    Postgres has answered: a tenth of a first load's time (measured).

    Daemon threads, because one that hangs where nothing can reach it (name lookup, connecting) is abandoned on stop.
    """

    def __init__(self, threads: int, stop: threading.Event, *, ahead: int = 1) -> None:
        self._stop = stop
        self._todo: queue.SimpleQueue[tuple[PagedList, int] | None] = queue.SimpleQueue()
        self._come: queue.SimpleQueue[tuple[PagedList, int, Page | BaseException] | None] = queue.SimpleQueue()
        self._done = threading.Condition()
        self._results: dict[int, SortedPage | BaseException] = {}
        self._list: PagedList | None = None
        self._asked = 0
        self._end: int | None = None
        """Nobody takes a page of the list from this one on: one before it could not be had, or brought nothing."""
        self._window = threads + ahead
        self._threads = [threading.Thread(target=self._work, name=f"fetch-{n}", daemon=True) for n in range(threads)]
        self._threads.append(threading.Thread(target=self._take_apart, name="sort", daemon=True))
        for thread in self._threads:
            thread.start()

    def begin(self, list_: PagedList, first_page: int) -> None:
        """Start a new list; whatever was still coming for the last one is dropped."""
        with self._done:
            self._list = list_
            self._results.clear()
            self._asked, self._end = first_page - 1, None

    def ask(self, current: int, last: int | None) -> None:
        """Have ``current`` fetched, and pages up to a window ahead of it, those never beyond ``last`` (None: none)."""
        until = current if last is None else max(current, min(last, current + self._window - 1))
        assert self._list is not None
        for number in range(self._asked + 1, until + 1):
            self._todo.put((self._list, number))
            self._asked = number

    def take(self, number: int) -> SortedPage:
        """Page ``number``, when it is there. Raises what fetching it raised, or ``StopRequested``."""
        page = self.look_at(number)
        with self._done:
            del self._results[number]
        return page

    def look_at(self, number: int) -> SortedPage:
        """The same, and it stays there to be taken."""
        with self._done:
            while number not in self._results:
                if self._stop.is_set():
                    raise StopRequested
                self._done.wait(LOOK_SECONDS)
            result = self._results[number]
        if isinstance(result, BaseException):
            raise result
        return result

    def is_there(self, number: int) -> bool:
        """Whether page ``number`` has come, and well: taking it would neither wait nor raise."""
        with self._done:
            return isinstance(self._results.get(number), SortedPage)

    def drop(self) -> None:
        """Nobody takes what is still coming for the list."""
        with self._done:
            self._list = None

    def close(self) -> None:
        """No more pages; threads end after what they are doing, and send nothing for pages still waiting."""
        self.drop()
        for _ in self._threads[:-1]:
            self._todo.put(None)
        self._come.put(None)

    def _work(self) -> None:
        while (job := self._todo.get()) is not None:
            list_, number = job
            if self._stop.is_set() or not self._is_wanted(list_, number):
                continue
            try:
                page: Page | BaseException = list_.fetch(number, partial(self._is_wanted, list_, number))
            except BaseException as error:  # noqa: BLE001 -- handed to the thread that waits for this page
                page = error
                self._note_end(list_, number)
            self._come.put((list_, number, page))

    def _is_wanted(self, list_: PagedList, number: int) -> bool:
        """Whether anybody will take that page: of a list that ends in an error, or with nothing, none behind it."""
        with self._done:
            return list_ is self._list and (self._end is None or number < self._end)

    def _note_end(self, list_: PagedList, number: int) -> None:
        with self._done:
            if list_ is self._list and (self._end is None or number < self._end):
                self._end = number

    def _take_apart(self) -> None:
        while (come := self._come.get()) is not None:
            list_, number, page = come
            if list_ is not self._list:
                continue
            try:
                result = page if isinstance(page, BaseException) else list_.sort(page)
                if isinstance(result, SortedPage) and not result.rows:
                    self._note_end(list_, number + 2)  # the next one may be looked at out of doubt
            except BaseException as error:  # noqa: BLE001 -- as above
                result = error
            with self._done:
                if list_ is self._list:
                    self._results[number] = result
                    self._done.notify_all()
