"""What a provider's word is worth: whose person it is, what they are called here, and which role it gives. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.access import Role
from common.providers import Provider

LONGEST_NAME = 120
_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
"""Control, invisible and direction characters: two names that look the same must be the same."""


@dataclass(frozen=True)
class Newcomer:
    """Somebody a provider vouches for. ``role`` is what its word gives, None: nothing."""

    issuer: str
    subject: str
    name: str
    role: Role | None

    @property
    def name_apart(self) -> str:
        """For when the name belongs to somebody else: the same with a mark that follows from issuer and subject."""
        mark = hashlib.sha256(f"{self.issuer}\n{self.subject}".encode()).hexdigest()[:8]
        return f"{self.name} #{mark}"


def newcomer(provider: Provider, claims: Mapping[str, Any]) -> Newcomer:
    """Who a checked ID token speaks of."""
    return Newcomer(provider.issuer, str(claims["sub"]), name_of(provider, claims), role_of(provider, claims))


def role_of(provider: Provider, claims: Mapping[str, Any]) -> Role | None:
    """The role from app roles or from a listed mail that the provider has verified; the higher one counts."""
    given = claims.get(provider.claim_of_roles) if provider.claim_of_roles else None
    words = given if isinstance(given, list) else [given]
    roles = {role for role in Role for word in words if isinstance(word, str) and word.casefold() == role.value}
    mail = claims.get("email")
    # Exactly true: some providers send the text "false", which a lenient reading would take for a yes.
    if isinstance(mail, str) and claims.get("email_verified") is True:
        listed = provider.mails.get(mail.strip().casefold())
        roles |= {listed} if listed else set()
    return next((role for role in (Role.ADMIN, Role.VIEWER) if role in roles), None)


def name_of(provider: Provider, claims: Mapping[str, Any]) -> str:
    """What they are called here: said by the provider, with its name behind, so that no local account looks like it."""
    verified = claims.get("email") if claims.get("email_verified") is True else None
    said = next(
        (text for text in (verified, claims.get("preferred_username"), claims.get("name")) if isinstance(text, str)), ""
    )
    words = " ".join(_UNFIT.sub(" ", said).split())[:LONGEST_NAME]
    return f"{words or 'somebody'} · {provider.shown}"
