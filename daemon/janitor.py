"""Keeps the house: partitions ahead, old telemetry away, dead runs ended, commands nobody took expired."""

from __future__ import annotations

from collections.abc import Callable

from common.config import DaemonSettings
from common.store import event_log, idempotency
from common.store.database import Database
from daemon.commands import CommandDesk
from daemon.rescue import rescue_silent_runs


class Janitor:
    """``rescue`` is for every few seconds, ``sweep`` for every hour; both return counts.

    ``keeps``: whether this process is at a run (``rescue_silent_runs``).
    """

    def __init__(
        self, database: Database, settings: DaemonSettings, command_desk: CommandDesk, keeps: Callable[[str], bool]
    ) -> None:
        self._database, self._keeps = database, keeps
        self._settings = settings
        self._command_desk = command_desk

    def rescue(self) -> dict[str, int]:
        """End silent runs; expire or give back commands."""
        return {"interrupted": rescue_silent_runs(self._database, self._keeps), **self._command_desk.tidy()}

    def sweep(self) -> dict[str, int]:
        """Partitions for the coming week, and what is past retention away. Runs and dead letters are kept."""
        days = self._settings.events_retention_days
        with self._database.transaction() as link:
            made = event_log.make_partitions(link)
            pruned = event_log.prune(link, days)
            idempotency.forget_old(link)
        dropped = event_log.drop_old_partitions(self._database, days)
        return {"partitions_made": made, "partitions_dropped": len(dropped), **pruned}
