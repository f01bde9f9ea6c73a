"""Who calls the API: a program by its token, or a person by their session.

The caller is an ``Actor``, as the gate of actions wants it: name, role, address, and a source that says by which door
they came (``api``: a token; ``page``: a session's cookie). So a token and a person of one name stay two callers.
"""

from __future__ import annotations

from starlette.types import Scope

from common.operator_actions import Actor
from common.store import api_tokens
from common.store.people import Session
from dashboard import identity
from dashboard.services import Services
from dashboard.web import requests

LONGEST_TOKEN = 200


def is_api(scope: Scope) -> bool:
    """Whether this is a request to the API."""
    return scope["type"] == "http" and str(scope["path"]).startswith("/api/")


def bearer(scope: Scope) -> str | None:
    """The token that a request to the API brings, or None. It counts nowhere else."""
    scheme, _, token = (requests.header(scope, "authorization") or "").partition(" ")
    return token.strip() if is_api(scope) and scheme.lower() == "bearer" else None


def by_token(services: Services, token: str, address: str) -> Actor | None:
    """The program behind a token, or None when it opens nothing. Raises ``DatabaseAway``."""
    if not token or len(token) > LONGEST_TOKEN:
        return None
    with services.reading() as database, database.transaction() as link:
        found = api_tokens.lookup(link, token)
    return Actor(found.name, found.role, "api", address) if found else None


def by_session(session: Session, address: str) -> Actor:
    """The person behind a session."""
    return Actor(session.name, session.role, "page", address)


def name_of(caller: Actor) -> str:
    """Whose requests these are: a person and a token may have the same name."""
    return f"{caller.source}:{caller.name}"


def still_holds(services: Services, scope: Scope, caller: Actor) -> bool:
    """Whether who came by this request would be let in again, by the same door and in the same role.

    Raises ``DatabaseAway``.
    """
    token = bearer(scope)
    if token is not None:
        program = by_token(services, token, caller.address or "")
        return program is not None and program.role is caller.role
    session = identity.lookup(services, requests.cookie(scope, identity.cookie_name(services)))
    return session is not None and session.role is caller.role
