"""Sentences that tell a person something: the verdict, problems, what became of a press."""

from __future__ import annotations

from datetime import datetime

from common.errors import DatabaseAway
from common.insights.control import CommandView
from common.insights.problems import Problem
from common.rules.verdict import Verdict
from common.states import CommandState
from dashboard.components.marks import TONES, chip
from dashboard.components.tree import Node, el, prose
from dashboard.format import clock
from dashboard.state import Pressed

_WORDS = {
    "run": "Run",
    "ping": "Ping",
    "stop": "Stop",
    "confirm": "Answer",
    "requeue": "Requeue",
    "discard": "Discard",
    "cancel_bulk": "Cancel",
    "force_breaker": "Circuit breaker",
    "lower_limits": "Limits",
    "schedule": "Schedule",
}


def drill_tree() -> list[Node | None]:
    """The banner of drill mode."""
    return [el("p", "Drill data: this is not your DoorLoop account", cls="banner", role="note")]


def away_tree(away: DatabaseAway, as_of: datetime, now: datetime) -> list[Node | None]:
    """The banner while the database is away."""
    text = f"The database is away. What you see is as of {clock(as_of, now)}; it comes back by itself. {away.remedy}"
    return [el("p", text, cls="banner bad", role="alert")]


def verdict_tree(verdict: Verdict) -> list[Node | None]:
    """One sentence, then the evidence and the cure."""
    return [
        el(
            "section",
            el("h2", chip(verdict.chip), el("span", verdict.title)),
            *(el("p", detail, cls="muted") for detail in verdict.details),
            el("p", el("strong", "To do: "), *prose(verdict.remedy)) if verdict.remedy else None,
            cls="verdict",
            aria_label="Verdict",
        )
    ]


def problem_node(one: Problem, *, heading: str | None = None) -> Node:
    """A problem with its cure."""
    shape, tone = TONES.get(one.severity, ("✕", "bad"))
    if one.severity == "info":
        shape = "•"
    return el(
        "div",
        el(
            "p",
            el("span", f"{shape} ", aria_hidden="true"),
            el("strong", f"{heading or one.severity.capitalize()}: "),
            one.cause,
            el("span", f" {one.code}", cls="muted small") if one.code else None,
        ),
        el("p", el("strong", "To do: "), *prose(one.remedy)) if one.remedy else None,
        cls=f"problem {'' if tone == 'bad' else tone}",
    )


def pressed_tree(pressed: Pressed, view: CommandView | None) -> list[Node | None]:
    """What became of a press."""
    word = _WORDS.get(pressed.action, pressed.action.capitalize())
    if pressed.command_id is None:
        refusal = Problem(None, pressed.cause or "The gate gave no reason.", pressed.remedy, "warning")
        return [_live(problem_node(refusal, heading=f"{word} refused"))]
    if view is None:
        return []
    if view.problem is not None:
        severity = "error" if view.state is CommandState.FAILED or view.action == "ping" else "warning"
        shown = Problem(view.problem.code, view.problem.cause, view.problem.remedy, severity)
        return [_live(problem_node(shown, heading=f"{word} {_ENDINGS.get(view.state, 'failed')}"))]
    tone = "ok" if view.state is CommandState.DONE else "idle"
    shape = "✓" if view.state is CommandState.DONE else "●"
    text = el("p", el("span", f"{shape} ", aria_hidden="true"), el("strong", f"{word}: "), view.sentence)
    return [_live(el("div", text, cls=f"problem {tone}"))]


_ENDINGS = {CommandState.REFUSED: "refused", CommandState.EXPIRED: "not taken", CommandState.FAILED: "failed"}


def _live(node: Node) -> Node:
    return el("div", node, role="status", aria_live="polite")


def empty_tree(text: str) -> list[Node | None]:
    """A place where nothing is yet, and what would bring something."""
    return [el("p", text, cls="empty")]
