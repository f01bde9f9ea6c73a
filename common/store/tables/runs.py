"""Runs, what each did per entity, the passes that outlive them, and their reports."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlmodel import SQLModel

from common.store.tables.columns import IN_CONTROL, big, document, flag, moment, real, small, text, texts, unique, whole


class Run(SQLModel, table=True):
    """One run of one account."""

    __tablename__ = "runs"
    __table_args__ = IN_CONTROL

    id: UUID = unique(key=True)
    integration: str = text()
    account_key: str = text(made=True)
    mode: str = text()
    entities: list[str] = texts()
    since: datetime | None = moment(null=True)
    dry_run: bool = flag(made=True)
    state: str = text(made=True)
    trigger: str = text()
    requested_by: str = text()
    command_id: UUID | None = unique(null=True)
    continues_run_id: UUID | None = unique(null=True)
    daemon_id: UUID | None = unique(null=True)
    term: int | None = big(null=True)
    queued_at: datetime = moment(made=True)
    started_at: datetime | None = moment(null=True)
    stop_requested_at: datetime | None = moment(null=True)
    stop_requested_by: str | None = text(null=True)
    finished_at: datetime | None = moment(null=True)
    blocked_until: datetime | None = moment(null=True)
    error: Any = document(null=True)
    warnings: Any = document(made=True)
    requests: int = whole(made=True)
    retries: int = whole(made=True)
    waited_seconds: float = real(made=True)
    version: str | None = text(null=True)


class RunEntity(SQLModel, table=True):
    """What one run did with one entity."""

    __tablename__ = "run_entities"
    __table_args__ = IN_CONTROL

    run_id: UUID = unique(key=True)
    entity: str = text(key=True)
    position: int = small()
    state: str = text(made=True)
    pass_id: int | None = big(null=True)
    resumed_at_page: int | None = whole(null=True)
    page: int = whole(made=True)
    pages_expected: int | None = whole(null=True)
    total: int | None = big(null=True)
    received: int = big(made=True)
    inserted: int = big(made=True)
    updated: int = big(made=True)
    unchanged: int = big(made=True)
    removed: int = big(made=True)
    dead: int = big(made=True)
    dead_new: int = big(made=True)
    duplicates: int = big(made=True)
    started_at: datetime | None = moment(null=True)
    finished_at: datetime | None = moment(null=True)
    error: Any = document(null=True)
    warnings: Any = document(made=True)


class Pass(SQLModel, table=True):
    """One reading of an entity's list; it may span several runs."""

    __tablename__ = "passes"
    __table_args__ = IN_CONTROL

    id: int = big(key=True, made=True)
    integration: str = text()
    account_key: str = text(made=True)
    entity: str = text()
    mode: str = text()
    state: str = text(made=True)
    page_size: int = whole()
    sort: str = text()
    filter: Any = document(made=True)
    started_at: datetime = moment(made=True)
    next_page: int = whole(made=True)
    rows_per_page: int | None = whole(null=True)
    total: int | None = big(null=True)
    received: int = big(made=True)
    watermark_candidate: datetime | None = moment(null=True)
    last_page_digest: str | None = text(null=True)
    removable: bool = flag(made=True)
    finished_at: datetime | None = moment(null=True)
    first_run_id: UUID = unique()
    last_run_id: UUID = unique()
    began_at: datetime | None = moment(null=True)
    first_total: int | None = big(null=True)
    born: int = big(made=True)
    deep: bool = flag(made=True)
    looks: int = whole(made=True)


class SeenIds(SQLModel, table=True):
    """The ids of one page of a backfill."""

    __tablename__ = "seen_ids"
    __table_args__ = IN_CONTROL

    pass_id: int = big(key=True)
    page: int = whole(key=True)
    ids: list[str] = texts()


class DryRunReport(SQLModel, table=True):
    """What a dry run would have done to one entity."""

    __tablename__ = "dry_run_reports"
    __table_args__ = IN_CONTROL

    run_id: UUID = unique(key=True)
    entity: str = text(key=True)
    report: Any = document()
    created_at: datetime = moment(made=True)


class SchemaDiff(SQLModel, table=True):
    """How an entity's payloads differ from its columns."""

    __tablename__ = "schema_diffs"
    __table_args__ = IN_CONTROL

    integration: str = text(key=True)
    account_key: str = text(key=True, made=True)
    entity: str = text(key=True)
    run_id: UUID | None = unique(null=True)
    sampled: int = whole()
    diff: Any = document()
    created_at: datetime = moment(made=True)
