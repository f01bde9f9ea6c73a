"""Faults that give another answer in place of the true one (DoorLoop fact sheet §9 and §11.8)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from time import time

import orjson

from .. import answers
from ..wire import REASONS, Request, Response, http_date
from .switchboard import ActiveFault

StandIn = Callable[[ActiveFault, Request], Response | None]

REDIRECTED = "drill_redirected=1"


def stand_in(request: Request, faults: Iterable[ActiveFault]) -> Response | None:
    """Return the first striking fault's answer, None when the true one may be given."""
    for fault in faults:
        if fault.stage == "answer":
            response = STAND_INS[fault.key](fault, request)
            if response is not None:
                return response
    return None


def _proxy(status: int) -> StandIn:
    return lambda fault, _: _hint(fault, answers.proxy_error(status, REASONS[status]))


def _hint(fault: ActiveFault, response: Response) -> Response:
    if fault["retry_after"] is not None:
        response.headers.append(("Retry-After", fault["retry_after"]))
    return response


def _down(fault: ActiveFault, _: Request) -> Response | None:
    return answers.proxy_error(503, "Service Unavailable") if fault["mode"] == "503" else None


def _status(fault: ActiveFault, _: Request) -> Response:
    status, message = fault["status"], fault["message"]
    bodies: dict[str, Response] = {
        "object": answers.error(status, message),
        "string": Response(status, orjson.dumps(message)),
        "list": Response(status, orjson.dumps([{"message": message}])),
        "text": Response(status, message.encode(), "text/plain; charset=utf-8"),
        "html": answers.proxy_error(status, message),
        "empty": Response(status, b"", ""),
    }
    return _hint(fault, bodies[fault["body"]])


def _rate_limited(fault: ActiveFault, _: Request) -> Response:
    """Return 429. An HTTP-date is reckoned from the server's own clock, which may run ahead: RFC 9110 §10.2.3."""
    now = time() + fault["skew_seconds"]
    value: str | None = fault["retry_after"]
    if fault["form"] == "absent":
        value = None
    elif fault["form"] == "http_date":
        with suppress(ValueError):  # what is no number goes out as it is
            value = http_date(now + float(fault["retry_after"]))
    response = answers.rate_limited(value)
    response.headers.append(("Date", http_date(now)))
    return response


def _redirect_same(fault: ActiveFault, request: Request) -> Response | None:
    if REDIRECTED in request.query and not fault["loop"]:
        return None
    mark = "" if REDIRECTED in request.query else f"{'&' if request.query else '?'}{REDIRECTED}"
    return _redirect(fault["status"], request.target + mark)


def _redirect_other(fault: ActiveFault, request: Request) -> Response | None:
    host, _, port = request.headers.get("host", "").partition(":")
    if host == "localhost" and not fault["location"]:
        return None
    return _redirect(fault["status"], fault["location"] or f"http://localhost:{port}{request.target}")


def _redirect(status: int, location: str) -> Response:
    response = answers.html("Moved", "This page has moved.", status)
    response.headers.append(("Location", location))
    return response


STAND_INS: dict[str, StandIn] = {
    "vendor_down": _down,
    "html_docs": lambda *_: answers.docs_page(),
    "html_app": lambda *_: answers.app_page(),
    "html_login": lambda *_: answers.login_page(),
    "http_500": _proxy(500),
    "http_502": _proxy(502),
    "http_503": _proxy(503),
    "http_408": lambda fault, _: _hint(fault, answers.error(408, "Request time-out")),
    "http_status": _status,
    "unauthorized": lambda *_: answers.unauthorized(),
    "forbidden_role": lambda *_: answers.not_allowed(),
    "forbidden_403": lambda *_: answers.error(403, "Forbidden"),
    "rate_limited": _rate_limited,
    "redirect_same_host": _redirect_same,
    "redirect_other_host": _redirect_other,
}
