"""Requeues and discards of dead letters: accepted, begun when the account is free, settled, and told with a verdict.

Everything is decided from rows, so any daemon goes on with what a dead one left. A requeue is a run: it begins when no
other has the lease. A discard needs no lease and is done in batches.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import structlog

from common.access import Action
from common.errors import Refused
from common.rules.requeue import LEAST_REQUESTS, share_of_hour, verdict
from common.states import ACTIVE_RUN_STATES, RunState
from common.store import budgets, bulk_actions, commands
from common.store.database import Database, Link, Row
from daemon.integrations.base import Account
from daemon.run_desk import RunDesk
from daemon.sync.patient import insisting
from daemon.sync.requeue import REQUEUE
from daemon.sync.run import RunPlan

log = structlog.get_logger("letters")
BATCH = 500
CUT_SHORT = (RunState.INTERRUPTED, RunState.DEFERRED)


class BulkDesk:
    """What is to become of dead letters. ``run_once`` is one turn; threads and daemons may take turns at once."""

    def __init__(self, database: Database, desk: RunDesk, served: Mapping[str, Account]) -> None:
        self._database = database
        self._desk = desk
        self._accounts = served

    # --- commands

    def accept(self, command: Row) -> dict[str, Any]:
        """Queue the letters of a requeue or discard, and end its command, in one transaction; then begin at once.

        Raises ``Refused`` when no letter matches, or more than were counted.
        """
        wish, bulk_id = command["payload"], str(command["id"])
        account = {"integration": command["integration"], "account_key": command["account_key"]}
        row = {
            **account,
            "id": bulk_id,
            "action": command["action"],
            "filter": wish["filter"],
            "reason": wish.get("reason"),
            "actor": command["actor"],
            "source": wish["source"],
            "counted": wish["counted"],
        }
        with self._database.transaction() as link:
            bulk_actions.insert(link, row)
            taken = bulk_actions.take_letters(link, row, wish["filter"], wish["last_id"])
            if taken == 0:
                raise Refused("NO_SUCH_LETTERS")
            if taken > wish["counted"]:
                raise Refused("LETTERS_GREW", now=taken, counted=wish["counted"])
            result = {"bulk_id": bulk_id, "letters": taken}
            commands.finish(link, command, "done", result)
        self.run_once()
        return result

    def cancel(self, command: Row, *, insist_until: threading.Event) -> dict[str, Any]:
        """End an unfinished action where it is: its run stops within a second. Raises ``Refused`` for no such one.

        Trouble of the database is waited out until ``insist_until`` is set: then it raises ``StopRequested``.
        """
        bulk_id = str(command["payload"].get("bulk_id"))
        again = insisting(self._desk.clock, insist_until)
        asked = again(lambda: self._ask_to_cancel(command, bulk_id))
        if asked["run_id"] is not None:
            place = (command["integration"], command["account_key"])
            try:
                self._desk.stop(*place, command["actor"], only_run=str(asked["run_id"]), insist_until=insist_until)
            except Refused:
                log.info("the requeue's run had ended before it was cancelled", bulk=bulk_id)
        again(lambda: self.run_once(bulk_id))
        return {"bulk_id": bulk_id}

    def _ask_to_cancel(self, command: Row, bulk_id: str) -> Row:
        with self._database.transaction() as link:
            asked = bulk_actions.ask_to_cancel(
                link, bulk_id, command["integration"], command["account_key"], command["actor"]
            )
        if asked is None:
            raise Refused("UNKNOWN_BULK_ACTION", id=bulk_id)
        return asked

    # --- turns

    def run_once(self, only_id: str | None = None) -> int:
        """Begin, go on with, or settle whatever can be, or only that one; returns how many actions were at that."""
        with self._database.transaction() as link:
            waiting = bulk_actions.unfinished(link, list(self._accounts), only_id)
        return sum(self._forward(action) for action in waiting)

    def _forward(self, seen: Row) -> bool:
        if seen["action"] == Action.DISCARD:
            return self._discard(seen)
        return _is_due(seen) and self._requeue(seen["id"])

    def _discard(self, action: Row) -> bool:
        """Batch by batch, each a transaction, until none is left or somebody cancels."""
        while True:
            with self._database.transaction() as link:
                locked = bulk_actions.lock(link, action["id"])
                if locked is None:
                    return False  # another daemon is at it, or it has ended
                if locked["state"] == "queued":
                    bulk_actions.start(link, action["id"])
                bulk_actions.settle_elsewhere(link, action["id"])
                by, reason = action["actor"], action["reason"]
                if locked["cancel_asked_by"] or not bulk_actions.discard_some(
                    link, action["id"], by=by, reason=reason, most=BATCH
                ):
                    self._finish(link, locked)
                    return True

    # --- requeue

    def _requeue(self, bulk_id: Any) -> bool:
        """Bring one forward, by what it is now: another daemon may have done so since it was seen."""
        plan = None
        with self._database.transaction() as link:
            action = bulk_actions.lock(link, bulk_id)
            if action is None or not _is_due(action):
                return False
            bulk_actions.settle_elsewhere(link, bulk_id)
            if action["state"] == "running":
                self._settle(link, action)
            elif action["cancel_asked_by"]:
                self._end_queued(link, action)
            else:
                plan = self._begin(link, action)
        if plan is not None:
            self._desk.launch(plan)
        return True

    def _begin(self, link: Link, action: Row) -> RunPlan | None:
        """Lease, run row and `running` in one transaction; no letter left to read ends it at once."""
        waiting = bulk_actions.waiting_entities(link, action["id"])
        account = self._accounts[action["integration"]]
        entities = [entity for entity in account.entry.entities if entity in waiting]
        if not entities:
            self._end_queued(link, action)
            return None
        return self._plan(link, action, entities, account)

    def _plan(self, link: Link, action: Row, entities: list[str], account: Account) -> RunPlan | None:
        """A run within its share of the hour; None when there is none now, or the lease is somebody's."""
        place = (action["integration"], action["account_key"])
        limits = budgets.lowered_now(link, *place).limits(account.limits)
        share = share_of_hour(limits.per_hour, bulk_actions.spent(link, *place), commands.database_now(link))
        if share.requests is not None and share.requests < LEAST_REQUESTS:
            if share.free_at is not None:
                bulk_actions.put_off(link, action["id"], share.free_at)
            return None
        wish = {
            "mode": REQUEUE,
            "entities": entities,
            "dry_run": False,
            "source": action["source"],
            "continues_run_id": str(action["run_id"]) if action["run_id"] else None,
        }
        try:
            with link.transaction():
                plan = self._desk.begin(link, {**action, "payload": wish})
        except Refused as refusal:
            if refusal.code != "ALREADY_RUNNING":
                self._end_queued(link, action, why_left=refusal.cause)
            return None
        bulk_actions.start(link, action["id"], plan.lease.run_id)
        return replace(plan, most_requests=share.requests)

    def _settle(self, link: Link, action: Row) -> None:
        """Its run has ended: the verdict, or back to the queue if it was cut short."""
        unread = bulk_actions.waiting_entities(link, action["id"])
        if unread and action["run_state"] in CUT_SHORT and not action["cancel_asked_by"]:
            bulk_actions.wait(link, action["id"], action["run_until"])
        else:
            self._finish(link, action)

    def _end_queued(self, link: Link, action: Row, why_left: str | None = None) -> None:
        bulk_actions.start(link, action["id"])
        self._finish(link, action, why_left)

    def _finish(self, link: Link, action: Row, why_left: str | None = None) -> None:
        """Its end with a verdict, and a row in the audit log."""
        bulk_id = action["id"]
        bulk_actions.release(link, bulk_id)
        outcomes = bulk_actions.outcomes(link, bulk_id)
        cancelled_by = action["cancel_asked_by"] or _stopped_by(action)
        if not outcomes.get("left"):
            cancelled_by = None  # it had come to its end before anybody could stop it
        why = why_left or (action["run_error"] or {}).get("cause")
        said = verdict(action["action"], action["counted"], outcomes, cancelled_by=cancelled_by, why_left=why)
        state = "cancelled" if cancelled_by else "done"
        bulk_actions.finish(link, bulk_id, state, said)
        command = commands.by_id(link, str(bulk_id))
        if command is not None:
            commands.log_outcome(link, command, state, {"bulk_id": str(bulk_id), "verdict": said})
        log.info(said, bulk=str(bulk_id), action=action["action"])


def _is_due(action: Row) -> bool:
    """Whether a requeue can be settled, ended or begun now."""
    if action["state"] == "running":
        return action["run_state"] not in ACTIVE_RUN_STATES
    return bool(action["cancel_asked_by"] or action["may_start"])


def _stopped_by(action: Row) -> str | None:
    """Who pressed Stop on its run: that ends the requeue, too."""
    return action["stop_requested_by"] if action["run_state"] == RunState.STOPPED else None
