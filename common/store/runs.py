"""Runs and what each did per entity. The caller commits."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from common.states import RunState
from common.store.database import Link, Row
from common.store.leases import Lease
from common.store.masked import masked_json
from common.store.statements import statements

SQL = statements("runs")


def _json(value: Any) -> Jsonb | None:
    return None if value is None else masked_json(value)


def begin(link: Link, run: Row, *, source_kind: str, lease_seconds: float) -> Lease | None:
    """Take the account's lease and start a run, its entities waiting; from now on only ``live`` or ``drill`` rows come.

    None, and nothing is written, when somebody holds the lease, rows of the other kind are here, a run is active that
    has lost its lease, or nobody has ever asked for the lease.
    """
    params = {**run, "source_kind": source_kind, "lease_seconds": lease_seconds}
    row = link.execute(SQL["begin_run"], params, prepare=True).fetchone()
    if row is None:
        return None
    link.execute(SQL["insert_run_entities"], {"run_id": run["id"], "entities": run["entities"]})
    return Lease(run["integration"], run["account_key"], run["id"], row["term"])


def finish(
    link: Link,
    lease: Lease,
    *,
    state: str,
    error: dict[str, Any] | None,
    warnings: list[dict[str, Any]],
    blocked_until: datetime | None,
    requests: int,
    retries: int,
    waited_seconds: float,
) -> bool:
    """The run's end under its own term; false when somebody else has ended it."""
    params = {
        **lease.params,
        "state": state,
        "error": _json(error),
        "warnings": _json(warnings),
        "blocked_until": blocked_until,
        "requests": requests,
        "retries": retries,
        "waited_seconds": waited_seconds,
    }
    return link.execute(SQL["finish_run"], params).fetchone() is not None


def end_for(link: Link, run_id: str, state: str, error: dict[str, Any] | None) -> bool:
    """End a run whose owner cannot: it died, or did not stop in time. Its open entities end with it."""
    skip_rest(link, run_id, state, error)
    params = {"run_id": run_id, "state": state, "error": _json(error)}
    return link.execute(SQL["end_run_for"], params).fetchone() is not None


def where_it_was(link: Link, run_id: str) -> tuple[str, int] | None:
    """The entity a run was reading and its last committed page."""
    row = link.execute(SQL["where_it_was"], {"run_id": run_id}).fetchone()
    return (row["entity"], row["page"]) if row else None


def active(link: Link, integration: str, account_key: str) -> Row | None:
    """The account's active run: its id and term."""
    return link.execute(SQL["active"], {"integration": integration, "account_key": account_key}).fetchone()


def ask_to_stop(link: Link, lease: Lease, by: str) -> bool:
    """Mark a run as stopping and tell its owner; false when it is not active any more."""
    row = link.execute(SQL["ask_to_stop"], {**lease.params, "by": by}).fetchone()
    if row is not None:
        link.execute(SQL["notify_run"], {"run_id": lease.run_id})
    return row is not None


def state(link: Link, run_id: str) -> Row | None:
    """State, who asked to stop, and how it ended."""
    return link.execute(SQL["run_state"], {"run_id": run_id}).fetchone()


def begin_entity(link: Link, run_id: str, entity: str) -> None:
    """An entity's turn has come: from here on it may end as anything."""
    link.execute(SQL["begin_entity"], {"run_id": run_id, "entity": entity})


def start_entity(link: Link, run_id: str, entity: str, *, pass_id: int | None, resumed_at_page: int | None) -> None:
    """An entity is being read now; ``resumed_at_page`` is the first page this run adds to an earlier reading."""
    params = {
        "run_id": run_id,
        "entity": entity,
        "pass_id": pass_id,
        "resumed_at_page": resumed_at_page,
        "page": (resumed_at_page or 1) - 1,
    }
    link.execute(SQL["start_entity"], params)


def count_page(link: Link, run_id: str, entity: str, facts: Row) -> str:
    """Add a page to the entity's counters, where nothing else of it is stored; returns the transaction, for later."""
    row = link.execute(SQL["count_page"], {**facts, "run_id": run_id, "entity": entity}).fetchone()
    return str(row["xact_id"]) if row else ""


def count_anew(link: Link, run_id: str, entity: str, *, keeps_written: bool) -> int:
    """The entity's list is read from its beginning once more: what is met again is counted again.

    ``keeps_written``: what was written stays written, and counted; returns how many rows that are.
    """
    params = {"run_id": run_id, "entity": entity, "keeps_written": keeps_written}
    row = link.execute(SQL["count_anew"], params).fetchone()
    return int(row["written"]) if row else 0


def is_committed(link: Link, xact_id: str) -> bool:
    """Whether that transaction went through, though nobody heard so."""
    row = link.execute(SQL["is_committed"], {"xact_id": xact_id}).fetchone()
    return bool(row and row["is_committed"])


def finish_entity(
    link: Link,
    run_id: str,
    entity: str,
    *,
    state: str,
    error: dict[str, Any] | None = None,
    warnings: list[dict[str, Any]] | None = None,
    removed: int = 0,
    total: int | None = None,
    met_twice: int = 0,
) -> None:
    """The end of an entity. ``met_twice``: rows that it wrote, and met once more as unchanged ones."""
    params = {
        "run_id": run_id,
        "entity": entity,
        "state": state,
        "error": _json(error),
        "warnings": _json(warnings or []),
        "removed": removed,
        "total": total,
        "met_twice": met_twice,
    }
    link.execute(SQL["finish_entity"], params)


def skip_rest(link: Link, run_id: str, state: str, error: dict[str, Any] | None) -> None:
    """Entities a run did not come to are `skipped`; one it was reading is `partial`, by what ended the run.

    Or `failed`, as the run, when nothing of it came.
    """
    params = {"run_id": run_id, "error": _json(error), "has_failed": state == RunState.FAILED and error is not None}
    link.execute(SQL["close_open_entities"], params)


def entity_results(link: Link, run_id: str) -> list[Row]:
    """Every entity's state and counters, in reading order."""
    return link.execute(SQL["entity_results"], {"run_id": run_id}).fetchall()


def entity_progress(link: Link, run_id: str) -> list[Row]:
    """Every entity's page, pages expected, rows and total."""
    return link.execute(SQL["entity_progress"], {"run_id": run_id}).fetchall()


def orphans(link: Link) -> list[Row]:
    """Active runs whose process died."""
    return link.execute(SQL["orphans"]).fetchall()


def held_by(link: Link, daemon_ids: list[Any]) -> list[Row]:
    """Active runs of these daemons."""
    return link.execute(SQL["held_by"], {"daemon_ids": daemon_ids}).fetchall()


def due_continuations(link: Link, integration: str, account_key: str) -> list[Row]:
    """The deferred runs whose time has come, each with the entities still to read, the latest first."""
    params = {"integration": integration, "account_key": account_key}
    return [row for row in link.execute(SQL["due_continuations"], params).fetchall() if row["entities"]]


def block_account(link: Link, lease: Lease, until: datetime | None, code: str | None) -> None:
    """Note until when no run of the account may start, or clear what is over; a longer block stays."""
    link.execute(SQL["block_account"], {**lease.params, "until": until, "code": code})
