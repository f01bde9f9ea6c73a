"""The pages of ours that need no Streamlit: sign-in, and "the database is away". Everything put in is escaped."""

from __future__ import annotations

from functools import cache
from html import escape
from pathlib import Path
from string import Template

from common.errors import DatabaseAway

ASSETS = Path(__file__).resolve().parents[1] / "assets"
DRILL_BANNER = "Drill data: this is not your DoorLoop account"
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""These pages run no script at all."""
WRONG = "That name and password do not go together."
ENDED = "Your session has ended. Sign in to go on where you were."
CROWDED = "Too many attempts are waiting. Try again in a moment."


def sign_in_page(
    *, next_path: str, name: str = "", error: str | None = None, note: str | None = None, is_drill: bool = False
) -> str:
    """The sign-in page; ``error`` or ``note`` is shown above the fields."""
    return _template("sign_in.html").substitute(
        next=escape(next_path),
        name=escape(name),
        error=_paragraph("error", error, role="alert") or _paragraph("note", note, role="status"),
        drill=_paragraph("drill", DRILL_BANNER if is_drill else None, role="note"),
        focus_name="" if name else "autofocus",
        focus_password="autofocus" if name else "",
    )


def away_page(error: DatabaseAway) -> str:
    """What stands in for every page while the database cannot be reached; it reloads itself."""
    # The driver's own words may name hosts; they are for the log, not for whoever has no session yet.
    return _template("away.html").substitute(remedy=escape(error.remedy))


def page_css() -> str:
    """The stylesheet of both, on the same tokens as the rest."""
    return (ASSETS / "tokens.css").read_text() + (ASSETS / "sign_in.css").read_text()


def _paragraph(kind: str, text: str | None, *, role: str) -> str:
    return f'<p class="{kind}" role="{role}">{escape(text)}</p>' if text else ""


@cache
def _template(name: str) -> Template:
    return Template((ASSETS / name).read_text())
