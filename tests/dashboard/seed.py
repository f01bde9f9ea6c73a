"""Rows for a screen, written by SQL as the daemon would: a database in a known state, without a daemon."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from psycopg.types.json import Jsonb

from common.access import Role
from common.catalog import DOORLOOP
from common.passwords import hashed
from common.store import people
from common.store.database import Database, Link

PASSWORD = "correct-horse-battery"
KEY_REFUSED = {
    "code": "KEY_REFUSED",
    "cause": "DoorLoop refused the API key (401).",
    "remedy": "Set DOORLOOP_API_KEY to a valid key (DoorLoop → Settings → Zapier & API Keys), then restart the daemon.",
}
_hash = hashed(PASSWORD)


def person(database: Database, name: str = "ana", role: Role | None = Role.ADMIN) -> str:
    """Somebody who can sign in with ``PASSWORD``."""
    with database.transaction() as link:
        added = people.add(link, name, role, _hash)
    assert added is not None
    return added


def daemon(database: Database, *, silent_seconds: float = 0, doing: str = "waiting for work") -> str:
    """A daemon whose last heartbeat is ``silent_seconds`` old, and that will count as alive for an hour if it is 0."""
    daemon_id = str(uuid.uuid4())
    with database.transaction() as link:
        link.execute(
            """INSERT INTO control.daemons (id, kind, hostname, boot_id, pid, process_started_at, version, started_at,
                                            heartbeat_at, heartbeat_seconds, doing)
               VALUES (%(id)s, 'service', 'desk', 'boot', 4711, now() - interval '3 hours', '0.1.0',
                       now() - interval '3 hours', now() - make_interval(secs => %(silent)s),
                       %(every)s, %(doing)s)""",
            {"id": daemon_id, "silent": silent_seconds, "every": 10 if silent_seconds else 1200, "doing": doing},
        )
    return daemon_id


def account(
    database: Database, *, kind: str = "live", findings: list[dict[str, Any]] | None = None, **settings: Any
) -> None:
    """The DoorLoop account as a daemon publishes it."""
    published = {
        "mode": kind,
        "interval_minutes": 10,
        "auto_sync_enabled": True,
        "full_at_hour_utc": 5,
        "DOORLOOP_API_KEY": "set (JWT shape, …7Q)",
        **settings,
    }
    with database.transaction() as link:
        link.execute("INSERT INTO control.integrations VALUES ('doorloop', 'DoorLoop') ON CONFLICT DO NOTHING")
        link.execute(
            """INSERT INTO control.accounts_synced (integration, source_kind, settings, findings, published_at)
               VALUES ('doorloop', %s, %s, %s, now())
               ON CONFLICT (integration, account_key) DO UPDATE
               SET source_kind = excluded.source_kind, settings = excluded.settings, findings = excluded.findings""",
            [kind, Jsonb(published), Jsonb(findings or [])],
        )


def ping(database: Database, *, ok: bool = True, seconds_ago: float = 60) -> None:
    """A ping that went well, or that the key was refused."""
    problem = {} if ok else KEY_REFUSED
    with database.transaction() as link:
        link.execute(
            """INSERT INTO control.pings (integration, at, ok, code, reason, remedy, base_url, authenticated,
                                          sample_count, elapsed_ms, requested_by)
               VALUES ('doorloop', now() - make_interval(secs => %s), %s, %s, %s, %s, 'https://app.doorloop.com/api',
                       %s, %s, 312, 'ana')""",
            [seconds_ago, ok, problem.get("code"), problem.get("cause"), problem.get("remedy"), ok, 1 if ok else None],
        )


def run(
    database: Database,
    state: str = "succeeded",
    *,
    mode: str = "delta",
    minutes_ago: float = 4,
    took: timedelta = timedelta(seconds=41),
    rows: int = 1000,
    error: dict[str, Any] | None = None,
    requested_by: str = "schedule",
    parts: dict[str, str] | None = None,
) -> str:
    """A finished run over every entity, with its passes when it succeeded. ``parts`` overrides entities' states."""
    run_id = str(uuid.uuid4())
    whole = {"succeeded": "complete", "failed": "failed"}.get(state, "complete")
    with database.transaction() as link:
        link.execute(
            """INSERT INTO control.runs (id, integration, mode, entities, state, trigger, requested_by, queued_at,
                                         started_at, finished_at, error, requests, stop_requested_at, stop_requested_by,
                                         blocked_until, version)
               SELECT %(id)s, 'doorloop', %(mode)s, %(entities)s, %(state)s, 'schedule', %(by)s, at, at, at + %(took)s,
                      %(error)s, 129, CASE WHEN %(state)s = 'stopped' THEN at END,
                      CASE WHEN %(state)s = 'stopped' THEN 'ana' END,
                      CASE WHEN %(state)s = 'deferred' THEN at + interval '1 hour' END, '0.1.0'
               FROM (SELECT now() - make_interval(secs => %(ago)s) AS at) AS start""",
            {
                "id": run_id,
                "mode": mode,
                "entities": list(DOORLOOP.entities),
                "state": state,
                "by": requested_by,
                "took": took,
                "error": Jsonb(error) if error else None,
                "ago": minutes_ago * 60,
            },
        )
        for position, entity in enumerate(DOORLOOP.entities):
            part = (parts or {}).get(entity, whole)
            _part(link, run_id, entity, position, part, rows=rows, error=error)
            if part == "complete":
                _complete_pass(
                    link, run_id, entity, mode=mode, seconds_ago=minutes_ago * 60 - took.total_seconds(), rows=rows
                )
    return run_id


