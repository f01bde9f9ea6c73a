"""What the routes answer about acts, commands and runs, by the names of the insights' frozen answers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import ConfigDict

from common.states import Chip, CommandState, EntityState, RunState
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
    """A command and what became of it. ``address`` is where to look again, ``run_address`` the run it started,
    ``bulk_address`` what becomes of a requeue or discard."""

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
    bulk_address: str | None


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


class SampledChangeTold(Told):
    """A row that a dry run would change: field → before and after. Personal values are •••, for viewers all."""

    record_id: str
    was_removed: bool
    fields: dict[str, tuple[str, str]]


class EntityDeltaTold(Told):
    """What a dry run would do with one entity."""

    entity: str
    insert: int
    update: int
    unchanged: int
    removed: int
    dead: int
    samples: list[SampledChangeTold]


class RunDetailTold(Told):
    """A run with its entities. ``delta``: what a dry run would change; empty for any other."""

    run: RunTold
    parts: list[RunPartTold]
    delta: list[EntityDeltaTold]


class LineTold(Told):
    """A line of the log. ``type`` is its code; ``rate_limit`` what it says of the request budget, if it does."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    type: str
    ts: datetime
    entity: str | None
    page: int | None
    rows: int | None
    level: str
    msg: str
    run_id: str | None
    rate_limit: dict[str, Any] | None = None
