"""Which process this is, so that a dead daemon of this machine is known at once instead of after its lease."""

from __future__ import annotations

import os
import socket
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

START_TOLERANCE = timedelta(seconds=2)


@dataclass(frozen=True)
class ProcessIdentity:
    """A process among all processes of all machines."""

    hostname: str
    boot_id: str
    pid: int
    process_started_at: datetime


def this_process() -> ProcessIdentity:
    """This one."""
    return ProcessIdentity(socket.gethostname(), _boot_id(), os.getpid(), _started_at(os.getpid()))


def is_gone(pid: int, process_started_at: datetime) -> bool:
    """Whether that process of this machine has ended (its pid may belong to another by now)."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return True
        return abs(_started_at(pid) - process_started_at) > START_TOLERANCE
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False


def as_row(identity: ProcessIdentity, *, kind: str, version: str, heartbeat_seconds: float) -> dict[str, Any]:
    """A new row of ``control.daemons``."""
    own = {"id": str(uuid.uuid4()), "kind": kind, "version": version, "heartbeat_seconds": heartbeat_seconds}
    return {**own, **vars(identity)}


def _started_at(pid: int) -> datetime:
    return datetime.fromtimestamp(psutil.Process(pid).create_time(), UTC)


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return str(int(psutil.boot_time()))
