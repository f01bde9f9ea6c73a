"""Presses of buttons: each goes through the one gate, and its answer is kept for the page to follow."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import streamlit as st

from common.access import Action
from common.errors import DatabaseAway, Refused
from common.insights.letters import LetterCount
from common.letter_wishes import Matching, cancel_wish, discard_wish, requeue_wish
from common.limit_wishes import force_breaker_wish, lower_limits_wish, schedule_wish
from common.operator_actions import Actor
from common.store.people import Session
from common.wishes import Wish, run_wish
from dashboard import reads, services, state
from dashboard.state import Pressed
from dashboard.tally import ENDED


def run(
    integration: str, account_key: str, *, mode: str, entities: list[str], since: datetime | None, dry: bool
) -> None:
    """Ask for a run; ``since`` is what a person typed, in UTC."""
    aware = since.replace(tzinfo=UTC) if since else None
    _wished(
        Action.RUN,
        integration,
        lambda: run_wish(
            integration, mode=mode, entities=tuple(entities) or None, since=aware, dry_run=dry, account_key=account_key
        ),
    )


def ping(integration: str, account_key: str) -> None:
    """Ask for a ping."""
    submit(Wish(Action.PING, integration, account_key))


def stop(integration: str, account_key: str) -> None:
    """Ask the active run to stop."""
    submit(Wish(Action.STOP, integration, account_key))


def answer(integration: str, account_key: str, confirmation_id: str, verdict: str, reason: str) -> None:
    """Answer an open question: ``verdict`` is confirmed or rejected."""
    payload = {"confirmation_id": confirmation_id, "answer": verdict, "reason": reason.strip()}
    submit(Wish(Action.CONFIRM, integration, account_key, payload))


def requeue(integration: str, account_key: str, which: Matching, seen: LetterCount) -> None:
    """Ask to have letters read again; ``seen`` is what the person was shown."""
    _wished(
        Action.REQUEUE,
        integration,
        lambda: requeue_wish(integration, which, counted=seen.number, last_id=seen.last_id, account_key=account_key),
    )


def discard(integration: str, account_key: str, which: Matching, seen: LetterCount, reason: str) -> None:
    """Ask to close letters for good."""
    _wished(
        Action.DISCARD,
        integration,
        lambda: discard_wish(
            integration, which, reason=reason, counted=seen.number, last_id=seen.last_id, account_key=account_key
        ),
    )


def cancel(integration: str, account_key: str, bulk_id: str) -> None:
    """Ask to end a requeue or discard where it is."""
    _wished(Action.CANCEL_BULK, integration, lambda: cancel_wish(integration, bulk_id, account_key=account_key))


def schedule(integration: str, account_key: str, *, paused: bool, reason: str) -> None:
    """Pause what starts by itself, or let it go on."""
    _wished(
        Action.SCHEDULE,
        integration,
        lambda: schedule_wish(integration, paused=paused, reason=reason, account_key=account_key),
    )


def force_breaker(integration: str, account_key: str, *, wanted: str, minutes: int | None, reason: str) -> None:
    """Force the circuit breaker ``open`` or ``closed``, or ``none`` of the two again."""
    _wished(
        Action.FORCE_BREAKER,
        integration,
        lambda: force_breaker_wish(integration, state=wanted, minutes=minutes, reason=reason, account_key=account_key),
    )


def lower_limits(
    integration: str, account_key: str, *, to: dict[str, int | None], lift: bool, minutes: int | None, reason: str
) -> None:
    """Allow less than is set for a while, or ``lift`` that."""

    def wish() -> Wish:
        if not lift and not any(to.values()):
            raise Refused("VALUE_UNUSABLE", what="What to lower", value="empty", expected="at least one limit")
        return lower_limits_wish(integration, to=to, minutes=minutes, reason=reason, account_key=account_key)

    _wished(Action.LOWER_LIMITS, integration, wish)


def submit(wish: Wish) -> None:
    """Put a wish before the gate and remember what it said."""
    _wished(wish.action, wish.integration, lambda: wish)


def _wished(action: Action, integration: str, wish: Callable[[], Wish]) -> None:
    """Submit what ``wish`` makes, or remember why it was refused; nonsense is in the audit log like any other try."""
    session = state.person()
    if session is None:
        # As any request without a session is: whoever keeps the websocket open could press as often as they like.
        services.current().tally.count(ENDED, st.context.ip_address or "unknown")
        return
    gate, actor = services.current().gate, _actor(session)
    try:
        try:
            receipt = gate.submit(wish(), actor)
        except Refused as refusal:
            state.refused(action.value, refusal)
            gate.record(refusal, action, actor, integration=integration)
        else:
            state.remember(Pressed(action.value, receipt.command_id))
    except DatabaseAway as away:
        state.remember(Pressed(action.value, None, away.cause, away.remedy))
    reads.forget()


def _actor(session: Session) -> Actor:
    # Streamlit knows the websocket's peer; behind a proxy that is the proxy, so the session's own address is better.
    return Actor(session.name, session.role, "page", session.address or st.context.ip_address)
