"""The one door to the network, and the only importer of ``requests``.

A transport can be aborted from another thread at any moment: closing a session does not end a request under way,
shutting its socket does (measured; law 6). Answers are bounded in size and in time, and no redirect is followed to
another host, since the key would go with it.
"""

from __future__ import annotations

import io
import socket
import threading
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse, parse_headers
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, ProtocolError

from common.errors import EntityRefused, RunFault, StopRequested, TransientFault
from common.redact import mask

CHUNK_BYTES = 256 * 1024
MOST_REDIRECTS = 3
CONNECT_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class Limits:
    """How long and how large an answer may be."""

    silence_seconds: float = 30.0
    deadline_seconds: float = 120.0
    body_bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True)
class Answer:
    """What came back. ``headers`` have lower-case names; ``received_at`` is our wall clock (UTC)."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str
    elapsed_seconds: float
    received_at: datetime

    @property
    def content_type(self) -> str:
        """The media type without parameters, lower case; empty when none was sent."""
        return self.headers.get("content-type", "").split(";")[0].strip().lower()

    @property
    def vendor_now(self) -> datetime:
        """The vendor's clock (its ``Date`` header), else ours."""
        try:
            moment = parsedate_to_datetime(self.headers["date"])
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        except (KeyError, ValueError, TypeError, IndexError, OverflowError):
            return self.received_at


