"""People, their sessions, and programs with a token."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlmodel import SQLModel

from common.store.tables.columns import IN_CONTROL, big, flag, moment, octets, text, unique


class Person(SQLModel, table=True):
    """Somebody who may sign in."""

    __tablename__ = "people"
    __table_args__ = IN_CONTROL

    id: UUID = unique(key=True)
    issuer: str = text()
    subject: str = text()
    name: str = text()
    role: str | None = text(null=True)
    password_hash: str | None = text(null=True)
    disabled_at: datetime | None = moment(null=True)
    created_at: datetime = moment(made=True)
    last_sign_in_at: datetime | None = moment(null=True)
    role_from: str = text(made=True)


class SignInSession(SQLModel, table=True):
    """A browser that is signed in."""

    __tablename__ = "sessions"
    __table_args__ = IN_CONTROL

    id: UUID = unique(key=True)
    token_hash: bytes = octets()
    person_id: UUID = unique()
    created_at: datetime = moment(made=True)
    last_active_at: datetime = moment(made=True)
    expires_at: datetime = moment()
    ended_at: datetime | None = moment(null=True)
    address: str | None = text(null=True)


class SignInAttempt(SQLModel, table=True):
    """Somebody tried to sign in."""

    __tablename__ = "sign_in_attempts"
    __table_args__ = IN_CONTROL

    id: int = big(key=True, made=True)
    at: datetime = moment(made=True)
    account: str = text()
    address: str = text()
    succeeded: bool = flag()


class AnonymousTally(SQLModel, table=True):
    """How much of one kind came without a session in one minute."""

    __tablename__ = "anonymous_tally"
    __table_args__ = IN_CONTROL

    minute: datetime = moment(key=True)
    kind: str = text(key=True)
    requests: int = big()
    address: str = text()


class ApiToken(SQLModel, table=True):
    """A program that may ask the API."""

    __tablename__ = "api_tokens"
    __table_args__ = IN_CONTROL

    id: UUID = unique(key=True)
    name: str = text()
    token_hash: bytes = octets()
    role: str = text()
    created_at: datetime = moment(made=True)
    created_by: str = text()
    expires_at: datetime | None = moment(null=True)
    revoked_at: datetime | None = moment(null=True)
    last_used_at: datetime | None = moment(null=True)
