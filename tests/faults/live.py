"""The service as a real process, run by run from the gate as the page does it, and what may befall it in the middle."""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any

from common.access import Action
from common.errors import Refused
from common.store.database import Database
from common.wishes import Wish, run_wish
from daemon.integrations.doorloop.drill import DrillServer
from tests.children import Yard, cut_connections
from tests.harness import ADMIN, Outcome, outcome
from tests.truth import Record, rows
from tests.waiting import wait_for

BLOWS = ("kill", "cut", "stop", "freeze")
"""kill -9 and another start; its database connections cut; the Stop button; frozen past its lease, then woken."""
FROZEN_SECONDS = 1.5
PAGE_SECONDS = 0.02
"""How slow the vendor is while something is to befall a run: else most are over before it does."""


class LiveCopier:
    """One service on one vendor; ``run`` is what ``tests.harness.Engine.run`` is, over real processes."""

    def __init__(self, yard: Yard, drill: DrillServer) -> None:
        self._yard = yard
        self._drill = drill
        self.database: Database = yard.database
        self._service = yard.service()

    def __enter__(self) -> LiveCopier:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._yard.clear()

    def run(self, mode: str, entities: Sequence[str], *, blow: str | None = None, after_requests: int = 0) -> Outcome:
        """One run from the gate to its end; ``blow`` befalls it once the vendor was asked so often."""
        if blow is not None:
            self._drill.set_fault("latency", entity=entities[0], seconds=PAGE_SECONDS)
        asked = len(self._drill.log.entries())
        wish = run_wish("doorloop", mode=mode, entities=tuple(entities))
        command_id = wait_for(lambda: self._pressed(wish), "the gate takes the wish")
        if blow is not None:
            wait_for(
                lambda: len(self._drill.log.entries()) >= asked + after_requests or self._ended(command_id),
                "the vendor was asked so often",
                seconds=30,
            )
            self._strike(blow)
        run = wait_for(lambda: self._ended(command_id), f"the {mode} ends", seconds=60)
        if blow is not None:
            self._drill.clear_fault("latency")
        return outcome(self.database, str(run["id"]))

    def questions(self) -> list[Record]:
        """What waits for an admin."""
        return rows(self.database, "SELECT * FROM control.confirmations WHERE state = 'open' ORDER BY created_at")

    def confirm(self, question_id: str) -> None:
        """An admin's yes, carried out."""
        payload: dict[str, Any] = {"confirmation_id": question_id, "answer": "confirmed", "reason": None}
        wish = Wish(Action.CONFIRM, "doorloop", payload=payload)
        command_id = wait_for(lambda: self._pressed(wish), "the gate takes the yes")
        wait_for(lambda: self._is_answered(command_id), "the yes is carried out", seconds=30)

    def _pressed(self, wish: Wish) -> str | None:
        """The command; None while the daemon, just cut off, counts as away."""
        assert self._service.process.poll() is None, self._service.stderr
        try:
            return self._yard.gate().submit(wish, ADMIN).command_id
        except Refused as refusal:
            if refusal.code != "NO_DAEMON":
                raise
            return None

    def _strike(self, blow: str) -> None:
        if blow == "kill":
            self._service.kill()
            self._service = self._yard.service()
        elif blow == "stop":
            with suppress(Refused):  # it may be over by now
                self._yard.press_stop()
        elif blow == "cut":
            cut_connections(self.database)
        else:
            self._service.send(signal.SIGSTOP)
            threading.Event().wait(FROZEN_SECONDS)
            self._service.send(signal.SIGCONT)

    def _ended(self, command_id: str) -> Record | None:
        """The command's run, once it is over."""
        found = rows(
            self.database,
            "SELECT id, state FROM control.runs WHERE command_id = %s "
            "AND state NOT IN ('queued', 'running', 'stopping')",
            command_id,
        )
        return found[0] if found else None

    def _is_answered(self, command_id: str) -> bool:
        (command,) = rows(self.database, "SELECT state, result FROM control.commands WHERE id = %s", command_id)
        assert command["state"] in ("pending", "claimed", "done"), command
        return bool(command["state"] == "done")
