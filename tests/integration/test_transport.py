"""What a server may send before, beside and instead of an answer, byte by byte over a real socket."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress

import pytest

from common.errors import RunFault, StopRequested, TransientFault, VendorFault
from common.http.transport import Answer, Limits, Transport
from tests.waiting import wait_for

GOOD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@contextmanager
def saying(*answers: bytes) -> Iterator[str]:
    """A server that answers its first request with the first of these, and so on; its address."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for answer in answers:
                link, _ = server.accept()
                with link:
                    asked = b""
                    while b"\r\n\r\n" not in asked:
                        asked += link.recv(65536)
                    with suppress(ConnectionError):  # a client that has read enough leaves
                        link.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/api"
        thread.join(5)


@contextmanager
def dripping(start: bytes, drop: bytes) -> Iterator[str]:
    """A server that begins an answer and then sends a drop now and then, for ever; its address."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            link, _ = server.accept()
            with link, suppress(OSError):
                link.recv(65536)
                link.sendall(start)
                while not over.wait(0.02):
                    link.sendall(drop)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/api"
        over.set()
        thread.join(5)


def got(url: str, deadline_seconds: float = 10) -> Answer:
    """What our transport makes of it."""
    transport = Transport(limits=Limits(5, deadline_seconds), connections=1, user_agent="test")
    try:
        return transport.get(url, params={}, headers={"Authorization": "bearer k"})
    finally:
        transport.close()


@pytest.mark.parametrize(
    "interim",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\n" * 3,
        b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n",
    ],
)
def test_interim_answers_are_passed_over(interim: bytes) -> None:
    """RFC 9110 §15.2: a client takes any number of 1xx answers and waits for the one that counts."""
    with saying(interim + GOOD) as url:
        answer = got(url)
    assert (answer.status, answer.body) == (200, b"{}")


@pytest.mark.parametrize("location", [b"http://[bad", b"http://127.0.0.1:99999999/x", b"//[::1", b"file:///etc/passwd"])
def test_a_redirect_to_no_address_is_refused(location: bytes) -> None:
    """Issue 3: redirects never lead elsewhere; what is no address at all is refused by the same code."""
    answer = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + location + b"\r\n\r\n"
    with saying(answer) as url, pytest.raises(RunFault) as caught:
        got(url)
    assert caught.value.code == "REDIRECT_REFUSED"


@pytest.mark.parametrize("head", [b"", b"Location:\r\n"])
def test_a_redirect_to_nowhere_is_told_as_one(head: bytes) -> None:
    """Law 8: it was asked four times, and told as one that leads to itself."""
    answer = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n" + head + b"\r\n"
    with saying(answer) as url, pytest.raises(RunFault) as caught:
        got(url)
    assert (caught.value.code, caught.value.facts["location"]) == ("REDIRECT_REFUSED", "none named")


LONG = b"x" * 60_000


def test_a_redirect_that_leads_nowhere_new_asks_for_no_permit_that_it_does_not_use() -> None:
    """Law 7: with the budget used up by a loop, its end is the loop, not a wait for more."""
    told: list[Answer | None] = []
    loop = b"HTTP/1.1 302 Found\r\nLocation: /api\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    transport = Transport(limits=Limits(5, 10), connections=1, user_agent="test")
    with saying(loop, loop, loop, loop) as url, pytest.raises(RunFault) as caught:
        transport.get(url, params={}, headers={}, another=told.append)
    transport.close()
    assert (caught.value.code, len(told)) == ("REDIRECT_REFUSED", 3)


@pytest.mark.parametrize(
    ("location", "then", "code"),
    [(b"http://" + LONG + b".example/", [], "REDIRECT_REFUSED"), (b"/" + LONG, [GOOD[:-1]], "TRUNCATED_BODY")],
)
def test_an_address_that_the_vendor_chose_is_told_in_short(location: bytes, then: list[bytes], code: str) -> None:
    """A redirect's host or path as long as a book is no sentence, and would hold up whoever stores or compares it."""
    redirect = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nConnection: close\r\nLocation: " + location + b"\r\n\r\n"
    with saying(redirect, *then) as url, pytest.raises(VendorFault) as caught:
        got(url)
    assert caught.value.code == code
    assert len(str(caught.value.as_record())) < 1000


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"", "NETWORK_FAULT"),
        (b"HTTP/1.1 2", "NETWORK_FAULT"),
        (b"lorem ipsum\r\n\r\n", "NETWORK_FAULT"),
        (GOOD[:-1], "TRUNCATED_BODY"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "TRUNCATED_BODY"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", "NETWORK_FAULT"),
        (b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 40_000 + b"\r\n", "NETWORK_FAULT"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 4\r\n\r\n[{}]", "NETWORK_FAULT"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n", "NETWORK_FAULT"),
    ],
)
def test_half_answers_are_tried_again(answer: bytes, code: str) -> None:
    """Issue 3: resets, cut and garbled answers are transient, each with its code."""
    with saying(answer) as url, pytest.raises(TransientFault) as caught:
        got(url)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 500\r\n\r\nslow down",
        b"Transfer-Encoding: chunked\r\n\r\n9\r\nslow down",
        b"Transfer-Encoding: chunked\r\n\r\n9\r\nslow down\r\nzz\r\n",
    ],
    ids=["cut", "cut chunks", "no chunk"],
)
def test_a_refusal_counts_however_its_body_is_cut(rest: bytes) -> None:
    """Law 7: a 429 whose text was cut off was an outage, asked again at once; its status and Retry-After had come."""
    with saying(b"HTTP/1.1 429 Slow\r\nRetry-After: 900\r\n" + rest) as url:
        answer = got(url)
    assert (answer.status, answer.headers["retry-after"], answer.body[:4]) == (429, "900", b"slow")


