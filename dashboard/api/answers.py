"""What the routes answer, by the names of the insights' frozen answers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from common.rules.verdict import EntityHealth
from common.states import BreakerState, Chip, CommandState, DeadLetterState, EntityState, RunState
from dashboard.api.shapes import Told


class ProblemTold(Told):
    """What is wrong, and what to do."""

    code: str | None
    cause: str
    remedy: str | None
    severity: str


class RateLimitTold(Told):
    """The request budget as the last request saw it. ``source`` "counted": our own count, the vendor says nothing."""

    ts: datetime
    source: str
    decision: str
    limit: int | None
    remaining: int | None
    reset_at: datetime | None
    used_minute: int | None
    limit_minute: int | None
    used_hour: int | None
    limit_hour: int | None


class PingTold(Told):
    """What a ping found. ``state`` unknown: it was held back by a rate limit or a stop, which is no failure."""

    ok: bool
    state: Chip
    code: str | None
    reason: str | None
    remedy: str | None
    base_url: str
    authenticated: bool | None
    sample_count: int | None
    elapsed_ms: float
    at: datetime | None
    rate_limit: RateLimitTold | None


class CheckTold(Told):
    """What one page of a list answered. ``keys`` are the first record's; no value of it is told."""

    ok: bool
    endpoint: str
    status: int | None
    keys: list[str]
    count: int | None
    total: int | None
    code: str | None
    reason: str | None
    remedy: str | None
    elapsed_ms: float


class CommandTold(Told):
    """A command and what became of it. ``address`` is where to look again, ``run_address`` the run it started."""

    id: str
    action: str
    integration: str
    actor: str
    state: CommandState
    sentence: str
    problem: ProblemTold | None
    run_id: str | None
    created_at: datetime
    expires_at: datetime
    finished_at: datetime | None
    result: dict[str, Any]
    address: str
    run_address: str | None


class TestAlertTold(Told):
    """What Workflows answered. ``accepted`` is no proof that anybody saw the card."""

    accepted: bool
    status: int | None
    sentence: str
    code: str | None
    remedy: str | None


class TotalsTold(Told):
    """Rows over all entities."""

    received: int
    inserted: int
    updated: int
    unchanged: int
    removed: int
    dead: int


class RunTold(Told):
    """A run."""

    id: str
    integration: str
    account_key: str
    mode: str
    entities: list[str]
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
    error: ProblemTold | None
    warnings: list[ProblemTold]
    totals: TotalsTold
    requests: int
    retries: int
    waited_seconds: float
    version: str | None


class RunsTold(Told):
    """Runs, newest first; ``next_before`` goes on."""

    runs: list[RunTold]
    next_before: datetime | None


class RunPartTold(Told):
    """What a run did with one entity."""

    entity: str
    state: EntityState
    page: int
    pages_expected: int | None
    resumed_at_page: int | None
    total: int | None
    totals: TotalsTold
    dead_new: int
    duplicates: int
    started_at: datetime | None
    finished_at: datetime | None
    error: ProblemTold | None
    warnings: list[ProblemTold]


class RunDetailTold(Told):
    """A run with its entities."""

    run: RunTold
    parts: list[RunPartTold]


class DaemonTold(Told):
    """A daemon process."""

    id: str
    kind: str
    hostname: str
    pid: int
    version: str
    started_at: datetime
    heartbeat_at: datetime
    heartbeat_seconds: float
    age_seconds: float
    stopped_at: datetime | None
    doing: str
    alive: bool


class DaemonsTold(Told):
    """The living daemons, or the last one when none lives. ``alive``: whether anybody takes commands."""

    now: datetime
    alive: bool
    daemons: list[DaemonTold]


class LastPingTold(Told):
    """The newest ping."""

    at: datetime
    ok: bool
    problem: ProblemTold | None
    authenticated: bool | None


class IntegrationTold(Told):
    """One account of an integration, and how it is."""

    key: str
    account_key: str
    label: str
    entities: list[str]
    docs_url: str
    status_url: str
    limits_in_words: str
    state: Chip
    sentence: str
    details: list[str]
    remedy: str | None
    since: datetime | None
    source_kind: str | None
    held: bool
    paused: bool
    blocked_until: datetime | None
    last_ping: LastPingTold | None
    open_dead_letters: int
    open_questions: int
    findings: list[ProblemTold]


class IntegrationsTold(Told):
    """Every integration of the catalogue."""

    now: datetime
    daemon_alive: bool
    integrations: list[IntegrationTold]


class ShapeDiffTold(Told):
    """What an entity's records hold against our columns; examples of values are for admins."""

    entity: str
    sampled: int
    sampled_at: datetime
    run_id: str | None
    unmapped: dict[str, list[str]]
    never_seen: list[str]
    drift: dict[str, dict[str, list[str]]]


class ShapeDiffsTold(Told):
    """One per entity that has been sampled."""

    integration: str
    entities: list[ShapeDiffTold]


class SchedulerTold(Told):
    """When runs start by themselves."""

    enabled: bool | None
    paused: bool
    paused_by: str | None
    paused_reason: str | None
    interval_minutes: float | None
    full_at_hour_utc: int | None


class NextRunTold(Told):
    """When the schedule starts the next runs."""

    delta: datetime | None
    full: datetime | None


class FailureTold(Told):
    """The latest time that an entity could not be read to its end."""

    at: datetime
    state: EntityState
    run_id: str
    problem: ProblemTold | None


class EntityTold(Told):
    """One entity's copy."""

    entity: str
    health: EntityHealth
    rows: int | None
    last_success_at: datetime | None
    last_full_at: datetime | None
    last_failure: FailureTold | None
    new_dead_letters: int


class LockTold(Told):
    """Who may write the account."""

    run_id: str
    daemon_id: str
    requested_by: str | None
    term: int
    acquired_at: datetime | None
    expires_at: datetime
    holds: bool


class BreakerTold(Told):
    """The circuit breaker. ``until``: the end of its cool-down or of what an admin forced."""

    state: BreakerState
    until: datetime | None


class AccountStatusTold(Told):
    """Where the copying of one account stands."""

    integration: str
    account_key: str
    state: Chip
    scheduler: SchedulerTold
    next_run: NextRunTold
    blocked_until: datetime | None
    entities: list[EntityTold]
    active_run: RunTold | None
    lock: LockTold | None
    rate_limit: RateLimitTold | None
    breaker: BreakerTold


class StatusTold(Told):
    """Where everything stands."""

    now: datetime
    accounts: list[AccountStatusTold]
    daemons: list[DaemonTold]


class DeadLetterTold(Told):
    """A record put aside. For a viewer ``payload`` is hidden, and so are the facts in ``problem.cause``."""

    id: int
    integration: str
    account_key: str
    entity: str
    record_id: str | None
    problem: ProblemTold
    fingerprint: str
    page: int | None
    run_id: str | None
    state: DeadLetterState
    attempts: int
    first_seen_at: datetime
    last_seen_at: datetime
    finished_at: datetime | None
    finished_by: str | None
    finish_reason: str | None
    payload_hash: str
    payload: str


class DeadLettersTold(Told):
    """Records put aside, newest first; ``next_before`` goes on."""

    letters: list[DeadLetterTold]
    next_before: int | None


class QuestionTold(Told):
    """A question that only an admin may answer; the values in ``details`` are for admins."""

    id: str
    integration: str
    account_key: str
    kind: str
    entity: str | None
    run_id: str | None
    details: dict[str, Any]
    created_at: datetime


class QuestionsTold(Told):
    """The open questions."""

    questions: list[QuestionTold]
