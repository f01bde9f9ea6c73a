"""Law 2: killing the process at any instant loses nothing and doubles nothing."""

from __future__ import annotations

import pytest

from common.store.database import Database
from daemon.integrations.doorloop.drill import DrillServer
from tests.children import Yard, held, waits_for_a_lock
from tests.truth import assert_tables_equal_truth, one, rows
from tests.waiting import wait_for

HOLDS = {
    "before COPY": "LOCK TABLE doorloop.staging_owners IN ACCESS EXCLUSIVE MODE",
    "between COPY and upsert": "LOCK TABLE doorloop.owners IN SHARE MODE",
    "before the checkpoint": "SELECT 1 FROM control.passes FOR UPDATE",
    "before the seen ids": "LOCK TABLE control.seen_ids IN SHARE MODE",
    "before the counters": "SELECT 1 FROM control.run_entities FOR UPDATE",
    "before the fence": "SELECT 1 FROM control.leases FOR UPDATE",
}


def test_kill_at_pages_and_go_on(yard: Yard, drill: DrillServer, database: Database) -> None:
    """Law 2: after a kill the run is `interrupted`, says where, and the next one resumes at its very page."""
    resumed: list[int | None] = []
    for page in (1, 2, 9, 20):
        drill.set_fault("hang", entity="owners", only_page=page)
        child = yard.once()
        yard.wait_for_page(page - 1, child)
        child.kill()
        drill.clear_faults()
        resumed.append(page if page > 1 else None)
    last = yard.once()
    assert last.end() == 0
    assert_tables_equal_truth(database, drill, ["owners"])
    runs = yard.runs()
    assert [run["state"] for run in runs] == ["interrupted"] * 4 + ["succeeded"]
    assert [run["error"]["code"] for run in runs[:-1]] == ["INTERRUPTED"] * 4
    assert "page 8 of owners" in runs[2]["error"]["cause"]
    began = rows(
        database,
        "SELECT e.resumed_at_page AS page FROM control.run_entities AS e JOIN control.runs AS r ON r.id = e.run_id "
        "ORDER BY r.queued_at",
    )
    assert [row["page"] for row in began] == [None, *resumed]
    assert one(database, "SELECT sum(received) AS all FROM control.run_entities")["all"] == 400
    assert one(database, "SELECT count(*) AS n FROM control.passes")["n"] == 1
    assert last.last_line()["entities"]["owners"]["received"] == 20


@pytest.mark.parametrize("hold", HOLDS)
def test_kill_between_statements(
    yard: Yard, drill: DrillServer, database: Database, database_url: str, hold: str
) -> None:
    """Law 2: a kill between any two statements of the page transaction leaves the page whole or undone."""
    drill.set_fault("hang", entity="owners", only_page=3)
    child = yard.once()
    yard.wait_for_page(2, child)
    with held(database_url, HOLDS[hold]):
        drill.clear_faults()
        wait_for(lambda: waits_for_a_lock(database), "the writer stands before the lock")
        child.kill()
    last = yard.once()
    assert last.end() == 0, last.stdout + last.stderr
    assert_tables_equal_truth(database, drill, ["owners"])
    assert [run["state"] for run in yard.runs()] == ["interrupted", "succeeded"]
    assert one(database, "SELECT sum(received) AS all FROM control.run_entities")["all"] == 400


def test_the_service_rescues_what_its_killed_self_left(yard: Yard, drill: DrillServer, database: Database) -> None:
    """Law 2: a service killed in mid-run ends that run when it starts again, at once, and can run anew."""
    drill.set_fault("hang", entity="owners", only_page=5)
    first = yard.service(ICC_LEASE_SECONDS="300")
    yard.press_run()
    yard.wait_for_page(4, first)
    first.kill()
    drill.clear_faults()
    yard.service(ICC_LEASE_SECONDS="300")
    assert yard.runs()[0]["state"] == "interrupted"
    yard.press_run()
    yard.wait_for_state("succeeded")
    assert_tables_equal_truth(database, drill, ["owners"])
    assert one(database, "SELECT count(*) AS n FROM control.daemons WHERE doing = 'died'")["n"] == 1
