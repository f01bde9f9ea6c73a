"""How everything is, in one answer: accounts with verdict and entities, daemons, findings, what waits for an admin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from common.catalog import CATALOG, CatalogEntry
from common.insights import limits
from common.insights.daemons import DaemonView, daemons, service_heartbeat
from common.insights.entities import EntityRow, entity_rows
from common.insights.limits import Forced, LoweredLimits
from common.insights.problems import Problem, problem, problems
from common.insights.runs import RunRow, run_row
from common.insights.schedule import Schedule, schedule_of
from common.rules import verdict as rules
from common.rules.verdict import AccountFacts, Failure, Pause, Verdict
from common.states import Chip
from common.store.database import Database, Link, Row
from common.store.live_rows import LiveRowCounter
from common.store.statements import statements

SQL = statements("insights")
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_SEVERITIES = ("error", "warning", "info")
_UNJUDGED = Verdict(Chip.UNKNOWN, "")


@dataclass(frozen=True)
class Ping:
    """The newest ping. ``failing_since``: the first failure after the last success."""

    at: datetime
    ok: bool
    problem: Problem | None
    base_url: str
    authenticated: bool | None
    sample_count: int | None
    elapsed_seconds: float
    requested_by: str
    failing_since: datetime | None


@dataclass(frozen=True)
class Question:
    """A confirmation that waits for an admin. ``details`` as the daemon wrote them."""

    id: str
    kind: str
    entity: str | None
    run_id: str | None
    details: Mapping[str, Any]
    created_at: datetime


@dataclass(frozen=True)
class AccountOverview:
    """One vendor account."""

    integration: str
    account_key: str
    label: str
    verdict: Verdict
    source_kind: str | None
    held: bool
    paused: Pause | None
    blocked_until: datetime | None
    blocked_code: str | None
    breaker_state: str | None
    breaker_until: datetime | None
    breaker_forced: Forced | None
    lowered: LoweredLimits | None
    ping: Ping | None
    entities: tuple[EntityRow, ...]
    findings: tuple[Problem, ...]
    questions: tuple[Question, ...]
    open_dead_letters: int
    schedule: Schedule
    settings: Mapping[str, Any]
    published_at: datetime | None
    active_run: RunRow | None
    last_run: RunRow | None

    @property
    def is_drill(self) -> bool:
        """Whether its rows come from the drill server."""
        return self.source_kind == "drill" or self.settings.get("mode") == "drill"


@dataclass(frozen=True)
class Overview:
    """Everything of the first look. ``now`` is the database's clock."""

    now: datetime
    accounts: tuple[AccountOverview, ...]
    daemons: tuple[DaemonView, ...]

    @property
    def daemon_is_alive(self) -> bool:
        """Whether anybody takes commands, by the gate's own rule."""
        return any(view.alive and view.kind == "service" for view in self.daemons)

    def refuses_backfills(self, account: AccountOverview) -> bool:
        """Whether a serving daemon has published that it refuses backfills by hand, by the gate's own rule."""
        refusing = account.settings.get("backfills_refused_by") or ()
        return any(view.alive and view.kind == "service" and view.id in refusing for view in self.daemons)

    @property
    def is_drill(self) -> bool:
        """Whether any account shows drill data."""
        return any(account.is_drill for account in self.accounts)


def overview(database: Database, counter: LiveRowCounter) -> Overview:
    """Every account of the catalogue, those that no daemon has served yet included."""
    with database.transaction() as link:
        found = link.execute(SQL["now"]).fetchone()
        assert found is not None
        now: datetime = found["now"]
        views = daemons(link, now)
        accounts: list[AccountOverview] = []
        for entry in CATALOG.values():
            keys = [row["account_key"] for row in link.execute(SQL["account_keys"], {"integration": entry.key})]
            accounts.extend(
                _account(link, counter, entry, account_key=key, views=views, now=now) for key in keys or ["main"]
            )
        return Overview(now, tuple(accounts), views)


def is_drill(database: Database) -> bool:
    """Whether this database shows drill data, for pages that need nothing else."""
    with database.transaction() as link:
        return any(row["kind"] == "drill" for row in link.execute(SQL["source_kinds"]))


def _account(
    link: Link,
    counter: LiveRowCounter,
    entry: CatalogEntry,
    *,
    account_key: str,
    views: tuple[DaemonView, ...],
    now: datetime,
) -> AccountOverview:
    params = {"integration": entry.key, "account_key": account_key}
    row: Row = link.execute(SQL["account"], params).fetchone() or {}
    settings: Mapping[str, Any] = row.get("settings") or {}
    newest = link.execute(SQL["runs"], {**params, "limit": 1, "before": None}).fetchone()
    last_run = run_row(newest) if newest else None
    active_run = last_run if last_run and last_run.is_active else None
    schedule = schedule_of(link, params, settings, now)
    entities = entity_rows(
        link,
        counter,
        entry,
        account_key,
        interval_seconds=schedule.interval_minutes * 60 if schedule.enabled and schedule.interval_minutes else None,
        active_run_id=active_run.id if active_run else None,
        now=now,
    )
    ping = _ping(link, params)
    questions = tuple(
        Question(**{**row, "id": str(row["id"]), "run_id": str(row["run_id"]) if row["run_id"] else None})
        for row in link.execute(SQL["open_confirmations"], params).fetchall()
    )
    dead = link.execute(SQL["open_dead_letters"], params).fetchone()
    account = AccountOverview(
        integration=entry.key,
        account_key=account_key,
        label=entry.label,
        verdict=_UNJUDGED,
        source_kind=row.get("source_kind"),
        held=bool(row.get("held")),
        paused=Pause(row["paused_by"], row["paused_reason"], row["paused_at"]) if row.get("paused_at") else None,
        blocked_until=row["blocked_until"] if row.get("blocked_until") and row["blocked_until"] > now else None,
        blocked_code=row.get("blocked_code"),
        breaker_state=row.get("breaker_state"),
        breaker_until=row.get("forced_until") or row.get("cool_down_until"),
        breaker_forced=limits.forced(row),
        lowered=limits.lowered(row),
        ping=ping,
        entities=entities,
        findings=_worst_first(problems(row.get("findings"))),
        questions=questions,
        open_dead_letters=int(dead["open"]) if dead else 0,
        schedule=schedule,
        settings=settings,
        published_at=row.get("published_at"),
        active_run=active_run,
        last_run=last_run,
    )
    return replace(account, verdict=rules.judge(_facts(link, account, row, views), now))


