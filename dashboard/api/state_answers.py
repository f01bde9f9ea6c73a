"""What the routes answer that say how things stand: daemons, integrations, copying, questions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from common.rules.verdict import EntityHealth
from common.states import BreakerState, Chip, EntityState
from dashboard.api.answers import ProblemTold, RateLimitTold, RunTold
from dashboard.api.shapes import Told


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


class SchemaDiffTold(Told):
    """What an entity's records hold against our columns: key or column → JSON type → examples, ••• for viewers."""

    entity: str
    sampled: int
    sampled_at: datetime
    run_id: str | None
    unmapped: dict[str, dict[str, list[str]]]
    never_seen: list[str]
    drift: dict[str, dict[str, list[str]]]


class SchemaDiffsTold(Told):
    """One per entity that has been sampled."""

    integration: str
    entities: list[SchemaDiffTold]


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
