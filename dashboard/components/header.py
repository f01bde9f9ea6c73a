"""The bar at the top: what this is, how it is, whether a daemon lives, whose page it is."""

from __future__ import annotations

from common.insights.overview import AccountOverview, Overview
from common.rules.wording import span
from common.states import Chip
from common.store.people import Session
from dashboard.components.marks import chip
from dashboard.components.tree import Node, el
from dashboard.format import second


def title_tree(overview: Overview) -> list[Node | None]:
    """Name, one chip per account, the daemon's pulse and the clock."""
    return [
        el(
            "header",
            el("h1", "Integrations", cls="wide"),
            *(chip(account.verdict.chip, _name(account)) for account in overview.accounts),
            el("span", cls="sp"),
            _pulse(overview),
            el("span", f"{second(overview.now)} UTC", cls="muted small num wide"),
            cls="header",
        )
    ]


def _name(account: AccountOverview) -> str:
    """Its label; anything but well is said in words, too."""
    state = account.verdict.chip
    return account.label if state is Chip.OK else f"{account.label} {state.value}"


def _pulse(overview: Overview) -> Node:
    living = [view for view in overview.daemons if view.alive and view.kind == "service"]
    if living:
        age = span(min(view.age_seconds for view in living))
        return el(
            "span",
            el("span", "● ", cls="dot", aria_hidden="true"),
            el("span", "daemon ", cls="wide"),
            age,
            cls="small num",
            title="Time since the daemon's last sign of life",
        )
    return el(
        "span",
        el("span", "○ ", cls="dot off", aria_hidden="true"),
        el("span", "daemon not running", cls="wide"),
        el("span", "no daemon", cls="narrow"),
        cls="small",
    )


def account_tree(session: Session) -> list[Node | None]:
    """Who is signed in, and the way out."""
    role = session.role.value if session.role else "no role"
    return [
        el(
            "details",
            el(
                "summary",
                el("span", f"{session.name} · {role}", cls="wide"),
                el("span", " ≡", aria_hidden="true"),
                aria_label=f"{session.name} · {role}, account menu",
            ),
            el(
                "div",
                el("p", f"Signed in as {session.name} ({role})"),
                el("form", el("button", "Sign out", type="submit"), method="post", action="/auth/sign-out"),
            ),
            cls="menu",
        )
    ]
