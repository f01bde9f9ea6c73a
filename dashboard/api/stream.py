"""``GET /api/admin/sync/logs/stream``: the log as server-sent events, for the page's terminal and for programs.

A stream goes on after ``Last-Event-ID`` (a header, or ``lastEventId`` in the address for a first connection), says
when it cannot (``resync``), and when the database is away (``state``). Each heartbeat looks again whether the token or
session that opened it holds.
"""

from __future__ import annotations

import asyncio
import socket
import struct

import anyio
from anyio import to_thread
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from common.access import Sight, sight_of
from common.clock import SystemClock
from common.errors import DatabaseAway, Refused
from common.insights.streams import LEVELS
from common.operator_actions import Actor
from dashboard import services
from dashboard.api.frame import Call
from dashboard.api.hub import MOST_PER_CALLER, Hub, Reader
from dashboard.api.lines import Wanted, notice
from dashboard.api.shapes import LARGEST_ID
from dashboard.api.wanted import LogQuery
from dashboard.web import callers, requests

FULL_SECONDS = 5
"""When somebody with too many streams may try again."""
FLUSH_LOOK_SECONDS = 0.05
RETRY = b"retry: 1000\n\n"
"""How long a browser waits before it connects again, in milliseconds."""
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx holds answers back unless told not to
]
_clock = SystemClock()


def log_lines(call: Call) -> Response:
    """The log as server-sent events, each line once: a message with an id, its data as below. Go on after a cut with
    `Last-Event-ID`. Events with a name speak of the stream itself: `state`, `heartbeat`, and `resync` when nobody can
    go on from there."""
    query, caller, hub = call.query, callers.name_of(call.caller), call.own.logs
    if hub.is_full(caller):
        raise Refused("TOO_MANY_STREAMS", person=call.caller.name, count=MOST_PER_CALLER, seconds=FULL_SECONDS)
    run_id = str(query.run_id) if query.run_id else None
    is_masked = sight_of(call.caller.role) is Sight.MASKED
    wanted = Wanted(LEVELS.index(query.level), query.entity, run_id, is_masked=is_masked)
    return _Stream(hub, Reader(caller, wanted, after=_after(call.scope, query), tail=query.tail), call.caller)


def _after(scope: Scope, query: LogQuery) -> int | None:
    """The last line that the reader has. A browser that connects again sends the header; the address still holds what
    the first connection was given."""
    last = requests.header(scope, "last-event-id")
    if not last:
        return query.last_event_id
    if not (last.isascii() and last.isdigit() and len(last) < 20 and int(last) <= LARGEST_ID):
        raise Refused("REQUEST_UNUSABLE", problems=f"header `Last-Event-ID` must be a whole number up to {LARGEST_ID}")
    return int(last)


class _Stream(Response):
    """One open stream: what the hub puts for its reader is sent until one side ends it."""

    def __init__(self, hub: Hub, reader: Reader, caller: Actor) -> None:
        super().__init__()
        self._hub = hub
        self._reader = reader
        self._caller = caller

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the end. A reader that was cut is not told: what it has not read yet would have to go first."""
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
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
            await anyio.sleep(services.current().settings.icc_heartbeat_seconds)
            if not await self._still_holds(scope):
                ended = "Your session has ended." if self._caller.source == "page" else "The token is no longer valid."
                self._reader.put(notice("state", _clock.now(), state="signed_out", msg=ended))
                self._reader.end()
                return
            self._hub.heartbeat(self._reader)

    async def _still_holds(self, scope: Scope) -> bool:
        """While the database is away nobody can tell: the stream stays, and says nothing new."""
        try:
            return await to_thread.run_sync(callers.still_holds, services.current(), scope, self._caller)
        except DatabaseAway:
            return True

    @staticmethod
    async def _leave_when_gone(receive: Receive, scope: anyio.CancelScope) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        scope.cancel()


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
