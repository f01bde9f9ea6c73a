"""Rows of dead letters, alike errors and schema samples for a screen, written by SQL as the daemon would."""

from __future__ import annotations

import json
import uuid
from typing import Any

from psycopg.types.json import Jsonb

from common.store.database import Database

RENT = "marketRent holds 'abc', which is no numeric."
PAYLOAD = {
    "id": "64b7f0c2a1d3e4f5a6b7c000",
    "active": True,
    "marketRent": "abc",
    "name": "Anna's unit",
    "property": "64b7f0c2a1d3e4f5a6b7c111",
}


def letters(
    database: Database,
    number: int = 12,
    *,
    entity: str = "units",
    code: str = "RECORD_TYPE",
    reason: str = RENT,
    fingerprint: str = "rent",
    payload: Any = None,
    state: str = "open",
) -> list[int]:
    """Letters of one cause, a minute apart; returns their ids."""
    with database.transaction() as link:
        rows = link.execute(
            """INSERT INTO control.dead_letters (integration, entity, record_id, payload, payload_hash, code, reason,
                   fingerprint, page, run_id, state, attempts, first_seen_at, last_seen_at)
               SELECT 'doorloop', %(entity)s, CASE WHEN %(code)s <> 'RECORD_WITHOUT_ID'
                                              THEN '64b7f0c2a1d3e4f5a6b7c' || lpad(n::text, 3, '0') END,
                      %(payload)s, %(fingerprint)s || n, %(code)s, %(reason)s, %(fingerprint)s, 3, gen_random_uuid(),
                      %(state)s, 1 + n %% 3, now() - interval '5 hours', now() - make_interval(mins => 5 + n)
               FROM generate_series(1, %(number)s) AS n
               RETURNING id""",
            {
                "number": number,
                "entity": entity,
                "code": code,
                "reason": reason,
                "fingerprint": fingerprint,
                "payload": json.dumps(PAYLOAD if payload is None else payload),
                "state": state,
            },
        ).fetchall()
    return [row["id"] for row in rows]


def action(database: Database, letter_ids: list[int], state: str = "running", **changes: Any) -> str:
    """A requeue (or what ``changes`` say) of these letters, half done."""
    bulk_id = str(uuid.uuid4())
    row = {"action": "requeue", "reason": None, "verdict": None, "cancel_asked_by": None, **changes}
    with database.transaction() as link:
        link.execute(
            """INSERT INTO control.bulk_actions (id, integration, action, filter, reason, actor, state, counted, done,
                                                 verdict, finished_at, cancel_asked_by, created_at)
               VALUES (%(id)s, 'doorloop', %(action)s, '{}', %(reason)s, 'ana', %(state)s, %(counted)s, %(done)s,
                       %(verdict)s, CASE WHEN %(state)s IN ('done', 'cancelled') THEN now() END, %(cancel_asked_by)s,
                       now() - interval '2 minutes')""",
            {**row, "id": bulk_id, "state": state, "counted": len(letter_ids), "done": len(letter_ids) // 2},
        )
        for number, letter_id in enumerate(letter_ids):
            outcome = "recovered" if number < len(letter_ids) // 2 else None
            link.execute("INSERT INTO control.bulk_letters VALUES (%s, %s, %s)", [bulk_id, letter_id, outcome])
    return bulk_id


def errors(database: Database, run_id: str | None = None) -> None:
    """Two kinds of errors."""
    with database.transaction() as link:
        for code, status, path, snippet, number in (
            ("VENDOR_ERROR", 502, "/leases/{id}", "<html><h1>502 Bad Gateway</h1></html>", 1204),
            ("KEY_REFUSED", 401, "/users/me", '{"message":"Unauthorized"}', 5),
        ):
            link.execute(
                """INSERT INTO control.error_groups (integration, fingerprint, fingerprint_version, code, status,
                        path_template, snippet, count, run_ids, first_seen_at)
                   VALUES ('doorloop', %s, 1, %s, %s, %s, %s, %s, %s::uuid[], now() - interval '3 days')""",
                [code, code, status, path, snippet, number, [run_id or str(uuid.uuid4())]],
            )


def schema(database: Database) -> None:
    """A sample of units with something of each kind."""
    diff = {
        "unmapped": {"petsPolicy": {"object": ["keys cats, dogs"]}, "score": {"number": ["12", "13"]}},
        "never_seen": ["listing_deposit"],
        "drift": {"market_rent": {"text": ["'1200'"]}},
    }
    with database.transaction() as link:
        link.execute(
            "INSERT INTO control.schema_diffs (integration, entity, sampled, diff) "
            "VALUES ('doorloop', 'units', 100, %s)",
            [Jsonb(diff)],
        )


def dry_run(database: Database, run_id: str) -> None:
    """What a dry run found of units."""
    fields = {"marketRent": ["1200", "1250"], "name": ["•••", "•••"]}
    samples = [{"id": PAYLOAD["id"], "was_removed": False, "fields": fields}]
    report = {"insert": 3, "update": 17, "unchanged": 9622, "removed": 2, "dead": 1, "samples": samples}
    with database.transaction() as link:
        link.execute("UPDATE control.runs SET dry_run = true WHERE id = %s", [run_id])
        link.execute(
            "INSERT INTO control.dry_run_reports (run_id, entity, report) VALUES (%s, 'units', %s)",
            [run_id, Jsonb(report)],
        )


def letters_day(database: Database) -> None:
    """A day with three causes, one requeue under way and one that has ended."""
    ids = letters(database, 18)
    letters(
        database, 3, entity="owners", code="RECORD_WITHOUT_ID", reason="A record has no usable id.", fingerprint="id"
    )
    letters(
        database, 1, entity="tenants", reason="dateOfBirth holds a sensitive value, which is no date.", fingerprint="b"
    )
    queued = letters(database, 8, entity="leases", fingerprint="lease", state="queued")
    action(database, ids[:10], "done", verdict="4 of 10 recovered, 6 the same error")
    action(database, queued)
    errors(database)
    schema(database)
