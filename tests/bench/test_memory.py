"""The daemon's memory does not grow with the number of rows. `make bench`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from daemon.integrations.doorloop.drill import DrillServer
from tests.bench.measured import run_to_end
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
    last_line, cpu_seconds, megabytes = run_to_end([sys.executable, *command], os.environ | values)
    print(f"{rows} rows: {megabytes:.0f} MB at most, {cpu_seconds:.0f} s of CPU")
    assert f'"inserted": {rows}' in last_line
    assert megabytes < MOST_MEGABYTES
