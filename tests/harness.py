"""One daemon's worth of engine in this process, wired as the real one, against a drill server over real HTTP."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from common.access import Action, Role
from common.operator_actions import Actor, Gate
from common.store.database import Database
from common.wishes import Wish, run_wish
from daemon import wiring
from daemon.commands import CommandDesk
from daemon.integrations.doorloop.drill import DrillServer
from daemon.once import command_desk
from daemon.scheduler import Scheduler
from daemon.sync.run import RunEnd, RunPlan
from tests.truth import Record, one, rows

ADMIN = Actor("tester", Role.ADMIN, "api")
SECRET_KEY = "a-key-for-tests-only-0123456789"
UNHURRIED = {
    "DOORLOOP_RATE_LIMIT_RPS": "0",
    "DOORLOOP_RATE_LIMIT_PER_MINUTE": "0",
    "DOORLOOP_RATE_LIMIT_PER_HOUR": "0",
    "ICC_BREAKER_COOL_DOWN_SECONDS": "0.5",
}
"""No limits, a short cool-down: what is not about the budget need not wait for it."""


def settings_for(drill: DrillServer | None, database_url: str, **changes: str) -> dict[str, str]:
    """An environment for a daemon on this drill and this database, by variable name."""
    values = {"DATABASE_URL": database_url, "ICC_SECRET_KEY": SECRET_KEY, "DOORLOOP_PAGE_SIZE": "20", **UNHURRIED}
    if drill is not None:
        values |= {"DOORLOOP_BASE_URL": drill.base_url, "DOORLOOP_API_KEY": drill.key}
    return values | changes


@dataclass(frozen=True)
class Outcome:
    """A run as the database knows it."""

    run: Record
    entities: dict[str, Record]

    @property
    def state(self) -> str:
        """How it ended."""
        return str(self.run["state"])

    @property
    def code(self) -> str | None:
        """Its error's code."""
        return self.run["error"]["code"] if self.run["error"] else None

    def counts(self, entity: str) -> tuple[int, int, int, int, int]:
        """(inserted, updated, unchanged, removed, dead) of an entity."""
        row = self.entities[entity]
        return (row["inserted"], row["updated"], row["unchanged"], row["removed"], row["dead"])

    def warnings(self, entity: str) -> list[str]:
        """The codes of an entity's warnings."""
        return [warning["code"] for warning in self.entities[entity]["warnings"]]

    def error(self, entity: str) -> str | None:
        """The code of an entity's error."""
        error = self.entities[entity]["error"]
        return error["code"] if error else None


class Engine:
    """What a daemon consists of, one call a run."""

    def __init__(self, services: wiring.Services) -> None:
        self.services = services
        self.database: Database = services.database
        self.gate: Gate = services.gate
        self.commands: CommandDesk = command_desk(services)

    def begin(
        self,
        mode: str = "backfill",
        entities: Sequence[str] | None = ("owners",),
        *,
        since: datetime | None = None,
        dry_run: bool = False,
        actor: Actor = ADMIN,
    ) -> RunPlan:
        """Through the gate to a plan that holds its lease."""
        chosen = tuple(entities) if entities else None
        wish = run_wish("doorloop", mode=mode, entities=chosen, since=since, dry_run=dry_run)
        receipt = self.gate.submit(wish, actor, addressed_to=self.services.daemon_id)
        plan = self.commands.take(receipt.command_id)
        assert isinstance(plan, RunPlan)
        return plan

    def run(self, mode: str = "backfill", entities: Sequence[str] | None = ("owners",), **wish: Any) -> Outcome:
        """One run from the gate to its end."""
        return self.finish(self.begin(mode, entities, **wish))

    def finish(self, plan: RunPlan) -> Outcome:
        """Execute a plan and read what the database knows of it."""
        end: RunEnd = self.services.desk.execute(plan)
        self.services.reporter.flush()
        found = outcome(self.database, plan.lease.run_id)
        assert not end.written or found.state == end.state
        return found

    def confirm(self, question_id: str, answer: str = "confirmed", reason: str | None = None) -> dict[str, Any]:
        """An admin's answer, through the gate."""
        payload = {"confirmation_id": question_id, "answer": answer, "reason": reason}
        wish = Wish(Action.CONFIRM, "doorloop", payload=payload)
        receipt = self.gate.submit(wish, ADMIN, addressed_to=self.services.daemon_id)
        result = self.commands.take(receipt.command_id)
        assert isinstance(result, dict)
        return result

    def questions(self) -> list[Record]:
        """What waits for an admin."""
        return rows(self.database, "SELECT * FROM control.confirmations WHERE state = 'open' ORDER BY created_at")

    def scheduler(self) -> Scheduler:
        """Its scheduler; one turn is ``run_once``."""
        configuration = self.services.configuration
        return Scheduler(
            self.database,
            self.gate,
            configuration.schedule,
            served=("doorloop",),
            daemon_id=self.services.daemon_id,
        )

    def continue_by_schedule(self) -> Outcome | None:
        """Let the moment to come back be now, give the scheduler its turn and execute what it started."""
        with self.database.transaction() as link:
            link.execute("UPDATE control.accounts_synced SET blocked_until = now() WHERE blocked_until > now()")
            link.execute("UPDATE control.runs SET blocked_until = now() WHERE blocked_until > now()")
            # The scheduler's command is for any service; this process, of kind `once`, counts as one here.
            link.execute("UPDATE control.daemons SET kind = 'service', heartbeat_at = now() WHERE stopped_at IS NULL")
        started = self.scheduler().run_once()
        if not started:
            return None
        (_, command_id), *more = started
        assert not more
        plan = self.commands.take(command_id)
        assert isinstance(plan, RunPlan)
        return self.finish(plan)


def outcome(database: Database, run_id: str) -> Outcome:
    """A run and its entities."""
    run = one(database, "SELECT * FROM control.runs WHERE id = %s", run_id)
    found = rows(database, "SELECT * FROM control.run_entities WHERE run_id = %s ORDER BY position", run_id)
    return Outcome(run, {row["entity"]: row for row in found})


@contextmanager
def engine(drill: DrillServer | None, database_url: str, **changes: str) -> Generator[Engine]:
    """An engine by the real wiring, for the length of the block."""
    values = settings_for(drill, database_url, **changes)
    configuration = wiring.configure({name.lower(): value for name, value in values.items()})
    with wiring.running(configuration, kind="once") as services:
        yield Engine(services)
