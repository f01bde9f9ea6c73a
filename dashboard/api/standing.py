"""Routes that say how things stand: every integration in one look, and where the copying of each account is."""

from __future__ import annotations

from common.access import sight_of
from common.insights.entities import EntityRow
from common.insights.overview import AccountOverview
from common.insights.sight import as_seen
from common.insights.sync_status import EntityFailure, SyncStatus, sync_status
from common.states import BreakerState
from common.wishes import catalog_entry
from dashboard.api import answers, state_answers
from dashboard.api.answers import ProblemTold
from dashboard.api.frame import Answer, Call
from dashboard.api.reads import daemons_of, seen
from dashboard.api.wanted import StatusQuery


def integrations(call: Call) -> Answer:
    """Every integration with its state, the sentence that says why, and what waits for a person."""
    look = seen(call)
    told = [_integration(account) for account in look.accounts]
    return Answer(state_answers.IntegrationsTold(now=look.now, daemon_alive=look.daemon_is_alive, integrations=told))


def _integration(account: AccountOverview) -> state_answers.IntegrationTold:
    entry, verdict = catalog_entry(account.integration), account.verdict
    return state_answers.IntegrationTold(
        key=entry.key,
        account_key=account.account_key,
        label=account.label,
        entities=list(entry.entities),
        docs_url=entry.docs_url,
        status_url=entry.status_url,
        limits_in_words=entry.limits_in_words,
        state=verdict.chip,
        sentence=verdict.title,
        details=list(verdict.details),
        remedy=verdict.remedy,
        since=verdict.since,
        source_kind=account.source_kind,
        held=account.held,
        paused=account.paused is not None,
        blocked_until=account.blocked_until,
        last_ping=state_answers.LastPingTold.model_validate(account.ping) if account.ping else None,
        open_dead_letters=account.open_dead_letters,
        open_questions=len(account.questions),
        findings=[ProblemTold.model_validate(one) for one in account.findings],
    )


def sync_state(call: Call) -> Answer:
    """Scheduler, next runs, each entity's last success and failure, active run and lock holder, rate limit, breaker,
    daemons."""
    query: StatusQuery = call.query
    if query.integration is not None:
        catalog_entry(query.integration)
    look, sight = seen(call), sight_of(call.caller.role)
    wanted = [one for one in look.accounts if query.integration in (None, one.integration)]
    with call.own.reading() as database:
        told = [
            _account(account, as_seen(sync_status(database, account.integration, account.account_key), sight))
            for account in wanted
        ]
    return Answer(state_answers.StatusTold(now=look.now, accounts=told, daemons=daemons_of(look)))


def _account(account: AccountOverview, status: SyncStatus) -> state_answers.AccountStatusTold:
    schedule, sample = account.schedule, status.sample
    breaker = BreakerState(account.breaker_state or BreakerState.CLOSED)
    return state_answers.AccountStatusTold(
        integration=account.integration,
        account_key=account.account_key,
        state=account.verdict.chip,
        scheduler=_scheduler(account),
        next_run=state_answers.NextRunTold(delta=schedule.next_delta_at, full=schedule.next_full_at),
        blocked_until=account.blocked_until,
        entities=[_entity(row, status.failures.get(row.name)) for row in account.entities],
        active_run=answers.RunTold.model_validate(account.active_run) if account.active_run else None,
        lock=state_answers.LockTold.model_validate(status.lock) if status.lock else None,
        rate_limit=answers.RateLimitTold.model_validate(sample) if sample else None,
        breaker=state_answers.BreakerTold(state=breaker, until=account.breaker_until),
    )


def _scheduler(account: AccountOverview) -> state_answers.SchedulerTold:
    schedule, paused = account.schedule, account.paused
    return state_answers.SchedulerTold(
        enabled=schedule.enabled,
        paused=paused is not None,
        paused_by=paused.by if paused else None,
        paused_reason=paused.reason if paused else None,
        interval_minutes=schedule.interval_minutes,
        full_at_hour_utc=schedule.full_at_hour_utc,
    )


def _entity(row: EntityRow, failure: EntityFailure | None) -> state_answers.EntityTold:
    return state_answers.EntityTold(
        entity=row.name,
        health=row.health,
        rows=row.rows.number if row.rows else None,
        last_success_at=row.last_complete_at,
        last_full_at=row.last_full_at,
        last_failure=state_answers.FailureTold.model_validate(failure) if failure else None,
        new_dead_letters=row.new_dead_letters,
    )
