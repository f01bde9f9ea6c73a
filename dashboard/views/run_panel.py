"""The run panel: what to copy and how, Run now, Stop, and what became of the press."""

from __future__ import annotations

from datetime import datetime

import streamlit as st

from common.catalog import CATALOG
from common.codes import CODES
from common.rules.wording import listing, number_word
from common.store.people import Session
from dashboard import actions, services, state
from dashboard.components import notices, progress
from dashboard.components.tree import el, show
from dashboard.reads import PageData
from dashboard.views.follow import followed

MODES = {"delta": "Delta", "backfill": "Backfill"}


def panel(data: PageData, session: Session) -> None:
    """The whole card."""
    with st.container(key="run_head", horizontal=True, vertical_alignment="center"):
        show([el("div", el("h2", "Run"), el("span", _summary(data), cls="muted"), cls="top lonely")], key="run_title")
        _buttons(data, session)
    if not state.may_act(session):
        show([el("p", only_admins(session), cls="muted small")], key="run_why_not")
    if data.active is not None:
        show(progress.progress_tree(data.active, data.now), key="run_progress")
    _what_became(data)
    _choices(data)


def _summary(data: PageData) -> str:
    """What a press would start, in words: Delta · all five."""
    everything = CATALOG[data.account.integration].entities
    chosen = st.session_state.get("run_entities") or everything
    since = st.session_state.get("run_since")
    mode = MODES[st.session_state.get("run_mode") or "delta"]
    which = f"all {number_word(len(everything))}" if len(chosen) == len(everything) else listing(list(chosen))
    parts = [mode if not since else f"Since {since:%Y-%m-%d %H:%M} UTC", which]
    if st.session_state.get("run_dry"):
        parts.append("dry run")
    return " · ".join(parts)


def _choices(data: PageData) -> None:
    entry = CATALOG[data.account.integration]
    allowed = services.current().settings.allow_manual_backfill and not data.overview.refuses_backfills(data.account)
    with st.container(key="run_choices", horizontal=True, vertical_alignment="bottom"):
        # A lone mode would look like a choice that does nothing: without backfills the reason stands beneath.
        st.segmented_control(
            "Mode",
            list(MODES) if allowed else ["delta"],
            format_func=MODES.__getitem__,
            default="delta",
            required=True,
            key="run_mode",
        )
        st.multiselect(
            "Entities", entry.entities, default=entry.entities, key="run_entities", placeholder="All entities"
        )
        st.datetime_input("Since (UTC), optional", value=None, key="run_since", format="YYYY-MM-DD")
        st.toggle("Dry run", key="run_dry", help="Reads and compares, writes no row.")
    if not allowed:
        code = CODES["BACKFILL_NOT_ALLOWED"]
        show([el("p", f"{code.cause} {code.remedy}", cls="muted small")], key="run_no_backfill")


def _buttons(data: PageData, session: Session) -> None:
    acts = state.may_act(session)
    account = (data.account.integration, data.account.account_key)
    stopping = data.active is not None and data.active.run.stop_requested_by is not None
    if data.active is not None:
        st.button(
            "Stopping…" if stopping else "Stop",
            key="run_stop",
            disabled=not acts or stopping,
            on_click=actions.stop,
            args=account,
        )
    st.button("Run now", key="run_now", type="primary", disabled=not acts, on_click=_run, args=account)


def only_admins(session: Session) -> str:
    """Why buttons are off for this person."""
    role = session.role.value if session.role else "somebody without a role"
    return f"Only an admin may do this; you are signed in as {role}."


def _run(integration: str, account_key: str) -> None:
    since: datetime | None = st.session_state.get("run_since")
    actions.run(
        integration,
        account_key,
        mode=st.session_state.get("run_mode") or "delta",
        entities=list(st.session_state.get("run_entities") or []),
        since=since,
        dry=bool(st.session_state.get("run_dry")),
    )


def _what_became(data: PageData) -> None:
    listed = {run.id for run in data.runs}
    active = data.active.run.id if data.active else None
    for pressed, view in followed("run", "stop", now=data.now):
        # A run that has ended speaks for itself in the list below; one that the list has not met yet has just begun.
        if view is not None and view.problem is None and view.run_id in listed and view.run_id != active:
            state.forget_pressed(pressed.action)
            continue
        show(notices.pressed_tree(pressed, view), key=f"pressed_{pressed.action}")
