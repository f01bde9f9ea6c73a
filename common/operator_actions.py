"""The one gate for every action of a person or program.

Permission, sealed command and audit row are one transaction that cannot be taken apart; a refusal is an audit row in a
transaction of its own. A disabled button is a courtesy, never the guard.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from common.access import Action, Role, may
from common.errors import Refused
from common.redact import mask_value
from common.signing import is_sealed, seal
from common.store import commands
from common.store.database import Database, Link
from common.wishes import SCHEDULE, SHARED, SHARED_SECONDS, Wish, catalog_entry, is_backfill_by_hand


@dataclass(frozen=True)
class Actor:
    """Who asks, in which role, from where. ``source``: page, api, cli, or schedule for what starts by itself."""

    name: str
    role: Role | None
    source: str
    address: str | None = None


@dataclass(frozen=True)
class Receipt:
    """A command that was accepted: follow it by its id."""

    command_id: str
    expires_at: datetime


class Gate:
    """Takes wishes, gives receipts.

    ``expiry_seconds`` is how long a command waits for a daemon; ``allow_backfill`` is this process's
    ALLOW_MANUAL_BACKFILL. A serving daemon that has it off counts as well, whoever asks and whoever would do it.
    """

    def __init__(self, database: Database, key: bytes, *, expiry_seconds: float, allow_backfill: bool) -> None:
        self._database = database
        self._key = key
        self._expiry_seconds = expiry_seconds
        self._allow_backfill = allow_backfill

    def submit(
        self,
        wish: Wish,
        actor: Actor,
        *,
        addressed_to: str | None = None,
        command_id: str | None = None,
        beside: Callable[[Link, Refused | None], None] = lambda _link, _refusal: None,
    ) -> Receipt:
        """Check, store and seal a command with its audit row.

        ``addressed_to``: only that daemon may take it (a foreground run brings its own). ``command_id``: planned ahead
        by a caller who may have to ask again; the second time gets the first one's receipt. ``beside`` comes first in
        the transaction that accepts the wish, and in that which records its refusal: what it writes is written with
        them, what it raises leaves nothing written. Raises ``Refused``, after the refusal has been recorded.
        """
        try:
            with self._database.transaction() as link:
                beside(link, None)
                return self._accept(link, wish, actor, addressed_to, command_id)
        except Refused as refusal:
            with self._database.transaction() as link:
                beside(link, refusal)
                self._log(link, wish, actor, "refused", reason=refusal.cause)
            refusal.is_recorded = True
            raise

    def _accept(
        self, link: Link, wish: Wish, actor: Actor, addressed_to: str | None, command_id: str | None
    ) -> Receipt:
        self._admit(link, wish, actor, someone_will_do_it=addressed_to is not None)
        known = self._known(link, wish, command_id) if addressed_to is None else None
        if known is not None:
            self._log(link, wish, actor, "shared", command_id=known.command_id)
            return known
        self._check_account(link, wish)
        return self._store(link, wish, actor, addressed_to, command_id or str(uuid.uuid4()))

    def record(self, refusal: Refused, action: Action, actor: Actor, *, integration: str | None = None) -> None:
        """Write down a refusal from before there was a wish: nonsense, a page that is not ours. Once.

        What was asked is told by the refusal's own sentence; a body that could not be read may hold anything.
        """
        if refusal.is_recorded:
            return
        with self._database.transaction() as link:
            commands.log_action(
                link,
                actor=actor.name,
                role=actor.role.value if actor.role else None,
                source=actor.source,
                address=actor.address,
                action=action.value,
                integration=integration,
                result="refused",
                reason=refusal.cause,
            )
        refusal.is_recorded = True

    @staticmethod
    def permit(action: Action, actor: Actor) -> None:
        """Raises ``Refused`` when this actor may not do this, whatever else would be said of the wish."""
        if not may(actor.role, action):
            raise Refused("NOT_PERMITTED", actor=actor.name, action=action.value)

    def _admit(self, link: Link, wish: Wish, actor: Actor, *, someone_will_do_it: bool) -> None:
        self.permit(wish.action, actor)
        catalog_entry(wish.integration)
        account = {"integration": wish.integration, "account_key": wish.account_key}
        if wish.action is Action.RUN and is_backfill_by_hand(wish.payload, actor.source):
            self._check_backfill(link, account)
        link.execute(commands.SQL["lock_account"], account)
        # The scheduler is a part of a daemon that serves, also where a lock, or an outage, has held its heartbeat up.
        someone_will_do_it = someone_will_do_it or actor.source == SCHEDULE
        if not someone_will_do_it and not _one(link, "alive_service", {})["alive"]:
            raise Refused("NO_DAEMON")

    def _check_backfill(self, link: Link, account: dict[str, str]) -> None:
        if not self._allow_backfill or _one(link, "backfills_refused", account)["refused"]:
            raise Refused("BACKFILL_NOT_ALLOWED")

    def _known(self, link: Link, wish: Wish, command_id: str | None) -> Receipt | None:
        """A command that answers this wish as well as a new one would: of the id planned ahead, or a question to the
        vendor that is being asked now or was answered a moment ago."""
        row = commands.planned(link, command_id) if command_id else None
        if row is not None and not commands.is_given(self._key, row):
            raise Refused("NOT_FROM_GATE")
        if row is None and wish.action in SHARED:
            asked = commands.same_question(
                link, wish.integration, wish.account_key, wish.action.value, wish.payload, seconds=SHARED_SECONDS
            )
            row = next((command for command in asked if is_sealed(self._key, command)), None)
        return Receipt(str(row["id"]), row["expires_at"]) if row else None

    def _check_account(self, link: Link, wish: Wish) -> None:
        account = {"integration": wish.integration, "account_key": wish.account_key}
        if wish.action is Action.RUN:
            self._check_run(link, account)
        elif wish.action is Action.STOP and _maybe(link, "active_run", account) is None:
            raise Refused("NOTHING_RUNNING")

    def _check_run(self, link: Link, account: dict[str, str]) -> None:
        active = _maybe(link, "active_run", account)
        if active is not None:
            raise Refused(
                "ALREADY_RUNNING", since=_clock(active["started_at"]), by=active["requested_by"], run=active["id"]
            )
        waiting = self._waiting_run(link, account)
        if waiting is not None:
            raise Refused("ALREADY_RUNNING", since=waiting["since"], by=waiting["actor"])
        status = _maybe(link, "account_status", account)
        if status is None:
            return
        if status["held"]:
            finding = next((f for f in status["findings"] if f.get("holds")), {"cause": "?", "remedy": "?"})
            raise Refused(
                "ACCOUNT_HELD", integration=account["integration"], finding=finding["cause"], remedy=finding["remedy"]
            )
        if status["is_blocked"]:
            raise Refused("BLOCKED_UNTIL", until=_clock(status["blocked_until"]))

    def _waiting_run(self, link: Link, account: dict[str, str]) -> dict[str, Any] | None:
        """A run command of ours that no daemon has taken yet. What others wrote into the table stops nobody."""
        waiting = commands.waiting_runs(link, account)
        return next((command for command in waiting if commands.is_from_gate(self._key, command)), None)

    def _store(self, link: Link, wish: Wish, actor: Actor, addressed_to: str | None, command_id: str) -> Receipt:
        expires_at = commands.database_now(link) + timedelta(seconds=self._expiry_seconds)
        audit_id = self._log(link, wish, actor, "accepted", command_id=command_id)
        command: dict[str, Any] = {
            "id": command_id,
            "integration": wish.integration,
            "account_key": wish.account_key,
            "action": wish.action.value,
            "payload": mask_value({**wish.payload, "source": actor.source}),
            "actor": actor.name,
            "audit_id": audit_id,
            "expires_at": expires_at,
            "addressed_to": addressed_to,
        }
        signed = {key: value for key, value in command.items() if key not in ("id", "addressed_to")}
        command["seal"] = seal(self._key, command_id=command_id, **signed)
        commands.submit(link, command)
        return Receipt(command_id, expires_at)

    @staticmethod
    def _log(
        link: Link, wish: Wish, actor: Actor, result: str, *, reason: str | None = None, command_id: str | None = None
    ) -> int:
        return commands.log_action(
            link,
            actor=actor.name,
            role=actor.role.value if actor.role else None,
            source=actor.source,
            address=actor.address,
            action=wish.action.value,
            integration=wish.integration,
            account_key=wish.account_key,
            summary=dict(wish.payload),
            result=result,
            reason=reason,
            command_id=command_id,
        )


def _maybe(link: Link, name: str, params: dict[str, str]) -> dict[str, Any] | None:
    return link.execute(commands.SQL[name], params).fetchone()


def _one(link: Link, name: str, params: dict[str, str]) -> dict[str, Any]:
    row = _maybe(link, name, params)
    assert row is not None
    return row


def _clock(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
