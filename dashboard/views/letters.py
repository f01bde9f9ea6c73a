"""The panel of dead letters: choose one, a group or all of them, then requeue or discard; and what became of that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import streamlit as st

from common.access import sight_of
from common.errors import DatabaseAway
from common.insights.letters import LetterCount, LetterFilter
from common.letter_wishes import Matching
from common.rules.wording import plural
from common.store.people import Session
from dashboard import actions, reads, state
from dashboard.components import letters, notices
from dashboard.components.tree import el, show
from dashboard.reads import LettersData, PageData
from dashboard.views.run_panel import only_admins

REASON, MISSING = "discard_reason", "discard_reason_missing"
PRESSES = ("requeue", "discard", "cancel_bulk")


@dataclass(frozen=True)
class Choice:
    """What a press would act on: as the gate takes it, and as the person was shown it."""

    title: str
    which: Matching
    seen: LetterCount
    letter_id: int | None = None


def panel(data: PageData, session: Session) -> None:
    """The whole card."""
    account = (data.account.integration, data.account.account_key)
    try:
        _panel(data, session, account)
    except DatabaseAway:
        return  # the banner above has said so


def _panel(data: PageData, session: Session, account: tuple[str, str]) -> None:
    found = reads.dead_letters(*account, sight_of(session.role))
    acts = state.may_act(session)
    _note(show(letters.head_tree(found.count, may_choose=acts), key="letters_head"))
    if found.count.number:
        tree = letters.letters_tree(found.groups, found.newest, data.now, may_choose=acts)
        _note(show(tree, key="letters"))
        choice = _choice(str(st.session_state.get(state.CHOSEN_LETTERS) or ""), found, account)
        if choice is not None:
            _chosen(choice, data, session)
    _what_became(found)
    for action in found.actions:
        with st.container(key=f"bulkrow_{action.id}", horizontal=True, vertical_alignment="center"):
            show(letters.action_tree(action, data.now), key=f"bulk_words_{action.id}")
            if action.is_unfinished and acts:
                st.button(
                    "Cancel",
                    key=f"bulk_cancel_{action.id}",
                    disabled=action.cancel_asked_by is not None,
                    on_click=actions.cancel,
                    args=(*account, action.id),
                )


def _note(answer: Any) -> None:
    if answer.open:
        st.session_state[state.CHOSEN_LETTERS] = answer.open


def _choice(chosen: str, found: LettersData, account: tuple[str, str]) -> Choice | None:
    """The choice as the rows are now; None when nothing is chosen, or what was chosen is there no more."""
    kind, _, rest = chosen.partition("|")
    if kind == letters.ALL:
        return Choice(f"All {plural(found.count.number, 'open letter')}", Matching(), found.count)
    for group in found.groups:
        if kind == "group" and rest == f"{group.entity}|{group.fingerprint}":
            which = Matching(entity=group.entity, fingerprint=group.fingerprint, code=group.code)
            seen = reads.letter_count(*account, LetterFilter(which.entity, which.code, which.fingerprint))
            return Choice(f"{plural(seen.number, 'letter')} of {group.entity}: {group.reason}", which, seen)
    for letter in found.newest:
        if kind == "letter" and rest == str(letter.id):
            title = f"One letter of {letter.entity}: {letter.record_id or 'without id'}"
            return Choice(title, Matching(ids=(letter.id,)), LetterCount(1, letter.id), letter.id)
    return None


def _chosen(choice: Choice, data: PageData, session: Session) -> None:
    acts = state.may_act(session)
    with st.container(key="letters_chosen"):
        sight = sight_of(session.role)
        detail = reads.letter(choice.letter_id, sight) if choice.letter_id is not None else None
        show(letters.chosen_tree(choice.title, detail, data.now), key="letters_choice")
        if acts:
            _buttons(choice, data)
        else:
            show([el("p", only_admins(session), cls="muted small")], key="letters_why_not")


def _buttons(choice: Choice, data: PageData) -> None:
    account = (data.account.integration, data.account.account_key)
    number = choice.seen.number
    with st.container(key="letters_act", horizontal=True, vertical_alignment="bottom"):
        st.button(
            f"Requeue {number}",
            key="letters_requeue",
            type="primary",
            on_click=_requeue,
            args=(*account, choice),
        )
        reason = st.text_input("Reason to discard (kept with each letter)", key=REASON)
        st.button(f"Discard {number}", key="letters_discard", on_click=_discard, args=(*account, choice))
        st.button("Close", key="letters_close", on_click=_close)
    if st.session_state.get(MISSING) and not reason:
        show([el("p", "Say why first: the reason is kept with each letter.", role="alert")], key="letters_say")


def _requeue(integration: str, account_key: str, choice: Choice) -> None:
    _close()
    actions.requeue(integration, account_key, choice.which, choice.seen)


def _discard(integration: str, account_key: str, choice: Choice) -> None:
    reason = str(st.session_state.get(REASON) or "").strip()
    st.session_state[MISSING] = not reason
    if not reason:
        return
    _close()
    st.session_state[REASON] = ""
    actions.discard(integration, account_key, choice.which, choice.seen, reason)


def _close() -> None:
    st.session_state.pop(state.CHOSEN_LETTERS, None)
    st.session_state.pop(MISSING, None)


def _what_became(found: LettersData) -> None:
    """Refusals and what waits for a daemon; an accepted one is listed below with its progress."""
    listed = {action.id for action in found.actions}
    for pressed in state.pressed(*PRESSES):
        view = reads.command(pressed.command_id) if pressed.command_id else None
        settled = view is not None and view.is_ended and view.problem is None
        if settled and (pressed.command_id in listed or pressed.action == "cancel_bulk"):
            state.forget_pressed(pressed.action)
            continue
        show(notices.pressed_tree(pressed, view), key=f"pressed_{pressed.action}")
