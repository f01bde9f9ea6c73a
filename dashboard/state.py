"""What one open page remembers: what it follows, what is open, who is there. The session's keys are named here."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

import streamlit as st

from common.access import Role
from common.errors import DatabaseAway, Refused
from common.store.people import Session
from dashboard import identity, services
from dashboard.services import Services
from dashboard.web.requests import HOME, safe_next

TICK = "live_tick"
LIVE = "live_on"
OPEN_RUN = "open_run"
FOCUS_RUN = "focus_run"
CHOSEN_LETTERS = "chosen_letters"
_TICK_SEEN = "tick_seen"
_LAST_SESSION = "last_session"


@dataclass(frozen=True)
class Pressed:
    """A press of a button: a command to follow, or the refusal that met it."""

    action: str
    command_id: str | None
    cause: str | None = None
    remedy: str | None = None


def person() -> Session | None:
    """Who is there, looked up now: a session that ended a moment ago ends here. A tick is not a person's action."""
    own = services.current()
    try:
        session = identity.lookup(own, st.context.cookies.get(identity.cookie_name(own)))
    except DatabaseAway:
        # Nobody new comes in meanwhile; who was let in before keeps the last picture, and may do nothing.
        last: Session | None = st.session_state.get(_LAST_SESSION)
        return last
    st.session_state[_LAST_SESSION] = session
    if session is not None and not _is_tick():
        _note(own, session)
    return session


def place() -> str:
    """Where this page is open, as a path of ours that a sign-in may lead back to."""
    try:
        path = urlsplit(st.context.url or "").path  # Streamlit keeps the query apart
    except ValueError:
        return HOME
    query = urlencode([(key, value) for key in st.query_params for value in st.query_params.get_all(key)])
    return safe_next(f"{path}?{query}" if query else path)


def _is_tick() -> bool:
    tick = st.session_state.get(TICK)
    seen = st.session_state.get(_TICK_SEEN)
    st.session_state[_TICK_SEEN] = tick
    return tick is not None and tick != seen


def _note(own: Services, session: Session) -> None:
    try:
        identity.note_activity(own, session)
    except DatabaseAway:
        return


def remember(pressed: Pressed) -> None:
    """Follow what was pressed, one of each action."""
    st.session_state.setdefault("pressed", {})[pressed.action] = pressed


def refused(action: str, refusal: Refused) -> None:
    """Remember why a press was refused."""
    remember(Pressed(action, None, refusal.cause, refusal.remedy))


def pressed(*actions: str) -> list[Pressed]:
    """What was pressed last of these actions."""
    known: dict[str, Pressed] = st.session_state.get("pressed", {})
    return [known[action] for action in actions if action in known]


def forget_pressed(action: str) -> None:
    """Follow it no longer."""
    st.session_state.get("pressed", {}).pop(action, None)


def may_act(session: Session) -> bool:
    """Whether buttons are offered; the gate decides by itself."""
    return session.role is Role.ADMIN
