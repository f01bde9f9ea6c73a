"""Dead letters: the list, the groups of one cause, one letter with its payload, how many match, and what was done.

A payload is masked for whoever may not see personal fields: the values of the catalogue's plain keys stay where they
look it, and of every other only its JSON type. Secrets were masked before it was stored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from common.catalog import CATALOG
from common.insights.problems import remedy_of
from common.redact import HIDDEN, mask
from common.rules.holdable import spelled_out
from common.rules.schema_diff import json_type
from common.states import DeadLetterState
from common.store.database import Database, Row
from common.store.statements import statements

SQL = statements("letters")
MOST_LETTERS = 200
MOST_GROUPS = 100
MOST_ACTIONS = 100
GROUPED_LETTERS = 10_000
"""Groups are made of the newest so many letters; `count` is exact for any filter."""
_PLAIN = re.compile(r"[A-Za-z_/]{0,40}|[0-9a-f]{24}|\d{4}-\d{2}-\d{2}(?:T[\d:.]+(?:Z|[+-]\d{2}:?\d{2})?)?")
"""A word or CONSTANT, an id, a day or moment: no sentence, address or number of anybody."""
UNFINISHED = ("queued", "running")
_KEPT_BACK_BY = {
    "REQUEUE_SHARE_SPENT": "half of the hour's requests is used up",
    "RATE_LIMITED_UNTIL": "the vendor asked to slow down",
    "VENDOR_ASKED_LATER": "the vendor is in trouble and asked to come back later",
}


@dataclass(frozen=True)
class LetterFilter:
    """Which letters; None is any, ``ids`` names them."""

    entity: str | None = None
    code: str | None = None
    fingerprint: str | None = None
    state: str = DeadLetterState.OPEN.value
    ids: tuple[int, ...] | None = None


@dataclass(frozen=True)
class LetterRow:
    """A record that was put aside, without its payload."""

    id: int
    entity: str
    record_id: str | None
    code: str
    reason: str
    fingerprint: str
    page: int | None
    run_id: str | None
    state: str
    attempts: int
    first_seen_at: datetime
    last_seen_at: datetime
    finished_at: datetime | None
    finished_by: str | None
    finish_reason: str | None

    @property
    def remedy(self) -> str | None:
        """What to do, in the catalogue's words."""
        return remedy_of(self.code)


@dataclass(frozen=True)
class LetterDetail:
    """One letter; ``payload`` is JSON text, indented, masked unless ``is_whole``."""

    letter: LetterRow
    payload: str
    payload_hash: str
    is_whole: bool


@dataclass(frozen=True)
class LetterCount:
    """How many match, and the newest one's id (None: none does): a wish for all of them carries both."""

    number: int
    last_id: int | None


@dataclass(frozen=True)
class LetterGroup:
    """Letters of one entity with one cause, counted among the newest; ``reason`` is the newest one's."""

    entity: str
    fingerprint: str
    code: str
    number: int
    last_id: int
    first_seen_at: datetime
    last_seen_at: datetime
    reason: str

    @property
    def remedy(self) -> str | None:
        """What to do, in the catalogue's words."""
        return remedy_of(self.code)


@dataclass(frozen=True)
class BulkAction:
    """A requeue or discard. ``outcomes``: how many letters ended how so far; ``verdict`` says it once it has ended.

    ``not_before`` and ``waits_for`` (a code): until when it waits and what for, of a requeue that is kept back; one
    that is held (``held_by``) waits until somebody has mended what holds its account.
    """

    id: str
    action: str
    filter: Mapping[str, Any]
    reason: str | None
    actor: str
    state: str
    counted: int
    done: int
    verdict: str | None
    outcomes: Mapping[str, int]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    not_before: datetime | None
    cancel_asked_by: str | None
    run_id: str | None
    waits_for: str | None = None
    held_by: str | None = None

    @property
    def why(self) -> str | None:
        """Why it has not begun, when something keeps it back."""
        if self.waits_for == "ACCOUNT_HELD":
            return f"the account is held by its settings: {self.held_by or 'see its findings'}"
        return _KEPT_BACK_BY.get(self.waits_for, "the hour's requests are used up") if self.waits_for else None

    @property
    def is_unfinished(self) -> bool:
        """Whether it can still be cancelled."""
        return self.state in UNFINISHED


