"""Starts what is due: scheduled runs, and deferred runs whose time has come. ``schedule`` is only the metronome.

It forgets on restart and reads naive local time, so what is due is decided by pure rules over slots in Postgres, and by
the database's clock: a machine whose own is ahead would take due times that nobody is to take for hours.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import partial

import schedule
import structlog

from common.access import Role
from common.clock import Clock
from common.config import ScheduleSettings
from common.errors import DatabaseAway, Refused
from common.operator_actions import Actor, Gate
from common.rules.due import due
from common.store import accounts, commands, runs, slots
from common.store.database import Database, Link, Row
from common.wishes import SCHEDULE, Wish, run_wish
from daemon.checks import scheduled_entities

log = structlog.get_logger("scheduler")
SCHEDULER = Actor("scheduler", Role.ADMIN, SCHEDULE)
MAIN = "main"


class Scheduler:
    """``run_once`` is one turn; it returns what it started, as (kind, command id)."""

    def __init__(
        self,
        database: Database,
        gate: Gate,
        settings: ScheduleSettings,
        *,
        served: tuple[str, ...],
        daemon_id: str,
    ) -> None:
        self._database = database
        self._gate = gate
        self._settings = settings
        self._served = served
        self._daemon_id = daemon_id

    def run_once(self) -> list[tuple[str, str]]:
        """Start what is due now."""
        started: list[tuple[str, str]] = []
        for integration in self._served:
            started += self._continue_deferred(integration)
            if self._settings.auto_sync_enabled:
                started += self._start_scheduled(integration)
        return started

    def _continue_deferred(self, integration: str) -> list[tuple[str, str]]:
        """The latest deferred run of which no daemon has the due time: one that is refused holds up no other."""
        with self._database.transaction() as link:
            deferred = runs.due_continuations(link, integration, MAIN)
        for run in deferred:
            with suppress(_TakenByAnother):
                return self._press(
                    partial(_continuation, integration, run), integration, "continuation", run["blocked_until"]
                )
        return []

    def _start_scheduled(self, integration: str) -> list[tuple[str, str]]:
        settings = self._settings
        with self._database.transaction() as link:
            account = accounts.read(link, integration, MAIN)
            if account is not None and account["paused_at"] is not None:
                return []  # its slots stay untaken, so that the latest one is caught up when it goes on
            found = due(
                commands.database_now(link),
                interval_minutes=settings.auto_sync_interval_minutes,
                full_hour_utc=settings.auto_sync_full_at_hour_utc,
                last_delta=slots.latest(link, integration, MAIN, "delta"),
                last_full=slots.latest(link, integration, MAIN, "full"),
            )
        if found is None:
            return []
        mode = "backfill" if found[0] == "full" else "delta"
        with suppress(_TakenByAnother):
            return self._press(
                lambda: run_wish(integration, mode=mode, entities=scheduled_entities(settings)), integration, *found
            )
        return []

    def _press(self, wish: Callable[[], Wish], integration: str, kind: str, due_at: datetime) -> list[tuple[str, str]]:
        """Take the due time and give its command, or skip it, in one transaction: neither is left without the other.

        Raises ``_TakenByAnother``.
        """
        command_id = str(uuid.uuid4())

        def take(link: Link, refusal: Refused | None) -> None:
            reason = refusal.cause if refusal else None
            given = None if refusal else command_id
            slot = (integration, MAIN, kind, due_at)
            if not slots.take(link, *slot, daemon_id=self._daemon_id, command_id=given, reason=reason):
                raise _TakenByAnother

        try:
            receipt = self._gate.submit(self._made(wish, take), SCHEDULER, command_id=command_id, beside=take)
        except Refused as refusal:
            log.info("a due run was skipped", kind=kind, due_at=due_at.isoformat(), why=refusal.cause)
            return []
        return [(kind, receipt.command_id)]

    def _made(self, wish: Callable[[], Wish], take: Callable[[Link, Refused | None], None]) -> Wish:
        """The wish. One that makes no sense any more (an entity of old) skips its due time, and raises ``Refused``."""
        try:
            return wish()
        except Refused as refusal:
            with self._database.transaction() as link:
                take(link, refusal)
            raise


class _TakenByAnother(Exception):
    """Another daemon has this due time; rolls back what would be given for it."""


def _continuation(integration: str, run: Row) -> Wish:
    return run_wish(
        integration,
        mode=run["mode"],
        entities=tuple(run["entities"]),
        since=run["since"],
        continues_run_id=str(run["id"]),
    )


class Metronome:
    """Calls jobs at their rhythm until told to stop; a job's failure is logged and does not stop the others."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._jobs = schedule.Scheduler()

    def every(self, seconds: float, job: Callable[[], object], name: str) -> None:
        """Call ``job`` every ``seconds`` (whole seconds), the first time at once."""

        def safely() -> None:
            try:
                job()
            except DatabaseAway as error:
                log.warning("skipped a turn", job=name, why=error.cause)
            except Exception:
                log.exception("a turn failed", job=name)

        safely()
        self._jobs.every(max(1, round(seconds))).seconds.do(safely)

    def run(self, stop: threading.Event) -> None:
        """Keep time until ``stop``."""
        while not self._clock.wait(stop, 0.5):
            self._jobs.run_pending()
