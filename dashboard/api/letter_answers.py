"""What the routes on dead letters and alike errors answer, by the names of the insights' frozen answers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from common.states import DeadLetterState
from dashboard.api.shapes import Told


class LetterTold(Told):
    """A record put aside. For a viewer the values in ``reason`` are hidden."""

    id: int
    entity: str
    record_id: str | None
    code: str
    reason: str
    remedy: str | None
    fingerprint: str
    page: int | None
    run_id: str | None
    state: DeadLetterState
    attempts: int
    first_seen_at: datetime
    last_seen_at: datetime
    finished_at: datetime | None
    finished_by: str | None
    finish_reason: str | None


class LettersTold(Told):
    """Records put aside, newest first; ``next_before`` goes on. ``counted`` and ``last_id`` are of all that match."""

    integration: str
    letters: list[LetterTold]
    next_before: int | None
    counted: int
    last_id: int | None


class LetterDetailTold(Told):
    """A record put aside as it came: ``payload`` is JSON text, its personal values hidden unless ``is_whole``."""

    letter: LetterTold
    payload: str
    payload_hash: str
    is_whole: bool


class LetterGroupTold(Told):
    """Records of one entity put aside for one cause; ``reason`` is the newest one's."""

    entity: str
    fingerprint: str
    code: str
    number: int
    last_id: int
    first_seen_at: datetime
    last_seen_at: datetime
    reason: str
    remedy: str | None


class LetterGroupsTold(Told):
    """Groups, the largest first."""

    integration: str
    groups: list[LetterGroupTold]


class BulkTold(Told):
    """A requeue or discard. ``outcomes``: how many letters ended how so far; ``verdict`` once it has ended; ``why`` and
    ``not_before``: what keeps back a requeue that has not begun, and until when."""

    id: str
    action: str
    filter: dict[str, Any]
    reason: str | None
    actor: str
    state: str
    counted: int
    done: int
    verdict: str | None
    outcomes: dict[str, int]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    not_before: datetime | None
    why: str | None
    cancel_asked_by: str | None
    run_id: str | None


class BulksTold(Told):
    """Requeues and discards, newest first; ``next_before`` goes on."""

    actions: list[BulkTold]
    next_before: datetime | None


class ErrorGroupTold(Told):
    """Errors of one kind. ``snippet``, the beginning of the vendor's answer, is for admins."""

    fingerprint: str
    code: str
    status: int | None
    path_template: str | None
    snippet: str
    remedy: str | None
    first_seen_at: datetime
    last_seen_at: datetime
    count: int
    run_ids: list[str]


class ErrorsTold(Told):
    """Alike errors, the latest first."""

    integration: str
    groups: list[ErrorGroupTold]
