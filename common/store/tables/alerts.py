"""Incidents and their messages."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlmodel import SQLModel

from common.store.tables.columns import IN_CONTROL, big, document, moment, text, unique, whole


class Alert(SQLModel, table=True):
    """One incident, from firing to resolved."""

    __tablename__ = "alerts"
    __table_args__ = IN_CONTROL

    id: UUID = unique(key=True)
    integration: str = text()
    account_key: str = text(made=True)
    rule: str = text()
    cause: str = text()
    state: str = text(made=True)
    details: Any = document(made=True)
    fired_at: datetime = moment(made=True)
    reminded_at: datetime | None = moment(null=True)
    acknowledged_at: datetime | None = moment(null=True)
    acknowledged_by: str | None = text(null=True)
    acknowledge_reason: str | None = text(null=True)
    resolved_at: datetime | None = moment(null=True)


class AlertDelivery(SQLModel, table=True):
    """One message to one channel: the outbox."""

    __tablename__ = "alert_deliveries"
    __table_args__ = IN_CONTROL

    id: int = big(key=True, made=True)
    alert_id: UUID | None = unique(null=True)
    channel: str = text()
    kind: str = text()
    body: Any = document()
    attempts: int = whole(made=True)
    next_attempt_at: datetime = moment(made=True)
    accepted_at: datetime | None = moment(null=True)
    given_up_at: datetime | None = moment(null=True)
    last_answer: Any = document(null=True)
    created_at: datetime = moment(made=True)
