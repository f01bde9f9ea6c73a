"""Requests that meet the end of a connection which has served before, over real sockets."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from common.errors import StopRequested, TransientFault
from common.http.transport import Answer, Limits, Transport

GOOD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
Step = Callable[[socket.socket], None]


def well(link: socket.socket) -> None:
    """An answer, and the connection is kept."""
    link.sendall(GOOD)


def closed(link: socket.socket) -> None:
    """The end in place of an answer."""
    link.shutdown(socket.SHUT_RDWR)


def reset(link: socket.socket) -> None:
    """The end in place of an answer, rudely."""
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    link.close()


def cut(link: socket.socket) -> None:
    """The end amid an answer."""
    link.sendall(GOOD[:-1])
    link.shutdown(socket.SHUT_RDWR)


def cut_early(link: socket.socket) -> None:
    """The end amid the first line of an answer."""
    link.sendall(GOOD[:9])
    link.shutdown(socket.SHUT_RDWR)


@contextmanager
def serving(*connections: list[Step]) -> Iterator[tuple[str, list[str]]]:
    """A server that takes one connection after the other, a step for each request; its address, what it was asked."""
    asked: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for steps in connections:
                link, _ = server.accept()
                with link:
                    for step in steps:
                        request = b""
                        while not request.endswith((b"\r\n\r\n", b"{}")):
                            request += link.recv(65536)
                        asked.append(request.split()[0].decode())
                        step(link)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/api", asked
        thread.join(5)


@contextmanager
def asking() -> Iterator[tuple[Transport, Callable[[str], Answer], list[Answer | None]]]:
    """A transport, a GET by it, and what was told before requests that followed one."""
    told: list[Answer | None] = []
    transport = Transport(limits=Limits(5, 10), connections=2, user_agent="test")
    try:
        yield transport, lambda url: transport.get(url, params={}, headers={}, another=told.append), told
    finally:
        transport.close()


@pytest.mark.parametrize("end", [closed, reset])
def test_a_request_that_meets_the_end_of_its_connection_is_asked_once_more(end: Step) -> None:
    """An idle connection ends some time, and a request may cross that: it is no sign of a vendor in trouble."""
    with serving([well, end], [well, well]) as (url, asked), asking() as (_, get, told):
        assert [get(url).status for _ in range(3)] == [200, 200, 200]
    assert (len(asked), told) == (4, [None]), "whoever keeps the budget hears of the fourth before it goes out"


def test_a_request_is_asked_once_more_over_a_new_connection_only() -> None:
    """Another kept one may have met its end, too; what a new one answers is the vendor's word."""
    with serving([well, closed], [closed]) as (url, asked), asking() as (_, get, told):
        get(url)
        with pytest.raises(TransientFault) as caught:
            get(url)
    assert (caught.value.code, len(asked), told) == ("NETWORK_FAULT", 3, [None])


@pytest.mark.parametrize("steps", [[reset], [closed], [well, cut], [well, cut_early]])
def test_any_other_end_of_a_connection_is_a_fault(steps: list[Step]) -> None:
    """Issue 3: a reset of a new connection, and an answer that has begun, count as failures of the vendor."""
    with serving(steps) as (url, asked), asking() as (_, get, told):
        for _ in steps[1:]:
            get(url)
        with pytest.raises(TransientFault):
            get(url)
    assert (len(asked), told) == (len(steps), [])


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n",
        GOOD + b"\r\n",
        GOOD + GOOD,
        GOOD.replace(b"Content-Length: 2", b"Transfer-Encoding: chunked")[:-2] + b"2\r\n{}\r\n0\r\n\r\nHTTP/1.1 500 No",
    ],
    ids=["a body that is to come", "chunks", "of what is not new", "a line more", "twice", "behind chunks"],
)
def test_a_connection_on_which_more_may_come_is_given_up(answer: bytes) -> None:
    """Law 3: what is left of one answer must not be taken for the next one."""
    heard: list[bytes] = []

    def says_more(link: socket.socket) -> None:
        link.sendall(answer)
        heard.append(link.recv(1))

    with serving([says_more], [well]) as (url, asked), asking() as (_, get, told):
        assert [get(url).body, get(url).body] == [b"{}" if b"{}" in answer else b"", b"{}"]
    assert (heard, len(asked), told) == ([b""], 2, [])


def test_a_post_goes_over_a_new_connection() -> None:
    """It is never sent twice, and so must not meet the end of one that has served before."""
    with serving([well], [well]) as (url, asked), asking() as (transport, get, _):
        get(url)
        assert transport.post(url, body=b"{}", headers={}).status == 200
    assert asked == ["GET", "POST"]


def test_a_stop_is_no_end_of_a_connection() -> None:
    """Law 6: what a Stop shuts is not asked again."""
    with asking() as (transport, get, told):

        def stop(_: socket.socket) -> None:
            transport.abort()

        with serving([well, stop]) as (url, asked):
            get(url)
            with pytest.raises(StopRequested):
                get(url)
        assert (len(asked), told) == (2, [])
