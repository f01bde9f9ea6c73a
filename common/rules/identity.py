"""Whether a key still belongs to the vendor account whose rows are here."""

from __future__ import annotations

from collections.abc import Mapping

from common.rules.holdable import spelled_out

IDENTITY_FIELDS = ("companyId", "company", "accountId", "account", "id", "email", "companyName", "name", "fullName")
"""Fields that tell accounts apart, most telling first; /users/me is not documented, so whichever are there."""


def same_account(before: Mapping[str, str], now: Mapping[str, str]) -> bool:
    """True when the most telling field that both have is equal; a renamed user is the same account.

    Without a common field nothing can be said, and nothing is claimed: true.
    """
    for field in IDENTITY_FIELDS:
        if field in before and field in now:
            return bool(spelled_out(before[field]) == spelled_out(now[field]))  # the stored one was written so
    return True


def in_words(identity: Mapping[str, str]) -> str:
    """An account as a person may recognise it, and by what it is told apart: two may have one name."""
    shown = ("companyName", "name", "fullName", "email", *IDENTITY_FIELDS)
    word = next((identity[field] for field in shown if field in identity), "unknown")
    telling = next((identity[field] for field in IDENTITY_FIELDS if field in identity), word)
    return word if telling == word else f"{word} ({telling})"
