"""One run of one account: identity, entities one after another, and its end, written under its lease.

A run may be stopped from any thread at any moment (law 6): ``stop`` shuts the sockets and wakes every wait.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

import structlog

from common.clock import Clock
from common.errors import (
    BreakerHolds,
    DatabaseAway,
    DatabaseRefuses,
    Deferred,
    IccError,
    LeaseLost,
    RunFault,
    StopRequested,
    TransientFault,
)
from common.excerpt import name_in_words
from common.redact import mask
from common.rules.identity import in_words, same_account
from common.rules.outcome import run_state
from common.states import EntityState, RunState
from common.store import accounts, commands, leases, runs
from common.store.database import Database, Link
from common.store.leases import Lease
from common.store.records import Provenance
from daemon.integrations.base import Connector, Entity
from daemon.sync.bookmark import Order
from daemon.sync.delta_report import DeltaReport
from daemon.sync.entity import EntityOutcome, EntityReading
from daemon.sync.fetch_ahead import FetchAhead
from daemon.sync.lines import LineMaker
from daemon.sync.list_copy import ListCopy, pages_ahead
from daemon.sync.patient import Patient
from daemon.sync.reporter import RunReporter
from daemon.sync.requeue import REQUEUE, SHARE_SPENT, Requeue
from daemon.sync.sorting import Sorter
from daemon.sync.writer import PageWriter

log = structlog.get_logger("run")


@dataclass(frozen=True)
class RunPlan:
    """What a run is to do."""

    lease: Lease
    entities: tuple[str, ...]
    order: Order
    most_requests: int | None = None
    """A requeue's share of the hour's requests; None: no limit of its own."""


@dataclass(frozen=True)
class RunEnd:
    """How a run ended. ``written`` false: it was ended by somebody else (a successor, or a forced stop).

    ``blocked_until``: when it goes on by itself; ``put_off``: until when no run of the account may start, and why.
    """

    state: RunState
    error: dict[str, Any] | None = None
    blocked_until: datetime | None = None
    put_off: Deferred | None = None
    written: bool = True


@dataclass
class _Progress:
    outcomes: list[EntityOutcome] = field(default_factory=list)
    warnings: list[dict[str, Any]] = field(default_factory=list)


class Run:
    """One run. Call ``execute`` in a thread of its own; ``stop`` from any other."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        plan: RunPlan,
        connector: Connector,
        reporter: RunReporter,
        stop_event: threading.Event,
        abort_requests: Callable[[], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self.plan = plan
        self._connector = connector
        self._reporter = reporter
        self._stop_event = stop_event
        self._abort_requests = abort_requests
        self._patient = Patient(clock, stop_event, answers=partial(leases.check, database, plan.lease))
        self._insisting = Patient(clock, stop_event)
        self._lost = False
        self.ended = threading.Event()

    def stop(self) -> None:
        """Make it stop: no new request, none under way, no wait. Twice is as good as once."""
        self._stop_event.set()
        self._abort_requests()

    def lose(self) -> None:
        """The lease is gone: stop, and write nothing more."""
        self._lost = True
        self.stop()

    def execute(self) -> RunEnd:
        """Run to the end and write it; never raises."""
        progress = _Progress()
        try:
            end = self._outcome(progress)
            return self._write_end(end, progress)
        finally:
            self.ended.set()

    def _outcome(self, progress: _Progress) -> RunEnd:
        try:
            self._read_all(progress)
        except StopRequested:
            return RunEnd(RunState.STOPPED)
        except Deferred as signal:
            return self._deferred(signal, progress)
        except LeaseLost:
            self._lost = True
            return RunEnd(RunState.INTERRUPTED, written=False)
        except (RunFault, TransientFault) as error:  # the latter when not even whose account it is could be read
            self._reporter.trouble(error)
            return RunEnd(RunState.FAILED, error.as_record())
        except (BreakerHolds, DatabaseRefuses) as error:
            self._reporter.trouble(error)
            return RunEnd(RunState.INCOMPLETE, error.as_record())
        except DatabaseAway:
            log.exception("the database went away")
            return RunEnd(RunState.STOPPED)  # asked for by nobody: written as interrupted, as soon as it can be
        except Exception as error:
            log.exception("a run failed by an error of ours")
            ours = IccError("INTERNAL_ERROR", detail=f"{type(error).__name__}: {error}")
            self._reporter.trouble(ours)
            return RunEnd(RunState.FAILED, ours.as_record())
        state = run_state((outcome.state, outcome.dead_new) for outcome in progress.outcomes)
        return RunEnd(state, _first_error(state, progress.outcomes))

    def _deferred(self, signal: Deferred, progress: _Progress) -> RunEnd:
        """Told as an error only where the vendor failed; being slowed down is a warning of the run (law 7)."""
        reason, error = signal.reason, None
        if signal.vendor_failed:
            self._reporter.trouble(reason, level="warn")
            error = reason.as_record()
        else:
            progress.warnings.append(self._reporter.warn(reason.code, **reason.facts))
        return RunEnd(RunState.DEFERRED, error, blocked_until=signal.run_until, put_off=signal)

    def _read_all(self, progress: _Progress) -> None:
        order = self.plan.order
        entities = ", ".join(self.plan.entities)
        dry = " (dry run)" if order.dry_run else ""
        self._reporter.event("info", "run_started", f"{order.mode} of {entities}{dry}")
        self._check_identity(progress)
        connector = self._connector
        ahead = pages_ahead(connector.page_size, connector.max_concurrency)
        fetcher = FetchAhead(connector.max_concurrency, self._stop_event, ahead=ahead)
        try:
            for name in self.plan.entities:
                if self._stop_event.is_set():
                    raise StopRequested
                progress.outcomes.append(self._read(name, fetcher))
        finally:
            fetcher.close()

    def _read(self, name: str, fetcher: FetchAhead) -> EntityOutcome:
        entity = self._connector.entities[name]
        order, lease = self.plan.order, self.plan.lease
        if order.mode == REQUEUE:
            return self._requeue(entity)
        maker, stop = LineMaker(entity), self._stop_event
        writer = PageWriter(self._database, self._clock, lease, entity, maker, stop=stop, dry_run=order.dry_run)
        try:
            copy = ListCopy(
                database=self._database,
                connector=self._connector,
                entity=entity,
                lease=lease,
                fetcher=fetcher,
                sorter=Sorter(maker, self._provenance, stop, order.since),
                writer=writer,
                reporter=self._reporter,
                delta=DeltaReport(self._database, lease, entity) if order.dry_run else None,
            )
            return EntityReading(
                copy,
                database=self._database,
                entity=entity,
                lease=lease,
                order=order,
                writer=writer,
                reporter=self._reporter,
                patient=self._patient,
            ).run()
        finally:
            writer.close()

    def _provenance(self) -> str:
        """The cells that say where a row comes from, as it is fetched now."""
        lease = self.plan.lease
        return Provenance(lease.account_key, lease.integration, lease.run_id, self._clock.now()).cells

    def _requeue(self, entity: Entity) -> EntityOutcome:
        return Requeue(
            database=self._database,
            clock=self._clock,
            connector=self._connector,
            entity=entity,
            lease=self.plan.lease,
            reporter=self._reporter,
            patient=self._patient,
            stop=self._stop_event,
            most_requests=self.plan.most_requests,
        ).run()

    def _check_identity(self, progress: _Progress) -> None:
        """Whose account is it? A swapped key would mix two companies' rows (the worst day)."""
        found = self._patient(self._connector.identity)
        now = None if found is None else {field: mask(value) for field, value in found.items()}  # as it is stored
        if now is None:
            progress.warnings.append(self._reporter.warn("IDENTITY_UNKNOWN", status="no answer for this role"))
            return
        before = self._patient(lambda: self._note_identity(now))
        if before is not None and not same_account(before, now):
            raise RunFault("ACCOUNT_CHANGED", before=name_in_words(in_words(before)), now=name_in_words(in_words(now)))

    def _note_identity(self, now: dict[str, str]) -> Mapping[str, str] | None:
        """Store it when it is the first one, ask an admin when it is another; returns the one known before."""
        lease = self.plan.lease
        account = (lease.integration, lease.account_key)
        with self._database.transaction(lease.writer_name) as link:
            row = accounts.read(link, *account)
            before: Mapping[str, str] | None = row["identity"] if row else None
            if before is not None and not same_account(before, now):
                details = {"before": before, "now": now}
                accounts.ask_admin(link, *account, "account_changed", details, run_id=lease.run_id)
            elif not self.plan.order.dry_run:
                if before is None:
                    accounts.set_identity(link, *account, now)
                accounts.supersede(link, *account, "account_changed")  # the account of old is back
            leases.fence(link, lease)
        return before

    def _write_end(self, end: RunEnd, progress: _Progress) -> RunEnd:
        if self._lost or not end.written:
            return RunEnd(end.state, end.error, written=False)
        try:
            end = self._insisting(lambda: self._commit_end(end, progress))
        except (DatabaseAway, StopRequested):  # its lease is gone, or it was told to stop while the database is away
            return RunEnd(end.state, end.error, written=False)
        if end.written:
            self._reporter.event("info", "run_finished", f"run {end.state}", state=end.state.value)
        return end

    def _commit_end(self, end: RunEnd, progress: _Progress) -> RunEnd:
        lease = self.plan.lease
        with self._database.transaction(lease.writer_name) as link:
            end = self._as_asked(link, end)
            # What was put off by this machine's clock comes due by the database's: a slow one would not wait at all.
            ahead = commands.database_ahead_by(link, self._clock.now())
            runs.skip_rest(link, lease.run_id, end.state, end.error)
            written = runs.finish(
                link,
                lease,
                state=end.state,
                error=end.error,
                warnings=progress.warnings,
                blocked_until=end.blocked_until and end.blocked_until + ahead,
                requests=self._reporter.requests,
                retries=self._reporter.retries,
                waited_seconds=self._reporter.waited_seconds,
            )
            # A page fetched ahead may have been put off although an earlier one, or a Stop, ended the run.
            put_off = end.put_off or self._reporter.put_off
            if put_off is None:
                runs.block_account(link, lease, None, None)
            elif put_off.code != SHARE_SPENT:  # a requeue's own share: whoever else may go on
                runs.block_account(link, lease, put_off.until + ahead, put_off.code)
            leases.fence(link, lease)
            leases.free(link, lease)
        return replace(end, written=written)

    def _as_asked(self, link: Link, end: RunEnd) -> RunEnd:
        """A run ends `stopped` only when somebody asked; one whose process ends by itself is `interrupted`.

        One that is put off just when somebody asks has to end, too: else it goes on by itself.
        """
        if end.state not in (RunState.STOPPED, RunState.DEFERRED):
            return end
        row = runs.state(link, self.plan.lease.run_id)
        if row is not None and row["state"] == RunState.STOPPING:
            return RunEnd(RunState.STOPPED, put_off=end.put_off)
        if end.state is RunState.DEFERRED:
            return end
        entity, page = runs.where_it_was(link, self.plan.lease.run_id) or ("its first entity", 0)
        return RunEnd(RunState.INTERRUPTED, IccError("INTERRUPTED", entity=entity, page=page).as_record())


def _first_error(state: RunState, outcomes: list[EntityOutcome]) -> dict[str, Any] | None:
    """The error a person should read first: the worst entity's, or why a run without one is incomplete."""
    if state is RunState.SUCCEEDED:
        return None
    for wanted in (EntityState.FAILED, EntityState.FORBIDDEN, EntityState.PARTIAL):
        for outcome in outcomes:
            if outcome.state is wanted and outcome.error is not None:
                return {**outcome.error, "entity": outcome.entity}
    count = sum(outcome.dead_new for outcome in outcomes)
    return IccError("NEW_DEAD_LETTERS", count=count).as_record()
