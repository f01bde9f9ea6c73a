"""Rows of every table that has states or checks: whole in each state, so that a test can break exactly one thing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from psycopg import sql
from psycopg.types.json import Jsonb

from common.store.database import Link

Row = dict[str, Any]

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
DAEMON = "00000000-0000-0000-0000-00000000000d"
RUN = "00000000-0000-0000-0000-0000000000a1"
PARENT = "00000000-0000-0000-0000-0000000000a0"
ACCOUNT: Row = {"integration": "doorloop", "account_key": "main"}

_RUN_ENDS = ("succeeded", "incomplete", "failed", "stopped", "interrupted", "deferred")
_ENTITY_ENDS = ("complete", "partial", "failed", "forbidden", "skipped")
_COMMAND_ENDS = ("done", "failed", "refused", "expired")


def when(holds: bool, value: Any) -> Any:
    """The value where its state has it, else NULL."""
    return value if holds else None


def run(state: str) -> Row:
    """A run."""
    begun = state != "queued"
    return {
        "state": state,
        "started_at": when(begun, NOW),
        "term": when(begun, 1),
        "daemon_id": when(begun, DAEMON),
        "stop_requested_at": when(state in ("stopping", "stopped"), NOW),
        "finished_at": when(state in _RUN_ENDS, NOW),
        "error": when(state == "failed", Jsonb({})),
        "blocked_until": when(state == "deferred", NOW),
    }


def run_entity(state: str) -> Row:
    """What a run did with an entity."""
    return {
        "state": state,
        "started_at": when(state not in ("waiting", "skipped"), NOW),
        "finished_at": when(state in _ENTITY_ENDS, NOW),
        "error": when(state in ("failed", "forbidden"), Jsonb({})),
    }


def command(state: str) -> Row:
    """A command."""
    claimed = state in ("claimed", "done", "failed")
    return {
        "state": state,
        "claimed_by": when(claimed, DAEMON),
        "claimed_at": when(claimed, NOW),
        "finished_at": when(state in _COMMAND_ENDS, NOW),
    }


def dead_letter(state: str) -> Row:
    """A dead letter."""
    ended = state in ("recovered", "discarded")
    return {
        "state": state,
        "finished_at": when(ended, NOW),
        "finished_by": when(ended, "ann"),
        "finish_reason": when(ended, "known"),
    }


def breaker(state: str) -> Row:
    """A circuit breaker."""
    forced = state.startswith("forced")
    return {
        "state": state,
        "cool_down_until": when(state == "open", NOW),
        "forced_by": when(forced, "ann"),
        "forced_reason": when(forced, "maintenance"),
        "forced_until": when(forced, NOW),
    }


def alert(state: str) -> Row:
    """An alert."""
    return {
        "state": state,
        "acknowledged_by": when(state == "acknowledged", "ann"),
        "resolved_at": when(state == "resolved", NOW),
    }


def confirmation(state: str) -> Row:
    """A question."""
    answered = state != "open"
    return {"state": state, "answered_at": when(answered, NOW), "answered_by": when(answered, "ann")}


IN_STATE: dict[str, Callable[[str], Row]] = {
    "runs": run,
    "run_entities": run_entity,
    "passes": lambda state: {"state": state, "finished_at": when(state != "open", NOW)},
    "commands": command,
    "dead_letters": dead_letter,
    "breakers": breaker,
    "alerts": alert,
    "confirmations": confirmation,
    "bulk_actions": lambda state: {"state": state, "finished_at": when(state in ("done", "cancelled"), NOW)},
}
"""Table → the columns that go with a state."""

BASE: dict[str, Row] = {
    "integrations": {"key": "dropbox", "label": "Dropbox"},
    "accounts_synced": {"integration": "doorloop", "account_key": "second"},
    "daemons": {
        "id": DAEMON,
        "kind": "service",
        "hostname": "h",
        "boot_id": "b",
        "pid": 1,
        "process_started_at": NOW,
        "version": "1",
        "heartbeat_seconds": 10,
    },
    "admin_logs": {"actor": "ann", "source": "page", "action": "run", "result": "accepted"},
    "commands": {
        **ACCOUNT,
        "id": RUN,
        "action": "run",
        "actor": "ann",
        "expires_at": NOW,
        "seal": "s",
        **command("pending"),
    },
    "runs": {
        **ACCOUNT,
        "id": RUN,
        "mode": "delta",
        "entities": ["owners"],
        "trigger": "page",
        "requested_by": "ann",
        **run("queued"),
    },
    "run_entities": {"run_id": PARENT, "entity": "owners", "position": 1, **run_entity("waiting")},
    "passes": {
        **ACCOUNT,
        "entity": "owners",
        "mode": "backfill",
        "page_size": 100,
        "sort": "createdAt",
        "first_run_id": RUN,
        "last_run_id": RUN,
        "state": "open",
    },
    "leases": ACCOUNT,
    "breakers": {**ACCOUNT, **breaker("closed")},
    "schedule_slots": {**ACCOUNT, "kind": "delta", "due_at": NOW, "outcome": "started", "taken_by": DAEMON},
    "confirmations": {
        **ACCOUNT,
        "id": RUN,
        "kind": "mass_removal",
        "entity": "owners",
        "details": Jsonb({}),
        **confirmation("open"),
    },
    "pings": {**ACCOUNT, "ok": True, "base_url": "u", "elapsed_ms": 1, "requested_by": "ann"},
    "event_head": {"only_row": True},
    "events": {**ACCOUNT, "id": 1, "ts": datetime.now(UTC), "level": "info", "code": "page", "msg": "m"},
    "rate_limit_samples": {**ACCOUNT, "decision": "sent", "source": "counted"},
    "dead_letters": {
        **ACCOUNT,
        "entity": "owners",
        "record_id": "r1",
        "payload": "{}",
        "payload_hash": "h",
        "code": "RECORD_TYPE",
        "reason": "r",
        "fingerprint": "f",
        **dead_letter("open"),
    },
    "bulk_actions": {
        **ACCOUNT,
        "id": RUN,
        "action": "requeue",
        "filter": Jsonb({}),
        "actor": "ann",
        "counted": 1,
        "state": "queued",
    },
    "bulk_letters": {"bulk_id": PARENT, "letter_id": 1},
    "alerts": {**ACCOUNT, "id": RUN, "rule": "r", "cause": "c", **alert("firing")},
    "alert_deliveries": {"channel": "teams", "kind": "firing", "body": Jsonb({})},
    "people": {"id": RUN, "issuer": "local", "subject": "ann", "name": "Ann", "role": "admin", "password_hash": "h"},
    "anonymous_tally": {"minute": NOW, "kind": "k", "requests": 1, "address": "a"},
    "api_tokens": {"id": RUN, "name": "n", "token_hash": b"h", "role": "viewer", "created_by": "ann"},
}
"""Table → a row that is accepted."""


def prepare(link: Link) -> None:
    """What the rows refer to."""
    insert(link, "integrations", {"key": "doorloop", "label": "DoorLoop"})
    insert(link, "runs", {**BASE["runs"], "id": PARENT})
    insert(link, "leases", {**ACCOUNT, "account_key": "other"})
    insert(link, "dead_letters", {**BASE["dead_letters"], "integration": "dropbox"})  # a fresh database's first: id 1
    insert(link, "bulk_actions", {**BASE["bulk_actions"], "id": PARENT})


def insert(link: Link, table: str, row: Row) -> None:
    """One row."""
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier("control", table),
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join(map(sql.Placeholder, row)),
    )
    link.execute(statement, row)


def change(link: Link, table: str, row: Row, *, of: Row) -> int:
    """Change the row just inserted; returns how many rows changed."""
    key = next(name for name in ("id", "run_id", "integration") if name in of)
    statement = sql.SQL("UPDATE {} SET {} WHERE {} = {}").format(
        sql.Identifier("control", table),
        sql.SQL(", ").join(sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in row),
        sql.Identifier(key),
        sql.Placeholder("the_key"),
    )
    return link.execute(statement, {**row, "the_key": of[key]}).rowcount