def _part(
    link: Link, run_id: str, entity: str, position: int, state: str, *, rows: int, error: dict[str, Any] | None
) -> None:
    failed = state in ("failed", "forbidden")
    link.execute(
        """INSERT INTO control.run_entities (run_id, entity, position, state, page, pages_expected, total, received,
                                             inserted, updated, unchanged, started_at, finished_at, error)
           SELECT %(run)s, %(entity)s, %(position)s, %(state)s, %(page)s, 10, %(rows)s, %(got)s,
                  least(%(got)s, 2), least(%(got)s, 3), greatest(%(got)s - 5, 0), started_at, finished_at, %(error)s
           FROM control.runs WHERE id = %(run)s""",
        {
            "run": run_id,
            "entity": entity,
            "position": position,
            "state": state,
            "page": 0 if failed else 10,
            "rows": rows,
            "got": 0 if failed else rows,
            "error": Jsonb(error or KEY_REFUSED) if failed else None,
        },
    )


def _complete_pass(link: Link, run_id: str, entity: str, *, mode: str, seconds_ago: float, rows: int) -> None:
    link.execute(
        """INSERT INTO control.passes (integration, entity, mode, state, page_size, sort, next_page, total, received,
                                       finished_at, first_run_id, last_run_id)
           VALUES ('doorloop', %s, %s, 'complete', 100, '-updatedAt', 11, %s, %s, now() - make_interval(secs => %s),
                   %s, %s)""",
        [entity, mode, rows, rows, seconds_ago, run_id, run_id],
    )


def active_run(
    database: Database,
    daemon_id: str,
    *,
    mode: str = "backfill",
    requested_by: str = "ana",
    lease_seconds: float = 3600,
) -> str:
    """A run at page 42 of 100 of the second entity, holding its lease for ``lease_seconds`` (negative: it ran out)."""
    run_id = str(uuid.uuid4())
    with database.transaction() as link:
        link.execute(
            """INSERT INTO control.runs (id, integration, mode, entities, state, trigger, requested_by, started_at,
                                         daemon_id, term, queued_at)
               VALUES (%s, 'doorloop', %s, %s, 'running', 'page', %s, now() - interval '80 seconds', %s, 7,
                       now() - interval '80 seconds')""",
            [run_id, mode, list(DOORLOOP.entities), requested_by, daemon_id],
        )
        link.execute(
            """INSERT INTO control.leases (integration, term, holder, run_id, acquired_at, expires_at)
               VALUES ('doorloop', 7, %s, %s, now(), now() + make_interval(secs => %s))
               ON CONFLICT (integration, account_key) DO UPDATE
               SET term = 7, holder = excluded.holder, run_id = excluded.run_id, expires_at = excluded.expires_at""",
            [daemon_id, run_id, lease_seconds],
        )
        for position, entity in enumerate(DOORLOOP.entities):
            state = ("complete", "running", "waiting", "waiting", "waiting")[position]
            link.execute(
                """INSERT INTO control.run_entities (run_id, entity, position, state, page, pages_expected, total,
                                                     received, inserted, started_at, finished_at)
                   VALUES (%(run)s, %(entity)s, %(n)s, %(state)s, %(page)s, %(pages)s, %(total)s, %(got)s, %(got)s,
                           CASE WHEN %(state)s <> 'waiting' THEN now() - interval '80 seconds' END,
                           CASE WHEN %(state)s = 'complete' THEN now() - interval '40 seconds' END)""",
                {
                    "run": run_id,
                    "entity": entity,
                    "n": position,
                    "state": state,
                    "page": (100, 42, 0, 0, 0)[position],
                    "pages": (100, 100, None, None, None)[position],
                    "total": 20_000,
                    "got": (20_000, 8_400, 0, 0, 0)[position],
                },
            )
    return run_id


