"""Claims commands and has them done. Claim, lease and run row are one transaction; a command is done once.

A command whose seal does not match was not given through the gate, and one that has had its outcome, or is under way,
was not given again: it is refused, and the audit log says by which database user it was written.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from itertools import count
from typing import Any

import structlog

from common.access import Action
from common.clock import Clock
from common.config import DaemonSettings
from common.errors import DatabaseAway, IccError, Refused, StopRequested
from common.store import commands
from common.store.database import Database, Link, Row
from daemon import handlers, limit_handlers
from daemon.asking import Asking
from daemon.bulk import BulkDesk
from daemon.hands import Hands
from daemon.integrations.base import Account
from daemon.rescue import rescue_silent_runs
from daemon.run_desk import DeadRunInTheWay, RunDesk
from daemon.sync.patient import Patient, insisting
from daemon.sync.run import RunPlan

log = structlog.get_logger("commands")

_END_THEMSELVES = (Action.REQUEUE, Action.DISCARD)
"""Their success is written in the transaction that queues their letters."""


class CommandDesk:
    """Takes one command at a time; ``run_once`` is one turn. ``closing`` is set when the process is to end."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        desk: RunDesk,
        served: dict[str, Account],
        settings: DaemonSettings,
        *,
        daemon_id: str,
        key: bytes,
        ending: Database,
        webhook: str | None = None,
        closing: threading.Event | None = None,
    ) -> None:
        self._database, self._ending = database, ending
        self._clock = clock
        self._desk = desk
        self._accounts = served
        self._settings = settings
        self._daemon_id = daemon_id
        self._key = key
        self.bulk = BulkDesk(database, desk, served)
        self._webhook = webhook
        self._in_hand: set[str] = set()
        # What ends something has threads of its own, so that neither pings of a silent vendor nor discards of many
        # letters keep a stop waiting; it may take most of a second itself.
        self._helpers, self._askers = Hands("command"), Hands("asker")
        self._cancellers, self._enders = Hands("canceller"), Hands("ender")
        self._asking = Asking(database, clock)
        self._closing = closing or threading.Event()

    def run_once(self) -> int:
        """Take every waiting command; returns how many were taken."""
        taken = 0
        while self._take_one():
            taken += 1
        return taken

    def take(self, command_id: str) -> RunPlan | dict[str, Any]:
        """Take this very command (a foreground run's own). A plan to execute, or the result. Raises ``Refused``."""
        claimed = self._claim(command_id)
        if claimed is None:
            raise self._expiry()
        command, accepted = claimed
        if isinstance(accepted, Refused):
            raise accepted
        return accepted if accepted is not None else self._do(command)

    def tidy(self) -> dict[str, int]:
        """Give back what dead daemons had claimed, end what nobody took and what nobody has in hand."""
        with self._database.transaction() as link:
            given_back = commands.give_back(link, self._daemon_id)
            ended = Counter(self._end_unclaimed(link, command) for command in commands.unclaimed(link))
            # In hand is looked at after the rows: what was taken meanwhile is not among them.
            claimed = list(commands.claimed_by(link, self._daemon_id))
            lost = [command for command in claimed if str(command["id"]) not in self._in_hand]
            ended.update(self._end_lost(link, command) for command in lost)
        return {"given_back": given_back, "expired": ended["expired"], "refused": ended["refused"]}

    def close(self) -> None:
        """No more commands. Those in hand stay claimed, unless they end by themselves: the next daemon takes them."""
        self._closing.set()
        for hands in (self._helpers, self._askers, self._cancellers, self._enders):
            hands.close()
        self._asking.close()

    def _end_unclaimed(self, link: Link, command: Row) -> str | None:
        """The state it ended in. A command from the gate that may still be taken is left to whom it is addressed."""
        if not self._is_from_gate(command):
            return self._refuse_forged(link, command)
        if not command["has_run_out"]:
            return None
        return "expired" if commands.end_undone(link, command, "expired", handlers.refusal(self._expiry())) else None

    def _end_lost(self, link: Link, command: Row) -> str | None:
        """The state it ended in: claimed in our name, but not in our hands, it would never have an end."""
        if not self._is_from_gate(command):
            return self._refuse_forged(link, command)
        lost = Refused("COMMAND_LOST")
        if not commands.end_undone(link, command, "refused", handlers.refusal(lost)):
            return None  # it was done, and let go, since its row was read
        log.warning(lost.cause, code=lost.code, command=str(command["id"]))
        return "refused"

    @staticmethod
    def _refuse_forged(link: Link, command: Row) -> str | None:
        refused = Refused("NOT_FROM_GATE")
        if not commands.refuse_forged(link, command, handlers.refusal(refused)):
            return None
        log.warning(refused.cause, code=refused.code, command=str(command["id"]))
        return "refused"

    def _expiry(self) -> Refused:
        return Refused("COMMAND_EXPIRED", seconds=f"{self._settings.icc_command_expiry_seconds:g}")

    def _claim(self, only_id: str | None = None) -> tuple[Row, RunPlan | Refused | None] | None:
        """The next command, or that one, claimed and looked at. One that is to be done is in hand until its end."""
        try:
            return self._claim_once(only_id)
        except DeadRunInTheWay:
            rescue_silent_runs(self._ending, self._desk.keeps)
        return self._claim_once(only_id, is_last_try=True)

    def _claim_once(
        self, only_id: str | None, *, is_last_try: bool = False
    ) -> tuple[Row, RunPlan | Refused | None] | None:
        claimed: tuple[Row, RunPlan | Refused | None] | None = None
        with ExitStack() as at_last:
            try:
                with self._ending.transaction() as link:
                    command = commands.claim(link, self._daemon_id, only_id)
                    if command is None:
                        return None
                    self._in_hand.add(str(command["id"]))  # before others can see the claim
                    at_last.callback(self._let_go, command)
                    claimed = command, self._accept(link, command, is_last_try=is_last_try)
            except DatabaseAway:
                if claimed is None or not self._went_through(claimed[0]["transaction"]):
                    raise
            if claimed is not None and claimed[1] is None:  # else its end was written with its claim
                at_last.pop_all()
        return claimed

    def _went_through(self, transaction: str) -> bool:
        """Whether a claim was committed, though the answer to its COMMIT was lost: nobody else would do it then.

        Raises ``StopRequested`` when the process ends before the database says so.
        """

        def ask() -> bool:
            with self._ending.statement() as link:
                return commands.went_through(link, transaction)

        return Patient(self._clock, self._closing)(ask)

    def _let_go(self, command: Row) -> None:
        self._in_hand.discard(str(command["id"]))

    def _take_one(self) -> bool:
        claimed = self._claim()
        if claimed is None:
            return False
        command, accepted = claimed
        if isinstance(accepted, Refused):
            log.warning(accepted.cause, code=accepted.code, command=str(command["id"]))
        elif accepted is not None:
            self._desk.launch(accepted)
        else:
            self._hands_for(command["action"]).give(partial(self._do_safely, command))
        return True

    def _hands_for(self, action: str) -> Hands:
        if action in handlers.ENDING:
            return self._enders if action == Action.STOP else self._cancellers  # these wait for locks on letters
        return self._askers if action in handlers.ASKING else self._helpers

    def _accept(self, link: Link, command: Row, *, is_last_try: bool) -> RunPlan | Refused | None:
        """Check where it is from; a `run` gets its lease and run row here. A refusal is written and returned.

        Raises ``DeadRunInTheWay``, but for the last try, which is refused by it.
        """
        try:
            self._check(command)
            if command["action"] != Action.RUN:
                return None
            plan = self._desk.begin(link, command)
        except Refused as refused:
            if isinstance(refused, DeadRunInTheWay) and not is_last_try:
                raise
            if refused.code == "NOT_FROM_GATE":
                commands.refuse_forged(link, command, handlers.refusal(refused))
            else:
                commands.finish(link, command, "refused", handlers.refusal(refused))
            return refused
        run_id = plan.lease.run_id
        commands.finish(link, command, "done", {"run_id": run_id}, run_id)
        return plan

    def _check(self, command: Row) -> None:
        if command["under_way"] or not self._is_from_gate(command):
            raise Refused("NOT_FROM_GATE")
        if command["integration"] not in self._accounts:
            raise Refused("UNKNOWN_INTEGRATION", integration=command["integration"], known=", ".join(self._accounts))

    def _is_from_gate(self, command: Row) -> bool:
        return commands.is_from_gate(self._key, command) and command["action"] in list(Action)

    def _do_safely(self, command: Row) -> None:
        try:
            self._do(command)
        except StopRequested:
            log.info("a command is left to the next daemon", command=str(command["id"]))
        except IccError as error:
            log.warning("a command could not be done", command=str(command["id"]), code=error.code)
        except Exception:
            log.exception("a command failed by an error of ours", command=str(command["id"]))

    def _do(self, command: Row) -> dict[str, Any]:
        """Do anything but a run, and write its end. Raises ``Refused`` after writing it."""
        try:
            return self._ended(command)
        finally:
            self._let_go(command)

    def _ended(self, command: Row) -> dict[str, Any]:
        """Raises ``StopRequested`` when it is left as it is, since the process ends."""
        try:
            self._insisting(command)(lambda: rescue_silent_runs(self._database_for(command), self._desk.keeps))
            result = self._acts(command)[command["action"]]()
        except Refused as refused:
            self._finish(command, "refused", handlers.refusal(refused))
            raise
        except StopRequested:
            raise
        except Exception as error:
            detail = f"{type(error).__name__}: {error}"
            ours = error if isinstance(error, IccError) else IccError("INTERNAL_ERROR", detail=detail)
            words = {"code": ours.code, "cause": ours.cause, "remedy": ours.remedy}
            self._finish(command, "failed", words)
            raise
        if command["action"] not in _END_THEMSELVES:
            self._finish(command, "done", result)
        return result

    def _acts(self, command: Row) -> dict[str, Callable[[], dict[str, Any]]]:
        """What each action means."""
        database, account = self._database, self._accounts[command["integration"]]
        voice, limits = self._desk.voice(command["integration"], command["account_key"]), account.limits
        pass_seconds = self._settings.icc_pass_hours * 3600
        return {
            Action.PING: lambda: handlers.ping(database, self._asking, account, command, voice),
            Action.CHECK: lambda: handlers.check(self._asking, account, command, voice),
            Action.TEST_ALERT: lambda: handlers.test_alert(self._webhook, command),
            Action.STOP: lambda: handlers.stop(self._desk, command, insist_until=self._closing),
            Action.CONFIRM: lambda: handlers.confirm(database, command, within_seconds=pass_seconds),
            Action.REQUEUE: lambda: self.bulk.accept(command),
            Action.DISCARD: lambda: self.bulk.accept(command),
            Action.CANCEL_BULK: lambda: self.bulk.cancel(command, insist_until=self._closing),
            Action.FORGET_DRILL: lambda: handlers.forget_drill(database, account, command),
            **dict.fromkeys(limit_handlers.ACTIONS, lambda: limit_handlers.act(database, voice, command, limits)),
        }

    def _finish(self, command: Row, state: str, result: dict[str, Any]) -> None:
        """Write its end. What ended something is told as it was, however long that takes; once, though the answer to a
        COMMIT was lost."""
        tries = count()

        def write() -> None:
            with self._database_for(command).transaction() as link:
                if next(tries) == 0 or not commands.has_ended(link, command):
                    commands.finish(link, command, state, result)

        self._insisting(command)(write)

    def _database_for(self, command: Row) -> Database:
        """What ends something must not wait for the others' connections, nor they for each other's."""
        return self._ending if command["action"] in handlers.ENDING else self._database

    def _insisting(self, command: Row) -> Callable[[Callable[[], object]], object]:
        """How a part of a command is done: of one that ends something again, until it is done."""
        return insisting(self._clock, self._closing if command["action"] in handlers.ENDING else None)
