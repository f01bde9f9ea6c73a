"""Daemons, what they are asked to do, and the log of who asked."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlmodel import SQLModel

from common.store.tables.columns import IN_CONTROL, big, document, flag, moment, octets, real, text, unique, whole


class Daemon(SQLModel, table=True):
    """One process that serves commands, and when it was last heard of."""

    __tablename__ = "daemons"
    __table_args__ = IN_CONTROL

    id: UUID = unique(key=True)
    kind: str = text()
    hostname: str = text()
    boot_id: str = text()
    pid: int = whole()
    process_started_at: datetime = moment()
    version: str = text()
    started_at: datetime = moment(made=True)
    heartbeat_at: datetime = moment(made=True)
    heartbeat_seconds: float = real()
    stopped_at: datetime | None = moment(null=True)
    doing: str = text(made=True)
    listening: bool = flag(made=True)


class Command(SQLModel, table=True):
    """What a person or the scheduler asked for, under its seal."""

    __tablename__ = "commands"
    __table_args__ = IN_CONTROL

    id: UUID = unique(key=True)
    integration: str = text()
    account_key: str = text(made=True)
    action: str = text()
    payload: Any = document(made=True)
    actor: str = text()
    audit_id: int | None = big(null=True)
    created_at: datetime = moment(made=True)
    expires_at: datetime = moment()
    seal: str = text()
    state: str = text(made=True)
    addressed_to: UUID | None = unique(null=True)
    claimed_by: UUID | None = unique(null=True)
    claimed_at: datetime | None = moment(null=True)
    finished_at: datetime | None = moment(null=True)
    result: Any = document(null=True)
    run_id: UUID | None = unique(null=True)
    written_by: str = text(made=True)


class Claim(SQLModel, table=True):
    """A daemon took a command; never changed."""

    __tablename__ = "claims"
    __table_args__ = IN_CONTROL

    id: int = big(key=True, made=True)
    command_id: UUID = unique()
    daemon_id: UUID = unique()
    at: datetime = moment(made=True)


class AdminLog(SQLModel, table=True):
    """One action of a person, refusals included; never changed."""

    __tablename__ = "admin_logs"
    __table_args__ = IN_CONTROL

    id: int = big(key=True, made=True)
    at: datetime = moment(made=True)
    actor: str = text()
    role: str | None = text(null=True)
    source: str = text()
    address: str | None = text(null=True)
    action: str = text()
    integration: str | None = text(null=True)
    account_key: str | None = text(null=True)
    summary: Any = document(made=True)
    result: str = text()
    reason: str | None = text(null=True)
    command_id: UUID | None = unique(null=True)
    outcome_of: int | None = big(null=True)
    session_user_name: str = text(made=True)


class IdempotencyKey(SQLModel, table=True):
    """A request of the API that was answered already."""

    __tablename__ = "idempotency_keys"
    __table_args__ = IN_CONTROL

    key: str = text(key=True)
    actor: str = text(key=True)
    request_hash: bytes = octets()
    answer_status: int | None = whole(null=True)
    answer_body: Any = document(null=True)
    created_at: datetime = moment(made=True)
