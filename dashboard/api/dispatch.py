"""Answers every request under ``/api/``: who asks, how often, which route, what it takes, what it does, what is told.

Whatever goes wrong leaves as a problem with its remedy, never as a traceback or another framework's page.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import structlog
from anyio import to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Mount
from starlette.types import Receive, Scope, Send

from common.errors import IccError, Refused
from common.insights.control import command_state
from common.operator_actions import Actor
from common.redact import mask_value
from common.states import CommandState
from common.store import idempotency
from dashboard import services
from dashboard.api import docs, incoming, problems
from dashboard.api.frame import Answer, Call, Endpoint, Follow
from dashboard.api.pace import Pace
from dashboard.api.reads import told_command
from dashboard.tally import PACED
from dashboard.web import callers, requests

log = structlog.get_logger("api")
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.02, 0.25
_RETRIED = frozenset({401, 403, 429})
"""Refusals that are not kept under an Idempotency-Key: the next try may be answered otherwise."""

Told = tuple[int, dict[str, Any], str | None]
"""Status, body, location."""


class AdminApi:
    """The ASGI application under ``/api``; behind the gate, which has put the caller into the scope."""

    def __init__(self) -> None:
        self._pace = Pace()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] != "http":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
        except IccError as error:
            response = problems.response(problems.document(error))
        except ClientDisconnect:
            return
        except Exception:
            log.exception("a request to the API failed by an error of ours", path=scope["path"])
            ours = IccError("INTERNAL_ERROR", detail="its traceback is in the web process's log")
            response = problems.response(problems.document(ours, 500))
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        own = services.current()
        caller: Actor = request.scope["icc_caller"]
        self._slow_down(own.settings.icc_api_requests_per_minute, caller)
        page = docs.page(request.url.path) if request.method == "GET" else None
        if page is not None:
            return page
        endpoint, path = incoming.route(request.method, request.url.path)
        try:
            return await _answered(request, endpoint, path, caller)
        except Refused as refusal:
            await _recorded(refusal, endpoint, path, caller)
            raise

    def _slow_down(self, per_minute: int, caller: Actor) -> None:
        wait = self._pace.wait_seconds(callers.name_of(caller), per_minute, time.monotonic())
        if wait:
            services.current().tally.count(PACED, caller.address or "unknown")
            raise Refused("TOO_MANY_REQUESTS", actor=caller.name, limit=per_minute, seconds=math.ceil(wait))


async def _answered(request: Request, endpoint: Endpoint, path: Mapping[str, str], caller: Actor) -> Response:
    _check_caller(request, endpoint, caller)
    query = incoming.query_of(endpoint, request)
    body = await incoming.body_of(endpoint, request)
    call = Call(services.current(), caller, path, query, body, request.scope)
    if endpoint.is_stream:
        opened = endpoint.does(call)
        assert isinstance(opened, Response)
        return opened
    key = incoming.key_of(request)
    told = await (_done(endpoint, call) if key is None else _once(endpoint, call, key))
    return _response(told)


def _check_caller(request: Request, endpoint: Endpoint, caller: Actor) -> None:
    """Acting by a session's cookie needs a page of ours, for a GET too, and the right role; reading needs any role.

    The gate asks for the role again; here it comes before what is wrong with the request, which is not theirs to learn.
    """
    own = services.current()
    if endpoint.action is None:
        if caller.role is None:
            raise Refused("NO_ROLE", actor=caller.name)
        return
    if caller.source == "page" and not requests.is_same_origin(request.scope, own):
        raise Refused("FOREIGN_PAGE")
    own.gate.permit(endpoint.action, caller)


async def _recorded(refusal: Refused, endpoint: Endpoint, path: Mapping[str, str], caller: Actor) -> None:
    """An act that was tried is in the audit log, even one that never became a wish."""
    if endpoint.action is not None:
        write = partial(services.current().gate.record, integration=path.get("key"))
        await to_thread.run_sync(write, refusal, endpoint.action, caller)


async def _done(endpoint: Endpoint, call: Call) -> Told:
    """Do it, and tell what came of it."""
    found = await to_thread.run_sync(endpoint.does, call)
    assert not isinstance(found, Response)
    return _told(found) if isinstance(found, Answer) else await _followed(call, found)


async def _followed(call: Call, follow: Follow) -> Told:
    """Wait for a command's end. Not for longer than said, and not when the process is told to end."""
    until, pause = time.monotonic() + follow.seconds, FIRST_PAUSE_SECONDS
    stop = call.own.stop
    while True:
        view = await to_thread.run_sync(command_state, call.own.database, follow.receipt.command_id)
        assert view is not None
        if view.state is CommandState.DONE:
            return _told(await to_thread.run_sync(follow.told, view))
        if view.is_ended and view.problem is not None:
            body = problems.document_of_problem(view.problem)
            return body["status"], body, None
        if time.monotonic() >= until or stop.is_set():
            command = told_command(view)
            return _told(Answer(command, 202, command.address))
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause)
        pause = min(LONGEST_PAUSE_SECONDS, pause * 1.5)


async def _once(endpoint: Endpoint, call: Call, key: str) -> Told:
    """The answer kept under the caller's Idempotency-Key, or do it and keep its answer.

    When the database goes away in between, the key keeps its planned command: asking again gives no second one.
    """
    database, actor = call.own.database, callers.name_of(call.caller)
    digest = hashlib.sha256(incoming.canonical(endpoint, call.path, call.body)).digest()
    kept = await to_thread.run_sync(idempotency.claim, database, actor, key, digest)
    if not kept.is_same:
        raise Refused("KEY_REUSED")
    if kept.status is not None and kept.body is not None:
        return kept.status, kept.body["told"], kept.body["location"]
    try:
        told = await _done(endpoint, replace(call, command_id=kept.command_id))
    except Refused as refusal:
        await _recorded(refusal, endpoint, call.path, call.caller)
        body = problems.document(refusal)
        told = (body["status"], body, None)
    status, body, location = told
    if status >= 500 or status in _RETRIED:
        await to_thread.run_sync(idempotency.release, database, actor, key)
    else:
        await to_thread.run_sync(idempotency.keep, database, actor, key, status, {"told": body, "location": location})
    return told


def _told(answer: Answer) -> Told:
    body: dict[str, Any] = mask_value(answer.told.model_dump(mode="json", by_alias=True))
    return answer.status, body, answer.location


def _response(told: Told) -> Response:
    status, body, location = told
    if status >= 400:
        return problems.response(body)
    headers = {"Cache-Control": "no-store", **({"Location": location} if location else {})}
    return Response(json.dumps(body), status, headers, "application/json")


class _Everything(Mount):
    """A mount for every path beneath it: Starlette's own leaves those with a line break to the next route."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return (Match.FULL, {}) if str(scope.get("path", "")).startswith(f"{self.path}/") else (Match.NONE, {})

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


ROUTES = [_Everything("/api", AdminApi())]
