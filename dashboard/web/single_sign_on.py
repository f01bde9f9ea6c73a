"""Routes of sign-in by a provider: off to it, and back again with its word.

What must be known at the return (state, nonce, PKCE verifier, where to go) rides in a sealed cookie of ten minutes that
the browser sends to these routes only. It is taken away at the return, so an answer counts once.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from common.clock import SystemClock
from common.errors import DatabaseAway, Refused
from common.signing import sealed_text, unsealed_text
from dashboard import admission, identity, services
from dashboard.services import Services
from dashboard.turns import TooManyAtOnce, seat
from dashboard.web import pages, requests, sign_in

if TYPE_CHECKING:
    from dashboard.oidc import Door  # it brings Authlib along, which is loaded only where a provider is set

PATH = "/auth/oidc"
PURPOSE = "sign-in by a provider"
LASTS_SECONDS = 600


async def leave(request: Request) -> Response:
    """Off to the provider."""
    own = services.current()
    next_path = requests.safe_next(request.query_params.get("next"))
    if requests.comes_from_elsewhere(request.scope):
        # No other site begins a sign-in here; whoever really wants to is one click away.
        return RedirectResponse("/sign-in", 303, headers={"Cache-Control": "no-store"})
    address = requests.address_of(request.scope, own)
    asking = _remembering(request, {})
    try:
        async with seat(f"provider {address}"):
            door = _door(own, request)
            answer = await door.leave(asking, f"{own.address}{PATH}/{door.provider.key}/callback")
    except TooManyAtOnce as crowd:
        return await sign_in.turned_away(own, crowd, address, next_path)
    except Refused as refusal:
        return await _refused(own, address, next_path, refusal)
    _keep(answer, own, {"next": next_path, "at": _now_seconds(), "session": _without_address(asking.session)})
    return answer


async def arrive(request: Request) -> Response:
    """Back from the provider: a session and the way on, or the sign-in page with what went wrong."""
    own = services.current()
    kept = _kept(request, own)
    next_path = requests.safe_next(kept.get("next"))
    address = requests.address_of(request.scope, own)
    old_token = requests.cookie(request.scope, identity.cookie_name(own))
    try:
        async with seat(f"provider {address}"):
            door = _door(own, request)
            newcomer = admission.newcomer(
                door.provider, await door.arrive(_remembering(request, kept.get("session", {})))
            )
            token = await to_thread.run_sync(identity.admit, own, newcomer, address, old_token)
        answer = sign_in.let_in(own, token, next_path)
    except TooManyAtOnce as crowd:
        answer = await sign_in.turned_away(own, crowd, address, next_path)
    except Refused as refusal:
        answer = await _refused(own, address, next_path, refusal)
    except DatabaseAway as away:
        return HTMLResponse(pages.away_page(away), 503, headers={"Cache-Control": "no-store"})
    answer.delete_cookie(_name(own), path=PATH, secure=own.secure, httponly=True, samesite="lax")
    return answer


def _remembering(request: Request, session: dict[str, Any]) -> Request:
    """The request with a memory of this one sign-in; the session that Streamlit keeps for itself is not touched."""
    return Request({**request.scope, "session": session})


def _door(own: Services, request: Request) -> Door:
    door = own.doors.get(request.path_params["key"])
    if door is None:
        raise Refused("PROVIDER_UNKNOWN")
    return door


async def _refused(own: Services, address: str, next_path: str, refusal: Refused) -> Response:
    if refusal.code != "SHUT_OUT":  # that one is in the audit log already, with its name
        try:
            await to_thread.run_sync(identity.note_refusal, own, address, {"code": refusal.code}, refusal)
        except DatabaseAway as away:
            return HTMLResponse(pages.away_page(away), 503, headers={"Cache-Control": "no-store"})
    return await sign_in.show(next_path=next_path, error=refusal.cause, remedy=refusal.remedy, status=401)


def _name(own: Services) -> str:
    """The short-lived cookie's name; ``__Secure-`` binds it to https. (``__Host-`` would send it to every path.)"""
    return "__Secure-hc_oidc" if own.secure else "hc_oidc"


def _keep(answer: Response, own: Services, what: dict[str, Any]) -> None:
    answer.set_cookie(
        _name(own),
        sealed_text(own.key, PURPOSE, json.dumps(what)),
        max_age=LASTS_SECONDS,
        path=PATH,
        secure=own.secure,
        httponly=True,
        samesite="lax",  # the provider's page leads back here: strict would keep it from that
    )
    answer.headers["Cache-Control"] = "no-store"


def _kept(request: Request, own: Services) -> dict[str, Any]:
    """What was kept, or nothing when it is missing, forged or too old."""
    text = unsealed_text(own.key, PURPOSE, requests.cookie(request.scope, _name(own)) or "")
    kept: dict[str, Any] = json.loads(text) if text else {}
    return kept if 0 <= _now_seconds() - kept.get("at", 0) < LASTS_SECONDS else {}


def _now_seconds() -> float:
    return SystemClock().now().timestamp()


def _without_address(session: dict[str, Any]) -> dict[str, Any]:
    """Authlib's memory without the whole address it sent the browser to: a cookie holds 4 KB."""
    return {
        name: {**kept, "data": {key: value for key, value in kept["data"].items() if key != "url"}}
        for name, kept in session.items()
    }


ROUTES = [Route(f"{PATH}/{{key}}", leave), Route(f"{PATH}/{{key}}/callback", arrive)]
