"""Commands and the audit log in the database. Every function takes an open transaction; the caller commits."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from common.errors import DatabaseAway
from common.redact import mask
from common.signing import is_sealed
from common.store.database import Link, Row
from common.store.masked import masked_json
from common.store.statements import statements

SQL = statements("commands")
_UNSEALED: Row = {"payload": {}, "audit_id": None, "expires_at": None, "seal": "", "ended_before": False}


def log_action(
    link: Link,
    *,
    actor: str,
    action: str,
    result: str,
    source: str,
    role: str | None = None,
    address: str | None = None,
    integration: str | None = None,
    account_key: str | None = None,
    summary: dict[str, Any] | None = None,
    reason: str | None = None,
    command_id: str | None = None,
    outcome_of: int | None = None,
) -> int:
    """Append one row to the audit log (masked); returns its id."""
    row = link.execute(
        SQL["log_action"],
        {
            "actor": actor,
            "role": role,
            "source": source,
            "address": address,
            "action": action,
            "integration": integration,
            "account_key": account_key,
            "summary": masked_json(summary or {}),
            "result": result,
            "reason": mask(reason) if reason else None,
            "command_id": command_id,
            "outcome_of": outcome_of,
        },
    ).fetchone()
    assert row is not None
    return int(row["id"])


def submit(link: Link, command: Row) -> None:
    """Store a sealed command and wake the daemons when the transaction commits."""
    link.execute(SQL["submit"], {**command, "payload": Jsonb(command["payload"])})


def same_question(
    link: Link, integration: str, account_key: str, action: str, payload: Mapping[str, Any], *, seconds: float
) -> list[Row]:
    """Commands of the same action and payload that are under way, or were done within ``seconds``; any source's.

    Newest first, with what their seals cover: the caller must look whether they are from the gate.
    """
    params = {
        "integration": integration,
        "account_key": account_key,
        "action": action,
        "payload": Jsonb(dict(payload)),
        "seconds": seconds,
    }
    return link.execute(SQL["same_question"], params).fetchall()


def claim(link: Link, daemon_id: str, only_id: str | None = None) -> Row | None:
    """The oldest waiting command, a Stop before all others, now ours, with its seal; ``only_id`` claims that or none.

    ``under_way``: a daemon that lives had taken it before, so its row was written again or set back by hand.
    ``transaction``: this one, for ``went_through``.
    """
    params = {"daemon_id": daemon_id, "only_id": only_id}
    # A run is to begin soon: planning this statement takes two thirds of its time, and as much with ``begin_run``.
    claimed = link.execute(SQL["claim"], params, prepare=True).fetchone()
    return None if claimed is None else claimed | _readable(claimed)


def went_through(link: Link, transaction: str) -> bool:
    """Whether a claim whose COMMIT was never answered was committed, by the ``transaction`` it gave.

    Raises ``DatabaseAway`` while that is not decided: the server has not noticed yet that its client is gone.
    """
    row = link.execute(SQL["went_through"], {"transaction": transaction}).fetchone()
    if row is None or row["status"] == "in progress":
        raise DatabaseAway("a claim is still being committed")
    return bool(row["status"] == "committed")


def unclaimed(link: Link) -> Iterator[Row]:
    """Waiting commands that have run out or are addressed to one daemon, with their seals; none of them is locked."""
    for command in link.execute(SQL["unclaimed"]).fetchall():
        yield _with_seal(link, command)


def claimed_by(link: Link, daemon_id: str) -> Iterator[Row]:
    """Commands claimed in a daemon's name, with their seals; none of them is locked."""
    for command in link.execute(SQL["claimed_by"], {"daemon_id": daemon_id}).fetchall():
        yield _with_seal(link, command)


def waiting_runs(link: Link, account: Mapping[str, str]) -> Iterator[Row]:
    """Run commands of an account that nobody has taken yet, oldest first, with their seals; any writer's."""
    for command in link.execute(SQL["waiting_runs"], account).fetchall():
        yield _with_seal(link, command)


def planned(link: Link, command_id: str) -> Row | None:
    """The command of an id that was planned ahead, with its seal."""
    found = link.execute(SQL["planned"], {"id": command_id}).fetchone()
    return None if found is None else _with_seal(link, found)


def is_from_gate(key: bytes, command: Row) -> bool:
    """Whether the gate gave this command, and gave it now: one whose outcome is in the audit log was given before."""
    return not command["ended_before"] and is_given(key, command)


