"""Refusals as ``application/problem+json`` (RFC 9457): what a code means in HTTP, in one table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from common.errors import DatabaseAway, IccError, Refused
from common.insights.problems import Problem
from common.redact import mask_value

MEDIA_TYPE = "application/problem+json"
DOCS = "/api/admin/docs"
DAEMON_FAILED = 502
"""The daemon took the command and could not do it."""

STATUS: Mapping[str, int] = {
    "SIGN_IN_FIRST": 401,
    "NO_ROLE": 403,
    "NOT_PERMITTED": 403,
    "FOREIGN_PAGE": 403,
    "BACKFILL_NOT_ALLOWED": 403,
    "NO_SUCH_ROUTE": 404,
    "NO_SUCH_THING": 404,
    "UNKNOWN_INTEGRATION": 404,
    "UNKNOWN_CONFIRMATION": 404,
    "UNKNOWN_BULK_ACTION": 404,
    "METHOD_REFUSED": 405,
    "ALREADY_RUNNING": 409,
    "NOTHING_RUNNING": 409,
    "ACCOUNT_HELD": 409,
    "BLOCKED_UNTIL": 409,
    "DRILL_AND_REAL_ROWS": 409,
    "NOT_DRILL_ROWS": 409,
    "MASS_REMOVAL_OUTDATED": 409,
    "LETTERS_GREW": 409,
    "NO_SUCH_LETTERS": 409,
    "NOTHING_TO_LIFT": 409,
    "REQUEST_TOO_LARGE": 413,
    "REQUEST_NOT_JSON": 415,
    "REQUEST_UNUSABLE": 422,
    "KEY_REUSED": 422,
    "UNKNOWN_ENTITY": 422,
    "UNKNOWN_MODE": 422,
    "SINCE_UNUSABLE": 422,
    "VALUE_UNUSABLE": 422,
    "REASON_MISSING": 422,
    "LETTERS_UNCOUNTED": 422,
    "WEBHOOK_MISSING": 422,
    "WEBHOOK_UNUSABLE": 422,
    "TOO_MANY_REQUESTS": 429,
    "TOO_MANY_STREAMS": 429,
    "INTERNAL_ERROR": DAEMON_FAILED,
    "NO_DAEMON": 503,
    "COMMAND_EXPIRED": 503,
    "NOT_FROM_GATE": 503,
    "COMMAND_LOST": DAEMON_FAILED,
    "DATABASE_AWAY": 503,
}
"""Code → HTTP status. A code that is not here is the daemon's failure (502)."""


def status_of(code: str | None) -> int:
    """The HTTP status of a code."""
    return STATUS.get(code or "", DAEMON_FAILED)


def document(error: IccError, status: int | None = None) -> dict[str, Any]:
    """A refusal as its JSON. ``facts`` are what the sentences were filled with."""
    facts: dict[str, Any] = mask_value(error.facts) if isinstance(error, Refused) else {}
    if isinstance(error, DatabaseAway):
        facts = {}  # the driver's own words may name hosts; they are for the log
        cause = "The database cannot be reached at the moment."
    else:
        cause = error.entry.cause_with(mask_value(error.facts))
    return _document(error.code, status or status_of(error.code), cause, error.entry.remedy_with(facts), facts)


def document_of_problem(problem: Problem) -> dict[str, Any]:
    """A command's end in the daemon's own words, masked when they were stored."""
    code = problem.code or "INTERNAL_ERROR"
    return _document(code, status_of(code), problem.cause, problem.remedy or "See the daemon's log.", {})


def _document(code: str, status: int, cause: str, remedy: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": f"{DOCS}#{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": cause,
        "code": code,
        "remedy": remedy,
        "facts": dict(facts),
    }


def response(body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """A problem on its way out, with what HTTP wants beside its status."""
    status, facts = int(body["status"]), body["facts"]
    told = {"Cache-Control": "no-store", **(headers or {})}
    if status == 401:
        told["WWW-Authenticate"] = 'Bearer realm="admin API"'
    elif status == 405:
        told["Allow"] = str(facts["allowed"])
    elif status == 429:
        told["Retry-After"] = str(facts["seconds"])
    elif status == 503:
        told["Retry-After"] = "5"
    return Response(json.dumps(body), status, told, MEDIA_TYPE)


def refusal(code: str, **facts: Any) -> Response:
    """A refusal that needs no more than its code."""
    return response(document(Refused(code, **facts)))
