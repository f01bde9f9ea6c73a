"""Readers of the live stream over plain sockets, and writers of the log as daemons are."""

from __future__ import annotations

import json
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from common.clock import SystemClock
from common.store import event_log
from common.store.database import Database
from common.store.event_log import Event, Flush

PATH = "/api/admin/sync/logs/stream"


@dataclass(frozen=True)
class Said:
    """One event of a stream: its name (``message`` without one), its id, and its data."""

    name: str
    id: int | None
    data: dict[str, Any]


class StreamReader:
    """One connection to the stream; ``arrived`` holds each piece with the monotonic moment it came."""

    def __init__(self, port: int, token: str, query: str = "", **headers: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        sent = {"Host": f"127.0.0.1:{port}", "Cookie": f"hc_session={token}", **headers}
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in sent.items())
        self.socket.sendall(f"GET {PATH}{query} HTTP/1.1\r\n{lines}\r\n".encode())
        self.socket.setblocking(False)
        self.arrived: list[tuple[float, bytes]] = []
        self.has_ended = False

    def take(self) -> None:
        """Read what has come so far, without waiting."""
        while not self.has_ended:
            try:
                piece = self.socket.recv(1 << 18)
            except BlockingIOError:
                return
            except ConnectionResetError:
                piece = b""
            if not piece:
                self.has_ended = True
                return
            self.arrived.append((time.monotonic(), piece))
            self.has_ended = piece.endswith(b"\r\n0\r\n\r\n")

    def said(self) -> list[Said]:
        """Every whole event that came so far."""
        self.take()
        return [event for event, _ in self.timed()]

    def lines(self) -> list[int]:
        """The ids of the lines that came so far, in their order."""
        return [event.id for event in self.said() if event.name == "message" and event.id is not None]

    def timed(self) -> Iterator[tuple[Said, float]]:
        """Events with the moment their last byte came."""
        _, _, text, moments = self._unchunked()
        at = 0
        while (end := text.find(b"\n\n", at)) >= 0:
            event = _parsed(text[at:end])
            if event is not None:
                yield event, next(moment for until, moment in moments if until >= end + 2)
                while moments[0][0] < end + 2:
                    moments.pop(0)
            at = end + 2

    def answer(self) -> tuple[int, dict[str, str]]:
        """The status and the headers."""
        self.take()
        status, headers, _, _ = self._unchunked()
        return status, headers

    def _unchunked(self) -> tuple[int, dict[str, str], bytes, list[tuple[int, float]]]:
        """Status, headers, the body without its chunks' frames, and by which moment how much of it was there."""
        raw, length, pieces = b"".join(piece for _, piece in self.arrived), 0, []
        for moment, piece in self.arrived:
            length += len(piece)
            pieces.append((length, moment))
        head, _, _ = raw.partition(b"\r\n\r\n")
        first, *rest = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)}
        at, body, moments = len(head) + 4, bytearray(), []
        while (end := raw.find(b"\r\n", at)) > 0:
            size = int(raw[at:end], 16)
            if size == 0:
                break
            until = min(end + 2 + size, length)
            body += raw[end + 2 : until]
            at = end + 4 + size
            while pieces[0][0] < until:
                pieces.pop(0)
            moments.append((len(body), pieces[0][1]))
        return int(first.split()[1]) if len(first.split()) > 1 else 0, headers, bytes(body), moments

    def close(self) -> None:
        """Hang up."""
        self.socket.close()

    def __enter__(self) -> StreamReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _parsed(block: bytes) -> Said | None:
    fields = dict(line.split(": ", 1) for line in block.decode().split("\n") if ": " in line)
    if "data" not in fields:
        return None
    number = int(fields["id"]) if "id" in fields else None
    return Said(fields.get("event", "message"), number, json.loads(fields["data"]))


def read_all(readers: list[StreamReader], until: threading.Event) -> None:
    """Read from many connections in one thread, each piece as it comes, until told to stop."""
    with selectors.DefaultSelector() as selector:
        for reader in readers:
            selector.register(reader.socket, selectors.EVENT_READ, reader)
        while not until.is_set():
            for key, _ in selector.select(timeout=0.1):
                key.data.take()
                if key.data.has_ended:
                    selector.unregister(key.fileobj)


def write(database: Database, number: int = 1, *, msg: str = "a line", **changes: Any) -> int:
    """Lines as a daemon writes them, in one flush; returns the last id."""
    now = SystemClock().now()
    values: dict[str, Any] = {"level": "info", "code": "page", "entity": "owners", "page": 1, "rows": 100, **changes}
    events = [Event(now, "doorloop", "main", msg=msg, **values) for _ in range(number)]
    return event_log.write(database, Flush(events), now)


class Writer(threading.Thread):
    """A daemon's reporter: flushes of ``size`` lines, ``per_second`` of them; ``commits`` are (last id, when)."""

    def __init__(self, database: Database, *, size: int, per_second: float, flushes: int) -> None:
        super().__init__(daemon=True)
        self._database = database
        self._size = size
        self._pause_seconds = 1 / per_second
        self._flushes = flushes
        self.commits: list[tuple[int, float]] = []

    def run(self) -> None:
        """Write, at the rate told."""
        due = time.monotonic()
        for number in range(self._flushes):
            last_id = write(self._database, self._size, msg=f"page {number}: 100 rows, 3 changed", page=number)
            self.commits.append((last_id, time.monotonic()))
            due += self._pause_seconds
            threading.Event().wait(max(0.0, due - time.monotonic()))
