"""What the fault tests share: a vendor with twenty pages, and a yard for the processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from common.store.database import Database
from daemon.integrations.doorloop.drill import DrillServer
from tests.children import Yard
from tests.harness import settings_for

QUICK = {"ICC_LEASE_SECONDS": "1", "ICC_HEARTBEAT_SECONDS": "0.25"}
"""Leases and heartbeats are settings, so that tests need not wait."""


@pytest.fixture
def drill() -> Iterator[DrillServer]:
    """A vendor with twenty pages of owners."""
    with DrillServer(rows=400, seed=12) as server:
        yield server


@pytest.fixture
def yard(drill: DrillServer, database: Database, database_url: str, tmp_path: Path) -> Iterator[Yard]:
    """Processes on that vendor and this test's database."""
    place = Yard(tmp_path / "yard", settings_for(drill, database_url, **QUICK), database)
    try:
        yield place
    finally:
        place.clear()
