"""Records put aside, and actions over many of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlmodel import SQLModel

from common.store.tables.columns import IN_CONTROL, big, document, flag, moment, text, unique, whole


class DeadLetter(SQLModel, table=True):
    """A record put aside, as it came, and why."""

    __tablename__ = "dead_letters"
    __table_args__ = IN_CONTROL

    id: int = big(key=True, made=True)
    integration: str = text()
    account_key: str = text(made=True)
    entity: str = text()
    record_id: str | None = text(null=True)
    payload: str = text()
    payload_hash: str = text()
    code: str = text()
    reason: str = text()
    fingerprint: str = text()
    page: int | None = whole(null=True)
    run_id: UUID | None = unique(null=True)
    state: str = text(made=True)
    attempts: int = whole(made=True)
    first_seen_at: datetime = moment(made=True)
    last_seen_at: datetime = moment(made=True)
    finished_at: datetime | None = moment(null=True)
    finished_by: str | None = text(null=True)
    finish_reason: str | None = text(null=True)


class BulkAction(SQLModel, table=True):
    """A requeue or discard of dead letters."""

    __tablename__ = "bulk_actions"
    __table_args__ = IN_CONTROL

    id: UUID = unique(key=True)
    integration: str = text()
    account_key: str = text(made=True)
    action: str = text()
    filter: Any = document()
    reason: str | None = text(null=True)
    actor: str = text()
    state: str = text(made=True)
    counted: int = big()
    done: int = big(made=True)
    verdict: str | None = text(null=True)
    created_at: datetime = moment(made=True)
    finished_at: datetime | None = moment(null=True)
    source: str = text(made=True)
    run_id: UUID | None = unique(null=True)
    not_before: datetime | None = moment(null=True)
    places: Any = document(made=True)
    cancel_asked_by: str | None = text(null=True)
    started_at: datetime | None = moment(null=True)


class BulkLetter(SQLModel, table=True):
    """One letter of a bulk action, and what became of it."""

    __tablename__ = "bulk_letters"
    __table_args__ = IN_CONTROL

    bulk_id: UUID = unique(key=True)
    letter_id: int = big(key=True)
    outcome: str | None = text(null=True)
    not_found: bool = flag(made=True)
