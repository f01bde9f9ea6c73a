"""What only an admin may decide, with what is known of it: a changed vendor account, a mass removal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from common.codes import CODES
from common.insights.overview import Question
from common.store.people import Session
from dashboard import actions, state
from dashboard.components import notices
from dashboard.components.tree import Node, el, show
from dashboard.format import ago, count
from dashboard.reads import PageData
from dashboard.views.follow import followed
from dashboard.views.run_panel import only_admins

_TITLES = {"account_changed": "Has the vendor account really changed?", "mass_removal": "Are these rows really gone?"}
_CODES = {"account_changed": "ACCOUNT_CHANGED", "mass_removal": "MASS_REMOVAL"}
_MOST_NAMED = 20


def questions(data: PageData, session: Session) -> None:
    """A card for each open question, and what became of an answer."""
    for question in data.account.questions:
        with st.container(key=f"card_question_{question.id}"):
            _one(data, question, session)
    for pressed, view in followed("confirm", now=data.now):
        with st.container(key="card_answer"):
            show(notices.pressed_tree(pressed, view), key="pressed_confirm")


def _one(data: PageData, question: Question, session: Session) -> None:
    show(_tree(data, question), key=f"question_{question.id}")
    acts = state.may_act(session)
    account = data.account
    with st.container(key=f"answer_{question.id}", horizontal=True, vertical_alignment="bottom"):
        reason = st.text_input("Reason (kept in the audit log)", key=f"reason_{question.id}", disabled=not acts)
        for word, verdict in (("Confirm", "confirmed"), ("Reject", "rejected")):
            st.button(
                word,
                key=f"{verdict}_{question.id}",
                disabled=not acts,
                on_click=_answer,
                args=(account.integration, account.account_key, question.id, verdict),
            )
    if not acts:
        show([el("p", only_admins(session), cls="muted small")], key=f"why_not_{question.id}")
    elif st.session_state.get(f"missing_{question.id}") and not reason:
        show([el("p", "Say why first: the reason is kept with the answer.", role="alert")], key=f"say_{question.id}")


def _answer(integration: str, account_key: str, question_id: str, verdict: str) -> None:
    reason = str(st.session_state.get(f"reason_{question_id}") or "")
    st.session_state[f"missing_{question_id}"] = not reason.strip()
    if reason.strip():
        actions.answer(integration, account_key, question_id, verdict, reason)


def _tree(data: PageData, question: Question) -> list[Node | None]:
    details = question.details
    named = _CODES.get(question.kind)
    facts = {**{name: _words(value) for name, value in details.items()}, "entity": question.entity or "?"}
    cause = str(details.get("cause") or (CODES[named].cause_with(facts) if named else question.kind))
    return [
        el("div", el("h2", _TITLES.get(question.kind, "A question")), cls="top"),
        el("p", cause, el("span", f" Asked {ago(question.created_at, data.now)}.", cls="muted")),
        _details(details),
    ]


def _details(details: Mapping[str, Any]) -> Node | None:
    pairs: list[Node] = []
    for name, value in details.items():
        if name in ("cause", "remedy", "code", "facts"):
            continue
        pairs += [el("dt", str(name).replace("_", " ")), el("dd", _words(value))]
    return el("details", el("summary", "What is known"), el("dl", *pairs)) if pairs else None


def _words(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "not known"}[value]
    if isinstance(value, int):
        return count(value)
    if isinstance(value, list):
        more = f" and {count(len(value) - _MOST_NAMED)} more" if len(value) > _MOST_NAMED else ""
        return ", ".join(_words(one) for one in value[:_MOST_NAMED]) + more
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_words(inner)}" for key, inner in value.items())
    return str(value)
