"""How much memory the embedded Postgres may keep pages in."""

from __future__ import annotations

import os
from pathlib import Path

LEAST_MEGABYTES, MOST_MEGABYTES = 96, 384
_SHARE = 1 / 8
# A container's own limit, by either version of Linux' control groups; "max" or a huge number where there is none.
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def shared_buffers_megabytes() -> int:
    """An eighth of what this machine or container has, within bounds: a first load of 100 000 rows fits the upper one.

    With less, Postgres writes every page of a growing table in the middle of the load; that was a tenth of its time.
    """
    return max(LEAST_MEGABYTES, min(MOST_MEGABYTES, int(_memory_bytes() * _SHARE) // 1_000_000))


def _memory_bytes() -> int:
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in _LIMITS:
        try:
            text = path.read_text().strip()
        except OSError:
            continue
        if text.isdecimal():
            limits.append(int(text))
    return min(limits)