@pytest.mark.parametrize(
    "head",
    [
        b"this is no header\r\nRetry-After: 900\r\n",
        b"Retry-After : 900\r\n",
        b"X-A: b\r\n" * 200 + b"Retry-After:\r\n 900\r\n",
        b"X-A: " + b"b" * 70_000 + b"\r\nRetry-After: 900\r\n",
        b"Content-Length: 7\r\nContent-Length: 2\r\nRetry-After: 900\r\n",
        b"Content-Length: 7, 2\r\nRetry-After: 900\r\n",
        b"Transfer-Encoding: identity\r\nContent-Length: 7\r\nContent-Length: 2\r\nRetry-After: 900\r\n",
        b"Retry-After: 900\r\nX-A: " + b"b" * 10_000_000 + b"\r\n",
        b"Retry-After: 900\r\n" + b"X-A: b\r\n" * 100_000,
    ],
    ids=[
        "no colon",
        "a space",
        "many, folded",
        "long",
        "two lengths",
        "two in one",
        "two and an encoding",
        "too long",
        "too many",
    ],
)
def test_a_refusal_counts_whatever_its_headers_are(head: bytes) -> None:
    """Law 7: the proxy that says "slow down" is the one whose headers are odd."""
    with saying(b"HTTP/1.1 429 Slow\r\n" + head + b"\r\n{}") as url:
        answer = got(url)
    assert (answer.status, answer.headers["retry-after"]) == (429, "900")


@pytest.mark.parametrize("letters", [70_000, 1_000_000])
def test_a_refusal_counts_however_long_its_reason_is(letters: int) -> None:
    """Law 7: nobody reads it."""
    with saying(b"HTTP/1.1 429 " + b"b" * letters + b"\r\nRetry-After: 900\r\nContent-Length: 2\r\n\r\n{}") as url:
        assert got(url).status == 429


def test_half_a_header_is_none() -> None:
    """Law 7: 900 seconds that were cut would be asked again after nine."""
    with saying(b"HTTP/1.1 429 Slow\r\nX-A: b\r\nRetry-After: 9") as url:
        answer = got(url)
    assert (answer.status, answer.headers["x-a"], "retry-after" in answer.headers) == (429, "b", False)


@pytest.mark.parametrize("odd", [b"no header", b"X-A: " + b"b" * 70_000, b"X-A: b\r\n" * 150, b": b", b"\xff\0: \r"])
def test_an_odd_header_line_is_passed_over(odd: bytes) -> None:
    """Law 8: what is read of a success is judged, not what nobody looks at."""
    with saying(GOOD.replace(b"\r\n", b"\r\n" + odd.rstrip(b"\r\n") + b"\r\n", 1)) as url:
        answer = got(url)
    assert (answer.body, answer.content_type) == (b"{}", "application/json")


def test_a_refusal_counts_whatever_its_encoding_is() -> None:
    """Law 7: a proxy that labels its words as gzip is still a refusal."""
    with saying(b"HTTP/1.1 401 No\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}") as url:
        assert got(url).status == 401


def test_a_refusal_that_never_ends_counts_at_its_deadline() -> None:
    """Law 7: what came of it until then is enough."""
    with dripping(b"HTTP/1.1 503 Later\r\nRetry-After: 900\r\nContent-Length: 9999999\r\n\r\n", b" ") as url:
        answer = got(url, deadline_seconds=0.3)
    assert (answer.status, answer.headers["retry-after"]) == (503, "900")


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    ("start", "drop"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"),
        (b"HTTP/1.1 200 OK\r\nX-A: ", b"b"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n", b" "),
        (b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
    ],
    ids=["header lines", "one header line", "the body", "interim answers"],
)
def test_whatever_drips_ends_at_the_deadline(start: bytes, drop: bytes) -> None:
    """Issue 3: a request as a whole has an end, whichever part of its answer never ends."""
    with dripping(start, drop) as url, pytest.raises(TransientFault) as caught:
        got(url, deadline_seconds=0.3)
    assert caught.value.code in ("VENDOR_TIMEOUT", "NETWORK_FAULT")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_stop_ends_a_request_that_has_not_even_connected(scheme: str) -> None:
    """Law 6: neither a host that does not answer a connection nor one that is silent while TLS begins is waited for."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, ExitStack() as waiting:
        if scheme == "http":  # nobody accepts, and the queue is full: the next one's connection waits
            for _ in range(3):
                caller = waiting.enter_context(socket.socket())
                caller.setblocking(False)
                with suppress(BlockingIOError):
                    caller.connect(server.getsockname())
        transport = Transport(limits=Limits(60, 120), connections=1, user_agent="test")
        url = f"{scheme}://127.0.0.1:{server.getsockname()[1]}/x"
        with ThreadPoolExecutor(1) as pool:
            asking = pool.submit(transport.get, url, params={}, headers={})
            wait_for(lambda: len(transport._sockets._open), "it connects")
            transport.abort()
            with pytest.raises(StopRequested):
                asking.result(5)
        with pytest.raises(StopRequested):
            transport.get(url, params={}, headers={})
