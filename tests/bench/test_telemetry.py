"""What telemetry costs, and how soon a command begins. Prints; never asserts a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import quantiles
from typing import Any

import pytest

from common.store.database import Database
from daemon.integrations.doorloop.drill import DrillServer
from daemon.sync.reporter import Reporter, RunReporter
from tests.bench.measured import vendor
from tests.children import Yard
from tests.harness import engine, settings_for
from tests.truth import rows
from tests.waiting import wait_for

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]


def test_telemetrys_share(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Issue "An engine …": telemetry ≤ 3 % of the wall time."""
    spent: list[float] = []

    def timed(act: Callable[..., Any]) -> Callable[..., Any]:
        def measured(*arguments: Any, **named: Any) -> Any:
            before = time.thread_time()
            try:
                return act(*arguments, **named)
            finally:
                spent.append(time.thread_time() - before)

        return measured

    for owner, name in ((RunReporter, "page"), (RunReporter, "sent"), (Reporter, "flush")):
        monkeypatch.setattr(owner, name, timed(getattr(owner, name)))
    count, page_size = 100_000, 100
    with vendor(count, page_size) as url:
        reach = {"DOORLOOP_BASE_URL": url, "DOORLOOP_API_KEY": "a-key-for-the-bench"}
        with engine(None, database_url, **reach, DOORLOOP_PAGE_SIZE=str(page_size)) as copier:
            for name in ("full load", "identical again"):
                spent.clear()
                outcome = copier.run(entities=["tenants"])
                wall = (outcome.run["finished_at"] - outcome.run["started_at"]).total_seconds()
                print(f"\n{name}: telemetry {sum(spent):.3f} s of {wall:.2f} s, {sum(spent) / wall:.1%}")


def test_command_to_run(database: Database, database_url: str, tmp_path: Path) -> None:
    """Command committed → run's `started_at` by the database's clock, idle, LISTEN working: p50 ≤ 5 ms, p95 ≤ 15 ms."""
    with DrillServer(rows=1, seed=1) as drill:
        yard = Yard(tmp_path / "yard", settings_for(drill, database_url), database)
        try:
            yard.service()
            for number in range(200):
                wait_for(lambda: [daemon["doing"] for daemon in yard.daemons()] == ["idle"], "the daemon is idle")
                yard.press_run()
                yard.wait_for_state("succeeded", index=number)
        finally:
            yard.clear()
    waited = [
        1000 * row["seconds"]
        for row in rows(
            database,
            "SELECT extract(epoch FROM r.started_at - c.created_at)::float AS seconds "
            "FROM control.runs AS r JOIN control.commands AS c ON c.id = r.command_id ORDER BY r.started_at",
        )[5:]
    ]
    cuts = quantiles(waited, n=100)
    print(f"\n{len(waited)} commands: p50 {cuts[49]:.1f} ms, p95 {cuts[94]:.1f} ms, p99 {cuts[98]:.1f} ms")
