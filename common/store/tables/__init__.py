"""A class for every table of schema ``control``, for plain reads; `tests/integration/test_tables.py` holds them equal.

Constraints, defaults and triggers live in `sql/migrations`: the classes say what is there, they do not make it.
"""

from __future__ import annotations

from common.store.tables.accounts import (
    Breaker,
    Budget,
    Confirmation,
    Integration,
    Lease,
    Ping,
    ScheduleSlot,
    SyncedAccount,
)
from common.store.tables.alerts import Alert, AlertDelivery
from common.store.tables.commands import AdminLog, Claim, Command, Daemon, IdempotencyKey
from common.store.tables.dead_letters import BulkAction, BulkLetter, DeadLetter
from common.store.tables.people import AnonymousTally, ApiToken, Person, SignInAttempt, SignInSession
from common.store.tables.runs import DryRunReport, Pass, Run, RunEntity, SchemaDiff, SeenIds
from common.store.tables.telemetry import ErrorGroup, Event, EventHead, RateLimitSample, SeriesPoint

__all__ = [
    "AdminLog",
    "Alert",
    "AlertDelivery",
    "AnonymousTally",
    "ApiToken",
    "Breaker",
    "Budget",
    "BulkAction",
    "BulkLetter",
    "Claim",
    "Command",
    "Confirmation",
    "Daemon",
    "DeadLetter",
    "DryRunReport",
    "ErrorGroup",
    "Event",
    "EventHead",
    "IdempotencyKey",
    "Integration",
    "Lease",
    "Pass",
    "Person",
    "Ping",
    "RateLimitSample",
    "Run",
    "RunEntity",
    "ScheduleSlot",
    "SchemaDiff",
    "SeenIds",
    "SeriesPoint",
    "SignInAttempt",
    "SignInSession",
    "SyncedAccount",
]
