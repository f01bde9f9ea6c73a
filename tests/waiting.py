"""Waiting for a condition with a deadline; no test sleeps blindly."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
LOOK_SECONDS = 0.02


def wait_for(look: Callable[[], T | None], what: str, *, seconds: float = 15.0) -> T:
    """What ``look`` returns, as soon as it is neither None nor false; fails by name after ``seconds``."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, f"waited {seconds:g} s in vain until {what}"
        time.sleep(LOOK_SECONDS)
