"""HTTP/1.1 as far as the drill needs it: requests in, responses out, keep-alive, one send per answer.

Hand-written because `http.server` spends more time on parsing headers than the drill spends on a page of 100 records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from socket import socket
from time import time
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote

import orjson

if TYPE_CHECKING:
    from .faults.switchboard import ActiveFault

JSON = "application/json; charset=utf-8"
HTML = "text/html; charset=utf-8"
NDJSON = "application/x-ndjson"

MAX_HEAD_BYTES = 65_536
MAX_BODY_BYTES = 1_048_576
REASONS = {status.value: status.phrase for status in HTTPStatus}


class BadRequestError(Exception):
    """The peer does not speak HTTP/1.1 as the drill understands it; the sentence goes into a 400."""


@dataclass(slots=True)
class Request:
    """One parsed request. Header names are lower-case; of several equal query parameters the last counts."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes = b""
    keep_alive: bool = True

    @property
    def params(self) -> dict[str, str]:
        """Return the query parameters, decoded."""
        return dict(parse_qsl(self.query, keep_blank_values=True)) if self.query else {}

    @property
    def target(self) -> str:
        """Return path and query as asked for."""
        return f"{self.path}?{self.query}" if self.query else self.path


@dataclass(slots=True)
class Response:
    """One answer. `stream` replaces `body`; without `stream_bytes` it goes out in chunks.

    `faults` are those left to play out while it is delivered; `afterwards` runs when the last byte is out.
    """

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: list[tuple[str, str]] = field(default_factory=list)
    stream: Iterator[bytes] | None = None
    stream_bytes: int | None = None
    faults: tuple[ActiveFault, ...] = ()
    afterwards: Callable[[], None] | None = None

    def head(self, *, keep_alive: bool) -> bytes:
        """Return status line and headers."""
        lines = [f"HTTP/1.1 {self.status} {REASONS.get(self.status, 'Unknown')}"]
        if not any(name == "Date" for name, _ in self.headers):
            lines.append(f"Date: {http_date(time())}")
        if self.content_type:
            lines.append(f"Content-Type: {self.content_type}")
        if self.stream is None:
            lines.append(f"Content-Length: {len(self.body)}")
        elif self.stream_bytes is not None:
            lines.append(f"Content-Length: {self.stream_bytes}")
        else:
            lines.append("Transfer-Encoding: chunked")
        lines.extend(f"{name}: {value}" for name, value in self.headers)
        lines.append("Connection: keep-alive\r\n\r\n" if keep_alive else "Connection: close\r\n\r\n")
        return "\r\n".join(lines).encode("latin-1", "replace")


def json_response(status: int, content: object) -> Response:
    """Return an answer with a JSON body."""
    return Response(status, orjson.dumps(content))


@lru_cache(maxsize=64)
def _date_of(epoch_second: int) -> str:
    return formatdate(epoch_second, usegmt=True)


def http_date(epoch_seconds: float) -> str:
    """Return an instant in the form that RFC 9110 §5.6.7 asks senders for."""
    return _date_of(int(epoch_seconds))


class RequestReader:
    """Reads one request after another from a connection, keeping what came early."""

    def __init__(self, sock: socket) -> None:
        self._sock = sock
        self._buffer = b""

    def read(self) -> Request | None:
        """Return the next request; None when the peer closed in between.

        Raises:
            BadRequestError: not HTTP/1.1, or larger than the drill takes.
            OSError: the connection broke.
        """
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise BadRequestError("The request's headers are larger than 64 KiB.")
            if not self._fill():
                return None
        head, self._buffer = self._buffer[:end], self._buffer[end + 4 :]
        request = _parse_head(head)
        request.body = self._read_body(request.headers)
        return request

    def _read_body(self, headers: dict[str, str]) -> bytes:
        if "transfer-encoding" in headers:
            raise BadRequestError("The drill takes request bodies with a Content-Length only.")
        length_text = headers.get("content-length", "0")
        if not length_text.isdecimal() or int(length_text) > MAX_BODY_BYTES:
            raise BadRequestError("The Content-Length is not a number of bytes up to 1 MiB.")
        length = int(length_text)
        while len(self._buffer) < length:
            if not self._fill():
                raise BadRequestError("The connection ended inside the request's body.")
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return body

    def _fill(self) -> bool:
        received = self._sock.recv(65_536)
        self._buffer += received
        return bool(received)


def _parse_head(head: bytes) -> Request:
    lines = head.decode("latin-1").split("\r\n")
    try:
        method, target, version = lines[0].split(" ")
    except ValueError:
        raise BadRequestError("The first line is not a method, a target and a version.") from None
    if not version.startswith("HTTP/1."):
        raise BadRequestError("The drill speaks HTTP/1.1 only.")
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    connection = headers.get("connection", "").lower()
    keep_alive = connection == "keep-alive" if version == "HTTP/1.0" else connection != "close"
    path, _, query = target.partition("?")
    return Request(method, unquote(path) if "%" in path else path, query, headers, keep_alive=keep_alive)
