"""Faces of the page when there is nothing to show: session over, no role, database away from the start."""

from __future__ import annotations

from shlex import quote as in_shell
from urllib.parse import quote

from common.errors import DatabaseAway
from common.store.people import Session
from dashboard import services, state
from dashboard.by_terminal import ACCOUNTS
from dashboard.components.tree import el, show


def session_ended() -> None:
    """The session ended while the page was open; the way back leads to this very place again."""
    back = quote(state.place(), safe="/")
    show(
        [
            el(
                "section",
                el("h2", "Your session has ended"),
                el("p", "Nothing you started has stopped. Sign in to go on where you were."),
                el("p", el("a", "Sign in", href=f"/sign-in?ended=1&next={back}", cls="action")),
                cls="face",
                role="alert",
            )
        ],
        key="face",
    )


def no_role(session: Session) -> None:
    """Signed in, but nobody has said what this person may see: whom to ask, and what that one types."""
    command = f"{ACCOUNTS} role {in_shell(session.name)} viewer"
    show(
        [
            el(
                "section",
                el("h2", f"{session.name}, you have no role here yet"),
                el("p", f"Ask {services.current().contact} to give you one, then sign in again."),
                el("p", "They type, or give you an app role at your sign-in provider:", cls="muted"),
                el("p", el("code", command)),
                el("form", el("button", "Sign out", type="submit"), method="post", action="/auth/sign-out"),
                cls="face",
            )
        ],
        key="face",
    )


def database_away(away: DatabaseAway) -> None:
    """The database cannot be reached, and there is no earlier picture to show."""
    show(
        [
            el(
                "section",
                el("h2", "The database is away"),
                el("p", away.remedy),
                el("p", "Your session is kept, and this page comes back by itself.", cls="muted"),
                cls="face",
                role="alert",
            )
        ],
        key="face",
    )
