"""Requeues and discards of dead letters, and what became of each letter. The caller commits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from common.store.database import Link, Row
from common.store.leases import Lease
from common.store.masked import masked_json, masked_text
from common.store.statements import statements

SQL = statements("bulk_actions")


@dataclass(frozen=True)
class Waiting:
    """A letter that a requeue has not come to. ``record_id`` None: it can only be found in the list, by its hash.

    ``not_found``: the requeue has asked for it by its id, and the vendor knows no such record.
    """

    id: int
    record_id: str | None
    payload_hash: str
    fingerprint: str
    page: int | None
    not_found: bool = False


@dataclass(frozen=True)
class Settling:
    """What becomes of a letter: its state, the outcome for the verdict, and why it was closed (None: it is open)."""

    outcome: str
    state: str
    reason: str | None = None


def insert(link: Link, action: Row) -> None:
    """A new one, queued. Its reason came by the web process, which would not know a vendor's key pasted into it."""
    reason = masked_text(action["reason"]) if action["reason"] else None
    link.execute(SQL["insert"], {**action, "filter": masked_json(action["filter"]), "reason": reason})


def take_letters(link: Link, action: Row, which: Row, last_id: int | None) -> int:
    """Queue the open letters that match; returns how many."""
    row = link.execute(SQL["take_letters"], {**action, **which, "last_id": last_id}).fetchone()
    taken = int(row["taken"]) if row else 0
    link.execute(SQL["note_counted"], {"id": action["id"], "counted": taken})
    return taken


def unfinished(link: Link, integrations: Sequence[str], only_id: Any = None) -> list[Row]:
    """What is to be done or settled, oldest first; ``only_id``: that one alone."""
    return link.execute(SQL["unfinished"], {"integrations": list(integrations), "id": only_id}).fetchall()


def lock(link: Link, bulk_id: Any) -> Row | None:
    """Have an unfinished one alone; returns it as it is now. None: somebody else has it, or it has ended."""
    locked = link.execute(SQL["lock"], {"id": bulk_id}).fetchone()
    if locked is None:
        return None
    return next(iter(unfinished(link, [locked["integration"]], bulk_id)), None)


def start(link: Link, bulk_id: Any, run_id: str | None = None) -> None:
    """It is being worked on, a requeue by a run."""
    link.execute(SQL["start"], {"id": bulk_id, "run_id": run_id})


def wait(link: Link, bulk_id: Any, not_before: datetime | None) -> None:
    """Back to the queue."""
    link.execute(SQL["wait"], {"id": bulk_id, "not_before": not_before})


def put_off(link: Link, bulk_id: Any, not_before: datetime) -> None:
    """Queued until then."""
    link.execute(SQL["put_off"], {"id": bulk_id, "not_before": not_before})


def ask_to_cancel(link: Link, bulk_id: str, integration: str, account_key: str, by: str) -> Row | None:
    """Note who wants no more of it; None when there is no such unfinished action."""
    params = {"id": bulk_id, "integration": integration, "account_key": account_key, "by": by}
    return link.execute(SQL["ask_to_cancel"], params).fetchone()


def finish(link: Link, bulk_id: Any, state: str, verdict: str) -> None:
    """Its end."""
    link.execute(SQL["finish"], {"id": bulk_id, "state": state, "verdict": masked_text(verdict)})


def settle_elsewhere(link: Link, bulk_id: Any) -> None:
    """Note the letters that a sync has recovered meanwhile."""
    link.execute(SQL["settle_elsewhere"], {"id": bulk_id})


def waiting_entities(link: Link, bulk_id: Any) -> set[str]:
    """Entities with letters it has not come to."""
    return {row["entity"] for row in link.execute(SQL["waiting_entities"], {"id": bulk_id}).fetchall()}


def of_run(link: Link, run_id: str, entity: str) -> tuple[Any, Any]:
    """The action a run works for, and the place that ``note_place`` kept of the entity's list; None: no such."""
    row = link.execute(SQL["of_run"], {"run_id": run_id, "entity": entity}).fetchone()
    assert row is not None
    return row["id"], row["place"]


def waiting_letters(link: Link, bulk_id: Any, entity: str) -> list[Waiting]:
    """The letters of an entity that it has not come to, oldest first."""
    rows = link.execute(SQL["waiting_letters"], {"id": bulk_id, "entity": entity}).fetchall()
    return [Waiting(**row) for row in rows]


def settle_letter(link: Link, bulk_id: Any, letter_id: int, settling: Settling) -> None:
    """Write what became of one letter."""
    by = None if settling.state == "open" else "requeue"
    params = {"id": bulk_id, "letter_id": letter_id, "by": by, **vars(settling)}
    link.execute(SQL["settle_letter"], params)


def note_not_found(link: Link, bulk_id: Any, letter_id: int) -> None:
    """The vendor knows no record of this letter's id; what that means is not settled yet."""
    link.execute(SQL["note_not_found"], {"id": bulk_id, "letter_id": letter_id})


def note_refused(link: Link, lease: Lease, letter_id: int) -> None:
    """A letter's record was asked for and not given."""
    link.execute(SQL["note_refused"], {"letter_id": letter_id, "run_id": lease.run_id})


def note_place(link: Link, bulk_id: Any, entity: str, place: Mapping[str, Any]) -> None:
    """Where a list pass goes on, should it be cut short, and what its page number belongs to."""
    link.execute(SQL["note_place"], {"id": bulk_id, "entity": entity, "place": Jsonb(dict(place))})


def discard_some(link: Link, bulk_id: Any, *, by: str, reason: str, most: int) -> int:
    """Close the next letters of a discard; returns how many were settled, 0 when none is left."""
    params = {"id": bulk_id, "by": by, "reason": masked_text(reason), "most": most}
    row = link.execute(SQL["discard_some"], params).fetchone()
    return int(row["settled"]) if row else 0


def release(link: Link, bulk_id: Any) -> None:
    """Open again what it did not come to."""
    link.execute(SQL["release"], {"id": bulk_id})


def outcomes(link: Link, bulk_id: Any) -> dict[str, int]:
    """How many letters ended how."""
    return {row["outcome"]: row["letters"] for row in link.execute(SQL["outcomes"], {"id": bulk_id}).fetchall()}


def count_letter(
    link: Link, lease: Lease, entity: str, *, inserted: int = 0, updated: int = 0, unchanged: int = 0, dead: int = 0
) -> None:
    """Count one record that was read again."""
    counts = {"inserted": inserted, "updated": updated, "unchanged": unchanged, "dead": dead}
    link.execute(SQL["count_letter"], {**counts, "run_id": lease.run_id, "entity": entity})


def count_requeued(
    link: Link, lease: Lease, entity: str, *, page: int, pages_expected: int | None, requests: int
) -> None:
    """How far the entity is, and the run's requests so far."""
    place = {"page": page, "pages_expected": pages_expected, "requests": requests}
    link.execute(SQL["count_requeued"], {**place, "run_id": lease.run_id, "entity": entity})


def spent(link: Link, integration: str, account_key: str) -> list[tuple[datetime, int]]:
    """When the account's requeues of the last hour ended (now: they run), and their requests."""
    params = {"integration": integration, "account_key": account_key}
    return [(row["ended_at"], row["requests"]) for row in link.execute(SQL["spent"], params).fetchall()]


def list_total(link: Link, lease: Lease, entity: str) -> int | None:
    """How long the entity's list was when it was last read to its end; None when it never was."""
    row = link.execute(SQL["list_total"], {**lease.params, "entity": entity}).fetchone()
    return int(row["total"]) if row else None
