"""What became of a command: the answer to a press of a button."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from common.insights.problems import Problem, of_code, problem
from common.rules.wording import exact_span, plural
from common.states import CommandState
from common.store.database import Database, Row
from common.store.statements import statements

SQL = statements("insights")
_DONE = {
    "run": "The run has started.",
    "stop": "The run was told to stop.",
    "confirm": "The answer is taken.",
    "force_breaker": "It is set.",
    "lower_limits": "They are set.",
    "schedule": "It is set.",
}
ENDED = (CommandState.DONE, CommandState.FAILED, CommandState.REFUSED, CommandState.EXPIRED)


@dataclass(frozen=True)
class CommandView:
    """A command as its giver sees it. ``sentence`` says what became of it; ``problem`` why not, with the cure.

    ``result`` is the daemon's own answer, masked when it was stored.
    """

    id: str
    integration: str
    action: str
    actor: str
    state: CommandState
    sentence: str
    problem: Problem | None
    run_id: str | None
    created_at: datetime
    expires_at: datetime
    finished_at: datetime | None
    result: Mapping[str, Any]

    @property
    def is_ended(self) -> bool:
        """Whether nothing more will become of it."""
        return self.state in ENDED


def command_state(database: Database, command_id: str) -> CommandView | None:
    """What became of a command; one that nobody took in time counts as expired, whoever notices. None: no such one."""
    with database.transaction() as link:
        row = link.execute(SQL["command"], {"command_id": command_id}).fetchone()
    return _view(row) if row else None


def _view(row: Row) -> CommandView:
    state = CommandState.EXPIRED if row["ran_out"] else CommandState(row["state"])
    # A row that the gate and the daemon did not write may hold anything.
    result: dict[str, Any] = row["result"] if isinstance(row["result"], dict) else {}
    trouble: Problem | None = None
    if state is CommandState.EXPIRED:
        trouble = of_code("COMMAND_EXPIRED", seconds=f"{row['waited_for_seconds']:g}")
    elif state in (CommandState.FAILED, CommandState.REFUSED):
        trouble = problem(result) or Problem(None, "The daemon gave no reason.")
    elif state is CommandState.DONE and row["action"] == "ping" and result.get("ok") is False:
        trouble = problem(result)
    return CommandView(
        id=str(row["id"]),
        integration=row["integration"],
        action=row["action"],
        actor=row["actor"],
        state=state,
        sentence=trouble.cause if trouble else _sentence(row["action"], state, result),
        problem=trouble,
        run_id=str(row["run_id"] or result.get("run_id") or "") or None,
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        finished_at=row["finished_at"],
        result=result,
    )


def _sentence(action: str, state: CommandState, result: dict[str, Any]) -> str:
    if state is CommandState.PENDING:
        return "Waiting for the daemon to take it."
    if state is CommandState.CLAIMED:
        return {"run": "The run has started.", "stop": "Stopping."}.get(action, "The daemon is on it.")
    if action == "ping":
        elapsed = result.get("elapsed_ms")
        return f"It answered in {exact_span(float(elapsed) / 1000)}." if elapsed is not None else "It answered."
    letters = result.get("letters")
    if letters is not None:  # a requeue or discard was accepted; what becomes of it is its own story
        return f"{plural(int(letters), 'letter')} queued."
    return _DONE.get(action, "Done.")
