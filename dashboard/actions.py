"""Presses of buttons: each goes through the one gate, and its answer is kept for the page to follow."""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st

from common.access import Action
from common.errors import DatabaseAway, Refused
from common.operator_actions import Actor
from common.store.people import Session
from common.wishes import Wish, run_wish
from dashboard import reads, services, state
from dashboard.state import Pressed


def run(
    integration: str, account_key: str, *, mode: str, entities: list[str], since: datetime | None, dry: bool
) -> None:
    """Ask for a run; ``since`` is what a person typed, in UTC."""
    aware = since.replace(tzinfo=UTC) if since else None
    try:
        wish = run_wish(
            integration, mode=mode, entities=tuple(entities) or None, since=aware, dry_run=dry, account_key=account_key
        )
    except Refused as refusal:
        state.refused(Action.RUN.value, refusal)
        return
    submit(wish)


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


def submit(wish: Wish) -> None:
    """Put a wish before the gate and remember what it said."""
    session = state.person()
    if session is None:
        return
    try:
        receipt = services.current().gate.submit(wish, _actor(session))
    except Refused as refusal:
        state.refused(wish.action.value, refusal)
    except DatabaseAway as away:
        state.remember(Pressed(wish.action.value, None, away.cause, away.remedy))
    else:
        state.remember(Pressed(wish.action.value, receipt.command_id))
    reads.forget()


def _actor(session: Session) -> Actor:
    # Streamlit knows the websocket's peer; behind a proxy that is the proxy, so the session's own address is better.
    return Actor(session.name, session.role, "page", session.address or st.context.ip_address)
