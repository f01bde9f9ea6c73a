"""Threads that do commands: a few of a kind, and none that keeps the process from ending."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

MOST = 4


class Hands:
    """Do what is given to them, in its order, four at a time.

    Daemon threads: those of Python's own executors are waited for when a process ends, however long the vendor or a
    lock keeps them.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._todo: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._closing = threading.Event()
        self._begun = False

    def give(self, act: Callable[[], None]) -> None:
        """Have this done. It must not raise. One thread gives."""
        if not self._begun:
            self._begun = True
            for number in range(MOST):
                threading.Thread(target=self._work, name=f"{self._name}-{number}", daemon=True).start()
        self._todo.put(act)

    def close(self) -> None:
        """Begin nothing more."""
        self._closing.set()
        for _ in range(MOST):
            self._todo.put(None)

    def _work(self) -> None:
        while (act := self._todo.get()) is not None and not self._closing.is_set():
            act()
