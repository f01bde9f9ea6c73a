"""Issue 3: a requeue survives kill -9 of its daemon in the middle, and what was asked for is done once."""

from __future__ import annotations

from common.letter_wishes import Matching, requeue_wish
from common.store import bulk_actions
from common.store.database import Database
from daemon.integrations.doorloop.drill import DrillServer
from tests.children import Yard, held, waits_for_a_lock
from tests.harness import ADMIN
from tests.truth import Record, assert_tables_equal_truth, one, rows
from tests.waiting import wait_for

NUMBER = 8


def spoiled(yard: Yard, drill: DrillServer) -> None:
    """Copy units, eight of them bad, and mend them at the vendor."""
    drill.set_fault("bad_money", every=2, at_most=NUMBER, entity="units")
    assert yard.once(entities="units").end() == 3
    drill.clear_faults()


def press_requeue(yard: Yard) -> str:
    """Requeue, as pressed on the page; returns its id."""
    last = one(yard.database, "SELECT max(id) AS id FROM control.dead_letters")["id"]
    return yard.gate().submit(requeue_wish("doorloop", Matching(), counted=NUMBER, last_id=last), ADMIN).command_id


def action(database: Database, bulk_id: str) -> Record:
    """The requeue, empty before a daemon has taken it."""
    found = rows(database, "SELECT * FROM control.bulk_actions WHERE id = %s", bulk_id)
    return found[0] if found else {"done": 0, "state": "pending", "verdict": None, "run_id": None}


def killed_requeue(yard: Yard) -> Record:
    """The run of the first one."""
    return next(run for run in yard.runs() if run["mode"] == "requeue")


def assert_done(yard: Yard, drill: DrillServer, bulk_id: str) -> None:
    """Every letter recovered, each counted once, by two runs that follow each other."""
    wait_for(lambda: action(yard.database, bulk_id)["verdict"], "it ends by itself", seconds=60)
    found = action(yard.database, bulk_id)
    assert (found["state"], found["verdict"]) == ("done", f"{NUMBER} of {NUMBER} recovered")
    requeues = [run for run in yard.runs() if run["mode"] == "requeue"]
    assert [run["state"] for run in requeues] == ["interrupted", "succeeded"]
    assert requeues[1]["continues_run_id"] == requeues[0]["id"]
    brought = one(
        yard.database,
        "SELECT sum(e.received) AS n FROM control.run_entities AS e JOIN control.runs AS r ON r.id = e.run_id "
        "WHERE r.mode = 'requeue'",
    )
    assert brought["n"] == NUMBER
    assert_tables_equal_truth(yard.database, drill, ["units"])


def test_a_killed_daemon_goes_on_with_the_letters_it_had_not_settled(
    yard: Yard, drill: DrillServer, database: Database, database_url: str
) -> None:
    """Law 2 for a letter: killed before its commit, its row, state and outcome are undone; the next daemon goes on."""
    spoiled(yard, drill)
    drill.set_fault("hang", entity="units", after_requests=2)
    first = yard.service()
    bulk_id = press_requeue(yard)
    wait_for(lambda: action(database, bulk_id)["done"] == 2, "two letters are settled", seconds=30)
    with held(database_url, "SELECT 1 FROM control.dead_letters FOR UPDATE"):
        drill.clear_faults()
        wait_for(lambda: waits_for_a_lock(database), "the writer stands before the lock", seconds=60)
        noted = killed_requeue(yard)["requests"]
        first.kill()
    assert action(database, bulk_id)["done"] == 2
    assert one(database, "SELECT count(*) AS n FROM control.dead_letters WHERE state = 'recovered'")["n"] == 2
    yard.service()
    assert_done(yard, drill, bulk_id)
    told = killed_requeue(yard)["requests"]
    assert told >= noted >= 3, "what it had noted itself is not forgotten for what its telemetry tells"
    with database.transaction() as link:
        spent = [requests for _, requests in bulk_actions.spent(link, "doorloop", "main")]
    requeues = [run["requests"] for run in yard.runs() if run["mode"] == "requeue"]
    assert sum(spent) == sum(requeues) + 1, "its last request may have been on its way"


def test_a_requeue_waits_over_a_restart(yard: Yard, drill: DrillServer, database: Database) -> None:
    """Queued behind a run whose daemon dies: both are gone on with, the requeue after the run has ended."""
    spoiled(yard, drill)
    drill.set_fault("hang", entity="owners", only_page=3)
    first = yard.service()
    yard.press_run()
    yard.wait_for_page(2, first)
    bulk_id = press_requeue(yard)
    wait_for(lambda: action(database, bulk_id)["state"] == "queued", "it is accepted")
    first.kill()
    drill.clear_faults()
    yard.service()
    wait_for(lambda: action(database, bulk_id)["verdict"], "it ends by itself", seconds=60)
    assert action(database, bulk_id)["verdict"] == f"{NUMBER} of {NUMBER} recovered"
    assert [run["state"] for run in yard.runs()] == ["incomplete", "interrupted", "succeeded"]
