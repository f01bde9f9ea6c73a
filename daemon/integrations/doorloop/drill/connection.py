"""One keep-alive connection: read, answer, deliver, with the faults that strike on the way."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from contextlib import suppress

from .faults.switchboard import ActiveFault
from .wire import BadRequestError, Request, RequestReader, Response, json_response

Answer = Callable[[Request], Response]
Delivered = Callable[[Request, int, tuple[str, ...]], None]

RESET_ON_CLOSE = struct.pack("ii", 1, 0)
HANG_CHECK_SECONDS = 0.1


class Cut(Exception):
    """The connection ends here: a signal, not an error."""


def serve(sock: socket.socket, answer: Answer, delivered: Delivered) -> None:
    """Answer requests until the peer closes, an error or a fault ends the connection; the caller closes the socket.

    `delivered` hears how each request ended: with its status, or 0 when no status line went out.
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    reader = RequestReader(sock)
    try:
        while True:
            try:
                request = reader.read()
            except BadRequestError as error:
                sock.sendall(_encode(json_response(400, {"message": str(error)}), keep_alive=False))
                return
            if request is None or not _exchange(sock, request, answer, delivered):
                return
    except (OSError, Cut):
        return


def _exchange(sock: socket.socket, request: Request, answer: Answer, delivered: Delivered) -> bool:
    """Answer one request and return whether the connection stays open."""
    response = answer(request)
    delivery = Delivery(sock, request, response)
    try:
        delivery.run()
    finally:
        delivered(request, delivery.status_sent, tuple(fault.key for fault in response.faults))
    if response.afterwards:
        response.afterwards()
    return request.keep_alive


class Delivery:
    """Sends one response; faults of the stage "delivery" delay, drip, cut or swallow it."""

    def __init__(self, sock: socket.socket, request: Request, response: Response) -> None:
        self._sock = sock
        self._request = request
        self._response = response
        self._faults = {fault.key: fault for fault in response.faults if fault.stage == "delivery"}
        self.status_sent = 0

    def run(self) -> None:
        """Send the response.

        Raises:
            Cut: a fault ended the connection.
            OSError: the peer did.
        """
        response, faults = self._response, self._faults
        if faults:
            self._before_headers(faults)
        head = response.head(keep_alive=self._request.keep_alive)
        if self._request.method == "HEAD":
            self._send(head)
        elif response.stream is not None:
            self._send(head)
            self._stream(response)
        elif faults:
            self._body_with_faults(head, response.body, faults)
        else:
            self._send(head + response.body)

    def _send(self, first: bytes) -> None:
        self.status_sent = self._response.status
        self._sock.sendall(first)

    def _before_headers(self, faults: dict[str, ActiveFault]) -> None:
        for key, parameter in (("latency", "seconds"), ("slow", "delay_seconds")):
            if key in faults:
                faults[key].ended.wait(max(0.0, faults[key][parameter]))
        if "hang" in faults:
            self._hang(faults["hang"])
        if "reset" in faults and faults["reset"]["where"] == "headers":
            self._reset()
        if "extra_headers" in faults:
            self._response.headers.extend(
                (name, str(text)) for name, text in faults["extra_headers"]["headers"].items()
            )

    def _body_with_faults(self, head: bytes, body: bytes, faults: dict[str, ActiveFault]) -> None:
        if "reset" in faults:
            self._send(head + body[: len(body) // 2])
            self._reset()
        if "close_early" in faults:
            share = min(1.0, max(0.0, faults["close_early"]["share"]))
            self._send(head + body[: min(len(body) - 1, int(len(body) * share))])
            raise Cut
        if "slow_body" not in faults:
            self._send(head + body)
            return
        self._send(head)
        fault = faults["slow_body"]
        pieces = max(1, min(fault["pieces"], len(body)))
        step = -(-len(body) // pieces)
        for start in range(0, len(body), max(1, step)):
            fault.ended.wait(max(0.0, fault["seconds"]) / pieces)
            self._sock.sendall(body[start : start + step])

    def _stream(self, response: Response) -> None:
        assert response.stream is not None
        chunked = response.stream_bytes is None
        for piece in response.stream:
            if piece:
                self._sock.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            self._sock.sendall(b"0\r\n\r\n")

    def _hang(self, fault: ActiveFault) -> None:
        """Hold the request unanswered until the peer gives up or the fault is switched off."""
        self._sock.settimeout(HANG_CHECK_SECONDS)
        while not fault.ended.is_set():
            with suppress(TimeoutError):
                if not self._sock.recv(1, socket.MSG_PEEK):
                    break
                fault.ended.wait(HANG_CHECK_SECONDS)
        raise Cut

    def _reset(self) -> None:
        """Close so that the peer sees RST: with a linger time of zero the kernel drops what is not sent yet."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        raise Cut


def _encode(response: Response, *, keep_alive: bool) -> bytes:
    return response.head(keep_alive=keep_alive) + response.body
