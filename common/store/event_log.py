"""Events and rate-limit samples in the database. A flush is one short transaction of its own (design §4)."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
import structlog
from psycopg import sql
from psycopg.errors import ObjectNotInPrerequisiteState, QueryCanceled, UndefinedTable

from common.rules.fingerprint import VERSION, fingerprint, path_template
from common.store.database import Database, Link, Row, first_line, translated
from common.store.masked import masked_dump, masked_text
from common.store.statements import statements

SQL = statements("telemetry")
PATIENCE_SECONDS = 5.0
"""How long the dropping of an old day waits for those who read it."""
MOST_ERROR_GROUPS = 1000
"""Of each account, the latest seen; how often the others came is forgotten with them."""

log = structlog.get_logger("janitor")


class Event(NamedTuple):
    """One line of what happened. ``level``: debug, info, warn or error; ``msg`` is a sentence."""

    ts: datetime
    integration: str
    account_key: str
    level: str
    code: str
    msg: str
    run_id: str | None = None
    entity: str | None = None
    page: int | None = None
    rows: int | None = None
    data: dict[str, Any] | None = None


class RateSample(NamedTuple):
    """One request's place in the budget. ``source``: `counted` here, or said by a `header`."""

    ts: datetime
    integration: str
    account_key: str
    run_id: str | None
    decision: str
    waited_seconds: float = 0.0
    source: str = "counted"
    request_limit: int | None = None
    remaining: int | None = None
    reset_at: datetime | None = None
    used_minute: int | None = None
    limit_minute: int | None = None
    used_hour: int | None = None
    limit_hour: int | None = None


@dataclass
class Tally:
    """What a flush adds to the five-minute series, per entity."""

    requests: int = 0
    failures: int = 0
    rows: int = 0
    dead: int = 0

    def add(self, other: Tally) -> None:
        """Count what another one counted, too."""
        self.requests += other.requests
        self.failures += other.failures
        self.rows += other.rows
        self.dead += other.dead


@dataclass(frozen=True)
class GroupedError:
    """An error on its way into its group."""

    integration: str
    account_key: str
    run_id: str
    code: str
    status: int | None
    path: str
    snippet: str


@dataclass(frozen=True)
class Flush:
    """What is written together."""

    events: Sequence[Event] = ()
    samples: Sequence[RateSample] = ()
    tallies: dict[tuple[str, str, str], Tally] = field(default_factory=dict)
    errors: Sequence[GroupedError] = ()

    @property
    def parts(self) -> tuple[Flush, ...]:
        """Each kind by itself, and each error: what cannot be written then takes nothing else with it."""
        singly = [Flush(errors=(error,)) for error in self.errors]
        return (Flush(events=self.events), Flush(samples=self.samples), Flush(tallies=self.tallies), *singly)


def write(database: Database, flush: Flush, now: datetime) -> int:
    """Store a flush and wake readers once; returns the last event id. Every text is masked here, on its way out."""
    last_id = 0
    # Before the transaction begins: the server ends one that stands idle, and would again at each try.
    groups = [_grouped(error) for error in flush.errors]
    with database.transaction() as link:
        # Telemetry never makes a page wait for the disk; a crash of the server may lose the last lines, never a row.
        link.execute("SET LOCAL synchronous_commit = off")
        if flush.samples:
            _copy_samples(link, flush.samples)
        for (integration, account_key, entity), tally in flush.tallies.items():
            account = {"ts": now, "integration": integration, "account_key": account_key, "entity": entity}
            link.execute(SQL["roll_up"], {**account, **vars(tally)})
        for group in groups:
            link.execute(SQL["group_error"], group)
        if flush.events:
            last_id = _copy_events(link, flush.events)
    return last_id


def _copy_events(link: Link, events: Sequence[Event]) -> int:
    head = link.execute(SQL["take_event_ids"], {"count": len(events)}).fetchone()
    assert head is not None
    last_id = int(head["last_id"])
    with link.cursor().copy(SQL["copy_events"]) as copy:
        for number, event in enumerate(events, start=last_id - len(events) + 1):
            data = None if event.data is None else masked_dump(event.data)
            where = (event.integration, event.account_key, event.run_id, event.entity, event.page)
            copy.write_row(
                (number, event.ts, *where, event.level, event.code, masked_text(event.msg), event.rows, data)
            )
    return last_id


def _grouped(error: GroupedError) -> dict[str, Any]:
    # Masked first: a fingerprint of a text with a secret in it would change with the secret.
    snippet = masked_text(error.snippet)
    return {
        "integration": error.integration,
        "account_key": error.account_key,
        "fingerprint": fingerprint(error.code, error.status, error.path, snippet),
        "fingerprint_version": VERSION,
        "code": error.code,
        "status": error.status,
        "path_template": path_template(masked_text(error.path)) or None,
        "snippet": snippet,
        "run_ids": [error.run_id],
    }


def _copy_samples(link: Link, samples: Sequence[RateSample]) -> None:
    with link.cursor().copy(SQL["copy_samples"]) as copy:
        for sample in samples:
            copy.write_row(sample)


def make_partitions(link: Link, days_ahead: int = 7) -> int:
    """Day partitions for the coming days; returns how many were made."""
    row = link.execute(SQL["make_partitions"], {"days_ahead": days_ahead}).fetchone()
    return int(row["made"]) if row else 0


def drop_old_partitions(database: Database, days: int, *, patience_seconds: float = PATIENCE_SECONDS) -> list[str]:
    """Drop partitions past retention; detached concurrently first, so that readers never wait. Returns their names.

    One that somebody reads in a long transaction is left until next time: whoever waits for it keeps new days from
    being attached, and so the next daemon from starting. Raises ``DatabaseAway``.
    """
    with translated(), database.connect("icc:janitor", direct=True) as link:
        old = link.execute(SQL["old_partitions"], {"days": days}).fetchall()
        return [row["name"] for row in old if _drop_partition(link, row, patience_seconds)]


def _drop_partition(link: Link, row: Row, patience_seconds: float) -> bool:
    """Whether it is gone. From wherever an earlier try was cut short; two daemons may be at it."""
    table = sql.Identifier("control", row["name"])
    # Told by us when to give up: a time-out set in the session would stay on a pooler's connection.
    timer = threading.Timer(patience_seconds, _cancel, (link,))
    timer.start()
    try:
        if row["stands"] != "detached":
            how = sql.SQL("CONCURRENTLY" if row["stands"] == "attached" else "FINALIZE")
            link.execute(sql.SQL("ALTER TABLE control.events DETACH PARTITION {} {}").format(table, how))
        link.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))
    except (QueryCanceled, ObjectNotInPrerequisiteState, UndefinedTable) as busy:
        log.info("an old day of events waits for its readers", partition=row["name"], why=first_line(busy))
        return False
    finally:
        timer.cancel()
        timer.join()  # one that has begun must not strike the next day's statement
    return True


def _cancel(link: Link) -> None:
    with suppress(psycopg.Error):  # it has ended by itself
        link.cancel_safe(timeout=PATIENCE_SECONDS)


def prune(link: Link, days: int) -> dict[str, int]:
    """Delete samples, pings and series past retention, and groups of errors past ``MOST_ERROR_GROUPS``; returns counts.

    Runs and dead letters are kept.
    """
    row = link.execute(SQL["prune"], {"days": days, "error_groups": MOST_ERROR_GROUPS}).fetchone()
    return dict(row) if row else {}
