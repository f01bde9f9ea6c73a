"""One process measured from outside: its time, CPU and peak memory, and the WAL that its work wrote."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.store.database import Database
from tests.harness import settings_for
from tests.truth import one

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Measured:
    """``seconds`` are of the copying alone, the start of the process and of Python left out."""

    seconds: float
    process_seconds: float
    cpu_seconds: float
    peak_megabytes: float
    wal_megabytes: float
    last_line: str

    def told(self, name: str, rows: int, against: Measured | None = None) -> str:
        """A line of the table; ``against`` is what the ratio is to."""
        ratio = f"{self.seconds / against.seconds:5.2f} ×" if against else "       "
        return (
            f"{name:<20}{self.seconds:7.2f} s {ratio} {rows / self.seconds:8.0f} rows/s"
            f"  CPU {self.cpu_seconds:5.2f} s  process {self.process_seconds:5.2f} s"
            f"  peak {self.peak_megabytes:3.0f} MB  WAL {self.wal_megabytes:6.2f} MB"
        )


@contextmanager
def vendor(rows: int, page_size: int, latency_seconds: float = 0.0) -> Generator[str]:
    """The address of a fast vendor in a process of its own."""
    arguments = [str(rows), str(page_size), str(latency_seconds)]
    server = subprocess.Popen([sys.executable, str(HERE / "vendor.py"), *arguments], stdout=subprocess.PIPE, text=True)
    with server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}/api"
        finally:
            server.kill()


def tell(url: str, order: str) -> None:
    """An order for the vendor: ``change?share=0.01`` or ``fail?every=20``."""
    with urllib.request.urlopen(url.replace("/api", f"/bench/{order}")) as answer:
        assert answer.status == 200


def plain_loop(url: str, database: Database, page_size: int) -> Measured:
    """The loop a user would write."""
    command = [sys.executable, str(HERE / "plain_loop.py"), url, database.url, str(page_size)]
    found, line = _run(command, os.environ, database)
    return Measured(float(line), *found, line)


def copy(url: str, database: Database, page_size: int, connections: int = 2) -> Measured:
    """A foreground backfill of the tenants."""
    changes = {
        "DOORLOOP_BASE_URL": url,
        "DOORLOOP_API_KEY": "a-key-for-the-bench",
        "DOORLOOP_PAGE_SIZE": str(page_size),
        "DOORLOOP_MAX_CONCURRENCY": str(connections),
    }
    values = os.environ | settings_for(None, database.url, **changes)
    command = ["-m", "daemon", "once", "--integration", "doorloop", "--mode", "backfill", "--entities", "tenants"]
    found, line = _run([sys.executable, *command], values, database)
    result: dict[str, Any] = json.loads(line)
    assert result["state"] == "succeeded", line
    run = one(
        database,
        "SELECT extract(epoch FROM finished_at - started_at)::float AS seconds FROM control.runs WHERE id = %s",
        result["run_id"],
    )
    return Measured(run["seconds"], *found, line)


def _run(
    command: list[str], values: Mapping[str, str], database: Database
) -> tuple[tuple[float, float, float, float], str]:
    """(process seconds, CPU seconds, peak MB, WAL MB) and the last line."""
    before, started = _wal(database), time.monotonic()
    line, cpu_seconds, peak_megabytes = run_to_end(command, values)
    seconds = time.monotonic() - started
    return (seconds, cpu_seconds, peak_megabytes, (_wal(database) - before) / 1e6), line


def run_to_end(command: list[str], values: Mapping[str, str]) -> tuple[str, float, float]:
    """Last line on stdout, CPU seconds and peak megabytes of a process, which must end well."""
    child = subprocess.Popen(command, env=values, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    with child, ThreadPoolExecutor(1) as pool:
        assert child.stdout is not None
        reading = pool.submit(child.stdout.read)
        peak_kilobytes = 0
        # Not ru_maxrss: a child's begins with the memory of the process that forked it.
        while not reading.done():
            peak_kilobytes = max(peak_kilobytes, _peak_kilobytes(child.pid))
            time.sleep(0.05)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    out = reading.result()
    assert child.returncode == 0, out
    return out.strip().splitlines()[-1], usage.ru_utime + usage.ru_stime, peak_kilobytes / 1024


def _peak_kilobytes(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:  # just gone, or no Linux
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)


def _wal(database: Database) -> float:
    """Bytes of WAL that the server has written."""
    return float(one(database, "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn AS bytes")["bytes"])