def _facts(link: Link, account: AccountOverview, row: Row, views: tuple[DaemonView, ...]) -> AccountFacts:
    age, heartbeat_seconds = service_heartbeat(views)
    succeeded_at = max(
        (entity.last_complete_at for entity in account.entities if entity.last_complete_at), default=None
    )
    full_at = [entity.last_full_at for entity in account.entities]
    counted = [entity.rows.number for entity in account.entities if entity.rows]
    schedule = account.schedule
    due = [("delta", schedule.next_delta_at), ("full copy", schedule.next_full_at)]
    return AccountFacts(
        label=account.label,
        heartbeat_age_seconds=age,
        heartbeat_seconds=heartbeat_seconds,
        entities=tuple(entity.facts for entity in account.entities),
        paused=account.paused or _held_open(account, row),
        ping_failure=_ping_failure(account.ping, succeeded_at),
        run_failure=_run_failure(link, account, succeeded_at),
        breaker_open_since=row["breaker_opened_at"] if account.breaker_state == "open" else None,
        breaker_cause=_breaker_cause(account.last_run),
        errors_found=tuple(
            Failure(one.code, one.cause, one.remedy, account.published_at or _LONG_AGO)
            for one in account.findings
            if one.severity == "error"
        ),
        # Those that a requeue or discard has closed since are no news any more.
        new_dead_letters=min(sum(entity.new_dead_letters for entity in account.entities), account.open_dead_letters),
        open_dead_letters=account.open_dead_letters,
        open_questions=len(account.questions),
        waiting_until=account.blocked_until,
        waiting_code=account.blocked_code,
        last_full_at=min(at for at in full_at if at) if full_at and all(full_at) else None,
        rows=sum(counted) if counted else None,
        next_due=min(((kind, at) for kind, at in due if at), key=lambda pair: pair[1], default=None),
        running_mode=account.active_run.mode if account.active_run else None,
        was_pinged=account.ping is not None,
    )


def _held_open(account: AccountOverview, row: Row) -> Pause | None:
    """A breaker that an admin holds open is no failure: somebody meant it."""
    force = account.breaker_forced
    if force is None or force.state != "forced_open":
        return None
    remedy = "Circuit breaker… → Lift lets requests through again; else it ends by itself at the time shown there."
    return Pause(force.by, force.reason, row["breaker_opened_at"], remedy)


def _ping_failure(ping: Ping | None, succeeded_at: datetime | None) -> Failure | None:
    """A failed ping, unless rows arrived since: every request that the engine makes proves the connection."""
    if ping is None or ping.ok or ping.problem is None or (succeeded_at and succeeded_at > ping.at):
        return None
    return Failure(ping.problem.code, ping.problem.cause, ping.problem.remedy, ping.failing_since or ping.at)


def _run_failure(link: Link, account: AccountOverview, succeeded_at: datetime | None) -> Failure | None:
    """The last run's failure, unless something succeeded since: rows, or a ping."""
    proven = [at for at in (succeeded_at, account.ping.at if account.ping and account.ping.ok else None) if at]
    params = {
        "integration": account.integration,
        "account_key": account.account_key,
        "after": max(proven, default=_LONG_AGO),
    }
    row = link.execute(SQL["failed_since"], params).fetchone()
    found = problem(row["error"]) if row else None
    return Failure(found.code, found.cause, found.remedy, row["failing_since"]) if row and found else None


def _breaker_cause(last_run: RunRow | None) -> str | None:
    """What opened the breaker, as the run that met it says; None: the last run knows nothing of it."""
    error = last_run.error if last_run else None
    return error.cause if error and error.code == "BREAKER_OPEN" else None


def _ping(link: Link, params: Mapping[str, str]) -> Ping | None:
    row = link.execute(SQL["last_ping"], params).fetchone()
    if row is None:
        return None
    return Ping(
        at=row["at"],
        ok=row["ok"],
        problem=None if row["ok"] else problem(row),
        base_url=row["base_url"],
        authenticated=row["authenticated"],
        sample_count=row["sample_count"],
        elapsed_seconds=row["elapsed_ms"] / 1000,
        requested_by=row["requested_by"],
        failing_since=row["failing_since"],
    )


def _worst_first(findings: tuple[Problem, ...]) -> tuple[Problem, ...]:
    return tuple(
        sorted(findings, key=lambda one: _SEVERITIES.index(one.severity) if one.severity in _SEVERITIES else 0)
    )
