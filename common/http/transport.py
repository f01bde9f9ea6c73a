"""The one door to the network.

A transport can be aborted from another thread at any moment (``connections``; law 6). Answers are bounded in size and
in time, and no redirect is followed to another host, since the key would go with it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import requests
from urllib3.exceptions import HTTPError, ProtocolError

from common.errors import EntityRefused, RunFault, StopRequested, TransientFault
from common.excerpt import excerpt
from common.http.connections import AbortableAdapter, Sockets
from common.redact import mask

CHUNK_BYTES = 256 * 1024
MOST_REFUSAL_BYTES = 1024 * 1024
"""So much is read of an answer that is no success: it is only told."""
MOST_TOLD = 200
"""Characters of an address or a reason that a sentence names; a redirect leads where the vendor likes."""
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
        """The media type without parameters, lower case; empty when none was sent. Masked: a secret may hold a `;`."""
        return mask(self.headers.get("content-type", "")).split(";")[0].strip().lower()

    @property
    def vendor_now(self) -> datetime:
        """The vendor's clock (its ``Date`` header), else ours."""
        try:
            moment = parsedate_to_datetime(self.headers["date"])
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        except (KeyError, ValueError, TypeError, IndexError, OverflowError):
            return self.received_at


class _Crossed(Exception):
    """A request met the closing of its connection, which had served before; not one byte of an answer came."""


