"""Ends what dead processes left open: their runs become `interrupted`, their leases free, their writers cut off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog

from common.errors import IccError
from common.states import RunState
from common.store import heartbeats, leases, runs
from common.store.database import Database, Link, Row
from common.store.leases import Lease
from daemon.process_identity import is_gone

log = structlog.get_logger("rescue")


def bury_the_dead(database: Database, daemon: dict[str, Any]) -> int:
    """Daemons of this very machine whose process is gone: free their leases at once. Returns how many runs ended."""
    with database.transaction() as link:
        others = heartbeats.of_host(link, daemon["hostname"], daemon["boot_id"], daemon["id"])
    dead = [row["id"] for row in others if is_gone(row["pid"], row["process_started_at"])]
    if not dead:
        return 0
    with database.transaction() as link:
        held = runs.held_by(link, dead)
        for daemon_id in dead:
            heartbeats.discharge(link, daemon_id, died=True)
    return sum(interrupt(database, row) for row in held)


def rescue_silent_runs(database: Database, keeps: Callable[[str], bool] = lambda _run_id: False) -> int:
    """Active runs whose lease ran out or is not theirs any more. Returns how many were ended.

    ``keeps`` tells of a run whether this very process is at it, and renews its lease: after an outage of the database
    that may be late, and nobody has died.
    """
    with database.statement() as link:  # often, and nearly always in vain: no BEGIN and COMMIT around it
        silent = runs.orphans(link)
        leases.free_forgotten(link)
    return sum(interrupt(database, row) for row in silent if not keeps(str(row["id"])))


def interrupt(database: Database, run: Row) -> bool:
    """End one run for its dead owner: cut its connections, raise the term, say where it was."""
    lease = Lease(run["integration"], run["account_key"], str(run["id"]), run["term"])
    # Its last transaction may still hold the lease row; first the connections, then the term.
    leases.end_writers(database, lease)
    with database.transaction() as link:
        leases.revoke(link, lease)
        stopping = run["state"] == RunState.STOPPING
        error = None if stopping else interruption(link, lease.run_id).as_record()
        state = RunState.STOPPED if stopping else RunState.INTERRUPTED
        ended = runs.end_for(link, lease.run_id, state, error)
    leases.end_writers(database, lease)
    if ended:
        log.warning("ended a run whose process is gone", run=lease.run_id, state=state.value)
    return ended


def interruption(link: Link, run_id: str) -> IccError:
    """Where an interrupted run was, as the error it is stored with."""
    entity, page = runs.where_it_was(link, run_id) or ("its first entity", 0)
    return IccError("INTERRUPTED", entity=entity, page=page)
