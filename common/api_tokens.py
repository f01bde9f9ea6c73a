"""Tokens of programs from a terminal: ``python -m common.accounts token|tokens|revoke``.

A token is printed once, as the last line of stdout, so that a script can take it from there.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from common.access import Role
from common.store import api_tokens, commands
from common.store.database import Database, Link

VERBS = ("token", "tokens", "revoke")
LONGEST_NAME = 80
MOST_DAYS = 3660


class TokenMistake(Exception):
    """What was asked for cannot be done; the message says why."""


def add_verbs(verbs: Any) -> None:
    """The sub-commands, on the parser of ``python -m common.accounts``."""
    token = verbs.add_parser("token", help="make a token for a program; printed once, as the last line")
    token.add_argument("--name", required=True, help="what it is for; the audit log shows it")
    token.add_argument("--role", required=True, choices=[role.value for role in Role])
    token.add_argument("--days", type=int, default=90, help="how long it holds (default 90)")
    verbs.add_parser("tokens", help="which tokens there are")
    verbs.add_parser("revoke", help="shut a token out, at once").add_argument("name")


def do(database: Database, wanted: argparse.Namespace, operator: str) -> str:
    """Do what the command line says; returns what to print. Raises ``TokenMistake``. ``operator``: who asks."""
    with database.transaction() as link:
        if wanted.verb == "tokens":
            return _table(api_tokens.everything(link))
        summary = {"token": wanted.name}
        if wanted.verb == "token":
            action, told = "token add", _make(link, wanted, operator)
            summary |= {"role": wanted.role, "days": wanted.days}
        else:
            action, told = "token revoke", _revoke(link, wanted.name)
        commands.log_action(link, actor=operator, action=action, result="done", source="cli", summary=summary)
    return told


def _make(link: Link, wanted: argparse.Namespace, operator: str) -> str:
    name: str = wanted.name
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise TokenMistake(f"A token needs a name of at most {LONGEST_NAME} printable characters.")
    if not 1 <= wanted.days <= MOST_DAYS:
        raise TokenMistake(f"A token holds for 1 to {MOST_DAYS} days.")
    if api_tokens.living(link, name) is not None:
        cure = f"Shut it out first: python -m common.accounts revoke {name}"
        raise TokenMistake(f"There is a token {name} already. {cure}")
    token = api_tokens.add(link, name, Role(wanted.role), days=wanted.days, created_by=operator)
    return f"Token {name} ({wanted.role}, {wanted.days} days). It is shown this once:\n{token}"


def _revoke(link: Link, name: str) -> str:
    token = api_tokens.living(link, name)
    if token is None:
        raise TokenMistake(f"There is no token {name} in use. See: python -m common.accounts tokens")
    api_tokens.revoke(link, token.id)
    return f"The token {name} opens nothing any more."


def _table(rows: Sequence[dict[str, Any]]) -> str:
    if not rows:
        return "No tokens yet. Make one: python -m common.accounts token --name NAME --role viewer"
    lines = []
    for row in rows:
        state = "revoked" if row["revoked_at"] else "expired" if row["has_expired"] else "in use"
        until = f"until {row['expires_at']:%Y-%m-%d}" if row["expires_at"] else "without end"
        used = f"last used {row['last_used_at']:%Y-%m-%d %H:%M} UTC" if row["last_used_at"] else "never used"
        lines.append(f"{row['name']:<24} {row['role']:<7} {state:<8} {until:<17} {used}")
    return "\n".join(lines)