class Transport:
    """Keep-alive HTTP for one vendor account; threads share it.

    ``get`` and ``post`` raise ``TransientFault`` (timeout, reset, cut answer), ``EntityRefused`` (too large),
    ``RunFault`` (redirect elsewhere), ``StopRequested`` after ``abort``. HTTP statuses are not its business.
    """

    def __init__(self, *, limits: Limits, connections: int, user_agent: str) -> None:
        self._limits = limits
        self._sockets = Sockets()
        self._aborted = threading.Event()
        # The adapter without a session around it: no proxies nor .netrc of the machine (which would replace our
        # Authorization header), no cookies kept, and half the work for each request (measured).
        self._adapter = AbortableAdapter(self._sockets, connections)
        self._prepared: dict[tuple[object, ...], requests.PreparedRequest] = {}
        self._headers = {"User-Agent": user_agent, "Accept": "application/json", "Accept-Encoding": "gzip, deflate"}

    def get(
        self,
        url: str,
        *,
        params: Mapping[str, str],
        headers: Mapping[str, str],
        another: Callable[[Answer | None], None] = lambda _: None,
    ) -> Answer:
        """One GET, redirects within the same origin included.

        ``another`` is called before each request that follows one: with the redirect, or with None after one that
        crossed the closing of its connection. That may take its time: each request has its own deadline.
        """
        target, query = url, dict(params)
        for redirects in range(MOST_REDIRECTS + 1):
            try:
                answer = self._once(target, query, headers)
            except _Crossed:
                another(None)
                answer = self._once(target, query, headers, afresh=True)
            if answer.status not in (301, 302, 303, 307, 308):
                return answer
            location = _redirected(answer)
            if _origin(location) != _origin(url):
                raise RunFault("REDIRECT_REFUSED", status=answer.status, location=excerpt(_origin(location), MOST_TOLD))
            if redirects == MOST_REDIRECTS:
                break
            another(answer)
            target, query = location, {}
        raise RunFault("REDIRECT_REFUSED", status=answer.status, location="itself, again and again")

    def post(self, url: str, *, body: bytes, headers: Mapping[str, str]) -> Answer:
        """One POST. A redirect is an answer like any other: following it would send the body elsewhere.

        Over a new connection: a POST that crossed the closing of an old one could not be sent again.
        """
        return self._once(url, {}, headers, body=body, afresh=True)

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
        *,
        body: bytes | None = None,
        afresh: bool = False,
    ) -> Answer:
        if self._aborted.is_set():
            raise StopRequested
        started = time.monotonic()
        self._sockets.asking.begin(started + self._limits.deadline_seconds, afresh=afresh)
        try:
            request = self._request(url, params, headers, body)
            silence = self._limits.silence_seconds
            timeout = (min(CONNECT_TIMEOUT_SECONDS, silence), silence)
            response = self._adapter.send(request, stream=True, timeout=timeout)
            with response:
                content = self._body(response, url)
        except (requests.RequestException, HTTPError, HTTPException, OSError) as error:
            if self._aborted.is_set():
                raise StopRequested from None
            fault = _as_fault(error, url)
            if fault.code == "NETWORK_FAULT" and self._sockets.asking.has_crossed:
                raise _Crossed from error
            raise fault from error
        if self._aborted.is_set():
            raise StopRequested
        return _answer(response, content, started)

    def _request(
        self, url: str, params: dict[str, str], headers: Mapping[str, str], body: bytes | None
    ) -> requests.PreparedRequest:
        """Ready to be sent. Of a list only the page changes: the rest is prepared once, which was a quarter of the work
        for each request (measured)."""
        sent = {**self._headers, **headers}
        if body is not None or not params or "?" in url or "#" in url:
            method = "GET" if body is None else "POST"
            return requests.Request(method, url, params=params, data=body, headers=sent).prepare()
        known = (url, *sent.items())
        prepared = self._prepared.get(known)
        if prepared is None:
            prepared = requests.Request("GET", url, headers=sent).prepare()
            self._prepared = {known: prepared}  # one list at a time
        request = prepared.copy()
        request.url = f"{request.url}?{urlencode(params)}"
        return request

    def _body(self, response: requests.Response, url: str) -> bytes:
        chunks: list[bytes] = []
        is_refusal = response.status_code >= 300
        most = min(self._limits.body_bytes, MOST_REFUSAL_BYTES) if is_refusal else self._limits.body_bytes
        try:
            for chunk in _pieces(response):
                most -= len(chunk)
                if most < 0:
                    break
                chunks.append(chunk)
        except (HTTPError, HTTPException, OSError):
            if not is_refusal:
                raise
        if most < 0 and not is_refusal:
            raise EntityRefused("BODY_TOO_LARGE", path=_path(url), limit_mb=self._limits.body_bytes // (1024 * 1024))
        # What came of a refusal is enough: neither its length nor how it is cut must hide its status and Retry-After.
        return b"".join(chunks)


def _pieces(response: requests.Response) -> Iterator[bytes]:
    """A body as it comes; waiting for whole chunks would let a dripping answer outlast its deadline."""
    while chunk := response.raw.read1(CHUNK_BYTES, decode_content=True):
        yield chunk


def _answer(response: requests.Response, content: bytes, started: float) -> Answer:
    return Answer(
        status=response.status_code,
        headers={name.lower(): value for name, value in response.headers.items()},
        body=content,
        url=response.url,
        elapsed_seconds=time.monotonic() - started,
        received_at=datetime.now(UTC),
    )


def _redirected(answer: Answer) -> str:
    """Where a redirect leads; what is no address leads elsewhere, too."""
    named = answer.headers.get("location")
    if not named:
        raise RunFault("REDIRECT_REFUSED", status=answer.status, location="none named")
    try:
        location = urljoin(answer.url, named)
        urlsplit(location).port  # noqa: B018 -- reading it is what checks it
    except ValueError:
        raise RunFault("REDIRECT_REFUSED", status=answer.status, location="an unreadable one") from None
    return location


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _path(url: str) -> str:
    return excerpt(urlsplit(url).path, MOST_TOLD)


def _as_fault(error: Exception, url: str) -> TransientFault:
    path = _path(url)
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return TransientFault("VENDOR_TIMEOUT", path=path)
    if isinstance(error, requests.exceptions.ChunkedEncodingError | ProtocolError) and "IncompleteRead" in str(error):
        return TransientFault("TRUNCATED_BODY", path=path)
    return TransientFault("NETWORK_FAULT", host=urlsplit(url).hostname or "?", detail=_innermost(error), path=path)


def _innermost(error: BaseException) -> str:
    """The last link of the chain, which says what the kernel said; masked."""
    reason: Any = error
    while True:
        inner = getattr(reason, "reason", None) or (reason.args[0] if getattr(reason, "args", None) else None)
        if not isinstance(inner, BaseException):
            return f"{type(reason).__name__}: {excerpt(str(reason), MOST_TOLD)}"
        reason = inner
