"""Passwords of local accounts: argon2id hashes, and readable random ones for the first admin."""

from __future__ import annotations

import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST = 10
_HASHER = PasswordHasher()
# No letter that looks like another; five groups of four carry 100 bits.
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
_NOBODY = _HASHER.hash(secrets.token_hex(16))


def hashed(password: str) -> str:
    """The hash to store."""
    return _HASHER.hash(password)


def matches(stored: str | None, password: str) -> bool:
    """Whether the password is the one behind ``stored``. Without one it takes as long, so that timing tells nothing."""
    try:
        _HASHER.verify(stored or _NOBODY, password)
    except (VerificationError, InvalidHashError):
        return False
    return stored is not None


def readable() -> str:
    """A random password that can be read aloud and typed: five groups of four."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(5))


def problem_with(password: str) -> str | None:
    """Why a chosen password is not accepted, or None."""
    if len(password) < SHORTEST:
        return f"it must have at least {SHORTEST} characters"
    if len(password) > 1000:
        return "it must have at most 1000 characters"
    return None