class Transport:
    """Keep-alive HTTP for one vendor account; threads share it.

    ``get`` and ``post`` raise ``TransientFault`` (timeout, reset, cut answer), ``EntityRefused`` (too large),
    ``RunFault`` (redirect elsewhere), ``StopRequested`` after ``abort``. HTTP statuses are not its business.
    """

    def __init__(self, *, limits: Limits, connections: int, user_agent: str) -> None:
        self._limits = limits
        self._sockets = _Sockets()
        self._aborted = threading.Event()
        # The adapter without a session around it: no proxies nor .netrc of the machine (which would replace our
        # Authorization header), no cookies kept, and half the work for each request (measured).
        self._adapter = _AbortableAdapter(self._sockets, connections)
        self._headers = {"User-Agent": user_agent, "Accept": "application/json", "Accept-Encoding": "gzip, deflate"}

    def get(self, url: str, *, params: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        """One GET, redirects within the same origin included."""
        started = time.monotonic()
        deadline = started + self._limits.deadline_seconds
        target, query = url, dict(params)
        for _ in range(MOST_REDIRECTS + 1):
            answer = self._once(target, query, headers, started, deadline)
            if answer.status not in (301, 302, 303, 307, 308):
                return answer
            location = _redirected(answer)
            if _origin(location) != _origin(url):
                raise RunFault("REDIRECT_REFUSED", status=answer.status, location=_origin(location))
            target, query = location, {}
        raise RunFault("REDIRECT_REFUSED", status=answer.status, location="itself, again and again")

    def post(self, url: str, *, body: bytes, headers: Mapping[str, str]) -> Answer:
        """One POST. A redirect is an answer like any other: following it would send the body elsewhere."""
        started = time.monotonic()
        return self._once(url, {}, headers, started, started + self._limits.deadline_seconds, body=body)

    def abort(self) -> None:
        """End every request under way, now and for good. Safe from any thread, twice too."""
        self._aborted.set()
        self._sockets.shut()

    def close(self) -> None:
        """Give the connections back."""
        self._adapter.close()

    def _once(
        self,
        url: str,
        params: dict[str, str],
        headers: Mapping[str, str],
        started: float,
        deadline: float,
        *,
        body: bytes | None = None,
    ) -> Answer:
        if self._aborted.is_set():
            raise StopRequested
        path = urlsplit(url).path
        self._sockets.deadlines.until = deadline
        try:
            method = "GET" if body is None else "POST"
            request = requests.Request(
                method, url, params=params, data=body, headers={**self._headers, **headers}
            ).prepare()
            silence = self._limits.silence_seconds
            timeout = (min(CONNECT_TIMEOUT_SECONDS, silence), silence)
            response = self._adapter.send(request, stream=True, timeout=timeout)
            with response:
                content = self._body(response, path)
        except (requests.RequestException, HTTPError, HTTPException, OSError) as error:
            if self._aborted.is_set():
                raise StopRequested from None
            raise _as_fault(error, url) from error
        if self._aborted.is_set():
            raise StopRequested
        return Answer(
            status=response.status_code,
            headers={name.lower(): value for name, value in response.headers.items()},
            body=content,
            url=response.url,
            elapsed_seconds=time.monotonic() - started,
            received_at=datetime.now(UTC),
        )

    def _body(self, response: requests.Response, path: str) -> bytes:
        chunks: list[bytes] = []
        size = 0
        # read1 hands over what has come; waiting for whole chunks would let a dripping answer outlast its deadline.
        while chunk := response.raw.read1(CHUNK_BYTES, decode_content=True):
            size += len(chunk)
            if size > self._limits.body_bytes:
                raise EntityRefused("BODY_TOO_LARGE", path=path, limit_mb=self._limits.body_bytes // (1024 * 1024))
            chunks.append(chunk)
        return b"".join(chunks)


def _redirected(answer: Answer) -> str:
    """Where a redirect leads; what is no address leads elsewhere, too."""
    try:
        location = urljoin(answer.url, answer.headers.get("location", ""))
        urlsplit(location).port  # noqa: B018 -- reading it is what checks it
    except ValueError:
        raise RunFault("REDIRECT_REFUSED", status=answer.status, location="an unreadable one") from None
    return location


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _as_fault(error: Exception, url: str) -> TransientFault:
    parts = urlsplit(url)
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return TransientFault("VENDOR_TIMEOUT", path=parts.path)
    if isinstance(error, requests.exceptions.ChunkedEncodingError | ProtocolError) and "IncompleteRead" in str(error):
        return TransientFault("TRUNCATED_BODY", path=parts.path)
    return TransientFault("NETWORK_FAULT", host=parts.hostname or "?", detail=mask(_innermost(error)), path=parts.path)


def _innermost(error: BaseException) -> str:
    """The last link of the chain, which says what the kernel said."""
    reason: Any = error
    while True:
        inner = getattr(reason, "reason", None) or (reason.args[0] if getattr(reason, "args", None) else None)
        if not isinstance(inner, BaseException):
            return f"{type(reason).__name__}: {str(reason)[:200]}"
        reason = inner


class _Sockets:
    """Every live socket of a transport, so that they can be shut from outside."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._shut = False
        self.deadlines = threading.local()
        """``until``: when the request of this thread has to be over, by the monotonic clock."""

    def add(self, sock: socket.socket) -> None:
        with self._lock:
            self._open.add(sock)
            if self._shut:
                _shut_down(sock)

    def shut(self) -> None:
        with self._lock:
            self._shut = True
            for sock in list(self._open):
                _shut_down(sock)


def _shut_down(sock: socket.socket) -> None:
    try:
        # The plain socket beneath TLS: SSLSocket.shutdown would first want to talk to the other side.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        return  # closed already


class _InTime(io.RawIOBase):
    """Reads a socket until a moment: neither dripping header lines nor a dripping body may outlast the deadline."""

    def __init__(self, raw: io.RawIOBase, until: float) -> None:
        self._raw = raw
        self._until = until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if time.monotonic() > self._until:
            raise TimeoutError("timed out")
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _FinalResponse(HTTPResponse):
    """Ends in time, and passes over every interim answer (RFC 9110 §15.2), of which ``http.client`` knows only 100."""

    deadlines: threading.local

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fp = io.BufferedReader(_InTime(self.fp.detach(), self.deadlines.until))

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]  # typeshed does not name it
            if not 102 <= status < 200:
                return version, status, reason
            parse_headers(self.fp)


class _Session(requests.Session):
    """Redirects are our own business: ``requests`` would parse each address even when it is not to follow it."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


class _AbortableAdapter(HTTPAdapter):
    """``requests``' adapter over connections that report their sockets."""

    def __init__(self, sockets: _Sockets, connections: int) -> None:
        self._icc_sockets = sockets
        super().__init__(pool_connections=4, pool_maxsize=connections, pool_block=False, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        sockets = self._icc_sockets

        class Response(_FinalResponse):
            deadlines = sockets.deadlines

        class Plain(HTTPConnection):
            response_class = Response

            def connect(self) -> None:
                super().connect()
                sockets.add(self.sock)

        class Encrypted(HTTPSConnection):
            response_class = Response

            def connect(self) -> None:
                super().connect()
                sockets.add(self.sock)

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class EncryptedPool(HTTPSConnectionPool):
            ConnectionCls = Encrypted

        self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": EncryptedPool}
