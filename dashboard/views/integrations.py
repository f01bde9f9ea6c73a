"""The one page: header, verdict, what waits for an admin, entities, run panel, last runs, log; at the right the rail.

The whole page is one live fragment with one timer (streamlit-autorefresh) inside it: two would lose ticks, and one at
page level would close dialogs. What a person chose is kept under keys, so a tick changes nothing of it.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from common.access import Sight, sight_of
from common.catalog import CATALOG, DOORLOOP
from common.errors import DatabaseAway
from common.states import Chip
from common.store.people import Session
from dashboard import actions, reads, state
from dashboard.components import connection, entities, findings, header, notices, rail, runs, terminal
from dashboard.components.tree import ASSETS, el, show
from dashboard.reads import PageData
from dashboard.views import faces, letters, pace, questions, run_panel
from dashboard.views.follow import followed

ICON = ASSETS / "icon.svg"
LIVE_MILLISECONDS = 2000
SESSION_WATCH_SECONDS = 10
_STYLES = (ASSETS / "tokens.css", ASSETS / "page.css")


def page() -> None:
    """Everything at this address."""
    for style in _STYLES:
        st.html(style)
    _live()


@st.fragment
def _live() -> None:
    session = state.person()
    if session is None:
        faces.session_ended()
        return
    if session.role is None:
        faces.no_role(session)
        return
    sight = sight_of(session.role)
    try:
        data = reads.page_data(DOORLOOP.key, "main", sight)
    except DatabaseAway as away:
        faces.database_away(away)
    else:
        _page(data, session)
    _timer()


def _page(data: PageData, session: Session) -> None:
    st.set_page_config(page_title=f"{data.account.verdict.chip.value} · {data.account.label} · Integrations")
    _header(data, session)
    if data.overview.is_drill:
        show(notices.drill_tree(), key="drill")
    if data.away:
        show(notices.away_tree(data.away, data.now, data.now), key="away")
    _verdict(data, session)
    questions.questions(data, session)
    with st.container(key="layout", horizontal=True):
        with st.container(key="main"):
            _main(data, session)
        with st.container(key="rail"):
            _rail(data, session)
    _drawer(data, session)


def _verdict(data: PageData, session: Session) -> None:
    account = data.account
    with st.container(key=f"card_verdict_{account.verdict.chip.value}"):
        show(notices.verdict_tree(account.verdict), key="verdict")
        if account.verdict.chip is not Chip.FAILING:
            return
        with st.container(key="verdict_buttons", horizontal=True):
            st.button(
                "Ping again",
                key="ping_again",
                type="primary",
                disabled=not state.may_act(session),
                on_click=actions.ping,
                args=(account.integration, account.account_key),
            )
            if account.last_run and st.button("Open last run", key="open_last_run"):
                st.session_state[state.OPEN_RUN] = account.last_run.id


def _header(data: PageData, session: Session) -> None:
    with st.container(key="topbar", horizontal=True, vertical_alignment="center"):
        show(header.title_tree(data.overview), key="title", watch_seconds=SESSION_WATCH_SECONDS)
        st.toggle("Live", value=True, key=state.LIVE)
        show(header.account_tree(session), key="account")


def _main(data: PageData, session: Session) -> None:
    with st.container(key="card_entities"):
        said = data.account.verdict.code
        show(entities.entities_tree(data.account.entities, said_code=said), key="entities")
    with st.container(key="card_run"):
        run_panel.panel(data, session)
    with st.container(key="card_runs"):
        _runs(data)
    with st.container(key="card_letters"):
        letters.panel(data, session)
    with st.container(key="card_log"):
        terminal.terminal(CATALOG[data.account.integration].entities, data.runs)


def _runs(data: PageData) -> None:
    if not data.runs:
        nothing = "No run yet. Choose Backfill and press Run now: that copies everything once."
        show([el("div", el("h2", "Last runs"), cls="top"), *notices.empty_tree(nothing)], key="runs")
        return
    number = len(CATALOG[data.account.integration].entities)
    back_to = st.session_state.get(state.FOCUS_RUN)
    answer: Any = show(runs.runs_tree(data.runs, data.now, entities=number), key="runs", focus=back_to)
    if answer.open:
        st.session_state[state.OPEN_RUN] = answer.open


def _rail(data: PageData, session: Session) -> None:
    account, now = data.account, data.now
    with st.container(key="card_connection"):
        _connection(data, session)
    cards = {
        "schedule": rail.schedule_tree(account, now),
        "budget": rail.budget_tree(account, data.samples, now),
        "findings": rail.findings_tree(account),
    }
    controls = {"schedule": pace.schedule, "budget": pace.limits}
    for name, tree in cards.items():
        with st.container(key=f"card_{name}"):
            show(tree, key=name)
            if name in controls and state.may_act(session):
                controls[name](data)
    _found(data, sight_of(session.role))
    with st.container(key="card_daemons"):
        show(rail.daemons_tree(data.overview.daemons, now), key="daemons")


def _found(data: PageData, sight: Sight) -> None:
    try:
        found = reads.found(data.account.integration, data.account.account_key, sight)
    except DatabaseAway:
        return
    with st.container(key="card_errors"):
        answer: Any = show(findings.errors_tree(found.errors, data.now), key="errors")
        if answer.open:
            st.session_state[state.OPEN_RUN] = answer.open
    with st.container(key="card_schema"):
        show(findings.schema_tree(found.schema, data.now), key="schema")


def _connection(data: PageData, session: Session) -> None:
    account = data.account
    presses = list(followed("ping", now=data.now))
    said = {account.verdict.code} | {view.problem.code for _, view in presses if view and view.problem}
    show(connection.connection_tree(account, data.now, said_codes=said), key="connection")
    st.button(
        "Ping",
        key="ping",
        width="stretch",
        disabled=not state.may_act(session),
        on_click=actions.ping,
        args=(account.integration, account.account_key),
    )
    if not state.may_act(session):
        show([el("p", run_panel.only_admins(session), cls="muted small")], key="ping_why_not")
    for pressed, view in presses:
        show(notices.pressed_tree(pressed, view), key="pressed_ping")
    if state.may_act(session):
        pace.breaker(data)


def _drawer(data: PageData, session: Session) -> None:
    run_id = st.session_state.get(state.OPEN_RUN)
    if run_id:
        _run_dialog(str(run_id), data, sight_of(session.role))


def _close_run() -> None:
    """Have the focus given back to the row, also when a tick drew the drawer once more and it is closed twice."""
    last_run, times = st.session_state.get(state.FOCUS_RUN, ("", 0))
    st.session_state[state.FOCUS_RUN] = (st.session_state.pop(state.OPEN_RUN, None) or last_run, times + 1)


@st.dialog("Run", width="medium", position="right", on_dismiss=_close_run)
def _run_dialog(run_id: str, data: PageData, sight: Sight) -> None:
    try:
        detail = reads.run_detail(run_id, sight)
    except DatabaseAway as away:
        show(notices.away_tree(away, data.now, data.now), key="run_away")
        return
    tree = runs.detail_tree(detail, data.now) if detail else notices.empty_tree("There is no such run.")
    show(tree, key="run_detail")
    if detail and detail.run.dry_run and (deltas := reads.dry_run(run_id, sight)):
        show(findings.samples_tree(deltas), key="run_delta")


def _timer() -> None:
    if not st.session_state.get(state.LIVE, True):
        return
    # Imported here: a component registers itself only when a script run imports it first.
    from streamlit_autorefresh import st_autorefresh

    with st.container(key="timer"):
        st_autorefresh(interval=LIVE_MILLISECONDS, debounce=False, key=state.TICK)