def letters(
    database: Database,
    integration: str,
    account_key: str = "main",
    *,
    which: LetterFilter | None = None,
    limit: int = 50,
    before: int | None = None,
) -> tuple[LetterRow, ...]:
    """The letters that match, newest first; ``before`` (an id) pages on. At most ``MOST_LETTERS``."""
    params = _params(integration, account_key, which or LetterFilter())
    with database.transaction() as link:
        found = link.execute(SQL["letters"], {**params, "before": before, "limit": _clamped(limit, MOST_LETTERS)})
        return tuple(_letter(row) for row in found.fetchall())


def count(
    database: Database, integration: str, account_key: str = "main", *, which: LetterFilter | None = None
) -> LetterCount:
    """How many match."""
    with database.transaction() as link:
        row = link.execute(SQL["count"], _params(integration, account_key, which or LetterFilter())).fetchone()
    assert row is not None
    return LetterCount(**row)


def groups(
    database: Database, integration: str, account_key: str = "main", *, state: str = "open", limit: int = 20
) -> tuple[LetterGroup, ...]:
    """Letters by entity and cause, the largest group first. At most ``MOST_GROUPS``."""
    params = _params(integration, account_key, LetterFilter(state=state))
    with database.transaction() as link:
        clamped = {"limit": _clamped(limit, MOST_GROUPS), "among": GROUPED_LETTERS}
        rows = link.execute(SQL["groups"], {**params, **clamped}).fetchall()
    return tuple(LetterGroup(**row) for row in rows)


def letter(database: Database, letter_id: int, *, whole: bool = False) -> LetterDetail | None:
    """One letter with its payload; ``whole`` shows personal fields, too. None: there is none such."""
    with database.transaction() as link:
        row = link.execute(SQL["letter"], {"id": letter_id}).fetchone()
    if row is None:
        return None
    entry = CATALOG.get(row["integration"])
    shown = row["payload"] if whole else masked(row["payload"], entry.plain_keys if entry else frozenset())
    return LetterDetail(_letter(row), _indented(shown), row["payload_hash"], whole)


def bulk_actions(
    database: Database,
    integration: str,
    account_key: str = "main",
    *,
    limit: int = 10,
    before: datetime | None = None,
    bulk_id: str | None = None,
) -> tuple[BulkAction, ...]:
    """The latest requeues and discards, newest first, or the one with this id. At most ``MOST_ACTIONS``."""
    params = {
        "integration": integration,
        "account_key": account_key,
        "limit": _clamped(limit, MOST_ACTIONS),
        "before": before,
        "id": bulk_id,
    }
    with database.transaction() as link:
        rows = link.execute(SQL["actions"], params).fetchall()
        return tuple(_action(row, link.execute(SQL["outcomes"], {"id": row["id"]}).fetchall()) for row in rows)


def masked(payload: str, plain_keys: frozenset[str]) -> str:
    """A payload with the values of plain keys, and of every other key only its type; what is no record is hidden."""
    try:
        record = json.loads(payload)
    except (ValueError, RecursionError):
        return json.dumps(HIDDEN, ensure_ascii=False)
    if not isinstance(record, dict):
        return json.dumps(f"{HIDDEN} ({json_type(record)})", ensure_ascii=False)
    shown = {
        key: value if key in plain_keys and _is_plain(value) else f"{HIDDEN} ({json_type(value)})"
        for key, value in record.items()
    }
    return str(spelled_out(json.dumps(shown, ensure_ascii=False)))  # half a surrogate pair cannot be sent to a page


def _is_plain(value: Any) -> bool:
    """Whether it, or each of a list, is what a plain key promises: a record may be here because it holds another."""
    items = value if isinstance(value, list) else [value]
    return all(_PLAIN.fullmatch(item) if isinstance(item, str) else not isinstance(item, dict | list) for item in items)


def _indented(payload: str) -> str:
    try:
        return mask(json.dumps(json.loads(payload), indent=2, ensure_ascii=False))
    except (ValueError, RecursionError):
        return mask(payload)


def _params(integration: str, account_key: str, which: LetterFilter) -> Row:
    ids = list(which.ids) if which.ids is not None else None
    return {**vars(which), "ids": ids, "integration": integration, "account_key": account_key}


def _clamped(limit: int, most: int) -> int:
    return max(1, min(limit, most))


def _letter(row: Row) -> LetterRow:
    fields = {name: row[name] for name in LetterRow.__dataclass_fields__}
    return LetterRow(**{**fields, "run_id": _text(row["run_id"])})


def _action(row: Row, outcomes: list[Row]) -> BulkAction:
    found = {one["outcome"]: one["letters"] for one in outcomes}
    return BulkAction(**{**row, "id": str(row["id"]), "run_id": _text(row["run_id"]), "outcomes": found})


def _text(run_id: UUID | None) -> str | None:
    return str(run_id) if run_id else None
