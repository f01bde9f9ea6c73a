"""Integrations, their accounts, and what guards each account: lease, budget, breaker, questions, slots."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlmodel import SQLModel

from common.store.tables.columns import IN_CONTROL, big, document, flag, moment, real, text, unique, whole


class Integration(SQLModel, table=True):
    """One entry of the catalogue that a daemon has served here."""

    __tablename__ = "integrations"
    __table_args__ = IN_CONTROL

    key: str = text(key=True)
    label: str = text()
    created_at: datetime = moment(made=True)


class SyncedAccount(SQLModel, table=True):
    """One vendor account: whose it is, whether it is paused or blocked, what the daemon published about it."""

    __tablename__ = "accounts_synced"
    __table_args__ = IN_CONTROL

    integration: str = text(key=True)
    account_key: str = text(key=True, made=True)
    source_kind: str | None = text(null=True)
    identity: Any = document(null=True)
    identity_checked_at: datetime | None = moment(null=True)
    paused_at: datetime | None = moment(null=True)
    paused_by: str | None = text(null=True)
    paused_reason: str | None = text(null=True)
    blocked_until: datetime | None = moment(null=True)
    blocked_code: str | None = text(null=True)
    settings: Any = document(made=True)
    findings: Any = document(made=True)
    held: bool = flag(made=True)
    published_by: UUID | None = unique(null=True)
    published_at: datetime | None = moment(null=True)
    created_at: datetime = moment(made=True)


class Lease(SQLModel, table=True):
    """Who may write an account, and under which term."""

    __tablename__ = "leases"
    __table_args__ = IN_CONTROL

    integration: str = text(key=True)
    account_key: str = text(key=True, made=True)
    term: int = big(made=True)
    holder: UUID | None = unique(null=True)
    run_id: UUID | None = unique(null=True)
    acquired_at: datetime | None = moment(null=True)
    expires_at: datetime | None = moment(null=True)


class Budget(SQLModel, table=True):
    """Our own count of an account's requests."""

    __tablename__ = "budgets"
    __table_args__ = IN_CONTROL

    integration: str = text(key=True)
    account_key: str = text(key=True, made=True)
    windows: Any = document(made=True)
    lowered_to: Any = document(null=True)
    lowered_until: datetime | None = moment(null=True)
    lowered_by: str | None = text(null=True)
    lowered_reason: str | None = text(null=True)
    updated_at: datetime = moment(made=True)


class Breaker(SQLModel, table=True):
    """The circuit breaker of an account."""

    __tablename__ = "breakers"
    __table_args__ = IN_CONTROL

    integration: str = text(key=True)
    account_key: str = text(key=True, made=True)
    state: str = text(made=True)
    consecutive_failures: int = whole(made=True)
    outcomes: Any = document(made=True)
    opened_at: datetime | None = moment(null=True)
    cool_down_until: datetime | None = moment(null=True)
    probe_token: UUID | None = unique(null=True)
    probe_expires_at: datetime | None = moment(null=True)
    forced_by: str | None = text(null=True)
    forced_reason: str | None = text(null=True)
    forced_until: datetime | None = moment(null=True)
    updated_at: datetime = moment(made=True)


class ScheduleSlot(SQLModel, table=True):
    """A due time, taken once."""

    __tablename__ = "schedule_slots"
    __table_args__ = IN_CONTROL

    integration: str = text(key=True)
    account_key: str = text(key=True, made=True)
    kind: str = text(key=True)
    due_at: datetime = moment(key=True)
    outcome: str = text()
    reason: str | None = text(null=True)
    command_id: UUID | None = unique(null=True)
    taken_by: UUID = unique()
    taken_at: datetime = moment(made=True)


class Confirmation(SQLModel, table=True):
    """A question only an admin may answer."""

    __tablename__ = "confirmations"
    __table_args__ = IN_CONTROL

    id: UUID = unique(key=True)
    integration: str = text()
    account_key: str = text(made=True)
    kind: str = text()
    entity: str | None = text(null=True)
    run_id: UUID | None = unique(null=True)
    pass_id: int | None = big(null=True)
    details: Any = document()
    state: str = text(made=True)
    created_at: datetime = moment(made=True)
    answered_at: datetime | None = moment(null=True)
    answered_by: str | None = text(null=True)
    answer_reason: str | None = text(null=True)


class Ping(SQLModel, table=True):
    """What one ping found."""

    __tablename__ = "pings"
    __table_args__ = IN_CONTROL

    id: int = big(key=True, made=True)
    integration: str = text()
    account_key: str = text(made=True)
    at: datetime = moment(made=True)
    ok: bool = flag()
    code: str | None = text(null=True)
    reason: str | None = text(null=True)
    remedy: str | None = text(null=True)
    base_url: str = text()
    authenticated: bool | None = flag(null=True)
    sample_count: int | None = whole(null=True)
    elapsed_ms: float = real()
    rate_limit: Any = document(null=True)
    requested_by: str = text()
    command_id: UUID | None = unique(null=True)
