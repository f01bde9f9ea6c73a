"""Takes a variable out of the memory that the kernel shows of a process, where ``unsetenv`` leaves it."""

from __future__ import annotations

import ctypes
from pathlib import Path


def wipe_from_start(name: str) -> None:
    """Overwrite a variable in the block the process was started with, which outlives ``unsetenv`` (proc(5), Linux).

    However often it stands there, and in whatever case its name is written.
    """
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return  # not Linux: nobody else can look there
    start, end = int(fields[47]), int(fields[48])  # env_start and env_end, the 50th and 51st field of the line
    block = ctypes.string_at(start, end - start)
    prefix = f"{name}=".encode().upper()
    at = 0
    for entry in block.split(b"\0"):
        if entry[: len(prefix)].upper() == prefix:
            ctypes.memset(start + at + len(prefix), 0, len(entry) - len(prefix))
        at += len(entry) + 1
