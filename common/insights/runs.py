"""Runs: the latest, one with its entities, and how the active one is getting on.

A run that its process left (running by its row, but without the lease) is shown as `interrupted`: nobody living could
have written it down.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from common.insights.problems import Problem, of_code, problem, problems
from common.rules import progress
from common.rules.progress import PageMark, Part
from common.states import ACTIVE_RUN_STATES, EntityState, RunState
from common.store.database import Database, Link, Row
from common.store.statements import statements

SQL = statements("insights")
MOST_RUNS = 200
MOST_MARKS = 600
WAITING_CODES = frozenset({"waiting", "request_retried", "breaker"})


@dataclass(frozen=True)
class Totals:
    """Rows of a run over all its entities."""

    received: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    removed: int = 0
    dead: int = 0


@dataclass(frozen=True)
class RunRow:
    """One run. ``state`` is what a person should read; ``error`` says why it did not succeed."""

    id: str
    integration: str
    account_key: str
    mode: str
    entities: tuple[str, ...]
    since: datetime | None
    dry_run: bool
    state: RunState
    trigger: str
    requested_by: str
    queued_at: datetime
    started_at: datetime | None
    stop_requested_by: str | None
    finished_at: datetime | None
    blocked_until: datetime | None
    error: Problem | None
    warnings: tuple[Problem, ...]
    totals: Totals
    requests: int
    retries: int
    waited_seconds: float
    version: str | None

    @property
    def is_active(self) -> bool:
        """Whether a process works on it now."""
        return self.state in ACTIVE_RUN_STATES

    def took_seconds(self, now: datetime) -> float | None:
        """From its start to its end, or until now."""
        if self.started_at is None:
            return None
        if self.state is RunState.INTERRUPTED and self.finished_at is None:
            return None
        return ((self.finished_at or now) - self.started_at).total_seconds()


@dataclass(frozen=True)
class RunPart:
    """What one run did with one entity. ``page`` counts the vendor's pages, so a resumed run does not begin at 1."""

    entity: str
    state: EntityState
    page: int
    pages_expected: int | None
    resumed_at_page: int | None
    total: int | None
    totals: Totals
    dead_new: int
    duplicates: int
    started_at: datetime | None
    finished_at: datetime | None
    error: Problem | None
    warnings: tuple[Problem, ...]

    @property
    def is_finished(self) -> bool:
        """Whether nothing more comes of it in this run."""
        return self.state not in (EntityState.WAITING, EntityState.RUNNING)


@dataclass(frozen=True)
class RunDetail:
    """One run with its entities."""

    run: RunRow
    parts: tuple[RunPart, ...]


@dataclass(frozen=True)
class ActiveRun:
    """The run that works now. ``eta_seconds`` is (soonest, latest), or None with the reason in ``no_eta_reason``."""

    run: RunRow
    parts: tuple[RunPart, ...]
    current: RunPart | None
    rows_per_second: float | None
    share_done: float | None
    eta_seconds: tuple[float, float] | None
    no_eta_reason: str
    waiting: str | None


def last_runs(
    database: Database, integration: str, account_key: str = "main", *, limit: int = 20, before: datetime | None = None
) -> tuple[RunRow, ...]:
    """The latest runs, newest first; ``before`` pages on. At most ``MOST_RUNS``."""
    params = {
        "integration": integration,
        "account_key": account_key,
        "limit": max(1, min(limit, MOST_RUNS)),
        "before": before,
    }
    with database.transaction() as link:
        return tuple(run_row(row) for row in link.execute(SQL["runs"], params).fetchall())


def found_runs(
    database: Database,
    *,
    integration: str | None = None,
    state: str | None = None,
    mode: str | None = None,
    entity: str | None = None,
    before: datetime | None = None,
    limit: int = 50,
) -> tuple[RunRow, ...]:
    """The latest runs that match, over all accounts, newest first; ``before`` pages on. At most ``MOST_RUNS``."""
    params: dict[str, Any] = {
        "integration": integration,
        "state": state,
        "mode": mode,
        "entity": entity,
        "before": before,
        "limit": max(1, min(limit, MOST_RUNS)),
    }
    with database.transaction() as link:
        return tuple(run_row(row) for row in link.execute(statements("api")["found_runs"], params).fetchall())


def detail(database: Database, run_id: str) -> RunDetail | None:
    """One run with its entities; None when there is none such."""
    with database.transaction() as link:
        row = link.execute(SQL["run"], {"run_id": run_id}).fetchone()
        if row is None:
            return None
        run, parts = run_row(row), _parts(link, run_id)
    return RunDetail(run, tuple(map(_as_left, parts)) if run.state is RunState.INTERRUPTED else parts)


