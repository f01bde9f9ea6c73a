"""What an admin may do about the pace: pause the schedule, force the breaker, lower the limits; and what came of it.

Each form is a popover that a press closes: what came of the press stands beneath it. What cannot do anything now, such
as lifting what nobody has set, is not offered, and nothing of it to viewers.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from common.access import Action
from dashboard import actions
from dashboard.components import notices
from dashboard.components.tree import show
from dashboard.reads import PageData
from dashboard.views.follow import followed

_MINUTES = 60
_REASON = "Reason (kept in the audit log)"
Account = tuple[str, str]


def schedule(data: PageData) -> None:
    """Pause what starts by itself, or let it go on."""
    paused = data.account.paused is not None
    if paused or data.account.schedule.enabled:
        with _form("Resume…" if paused else "Pause…", "schedule"):
            _reason("schedule")
            _button("Resume" if paused else "Pause", "schedule_set", _schedule, (*_key(data), not paused))
    _became(Action.SCHEDULE, data)


def breaker(data: PageData) -> None:
    """Hold every request back for a while, let every one through, or let the breaker decide again."""
    words = [("Force open", "open"), ("Force closed", "closed")]
    if data.account.breaker_forced is not None:
        words.append(("Lift", "none"))
    with _form("Circuit breaker…", "breaker"):
        _minutes("breaker")
        _reason("breaker")
        with st.container(key="breaker_buttons", horizontal=True):
            for word, wanted in words:
                _button(word, f"breaker_{wanted}", _breaker, (*_key(data), wanted))
    _became(Action.FORCE_BREAKER, data)


def limits(data: PageData) -> None:
    """Allow fewer requests for a while, or what is set again."""
    with _form("Lower limits…", "limits"):
        for name, label in _LOWERABLE.items():
            st.number_input(label, 1, value=None, key=f"limits_{name}")
        _minutes("limits")
        _reason("limits")
        with st.container(key="limits_buttons", horizontal=True):
            _button("Lower", "limits_lower", _limits, (*_key(data), False))
            if data.account.lowered is not None:
                _button("Lift", "limits_lift", _limits, (*_key(data), True))
    _became(Action.LOWER_LIMITS, data)


_LOWERABLE = {
    "perMinute": "Requests a minute (empty: as set)",
    "perHour": "Requests an hour (empty: as set)",
    "concurrency": "Requests at a time (empty: as set)",
}


def _key(data: PageData) -> Account:
    return data.account.integration, data.account.account_key


def _minutes(of: str) -> None:
    st.number_input("For how many minutes", 1, value=_MINUTES, key=f"{of}_minutes")


def _reason(of: str) -> None:
    st.text_input(_REASON, key=f"{of}_reason")


def _button(word: str, key: str, press: Any, args: tuple[Any, ...]) -> None:
    st.button(word, key=key, on_click=press, args=args)


def _form(label: str, of: str) -> Any:
    return st.popover(label, key=f"pace_{of}", width="stretch", on_change="rerun")


def _close(of: str) -> None:
    st.session_state[f"pace_{of}"] = False


def _became(action: Action, data: PageData) -> None:
    for pressed, view in followed(action.value, now=data.now):
        show(notices.pressed_tree(pressed, view), key=f"pressed_{action.value}")


def _said(of: str) -> str:
    return str(st.session_state.get(f"{of}_reason") or "")


def _schedule(integration: str, account_key: str, paused: bool) -> None:
    _close("schedule")
    actions.schedule(integration, account_key, paused=paused, reason=_said("schedule"))


def _breaker(integration: str, account_key: str, wanted: str) -> None:
    minutes = st.session_state.get("breaker_minutes")
    _close("breaker")
    actions.force_breaker(integration, account_key, wanted=wanted, minutes=minutes, reason=_said("breaker"))


def _limits(integration: str, account_key: str, lift: bool) -> None:
    to = {name: st.session_state.get(f"limits_{name}") for name in _LOWERABLE}
    minutes = st.session_state.get("limits_minutes")
    _close("limits")
    actions.lower_limits(
        integration, account_key, to={} if lift else to, lift=lift, minutes=minutes, reason=_said("limits")
    )
