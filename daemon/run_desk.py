"""Begins, watches and stops runs: the one place that knows which runs this process has."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from itertools import count
from typing import Any

import structlog

from common.clock import Clock
from common.config import DaemonSettings
from common.errors import DatabaseAway, IccError, LeaseLost, Refused
from common.states import RunState
from common.store import accounts, leases, runs
from common.store.database import Database, Link, Row
from common.store.leases import Lease
from common.wishes import is_backfill_by_hand
from daemon.account_voice import AccountVoice
from daemon.integrations.base import Account, Opened
from daemon.sync.bookmark import Order
from daemon.sync.patient import insisting
from daemon.sync.reporter import Reporter, RunReporter
from daemon.sync.run import Run, RunEnd, RunPlan
from daemon.version import VERSION

log = structlog.get_logger("runs")
STOP_SECONDS = 0.7
"""How long a run may take to stop by itself before its right to write is taken away (Stop works within one second)."""
CLOSE_SECONDS = 4.0
"""How long a process that ends waits for its runs. All in all it must be gone within ten."""


class DeadRunInTheWay(Refused):
    """A run of the account has lost its lease, since its process died, and nobody has ended it yet."""


class RunDesk:
    """The runs of this process. Threads share it."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        reporter: Reporter,
        served: Mapping[str, Account],
        settings: DaemonSettings,
        *,
        daemon_id: str,
        pulse: Database,
        ending: Database,
    ) -> None:
        self._database, self._pulse, self._ending = database, pulse, ending
        self.clock = clock
        self._reporter = reporter
        self._accounts = served
        self._settings = settings
        self._daemon_id = daemon_id
        self._lock = threading.Lock()
        self._active: dict[str, Run] = {}
        self._close_by: float | None = None
        self.changed = threading.Event()
        """Set when a run begins or ends, so that the heartbeat says so at once."""

    # --- begin

    def begin(self, link: Link, command: Row) -> RunPlan:
        """Lease and run row for a `run` command, in the transaction that claimed it. Raises ``Refused``."""
        wish, account = command["payload"], self._accounts[command["integration"]]
        # The gate that took the wish may be another process's, with other settings.
        if is_backfill_by_hand(wish, wish["source"]) and not self._settings.allow_manual_backfill:
            raise Refused("BACKFILL_NOT_ALLOWED")
        since = datetime.fromisoformat(wish["since"]) if wish.get("since") else None
        lease = self._take(link, self._row(command, since), account.source_kind)
        order = Order(
            wish["mode"],
            since,
            wish["dry_run"],
            self._settings.icc_pass_hours * 3600,
            continues=wish.get("continues_run_id") is not None,
        )
        return RunPlan(lease, tuple(wish["entities"]), order)

    def _take(self, link: Link, run: Row, source_kind: str) -> Lease:
        """The lease of a run that has begun. Raises ``Refused``, with nothing written, saying what is in the way."""
        lease_seconds, integration, account_key = self._settings.lease_seconds, run["integration"], run["account_key"]
        # Taken before anything is looked at: what is in the way is asked for only when something is.
        lease = runs.begin(link, run, source_kind=source_kind, lease_seconds=lease_seconds)
        if lease is None:
            mixed = other_kind(accounts.read(link, integration, account_key), source_kind)
            if mixed is not None:
                raise Refused("DRILL_AND_REAL_ROWS", **mixed)
            refuse_while_held(leases.read(link, integration, account_key))
            # The account's very first time, or its row was deleted, or it is free by now.
            accounts.ensure(link, integration, account_key, self._accounts[integration].entry.label)
            lease = runs.begin(link, run, source_kind=source_kind, lease_seconds=lease_seconds)
        if lease is None:  # a run is active, but the lease is not its own any more
            raise DeadRunInTheWay("ALREADY_RUNNING", since="some time ago", by="a process that died")
        return lease

    def _row(self, command: Row, since: datetime | None) -> Row:
        """The run row of a command, without its term."""
        wish = command["payload"]
        continues = wish.get("continues_run_id")
        return {
            "id": str(uuid.uuid4()),
            "integration": command["integration"],
            "account_key": command["account_key"],
            "mode": wish["mode"],
            "entities": wish["entities"],
            "since": since,
            "dry_run": wish["dry_run"],
            "trigger": "continuation" if continues else wish["source"],
            "requested_by": command["actor"],
            "command_id": command["id"],
            "continues_run_id": continues,
            "daemon_id": self._daemon_id,
            "version": VERSION,
        }

    def launch(self, plan: RunPlan) -> None:
        """Execute it in a thread of its own."""
        threading.Thread(target=self.execute, args=(plan,), name=f"run-{plan.lease.run_id[:8]}", daemon=True).start()

    def execute(self, plan: RunPlan) -> RunEnd:
        """Execute it here, to its end."""
        stop = threading.Event()
        account = self._accounts[plan.lease.integration]
        reporter = RunReporter(self._reporter, self.clock, plan.lease)
        try:
            opened = account.open(self._database, self.clock, stop=stop, witness=reporter)
        except Exception as error:
            log.exception("a run could not begin", run=plan.lease.run_id)
            return self._end_unbegun(plan.lease, IccError("INTERNAL_ERROR", detail=f"{type(error).__name__}: {error}"))
        run = Run(
            database=self._database,
            clock=self.clock,
            plan=plan,
            connector=opened.connector,
            reporter=reporter,
            stop_event=stop,
            abort_requests=opened.abort,
        )
        self._enlist(run)
        try:
            return run.execute()
        finally:
            with self._lock:
                del self._active[plan.lease.run_id]
            self.changed.set()
            _give_back(opened)

    def _enlist(self, run: Run) -> None:
        """From now on it can be stopped; it may have been while it was made ready."""
        run_id = run.plan.lease.run_id
        with self._lock:
            self._active[run_id] = run
            if self._close_by is not None:
                run.stop()
        self.changed.set()
        with suppress(DatabaseAway):  # the heartbeat looks again
            self.look_at(run_id)

    def _end_unbegun(self, lease: Lease, error: IccError) -> RunEnd:
        with self._database.transaction() as link:
            runs.end_for(link, lease.run_id, RunState.FAILED, error.as_record())
            leases.free(link, lease)
        return RunEnd(RunState.FAILED, error.as_record())

    # --- stop

    def stop(
        self,
        integration: str,
        account_key: str,
        by: str,
        *,
        only_run: str | None = None,
        insist_until: threading.Event | None = None,
    ) -> dict[str, Any]:
        """Stop the account's active run, whoever has it, within a second. Raises ``Refused`` when nothing runs.

        ``only_run``: stop this one and no other. ``insist_until``: trouble of the database is waited out until then,
        and each try is about the run that was active first: another may begin meanwhile. Raises ``DatabaseAway``
        without it, and ``StopRequested`` when it is set.
        """
        again = insisting(self.clock, insist_until)
        lease = again(lambda: self._to_stop(integration, account_key, only_run))
        tries = count()
        again(lambda: self._stop(lease, by, is_first=next(tries) == 0))
        return {"run_id": lease.run_id}

    def _to_stop(self, integration: str, account_key: str, only_run: str | None) -> Lease:
        with self._ending.statement() as link:
            active = runs.active(link, integration, account_key)
        if active is None or only_run not in (None, str(active["id"])):
            raise Refused("NOTHING_RUNNING")
        return Lease(integration, account_key, str(active["id"]), active["term"])

    def _stop(self, lease: Lease, by: str, *, is_first: bool) -> None:
        with self._ending.transaction() as link:
            is_active = runs.ask_to_stop(link, lease, by)
        if not is_active:  # it has ended: by itself, or by an earlier try of ours
            if is_first:
                raise Refused("NOTHING_RUNNING")
            return
        with self._lock:
            run = self._active.get(lease.run_id)
        if run is not None:
            run.stop()
        if not self._ends_by_itself(lease.run_id):
            self._force(lease)

    def look_at(self, run_id: str) -> None:
        """Somebody says that something changed about this run: if it is ours and to be stopped, or ended, stop it."""
        with self._lock:
            run = self._active.get(run_id)
        if run is not None:
            self._look(self._ending, run)

    def look_again(self) -> None:
        """Notice stops of this process's runs that no notification told of."""
        with self._lock:
            active = list(self._active.values())
        for run in active:
            self._look(self._pulse, run)

    @staticmethod
    def _look(database: Database, run: Run) -> None:
        with database.transaction() as link:
            row = runs.state(link, run.plan.lease.run_id)
        if row is not None and row["state"] == RunState.STOPPING:
            run.stop()
        elif row is not None and row["state"] != RunState.RUNNING:
            run.lose()

    def _ends_by_itself(self, run_id: str) -> bool:
        until = self.clock.monotonic() + STOP_SECONDS
        never = threading.Event()
        while self.clock.monotonic() < until:
            with suppress(DatabaseAway), self._ending.transaction() as link:
                row = runs.state(link, run_id)
                if row is None or row["state"] not in (RunState.RUNNING, RunState.STOPPING):
                    return True
            with self._lock:
                run = self._active.get(run_id)
            self.clock.wait(run.ended if run else never, 0.02)
        return False

    def _force(self, lease: Lease) -> None:
        """Take the right to write away, then write `stopped`: its thread, wherever it hangs, can write nothing more."""
        with self._lock:
            run = self._active.get(lease.run_id)
        if run is not None:
            run.lose()
        leases.end_writers(self._ending, lease)
        with self._ending.transaction() as link:
            leases.revoke(link, lease)
            runs.end_for(link, lease.run_id, RunState.STOPPED, None)
        with suppress(DatabaseAway):  # whoever is left has no right to write
            leases.end_writers(self._ending, lease)

    # --- watch

    def keeps(self, run_id: str) -> bool:
        """Whether the run is this process's, whose leases are then renewed: it may have lost it for all that."""
        with self._lock:
            is_ours = run_id in self._active
        if is_ours:
            self.keep_leases()
        return is_ours

    def keep_leases(self) -> bool:
        """Renew every lease of this process; false when the database was away for one."""
        with self._lock:
            active = list(self._active.values())
        all_renewed = True
        for run in active:
            try:
                leases.renew(self._pulse, run.plan.lease, self._settings.lease_seconds)
            except LeaseLost:
                run.lose()
            except DatabaseAway:
                log.warning("the database is away; the lease could not be renewed", run=run.plan.lease.run_id)
                all_renewed = False
        return all_renewed

    def voice(self, integration: str, account_key: str) -> AccountVoice:
        """Who tells of what happens to an account outside of its runs."""
        return AccountVoice(self._reporter, self.clock, integration, account_key)

    def doing(self) -> str:
        """What this process is doing, for its heartbeat."""
        with self._lock:
            plans = [run.plan for run in self._active.values()]
        return "; ".join(f"{plan.order.mode} of {plan.lease.integration}" for plan in plans) or "idle"

    def close(self, wait_seconds: float = CLOSE_SECONDS) -> None:
        """Stop every run of this process and wait until each has written where it was; twice takes no longer."""
        with self._lock:
            if self._close_by is None:
                self._close_by = self.clock.monotonic() + wait_seconds
            active = list(self._active.values())
        for run in active:
            run.stop()
        for run in active:
            run.ended.wait(max(0.0, self._close_by - self.clock.monotonic()))


def other_kind(account: Row | None, wanted: str) -> dict[str, str] | None:
    """What is held and what is wanted, ``live`` or ``drill``, when the account has rows of the other kind."""
    held = account["source_kind"] if account else None
    return None if held in (None, wanted) else {"held": held, "wanted": wanted}


def refuse_while_held(seen: Row) -> None:
    """Raises ``Refused`` when a run holds the lease that was read, saying by whom and since when."""
    if seen["holder"] is not None:
        since = f"{seen['started_at']:%H:%M:%S} UTC" if seen["started_at"] else "some time ago"
        if seen["ran_out"]:
            raise DeadRunInTheWay("ALREADY_RUNNING", since=since, by="a process that died")
        raise Refused("ALREADY_RUNNING", since=since, by=seen["requested_by"] or "a run that was deleted")


def _give_back(opened: Opened) -> None:
    try:
        opened.settle()
    except DatabaseAway:
        log.warning("the request budget could not be settled; it will count a little too much")
    opened.close()
