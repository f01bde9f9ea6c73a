"""Streamlit's static files, compressed once and kept: it serves them plain on purpose (9.6 MB, 3 MB compressed)."""

from __future__ import annotations

import gzip
from typing import Final

from anyio import to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COMPRESSIBLE: Final = ("text/", "application/javascript", "application/json", "image/svg+xml", "font/ttf")
SMALLEST_BYTES = 1024
LARGEST_BYTES = 20 * 1024 * 1024


class CompressedStatic:
    """ASGI middleware: answers GETs of ``/…/static/…`` from memory, compressed, once an answer has been seen.

    The files belong to an installed package and do not change while the process lives.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._kept: dict[str, tuple[Headers, bytes]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer from memory, or let pass and remember."""
        if not _concerns(scope):
            await self._app(scope, receive, send)
            return
        kept = self._kept.get(scope["path"])
        if kept is None:
            await self._app(scope, receive, _Recorder(self, scope["path"], send))
            return
        await _answer(send, *kept)

    def keep(self, path: str, headers: Headers, body: bytes) -> None:
        """Remember a compressed answer."""
        self._kept[path] = (headers, body)


def _concerns(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] != "GET" or "/static/" not in scope["path"]:
        return False
    asked = Headers(scope=scope)
    return "gzip" in asked.get("accept-encoding", "") and "range" not in asked and "if-none-match" not in asked


async def _answer(send: Send, headers: Headers, body: bytes) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": headers.raw})
    await send({"type": "http.response.body", "body": body})


class _Recorder:
    """Holds an answer back until it is whole, then sends it compressed; anything else passes untouched."""

    def __init__(self, keeper: CompressedStatic, path: str, send: Send) -> None:
        self._keeper = keeper
        self._path = path
        self._send = send
        self._start: Message | None = None
        self._parts: list[bytes] = []

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_worth(message):
            self._start = message
        elif message["type"] == "http.response.body" and self._start is not None:
            self._parts.append(message.get("body", b""))
            if not message.get("more_body"):
                await self._finish(self._start)
        else:
            await self._send(message)

    async def _finish(self, start: Message) -> None:
        body = await to_thread.run_sync(gzip.compress, b"".join(self._parts), 6)
        headers = MutableHeaders(raw=list(start["headers"]))
        headers["Content-Encoding"] = "gzip"
        headers["Content-Length"] = str(len(body))
        headers.add_vary_header("Accept-Encoding")
        self._keeper.keep(self._path, headers, body)
        await _answer(self._send, headers, body)


def _is_worth(start: Message) -> bool:
    headers = Headers(raw=start["headers"])
    size = int(headers.get("content-length") or 0)
    return (
        start["status"] == 200
        and "content-encoding" not in headers
        and headers.get("content-type", "").startswith((*COMPRESSIBLE, "text/javascript"))
        and SMALLEST_BYTES < size < LARGEST_BYTES
    )
