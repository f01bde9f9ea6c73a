"""What programs may ask of the insights: filters, what no living process could write, and limits."""

from __future__ import annotations

from datetime import timedelta

from common.insights.runs import found_runs
from common.insights.sync_status import sync_status
from common.states import EntityState, RunState
from common.store.database import Database
from tests.dashboard import seed


def ids(database: Database, **filters: object) -> list[str]:
    """The ids of the runs that match."""
    return [run.id for run in found_runs(database, **filters)]  # type: ignore[arg-type]  # the filters' own types


def test_runs_are_found_by_what_they_are(database: Database) -> None:
    """State, mode, entity, integration and moment filter together; none of them means all."""
    seed.account(database)
    old = seed.run(database, "failed", mode="backfill", minutes_ago=90, error=seed.KEY_REFUSED)
    new = seed.run(database, "succeeded", mode="delta", minutes_ago=5)
    assert ids(database) == [new, old]
    assert ids(database, state="failed") == [old]
    assert ids(database, mode="delta", entity="units") == [new]
    assert ids(database, entity="people") == []
    assert ids(database, integration="dropbox") == []
    newest = found_runs(database, limit=1)[0]
    assert ids(database, before=newest.queued_at) == [old]
    assert ids(database, before=newest.queued_at - timedelta(days=1)) == []
    assert ids(database, limit=0) == [new]  # clamped: every list has at least one and at most two hundred


def test_a_run_that_its_process_left_is_found_as_interrupted(database: Database) -> None:
    """Nobody living could have written it down: without its lease a running run counts, and filters, as interrupted."""
    seed.account(database)
    daemon_id = seed.daemon(database)
    run_id = seed.active_run(database, daemon_id)
    assert ids(database, state="running") == [run_id]
    status = sync_status(database, "doorloop", "main")
    assert status.lock is not None
    assert (status.lock.run_id, status.lock.daemon_id, status.lock.requested_by) == (run_id, daemon_id, "ana")
    assert status.lock.holds
    with database.transaction() as link:
        link.execute("UPDATE control.leases SET expires_at = now() - interval '1 second'")
    assert ids(database, state="running") == []
    (left,) = found_runs(database, state="interrupted")
    assert (left.id, left.state) == (run_id, RunState.INTERRUPTED)
    lock = sync_status(database, "doorloop", "main").lock
    assert lock is not None
    assert not lock.holds


def test_the_last_failure_of_each_entity_is_kept_beside_its_success(database: Database) -> None:
    """sync/status: last success and last failure per entity; a dry run proves nothing."""
    seed.account(database)
    failed = seed.run(database, "incomplete", minutes_ago=60, parts={"units": "forbidden"})
    seed.run(database, "succeeded", minutes_ago=5)
    failures = sync_status(database, "doorloop", "main").failures
    assert set(failures) == {"units"}
    assert (failures["units"].state, failures["units"].run_id) == (EntityState.FORBIDDEN, failed)


def test_an_entity_cut_by_a_rate_limit_has_not_failed(database: Database) -> None:
    """Law 7: nor has one that somebody stopped; nothing is wrong with it."""
    seed.account(database)
    seed.run(database, "deferred", minutes_ago=60, parts={"units": "partial"})
    assert sync_status(database, "doorloop", "main").failures == {}
