"""``GET /api/admin/sync/logs/stream``: the log as server-sent events, for the page's terminal and for programs.

A stream goes on after ``Last-Event-ID`` (a header, or ``lastEventId`` in the address for a first connection), says
when it cannot (``resync``), and when the database is away (``state``). Each heartbeat looks its session up again.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from http import HTTPStatus
from uuid import UUID

import anyio
from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from common.access import Role
from common.catalog import CATALOG
from common.clock import SystemClock
from common.errors import DatabaseAway, IccError, Refused, Unusable
from common.insights.streams import LEVELS
from common.store.people import Session
from dashboard import identity, services
from dashboard.api.hub import MOST_PER_PERSON, Hub, Reader
from dashboard.api.lines import Wanted, notice
from dashboard.web import requests

PATH = "/api/admin/sync/logs/stream"
HEARTBEAT_SECONDS = 10.0
FLUSH_LOOK_SECONDS = 0.05
RETRY = b"retry: 1000\n\n"
"""How long a browser waits before it connects again, in milliseconds."""
MOST_TAIL = 1000
PARAMETERS = ("level", "entity", "runId", "lastEventId", "tail")
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx holds answers back unless told not to
]
_clock = SystemClock()


async def stream(request: Request) -> Response:
    """The stream, or a problem that says what to do."""
    session: Session = request.scope["icc_session"]
    hub = services.current().logs
    if session.role is None:
        return _problem(403, Refused("NOT_PERMITTED", actor=session.name, action="read the log"))
    try:
        reader = _reader(request, session)
    except Unusable as unusable:
        return _problem(422, unusable)
    if hub.is_full(session.person_id):
        full = Refused("TOO_MANY_STREAMS", person=session.name, count=MOST_PER_PERSON)
        return _problem(429, full, retry_after_seconds=5)
    return _Stream(hub, reader)


def _reader(request: Request, session: Session) -> Reader:
    """What the request asks for. Raises ``Unusable``."""
    given = request.query_params
    for name in given:
        if name not in PARAMETERS:
            raise Unusable("PARAMETER_UNKNOWN", name=name[:40], known=", ".join(PARAMETERS))
    level, entity, run_id = given.get("level") or LEVELS[0], given.get("entity") or None, given.get("runId") or None
    known = {name for entry in CATALOG.values() for name in entry.entities}
    if level not in LEVELS:
        raise _unusable("level", "one of " + ", ".join(LEVELS))
    if entity is not None and entity not in known:
        raise _unusable("entity", "one of " + ", ".join(sorted(known)))
    try:
        run_id = str(UUID(run_id)) if run_id else None
    except ValueError:
        raise _unusable("runId", "the whole id of a run") from None
    # A browser that connects again sends the header; the address still holds what the first connection was given.
    last = request.headers.get("last-event-id") or given.get("lastEventId")
    after = _whole("lastEventId", last, most=2**63 - 1) if last else None
    tail = _whole("tail", given.get("tail") or "0", most=MOST_TAIL)
    wanted = Wanted(LEVELS.index(level), entity, run_id, is_masked=session.role is not Role.ADMIN)
    return Reader(session.person_id, wanted, after=after, tail=tail)


def _whole(name: str, text: str, *, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= most):
        raise _unusable(name, f"a whole number from 0 to {most}")
    return int(text)


def _unusable(name: str, expected: str) -> Unusable:
    # The value is not repeated: it may be a secret gone astray.
    return Unusable("PARAMETER_UNUSABLE", name=name, expected=expected)


def _problem(status: int, error: IccError, *, retry_after_seconds: int | None = None) -> Response:
    """An error as RFC 9457 writes it, with our code and remedy."""
    title = HTTPStatus(status).phrase
    said = {"type": "about:blank", "title": title, "status": status, "detail": error.cause, "code": error.code}
    said["remedy"] = error.remedy
    headers = {"Cache-Control": "no-store"} | ({"Retry-After": str(retry_after_seconds)} if retry_after_seconds else {})
    return JSONResponse(said, status, headers=headers, media_type="application/problem+json")


class _Stream(Response):
    """One open stream: what the hub puts for its reader is sent until one side ends it."""

    def __init__(self, hub: Hub, reader: Reader) -> None:
        super().__init__()
        self._hub = hub
        self._reader = reader

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the end. A reader that was cut is not told: what it has not read yet would have to go first."""
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        self._hub.join(self._reader)
        try:
            async with anyio.create_task_group() as group:
                self._reader.on_cut = group.cancel_scope.cancel
                group.start_soon(self._leave_when_gone, receive, group.cancel_scope)
                group.start_soon(self._beat, scope)
                await self._feed(send)
                await send({"type": "http.response.body", "body": b""})
                await _flushed(receive)
                group.cancel_scope.cancel()
        finally:
            self._hub.leave(self._reader)
        if self._reader.is_cut:
            _cut(receive)

    async def _feed(self, send: Send) -> None:
        await send({"type": "http.response.body", "body": RETRY, "more_body": True})
        while (chunk := await self._reader.take()) is not None:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def _beat(self, scope: Scope) -> None:
        while True:
            await anyio.sleep(HEARTBEAT_SECONDS)
            if not await _still_signed_in(scope):
                self._reader.put(notice("state", _clock.now(), state="signed_out", msg="Your session has ended."))
                self._reader.end()
                return
            self._hub.heartbeat(self._reader)

    @staticmethod
    async def _leave_when_gone(receive: Receive, scope: anyio.CancelScope) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        scope.cancel()


async def _still_signed_in(scope: Scope) -> bool:
    """Whether the session holds. While the database is away nobody can tell: the stream stays, and says nothing new."""
    own = services.current()
    token = requests.cookie(scope, identity.cookie_name(own))
    try:
        session = await to_thread.run_sync(identity.lookup, own, token)
    except DatabaseAway:
        return True
    return session is not None and session.role is not None


async def _flushed(receive: Receive) -> None:
    """Until the client has taken what was sent, or is cut."""
    transport = _transport(receive)
    while transport is not None and transport.get_write_buffer_size():
        await anyio.sleep(FLUSH_LOOK_SECONDS)


def _cut(receive: Receive) -> None:
    transport = _transport(receive)
    if transport is None:
        return
    # Without lingering the client is told at once (reset), and the kernel keeps nothing of it either.
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _transport(receive: Receive) -> asyncio.WriteTransport | None:
    """The connection itself, to cut it.

    ASGI has no word for that, and closing politely waits until the client has read what is in the buffers: one that
    does not read would keep the connection, and the process at its end, for ever. uvicorn's ``receive`` is a method of
    the request's cycle, which knows the transport.
    """
    transport = getattr(getattr(receive, "__self__", None), "transport", None)
    return transport if isinstance(transport, asyncio.WriteTransport) else None


ROUTES = [Route(PATH, stream, methods=["GET"])]
