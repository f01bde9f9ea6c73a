"""Writes pages in a thread of its own while the next ones are looked at: one batch at a time, and none is forgotten."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from queue import SimpleQueue

from daemon.sync.work import PageCount, Work
from daemon.sync.writer import PageWriter

Written = tuple[list[tuple[Work, PageCount]], BaseException | None]


class WriteBehind:
    """``begin`` a batch, ``settle`` it before the next one. A daemon thread: one that hangs is abandoned on stop."""

    def __init__(self, writer: PageWriter) -> None:
        self._writer = writer
        self._todo: SimpleQueue[Sequence[Work] | None] = SimpleQueue()
        self._done: SimpleQueue[Written] = SimpleQueue()
        self._is_busy = False
        threading.Thread(target=self._work, name="writer", daemon=True).start()

    def begin(self, works: Sequence[Work]) -> None:
        """Have these pages written, the batch before them having been settled."""
        assert not self._is_busy
        self._is_busy = True
        self._todo.put(works)

    def settle(self) -> Written:
        """Wait for the batch under way: what was committed of it, and the error that ended it, if one did."""
        if not self._is_busy:
            return [], None
        written = self._done.get()
        self._is_busy = False
        return written

    def close(self) -> None:
        """No more batches."""
        self._todo.put(None)

    def _work(self) -> None:
        while (works := self._todo.get()) is not None:
            written: list[tuple[Work, PageCount]] = []
            error: BaseException | None = None
            try:
                for pair in self._writer.write(works):
                    written.append(pair)
            except BaseException as raised:  # noqa: BLE001 -- handed to the thread that waits for this batch
                error = raised
            self._done.put((written, error))
