"""The daemon's memory does not grow with the number of rows. `make bench`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from daemon.integrations.doorloop.drill import DrillServer
from tests.harness import settings_for

MOST_MEGABYTES = 150


@pytest.fixture(scope="module")
def drill() -> Iterator[DrillServer]:
    """Ten thousand owners and a million tenants, made as they are asked for."""
    with DrillServer(rows=1, entity_rows={"owners": 10_000, "tenants": 1_000_000}, seed=1) as server:
        yield server


@pytest.mark.bench
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("entity", "rows"), [("owners", 10_000), ("tenants", 1_000_000)])
def test_memory_stays_flat(drill: DrillServer, database_url: str, entity: str, rows: int) -> None:
    """Issue "The main job": a million-row entity is synced with the daemon's memory staying under 150 MB."""
    values = settings_for(drill, database_url, DOORLOOP_PAGE_SIZE="1000")
    command = ["-m", "daemon", "once", "--integration", "doorloop", "--mode", "backfill", "--entities", entity]
    child = subprocess.Popen(
        [sys.executable, *command], env=os.environ | values, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    with child:
        assert child.stdout is not None
        last_line = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    megabytes = usage.ru_maxrss / 1024
    print(f"{rows} rows: {megabytes:.0f} MB at most, {usage.ru_utime + usage.ru_stime:.0f} s of CPU")
    assert child.returncode == 0, last_line
    assert f'"inserted": {rows}'.encode() in last_line
    assert megabytes < MOST_MEGABYTES
