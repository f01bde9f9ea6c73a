"""What happened: events, series, samples, grouped errors."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlmodel import SQLModel

from common.store.tables.columns import IN_CONTROL, big, document, flag, moment, real, text, unique, uuids, whole


class EventHead(SQLModel, table=True):
    """The last event id given out."""

    __tablename__ = "event_head"
    __table_args__ = IN_CONTROL

    only_row: bool = flag(key=True, made=True)
    last_id: int = big(made=True)


class Event(SQLModel, table=True):
    """One line of what happened."""

    __tablename__ = "events"
    __table_args__ = IN_CONTROL

    id: int = big(key=True)
    ts: datetime = moment(key=True)
    integration: str = text()
    account_key: str = text(made=True)
    run_id: UUID | None = unique(null=True)
    entity: str | None = text(null=True)
    page: int | None = whole(null=True)
    level: str = text()
    code: str = text()
    msg: str = text()
    rows: int | None = whole(null=True)
    data: Any = document(null=True)


class SeriesPoint(SQLModel, table=True):
    """Five minutes of one entity."""

    __tablename__ = "series_5m"
    __table_args__ = IN_CONTROL

    bucket: datetime = moment(key=True)
    integration: str = text(key=True)
    account_key: str = text(key=True, made=True)
    entity: str = text(key=True, made=True)
    requests: int = big(made=True)
    failures: int = big(made=True)
    rows: int = big(made=True)
    dead: int = big(made=True)


class RateLimitSample(SQLModel, table=True):
    """One request's budget, and what was decided."""

    __tablename__ = "rate_limit_samples"
    __table_args__ = IN_CONTROL

    id: int = big(key=True, made=True)
    ts: datetime = moment(made=True)
    integration: str = text()
    account_key: str = text(made=True)
    run_id: UUID | None = unique(null=True)
    decision: str = text()
    waited_seconds: float = real(made=True)
    source: str = text()
    request_limit: int | None = big(null=True)
    remaining: int | None = big(null=True)
    reset_at: datetime | None = moment(null=True)
    used_minute: int | None = whole(null=True)
    limit_minute: int | None = whole(null=True)
    used_hour: int | None = whole(null=True)
    limit_hour: int | None = whole(null=True)


class ErrorGroup(SQLModel, table=True):
    """Errors with one fingerprint."""

    __tablename__ = "error_groups"
    __table_args__ = IN_CONTROL

    integration: str = text(key=True)
    account_key: str = text(key=True, made=True)
    fingerprint: str = text(key=True)
    fingerprint_version: int = whole()
    code: str = text()
    status: int | None = whole(null=True)
    path_template: str | None = text(null=True)
    snippet: str = text()
    first_seen_at: datetime = moment(made=True)
    last_seen_at: datetime = moment(made=True)
    count: int = big(made=True)
    run_ids: list[UUID] = uuids(made=True)
