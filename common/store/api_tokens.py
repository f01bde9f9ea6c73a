"""Tokens of programs in the database. Every function takes an open transaction; the caller commits.

A token is shown once, when it is made; the row holds its SHA-256, so whoever reads the table cannot use it. (No slow
hash is needed: 32 random bytes cannot be guessed, a password can.)
"""

from __future__ import annotations

import hashlib
import secrets
import uuid
from dataclasses import dataclass

from common.access import Role
from common.store.database import Link, Row
from common.store.statements import statements

SQL = statements("api_tokens")
PREFIX = "icc_"
"""So that a scanner for stray secrets, and our own mask, can tell a token by its look."""


@dataclass(frozen=True)
class Token:
    """A token that opens the API now."""

    id: str
    name: str
    role: Role


def living(link: Link, name: str) -> Token | None:
    """The token of this name that is neither revoked nor expired; holds off others who would make one."""
    link.execute(SQL["lock_tokens"])
    row = link.execute(SQL["living"], {"name": name}).fetchone()
    return _token(row) if row else None


def add(link: Link, name: str, role: Role, *, days: int, created_by: str) -> str:
    """Make a token that holds for ``days``; returns it, and nobody can ever again."""
    token = PREFIX + secrets.token_urlsafe(32)
    params = {
        "id": str(uuid.uuid4()),
        "name": name,
        "token_hash": _hash(token),
        "role": role.value,
        "created_by": created_by,
        "days": days,
    }
    link.execute(SQL["add"], params)
    return token


def lookup(link: Link, token: str) -> Token | None:
    """The token's own row when it opens the API now; its use is noted, to the minute."""
    row = link.execute(SQL["by_hash"], {"token_hash": _hash(token)}).fetchone()
    if row is None:
        return None
    if row["is_to_be_noted"]:
        link.execute(SQL["note_use"], {"id": row["id"]})
    return _token(row)


def revoke(link: Link, token_id: str) -> None:
    """Shut the token out, from the next request on."""
    link.execute(SQL["revoke"], {"id": token_id})


def everything(link: Link) -> list[Row]:
    """Every token, revoked and expired ones included."""
    return link.execute(SQL["everything"]).fetchall()


def _token(row: Row) -> Token:
    return Token(str(row["id"]), row["name"], Role(row["role"]))


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
