"""The states of everything that has one, and the moves between them.

These very words stand in the database's checks and triggers, in ``sql/README.md`` and on the page. A test holds the
triggers equal to ``MOVES``; change one and the other must follow in a new migration.
"""

from __future__ import annotations

from enum import StrEnum


class RunState(StrEnum):
    """A run, from asked-for to its end."""

    QUEUED = "queued"
    RUNNING = "running"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    INCOMPLETE = "incomplete"
    FAILED = "failed"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    DEFERRED = "deferred"


class EntityState(StrEnum):
    """What one run did with one entity."""

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETE = "complete"
    PARTIAL = "partial"
    FAILED = "failed"
    FORBIDDEN = "forbidden"
    SKIPPED = "skipped"


class PassState(StrEnum):
    """One reading of an entity's list; it may span several runs."""

    OPEN = "open"
    COMPLETE = "complete"
    ABANDONED = "abandoned"


class CommandState(StrEnum):
    """What became of a person's (or the scheduler's) command."""

    PENDING = "pending"
    CLAIMED = "claimed"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"
    EXPIRED = "expired"


class DeadLetterState(StrEnum):
    """A record put aside."""

    OPEN = "open"
    QUEUED = "queued"
    RECOVERED = "recovered"
    DISCARDED = "discarded"


class BreakerState(StrEnum):
    """The circuit breaker of one account."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    FORCED_OPEN = "forced_open"
    FORCED_CLOSED = "forced_closed"


class AlertState(StrEnum):
    """One incident."""

    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class Chip(StrEnum):
    """How an integration is, in one word."""

    OK = "ok"
    DEGRADED = "degraded"
    FAILING = "failing"
    UNKNOWN = "unknown"
    PAUSED = "paused"


class ConfirmationState(StrEnum):
    """A question only an admin may answer."""

    OPEN = "open"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    SUPERSEDED = "superseded"


ACTIVE_RUN_STATES = (RunState.RUNNING, RunState.STOPPING)
ENDED_RUN_STATES = tuple(state for state in RunState if state not in (RunState.QUEUED, *ACTIVE_RUN_STATES))

_RUN_ENDS = ("incomplete", "failed", "interrupted", "deferred", "succeeded")

MOVES: dict[str, frozenset[tuple[str, str]]] = {
    "runs": frozenset(
        {("queued", "running"), ("queued", "stopped"), ("running", "stopping"), ("stopping", "stopped")}
        | {(active, end) for active in ("running", "stopping") for end in _RUN_ENDS}
    ),
    "run_entities": frozenset(
        {("waiting", "running"), ("waiting", "skipped")}
        | {("running", end) for end in ("complete", "partial", "failed", "forbidden")}
    ),
    "passes": frozenset({("open", "complete"), ("open", "abandoned")}),
    "commands": frozenset(
        {("pending", "claimed"), ("pending", "refused"), ("pending", "expired")}
        | {("claimed", end) for end in ("done", "failed", "refused", "pending")}
    ),
    "dead_letters": frozenset(
        {("open", "queued"), ("queued", "open")}
        | {(state, end) for state in ("open", "queued") for end in ("recovered", "discarded")}
    ),
    "breakers": frozenset(
        {("closed", "open"), ("open", "half_open"), ("half_open", "closed"), ("half_open", "open")}
        | {(state, "forced_open") for state in ("closed", "open", "half_open", "forced_closed")}
        | {(state, "forced_closed") for state in ("closed", "open", "half_open", "forced_open")}
        | {("forced_open", "closed"), ("forced_closed", "closed")}
    ),
    "alerts": frozenset(
        {("firing", "acknowledged"), ("firing", "resolved"), ("acknowledged", "resolved"), ("acknowledged", "firing")}
    ),
    "confirmations": frozenset({("open", "confirmed"), ("open", "rejected"), ("open", "superseded")}),
    "bulk_actions": frozenset(
        {("queued", "running"), ("queued", "cancelled"), ("running", "done"), ("running", "cancelled")}
        | {("running", "queued")}
    ),
}
"""Table name → the moves its state column may make."""
