"""Writes pages in a thread of its own while the next ones are looked at, in order, and none is forgotten."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from daemon.sync.work import PageCount, Work
from daemon.sync.writer import PageWriter

Written = tuple[list[tuple[Work, PageCount]], BaseException | None]
TELL_AFTER_SECONDS, TELL_LESS_OFTEN = 10.0, 6
"""A wait is told after so long, and again each time that it is so many times as long."""


class WriteBehind:
    """``begin`` batches, ``settle`` them. A daemon thread: one that hangs is abandoned when the process ends.

    After a batch that failed the ones behind it are not written: a checkpoint must not pass over what is missing.
    ``tell`` is told of a page that waits for Postgres, and for how many seconds it has.
    """

    def __init__(self, writer: PageWriter, tell: Callable[[float], None]) -> None:
        self._writer = writer
        self._tell = tell
        self._todo: SimpleQueue[Sequence[Work] | None] = SimpleQueue()
        self._done: SimpleQueue[Written] = SimpleQueue()
        self._under_way = 0
        self._has_failed = False
        threading.Thread(target=self._work, name="writer", daemon=True).start()

    def begin(self, works: Sequence[Work]) -> None:
        """Have these pages written after those under way."""
        self._under_way += 1
        self._todo.put(works)

    def settle(self, *, leaving: int = 0) -> Written:
        """Wait until at most so many batches are under way: what was committed, and the error that ended it, if any."""
        written: list[tuple[Work, PageCount]] = []
        while self._under_way > leaving:
            pairs, error = self._next_done()
            written += pairs
            if error is not None:
                while self._under_way:
                    self._next_done()
                self._has_failed = False
                return written, error
        return written, None

    def close(self) -> None:
        """No more batches."""
        self._todo.put(None)

    def _next_done(self) -> Written:
        waited, wait = 0.0, TELL_AFTER_SECONDS
        while True:
            try:
                done = self._done.get(timeout=wait)
            except Empty:
                waited += wait
                self._tell(waited)
                wait = (TELL_LESS_OFTEN - 1) * waited
            else:
                self._under_way -= 1
                return done

    def _work(self) -> None:
        while (works := self._todo.get()) is not None:
            written: list[tuple[Work, PageCount]] = []
            error: BaseException | None = None
            try:
                for pair in self._writer.write([] if self._has_failed else works):
                    written.append(pair)
            except BaseException as raised:  # noqa: BLE001 -- handed to the thread that waits for this batch
                error, self._has_failed = raised, True
            self._done.put((written, error))
