"""The pages of ours that need no Streamlit: sign-in, and "the database is away". Everything put in is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import quote

from common.errors import DatabaseAway
from dashboard.by_terminal import ACCOUNTS

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
    *,
    next_path: str,
    name: str = "",
    error: str | None = None,
    remedy: str | None = None,
    note: str | None = None,
    is_drill: bool = False,
    doors: Mapping[str, str] | None = None,
    contact: str | None = None,
) -> str:
    """The sign-in page; ``error`` with its ``remedy``, or ``note``, stands above everything.

    ``doors`` are providers by key and name.
    """
    return _template("sign_in.html").substitute(
        next=escape(next_path),
        name=escape(name),
        error=_paragraph("error", error, remedy, role="alert") or _paragraph("note", note, role="status"),
        doors=_doors(doors or {}, next_path),
        drill=_paragraph("drill", DRILL_BANNER if is_drill else None, role="note"),
        contact=_paragraph("contact", f"Ask {contact}." if contact else None, role="note"),
        accounts=escape(ACCOUNTS),
        focus_name="" if name or doors else "autofocus",
        focus_password="autofocus" if name else "",
    )


def _doors(doors: Mapping[str, str], next_path: str) -> str:
    """A button for each provider, and a line between them and the form. Links, since our policy keeps forms at home."""
    if not doors:
        return ""
    query = escape(f"?next={quote(next_path, safe='/')}")
    buttons = "".join(
        f'<a class="door" href="/auth/oidc/{key}{query}">Continue with {escape(shown)}</a>'
        for key, shown in doors.items()
    )
    return f'<nav class="doors" aria-label="Sign in with">{buttons}</nav><p class="or">or with a name and password</p>'


def away_page(error: DatabaseAway) -> str:
    """What stands in for every page while the database cannot be reached; it reloads itself."""
    # The driver's own words may name hosts; they are for the log, not for whoever has no session yet.
    return _template("away.html").substitute(remedy=escape(error.remedy))


def page_css() -> str:
    """The stylesheet of both, on the same tokens as the rest."""
    return (ASSETS / "tokens.css").read_text() + (ASSETS / "sign_in.css").read_text()


def _paragraph(kind: str, text: str | None, more: str | None = None, *, role: str) -> str:
    if not text:
        return ""
    rest = f"<span>{escape(more)}</span>" if more else ""
    return f'<p class="{kind}" role="{role}">{escape(text)} {rest}</p>'


@cache
def _template(name: str) -> Template:
    return Template((ASSETS / name).read_text())