def active(database: Database, integration: str, account_key: str = "main") -> ActiveRun | None:
    """The run that works now on this account, with its progress; None when nothing runs."""
    params = {"integration": integration, "account_key": account_key, "limit": 1, "before": None}
    with database.transaction() as link:
        # The newest run is the active one if any is: no other can start meanwhile (law 1).
        row = link.execute(SQL["runs"], params).fetchone()
        run = run_row(row) if row else None
        if run is None or not run.is_active:
            return None
        return _progress(link, run)


def _progress(link: Link, run: RunRow) -> ActiveRun:
    found = link.execute(SQL["now"]).fetchone()
    assert found is not None
    now: datetime = found["now"]
    parts = _parts(link, run.id)
    rows = link.execute(SQL["page_marks"], {"run_id": run.id, "limit": MOST_MARKS}).fetchall()
    marks = [PageMark(row["ts"], row["rows"]) for row in rows]
    measured = _measured(link, run, parts)
    left = progress.remaining_rows(measured)
    eta = progress.eta_seconds(left, marks, now)
    last = link.execute(SQL["last_line_of_run"], {"run_id": run.id}).fetchone()
    return ActiveRun(
        run=run,
        parts=parts,
        current=next((part for part in parts if part.state is EntityState.RUNNING), None),
        rows_per_second=progress.rows_per_second(marks, now),
        share_done=progress.share_done(measured),
        # A delta stops at the first pages that bring nothing new, so the whole list is only its upper bound.
        eta_seconds=(0.0, eta[1]) if eta and run.mode == "delta" else eta,
        no_eta_reason=progress.why_no_eta(left),
        waiting=last["msg"] if last and last["code"] in WAITING_CODES else None,
    )


def _measured(link: Link, run: RunRow, parts: tuple[RunPart, ...]) -> list[Part]:
    """The parts as the rules of progress take them; what has not begun is expected to be as large as last time."""
    params = {
        "integration": run.integration,
        "account_key": run.account_key,
        "entities": list(run.entities),
        "before": run.started_at or run.queued_at,
    }
    last = {row["entity"]: row["total"] for row in link.execute(SQL["totals_before"], params).fetchall()}
    totals = progress.expected_totals([(part.total, last.get(part.entity)) for part in parts])
    return [
        Part(part.page, part.pages_expected, total, part.is_finished) for part, total in zip(parts, totals, strict=True)
    ]


def run_row(row: Row) -> RunRow:
    """A run as screens see it, from a row of the statements `runs` or `run`."""
    state = RunState(row["state"])
    error = problem(row["error"])
    if state in ACTIVE_RUN_STATES and not row["alive"]:
        state = RunState.INTERRUPTED
        error = of_code("INTERRUPTED", page=row["page_now"] or 1, entity=row["entity_now"] or "its first entity")
    return RunRow(
        id=str(row["id"]),
        integration=row["integration"],
        account_key=row["account_key"],
        mode=row["mode"],
        entities=tuple(row["entities"]),
        since=row["since"],
        dry_run=row["dry_run"],
        state=state,
        trigger=row["trigger"],
        requested_by=row["requested_by"],
        queued_at=row["queued_at"],
        started_at=row["started_at"],
        stop_requested_by=row["stop_requested_by"],
        finished_at=row["finished_at"],
        blocked_until=row["blocked_until"],
        error=error,
        warnings=problems(row["warnings"]),
        totals=_totals(row),
        requests=row["requests"],
        retries=row["retries"],
        waited_seconds=row["waited_seconds"],
        version=row["version"],
    )


def _parts(link: Link, run_id: str) -> tuple[RunPart, ...]:
    return tuple(_part(row) for row in link.execute(SQL["run_parts"], {"run_id": run_id}).fetchall())


def _as_left(part: RunPart) -> RunPart:
    """What becomes of an entity whose run's process is gone, before anybody has written it."""
    became = {EntityState.RUNNING: EntityState.PARTIAL, EntityState.WAITING: EntityState.SKIPPED}
    return replace(part, state=became.get(part.state, part.state))


def _part(row: Row) -> RunPart:
    return RunPart(
        entity=row["entity"],
        state=EntityState(row["state"]),
        page=row["page"],
        pages_expected=row["pages_expected"],
        resumed_at_page=row["resumed_at_page"],
        total=row["total"],
        totals=_totals(row),
        dead_new=row["dead_new"],
        duplicates=row["duplicates"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        error=problem(row["error"]),
        warnings=problems(row["warnings"]),
    )


def _totals(row: dict[str, Any]) -> Totals:
    names = ("received", "inserted", "updated", "unchanged", "removed", "dead")
    return Totals(**{name: int(row[name] or 0) for name in names})
