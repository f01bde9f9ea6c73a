"""The gate in front of everything: without a session nothing passes but the sign-in page and the health checks.

Pure ASGI, so that it stands before the websocket, ``/media``, ``/component``, ``/_stcore/*`` and static files as well.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from anyio import to_thread
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from common.errors import DatabaseAway
from common.store.people import Session
from dashboard import identity, services
from dashboard.api import problems
from dashboard.tally import NO_SESSION, NOT_OURS
from dashboard.web import callers, requests
from dashboard.web.pages import away_page

OPEN_PATHS = frozenset(
    {"/sign-in", "/sign-in/page.css", "/sign-in/icon.svg", "/auth/local", "/auth/sign-out", "/healthz", "/readyz"}
)
OPEN_PROVIDER_PATH = re.compile(r"/auth/oidc/[a-z0-9]{1,30}(/callback)?")
"""Where a browser leaves for a sign-in provider and where it comes back to."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_NOT_OURS = "This request did not come from our own page."


class SessionGate:
    """ASGI middleware: looks the session up at every request and websocket, and lets it pass or answers itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let it pass, or answer."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = await self._refusal(scope)
        if refusal is None:
            inner = requests.under_its_origin(scope) if scope["type"] == "websocket" else scope
            await self._app(inner, receive, send)
        elif scope["type"] == "websocket":
            # Closing before accepting is how ASGI says 403.
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            await refusal(scope, receive, send)

    async def _refusal(self, scope: Scope) -> Response | None:
        own = services.current()
        bearer = callers.bearer(scope)
        address = requests.address_of(scope, own)
        if _is_foreign(scope, own):
            own.tally.count(NOT_OURS, address)
            return PlainTextResponse(f"{_NOT_OURS} Open {own.address}, or set ICC_PUBLIC_URL to what you open.", 403)
        if scope["path"] in OPEN_PATHS or OPEN_PROVIDER_PATH.fullmatch(scope["path"]):
            return None
        if not own.is_ready:
            return _away(scope, DatabaseAway("its schema is not up to date yet"))
        if bearer is not None:
            return await _by_token(scope, own, bearer, address)
        token = requests.cookie(scope, identity.cookie_name(own))
        try:
            session = await to_thread.run_sync(_seen, own, token, _is_page(scope))
        except DatabaseAway as error:
            return _away(scope, error)
        if session is None:
            own.tally.count(NO_SESSION, address)
            return _to_sign_in(scope)
        scope["icc_session"] = session
        scope["icc_caller"] = callers.by_session(session, address)
        return None


def _is_foreign(scope: Scope, own: services.Services) -> bool:
    """Whether another site's page asks for something that may change something. The API looks itself, with a name for
    its audit row; with a bearer token no page elsewhere can ask, since nothing sends that by itself."""
    if scope["type"] == "websocket":
        return requests.is_foreign_socket(scope, own)
    return scope["method"] not in SAFE_METHODS and not callers.is_api(scope) and not requests.is_same_origin(scope, own)


async def _by_token(scope: Scope, own: services.Services, token: str, address: str) -> Response | None:
    """A request to the API with a token never falls back to a cookie: whoever sends one means it."""
    try:
        caller = await to_thread.run_sync(callers.by_token, own, token, address)
    except DatabaseAway as error:
        return _away(scope, error)
    if caller is None:
        own.tally.count(NO_SESSION, address)
        return problems.refusal("SIGN_IN_FIRST", problem="the token is unknown, revoked or expired")
    scope["icc_caller"] = caller
    return None


def _seen(own: services.Services, token: str | None, is_page: bool) -> Session | None:
    session = identity.lookup(own, token)
    if session is not None and is_page:
        identity.note_activity(own, session)
    return session


def _is_page(scope: Scope) -> bool:
    return scope["type"] == "http" and requests.wants_page(scope)


def _to_sign_in(scope: Scope) -> Response:
    if not _is_page(scope):
        if callers.is_api(scope):
            return problems.refusal("SIGN_IN_FIRST", problem="there is neither a token nor a session that holds")
        return PlainTextResponse("Sign in first.", 401, headers={"Cache-Control": "no-store"})
    query = scope["query_string"].decode("latin-1")
    wanted = requests.safe_next(scope["path"] + (f"?{query}" if query else ""))
    return RedirectResponse(f"/sign-in?next={quote(wanted, safe='/')}", 303, headers={"Cache-Control": "no-store"})


def _away(scope: Scope, error: DatabaseAway) -> Response:
    if callers.is_api(scope):
        return problems.response(problems.document(error))
    headers = {"Cache-Control": "no-store", "Retry-After": "5"}
    if not _is_page(scope):
        return PlainTextResponse(f"{error.cause} {error.remedy}", 503, headers=headers)
    return HTMLResponse(away_page(error), 503, headers={**headers, "Refresh": "5"})