def events(database: Database, run_id: str | None = None, *, pages: int = 12) -> None:
    """Lines of a run: its start, pages, a retry, and something that went wrong."""
    lines: list[tuple[float, str, str, str | None, str, int | None]] = [
        (80, "info", "run_started", None, "Backfill of five entities started by ana.", None),
        (78, "info", "entity_started", "owners", "owners: 20 000 records at DoorLoop, 100 pages.", None),
    ]
    lines += [
        (60 - 5 * n, "info", "page", "properties", f"properties page {n + 31} of 100: 200 rows, 200 new.", 200)
        for n in range(pages)
    ]
    lines += [
        (
            3,
            "warn",
            "request_retried",
            "properties",
            "DoorLoop answered 502 at /properties; trying again in 1.2 s.",
            None,
        ),
        (2, "error", "VENDOR_ERROR", "leases", "DoorLoop answered 500 at /leases six times; leases failed.", None),
    ]
    with database.transaction() as link:
        for ago, level, code, entity, msg, rows in lines:
            link.execute(
                """WITH head AS (UPDATE control.event_head SET last_id = last_id + 1 RETURNING last_id)
                   INSERT INTO control.events (id, ts, integration, run_id, entity, level, code, msg, rows)
                   SELECT last_id, now() - make_interval(secs => %s), 'doorloop', %s, %s, %s, %s, %s, %s FROM head""",
                [ago, run_id, entity, level, code, msg, rows],
            )


def rate_samples(database: Database, number: int = 30) -> None:
    """Our own count of requests over the last minutes."""
    with database.transaction() as link:
        link.execute(
            """INSERT INTO control.rate_limit_samples (ts, integration, decision, source, used_minute, limit_minute,
                                                       used_hour, limit_hour)
               SELECT now() - make_interval(secs => 2 * (%(n)s - n)), 'doorloop', 'sent', 'counted',
                      10 + (n * 7) %% 37, 50, 380 + n, 500
               FROM generate_series(1, %(n)s) AS n""",
            {"n": number},
        )


def owners(database: Database, number: int) -> None:
    """Copied rows of one entity."""
    with database.transaction() as link:
        link.execute(
            """INSERT INTO doorloop.owners (id, raw, _source, _run_id, _payload_hash, _fetched_at)
               SELECT n::text, '{}', 'doorloop', gen_random_uuid(), '\\x00', now() FROM generate_series(1, %s) AS n""",
            [number],
        )


def line(database: Database, run_id: str, *, code: str, msg: str, level: str = "error") -> None:
    """One line of the log, of now."""
    with database.transaction() as link:
        link.execute(
            """WITH head AS (UPDATE control.event_head SET last_id = last_id + 1 RETURNING last_id)
               INSERT INTO control.events (id, ts, integration, run_id, level, code, msg)
               SELECT last_id, clock_timestamp(), 'doorloop', %s, %s, %s, %s FROM head""",
            [run_id, level, code, msg],
        )


def question(database: Database, kind: str = "mass_removal", entity: str | None = "tenants", **details: Any) -> str:
    """Something only an admin may decide."""
    question_id = str(uuid.uuid4())
    details = details or {"missing": 4200, "here": 34_375, "sample_ids": [f"t{n}" for n in range(30)]}
    with database.transaction() as link:
        link.execute(
            """INSERT INTO control.confirmations (id, integration, kind, entity, details)
               VALUES (%s, 'doorloop', %s, %s, %s)""",
            [question_id, kind, entity, Jsonb(details)],
        )
    return question_id


def good_day(database: Database) -> None:
    """Everything well: a day of deltas behind a nightly full copy."""
    daemon(database)
    account(database)
    run(database, mode="backfill", minutes_ago=300, took=timedelta(minutes=6), rows=9642)
    for number in range(23, 0, -1):
        state = "incomplete" if number == 3 else "succeeded"
        run(
            database,
            state,
            minutes_ago=number * 10 - 6,
            rows=9642,
            parts={"leases": "partial"} if number == 3 else None,
        )
    ping(database, seconds_ago=240)
    rate_samples(database)
    owners(database, 1204)
    events(database)


def bad_day(database: Database) -> None:
    """The key was refused five hours ago."""
    daemon(database)
    account(database, findings=[{**KEY_REFUSED, "severity": "error", "holds": True}])
    for number in range(18, 0, -1):
        run(database, minutes_ago=310 + number * 10, rows=9642)
    for number in range(5, 0, -1):
        run(database, "failed", minutes_ago=number * 60, took=timedelta(seconds=1), rows=0, error=KEY_REFUSED)
    ping(database, ok=False, seconds_ago=300 * 60)
    ping(database, ok=False, seconds_ago=120)
    question(database)
    rate_samples(database)
    owners(database, 1204)
    events(database)