def is_given(key: bytes, command: Row) -> bool:
    """Whether the gate gave this command, now or before."""
    try:
        return is_sealed(key, command)
    except RecursionError:  # it could be read, but not be written again: the gate wrote what it sealed
        return False


def _with_seal(link: Link, command: Row) -> Row:
    """A command and what its seal covers."""
    sealed = link.execute(SQL["sealed_part"], {"id": command["id"]}).fetchone()
    return command | (_UNSEALED if sealed is None else sealed | _readable(sealed))


def _readable(sealed: Row) -> Row:
    """What a seal covers, read from its texts.

    Where one cannot be read it is no seal of ours: an expiry beyond the calendar, a payload nested thousands deep, a
    number of thousands of digits.
    """
    try:
        return {"payload": json.loads(sealed["payload"]), "expires_at": datetime.fromisoformat(sealed["expires_at"])}
    except (RecursionError, TypeError, ValueError):
        return _UNSEALED


def finish(link: Link, command: Row, state: str, result: dict[str, Any], run_id: str | None = None) -> None:
    """End a claimed command and append its outcome to the audit log, of whom the seal names.

    What was done is written down whatever has become of the row meanwhile, and first: the table's guard believes an end
    by its outcome.
    """
    log_outcome(link, command, state, result)
    params = {"id": command["id"], "state": state, "result": masked_json(result), "run_id": run_id}
    link.execute(SQL["finish"], params)


def has_ended(link: Link, command: Row) -> bool:
    """Whether its outcome stands in the audit log."""
    row = link.execute(SQL["has_ended"], {"id": command["id"]}).fetchone()
    return row is not None and bool(row["has_ended"])


def refuse_forged(link: Link, command: Row, result: dict[str, Any]) -> bool:
    """End a command that the gate did not write; the audit row names the database user who did.

    False when it has moved on since it was read.
    """
    if not _is_still(link, command):
        return False
    log_action(
        link,
        actor=f"database:{command['written_by']}",
        action=command["action"],
        result="refused",
        source="database",
        integration=command["integration"],
        account_key=command["account_key"],
        summary={**result, "session_user": command["written_by"], "claimed_actor": command["actor"]},
        reason=result["cause"],
        command_id=str(command["id"]),
    )
    _put_aside(link, command, "refused", result)
    return True


def log_outcome(link: Link, command: Row, state: str, result: dict[str, Any]) -> None:
    """The second audit row of a command: what came of it."""
    log_action(
        link,
        actor=command["actor"],
        action=command["action"],
        result=state,
        source="daemon",
        integration=command["integration"],
        account_key=command["account_key"],
        summary=result,
        reason=result.get("cause"),
        command_id=str(command["id"]),
        outcome_of=command["audit_id"],
    )


def end_undone(link: Link, command: Row, state: str, result: dict[str, Any]) -> bool:
    """End a command of the gate's that nobody does; False when it has moved on since it was read."""
    if not _is_still(link, command):
        return False
    log_outcome(link, command, state, result)
    _put_aside(link, command, state, result)
    return True


def _is_still(link: Link, command: Row) -> bool:
    """Whether it is in the state it was read in; if so it stays there until this transaction ends."""
    return link.execute(SQL["hold"], {"id": command["id"], "was": command["state"]}).fetchone() is not None


def _put_aside(link: Link, command: Row, state: str, result: dict[str, Any]) -> None:
    link.execute(SQL["put_aside"], {"id": command["id"], "state": state, "result": masked_json(result)})


def give_back(link: Link, daemon_id: str) -> int:
    """Return dead daemons' claimed commands to the queue, never those of ``daemon_id``, who asks; returns how many."""
    return len(link.execute(SQL["give_back"], {"daemon_id": daemon_id}).fetchall())


def by_id(link: Link, command_id: str) -> Row | None:
    """One command."""
    return link.execute(SQL["by_id"], {"id": command_id}).fetchone()


def database_now(link: Link) -> datetime:
    """The database's clock: leases and commands run out by it, whatever the machines' clocks say."""
    row = link.execute(SQL["database_now"]).fetchone()
    assert row is not None
    moment: datetime = row["now"]
    return moment


def database_ahead_by(link: Link, now: datetime) -> timedelta:
    """How far the database's clock is ahead of a machine's that says ``now``: negative where it is behind."""
    return database_now(link) - now
