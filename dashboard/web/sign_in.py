"""Routes of sign-in and sign-out, and the one that an open page asks whether its session still holds."""

from __future__ import annotations

import math

import anyio
from anyio import to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from common.errors import DatabaseAway
from common.insights.overview import is_drill
from dashboard import identity, services
from dashboard.identity import Credentials
from dashboard.services import Services
from dashboard.tally import CROWDED
from dashboard.turns import TooManyAtOnce
from dashboard.web import pages, requests

LARGEST_FORM_BYTES = 10_000
FORM_TYPE = "application/x-www-form-urlencoded"
_NO_STORE = {"Cache-Control": "no-store", "Content-Security-Policy": pages.POLICY}
_hashing = anyio.CapacityLimiter(2)  # an argon2 hash takes a core and 64 MB for a moment


async def page(request: Request) -> Response:
    """The sign-in page."""
    next_path = requests.safe_next(request.query_params.get("next"))
    note = pages.ENDED if request.query_params.get("ended") else None
    return await show(next_path=next_path, note=note)


async def show(
    *,
    next_path: str,
    name: str = "",
    error: str | None = None,
    remedy: str | None = None,
    note: str | None = None,
    status: int = 200,
) -> Response:
    """The sign-in page with its doors; ``error`` and ``remedy``, or ``note``, say why one is here."""
    own = services.current()
    try:
        drill = await to_thread.run_sync(is_drill, own.database)
    except DatabaseAway as away:
        return HTMLResponse(pages.away_page(away), 503, headers={**_NO_STORE, "Refresh": "5"})
    body = pages.sign_in_page(
        next_path=next_path,
        name=name,
        error=error,
        remedy=remedy,
        note=note,
        is_drill=drill,
        doors={key: door.provider.shown for key, door in own.doors.items()},
        contact=own.settings.icc_access_contact,
    )
    return HTMLResponse(body, status, headers=_NO_STORE)


async def local(request: Request) -> Response:
    """The form's POST: a session and the way on, or the page again without telling which part was wrong."""
    if int(request.headers.get("content-length") or LARGEST_FORM_BYTES + 1) > LARGEST_FORM_BYTES:
        return PlainTextResponse("Too large.", 413)
    # The first Content-Type, as Starlette reads it. In its multipart a body chooses its codec, and so half a character.
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM_TYPE:
        return PlainTextResponse(f"Send the form as {FORM_TYPE}.", 415, headers=_NO_STORE)
    own = services.current()
    try:
        form = await request.form(max_files=0, max_fields=10)
    except ClientDisconnect:  # nobody is there to answer, and no traceback is theirs to write into our log
        return Response(status_code=400)
    # Postgres knows no NUL, and no name is that long.
    name, password = str(form.get("name") or "").replace("\0", "")[:200], str(form.get("password") or "")
    next_path = requests.safe_next(str(form.get("next") or ""))
    address = requests.address_of(request.scope, own)
    given = Credentials(name, password, address, requests.cookie(request.scope, identity.cookie_name(own)))
    try:
        token = await _tried(own, given)
    except TooManyAtOnce as crowd:
        return await turned_away(own, crowd, address, next_path, name=name)
    except DatabaseAway as away:
        return HTMLResponse(pages.away_page(away), 503, headers=_NO_STORE)
    if token is None:
        return await show(next_path=next_path, name=name, error=pages.WRONG, status=401)
    return let_in(own, token, next_path)


async def _tried(own: Services, given: Credentials) -> str | None:
    """Wait for one's turn, then have the password looked at."""
    attempt, wait_seconds = await to_thread.run_sync(identity.begin, own, given)
    await anyio.sleep(wait_seconds)
    return await to_thread.run_sync(identity.decide, own, attempt, given, limiter=_hashing)


async def turned_away(own: Services, crowd: TooManyAtOnce, address: str, next_path: str, *, name: str = "") -> Response:
    """So many wait here that one more would not be answered in time: the page again, with when to come back."""
    own.tally.count(CROWDED, address)
    answer = await show(next_path=next_path, name=name, error=pages.CROWDED, status=429)
    answer.headers["Retry-After"] = str(math.ceil(crowd.retry_seconds))
    return answer


def let_in(own: Services, token: str, next_path: str) -> Response:
    """The way on, with the session's cookie."""
    answer = RedirectResponse(next_path, 303, headers={"Cache-Control": "no-store"})
    _set_cookie(answer, own, token, max_age=int(own.settings.icc_session_hours * 3600))
    return answer


async def sign_out(request: Request) -> Response:
    """End the session and forget the cookie."""
    own = services.current()
    token = requests.cookie(request.scope, identity.cookie_name(own))
    address = requests.address_of(request.scope, own)
    if request.method == "POST":
        await to_thread.run_sync(identity.sign_out, own, token, address)
    answer = RedirectResponse("/sign-in", 303, headers={"Cache-Control": "no-store"})
    if request.method == "POST":
        _set_cookie(answer, own, "", max_age=0)
    return answer


async def whose(request: Request) -> Response:
    """Whether the session still holds: 200, or the gate's 401. Asking is no activity."""
    session = request.scope["icc_session"]
    return JSONResponse({"name": session.name, "role": session.role}, headers={"Cache-Control": "no-store"})


async def stylesheet(_: Request) -> Response:
    """The stylesheet of the sign-in page."""
    return Response(pages.page_css(), media_type="text/css", headers={"Cache-Control": "max-age=300"})


async def icon(_: Request) -> Response:
    """The icon of the sign-in page."""
    return Response((pages.ASSETS / "icon.svg").read_text(), media_type="image/svg+xml")


def _set_cookie(answer: Response, own: Services, token: str, *, max_age: int) -> None:
    answer.set_cookie(
        identity.cookie_name(own), token, max_age=max_age, path="/", secure=own.secure, httponly=True, samesite="lax"
    )


ROUTES = [
    Route("/sign-in", page),
    Route("/sign-in/page.css", stylesheet),
    Route("/sign-in/icon.svg", icon),
    Route("/auth/local", local, methods=["POST"]),
    Route("/auth/sign-out", sign_out, methods=["GET", "POST"]),
    Route("/auth/session", whose),
]
