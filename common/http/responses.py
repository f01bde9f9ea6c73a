"""What a server says, read in time, and its headers leniently: a header that nobody can read hides no other (law 7)."""

from __future__ import annotations

import io
import re
import socket
import threading
import time
from http.client import HTTPException, HTTPMessage, HTTPResponse, UnknownProtocol
from typing import Any

MOST_HEADER_BYTES = 256 * 1024
MOST_STATUS_BYTES = 1024
FIRST_REFUSAL = 300
_ENDS = (b"\r\n", b"\n", b"")
_FOLDED = re.compile(rb"\r?\n[ \t]+")


class Asking(threading.local):
    """The request that this thread has under way.

    ``until``: when it has to be over, by the monotonic clock. ``afresh``: over a connection that is new.
    """

    until: float
    afresh: bool
    is_reused: bool
    """Whether it went out over a connection that had served an answer before."""
    has_heard: bool
    """Whether a byte of an answer came."""

    def begin(self, until: float, *, afresh: bool) -> None:
        """Before each request."""
        self.until, self.afresh = until, afresh
        self.is_reused = self.has_heard = False

    @property
    def has_crossed(self) -> bool:
        """Whether it may have crossed the closing of an idle connection, which says nothing of the server's health."""
        return self.is_reused and not self.has_heard


class _InTime(io.RawIOBase):
    """Reads a socket until a moment: neither dripping header lines nor a dripping body may outlast the deadline."""

    def __init__(self, raw: io.RawIOBase, asking: Asking) -> None:
        self._raw = raw
        self._asking = asking
        self.is_over = False
        """Whether nothing more is to be read: only what is here already."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self.is_over:
            return 0
        if time.monotonic() > self._asking.until:
            raise TimeoutError("timed out")
        count = self._raw.readinto(buffer)
        if count:
            self._asking.has_heard = True
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class FinalResponse(HTTPResponse):
    """Ends in time, and passes over every interim answer (RFC 9110 §15.2), of which ``http.client`` knows only 100.

    What can be read of a refusal's head counts: neither its length nor a line that is no header may hide its status.
    """

    asking: Asking

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._socket = sock
        self._in_time = _InTime(self.fp.detach(), self.asking)
        self.fp = io.BufferedReader(self._in_time)

    def begin(self) -> None:
        """Read the head, as ``http.client`` does but for its headers."""
        version, status, reason = self._final_status()
        if not version.startswith(("HTTP/1.", "HTTP/0.9")):
            raise UnknownProtocol(version)
        self.version = 11 if version.startswith("HTTP/1.") and version != "HTTP/1.0" else 10
        self.code = self.status = status
        self.reason = reason.strip()
        self.headers = self.msg = self._headers(status)
        self.chunked = self.headers.get("transfer-encoding", "").lower() == "chunked"
        self.chunk_left = None
        self.length = None if self.chunked else _announced(self.headers)
        closes: bool = self._check_close()  # type: ignore[attr-defined]  # typeshed does not name it
        if status in (101, 204, 304):
            # A body that it tells of all the same would be taken for the next answer.
            closes = closes or self.length != 0
            self.chunked, self.length = False, 0
        self.will_close = closes or (self.length is None and not self.chunked)

    def _read_status(self) -> tuple[str, int, str]:
        """As ``http.client`` does, of a line as long as anybody would read."""
        whole = self.fp
        self.fp = io.BufferedReader(io.BytesIO(_first_line(whole)))
        try:
            found: tuple[str, int, str] = super()._read_status()  # type: ignore[misc]  # typeshed does not name it
            return found
        finally:
            self.fp = whole

    def _close_conn(self) -> None:
        """It is over. What came in the same read would be lost, and nobody would know where the next answer begins."""
        self._in_time.is_over = True
        if self.fp.peek(1):
            shut_down(self._socket)
        super()._close_conn()  # type: ignore[misc]  # typeshed does not name it

    def _final_status(self) -> tuple[str, int, str]:
        while True:
            version, status, reason = self._read_status()
            if status != 100 and not 102 <= status < 200:
                return version, status, reason
            self._headers(status)

    def _headers(self, status: int) -> HTTPMessage:
        headers, cut = read_headers(self.fp)
        if cut is not None and status < FIRST_REFUSAL:
            raise cut
        if cut is not None or (status >= FIRST_REFUSAL and _is_disputed(headers)):
            # Where its body ends is not known: it is told without, and the connection not used any more.
            for name in ("content-length", "transfer-encoding", "connection"):
                del headers[name]
            headers.set_raw("content-length", "0")
            headers.set_raw("connection", "close")
        return headers


def read_headers(fp: io.BufferedReader) -> tuple[HTTPMessage, Exception | None]:
    """Every line that is a header, whatever stands around it, and what cut them short, if anything did.

    A line that goes on in the next one is joined, one without a colon passed over. Quicker than ``email``'s parser.
    """
    lines: list[bytes] = []
    left = MOST_HEADER_BYTES
    cut: Exception | None = None
    try:
        while (line := fp.readline(left)) not in _ENDS:
            left -= len(line)
            lines.append(line)
        if not line:
            cut = HTTPException("its headers do not end")
    except OSError as error:
        cut = error
    if lines and not lines[-1].endswith(b"\n"):
        del lines[-1]  # half a number is another one
    headers = HTTPMessage()
    for text in _FOLDED.sub(b" ", b"".join(lines)).decode("iso-8859-1").split("\n"):
        name, colon, value = text.partition(":")
        if colon and (name := name.strip()):
            headers.set_raw(name, value.strip())
    return headers, cut


def shut_down(sock: socket.socket) -> None:
    """End it for both sides, whoever reads or writes it. Safe from any thread."""
    try:
        # The plain socket beneath TLS: SSLSocket.shutdown would first want to talk to the other side.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        return  # closed already


def _first_line(fp: io.BufferedReader) -> bytes:
    """The beginning of a line; the rest of it is passed over."""
    part = line = fp.readline(MOST_STATUS_BYTES)
    left = MOST_HEADER_BYTES
    while part and left > 0 and not part.endswith(b"\n"):
        part = fp.readline(MOST_STATUS_BYTES)
        left -= len(part)
    return line


def _is_disputed(headers: HTTPMessage) -> bool:
    """Whether its length is told twice, and not the same. (Of a success ``urllib3`` says so.)"""
    lengths = ",".join(headers.get_all("content-length", ())).split(",")
    return len({length.strip() for length in lengths}) > 1 and "chunked" not in headers.get("transfer-encoding", "")


def _announced(headers: HTTPMessage) -> int | None:
    """How long the body says to be; None when it ends with the connection."""
    try:
        length = int(headers.get("content-length", ""))
    except ValueError:
        return None
    return length if length >= 0 else None
