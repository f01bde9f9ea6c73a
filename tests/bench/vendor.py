"""A vendor as fast as can be: pages made beforehand, sent from memory by a process of its own.

The drill server makes its records as they are asked for, which would be measured along. Run as a program it prints its
port; ``GET /bench/change?share=0.01`` changes that share of the records, ``GET /bench/fail?every=20`` answers every so
many list requests with a 500, each page once.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import orjson

FAILURE = b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\noops"
ME = orjson.dumps({"id": "5f0c1e2d3a4b5c6d7e8f9a0b", "name": "Bench", "email": "bench@example.test"})
NOTE = "Prefers to be written to; keys are with the neighbour on the second floor. "


def record(number: int, version: int) -> dict[str, object]:
    """A tenant of 27 fields and about 1.1 KB; ``version`` tells one state of it from the next."""
    moment = f"2026-0{1 + number % 9}-1{number % 10}T0{number % 10}:15:30.{number % 1000:03d}Z"
    return {
        "id": f"{number:024x}",
        "firstName": f"Robin {number}",
        "middleName": None,
        "lastName": "Featherstonehaugh",
        "name": f"Robin {number} Featherstonehaugh",
        "fullName": f"Robin {number} Featherstonehaugh",
        "gender": "PREFER_NOT_TO_SAY",
        "dateOfBirth": f"19{40 + number % 60}-0{1 + number % 9}-1{number % 10}",
        "timezone": "America/New_York",
        "company": False,
        "companyName": "",
        "jobTitle": "Surveyor",
        "notes": NOTE * 2,
        "phones": [{"type": "Mobile", "number": f"+1 555 {number:07d}"}, {"type": "Home", "number": "+1 555 0100"}],
        "emails": [{"type": "Primary", "address": f"robin.{number}@example.test"}],
        "primaryAddress": {"street1": f"{number} Long Street", "city": "Springfield", "state": "IL", "zip": "62704"},
        "type": "LEASE_TENANT",
        "active": number % 7 != 0,
        "e164PhoneMobileNumber": f"+1555{number:07d}",
        "portalInfo": {"status": "ACTIVE", "loginEmail": f"robin.{number}@example.test", "lastSeenAt": moment},
        "prospectInfo": {"status": "LEASED", "interests": []},
        "stripeCustomerId": f"cus_{number:014x}",
        "acceptedOnTOS": moment,
        "createdAt": moment,
        "updatedAt": f"2026-10-{1 + version:02d}T12:00:00.000Z" if version else moment,
        "createdBy": "5f0c1e2d3a4b5c6d7e8f9a0b",
        "updatedBy": "5f0c1e2d3a4b5c6d7e8f9a0b",
    }


class Vendor:
    """``rows`` tenants in pages of ``size``, each page as it goes over the wire."""

    def __init__(self, rows: int, size: int, latency_seconds: float) -> None:
        self.rows, self.size, self.latency_seconds = rows, size, latency_seconds
        self.versions = bytearray(rows)
        self.fails_every = 0
        self.failed: set[int] = set()
        self.pages = list(self._pages())

    def _pages(self) -> Iterator[bytes]:
        for first in range(0, self.rows, self.size):
            yield _answer(self._body(first))
        yield _answer(orjson.dumps({"total": self.rows, "data": []}))

    def _body(self, first: int) -> bytes:
        numbers = range(first, min(first + self.size, self.rows))
        return orjson.dumps({"total": self.rows, "data": [record(n, self.versions[n]) for n in numbers]})

    def change(self, share: float) -> None:
        """Change that share of the records, spread evenly."""
        step = max(1, round(1 / share))
        for number in range(0, self.rows, step):
            self.versions[number] = (self.versions[number] + 1) % 28
        self.pages = list(self._pages())

    def answer(self, target: str) -> bytes:
        """What a GET of ``target`` brings."""
        parts = urlsplit(target)
        asked = parse_qs(parts.query)
        if parts.path == "/bench/change":
            self.change(float(asked["share"][0]))
            return _answer(b"{}")
        if parts.path == "/bench/fail":
            self.fails_every = int(asked["every"][0])
            return _answer(b"{}")
        if parts.path.endswith("/users/me"):
            return _answer(ME)
        number = int(asked["page_number"][0])
        if self.fails_every and number % self.fails_every == 0 and number not in self.failed:
            self.failed.add(number)
            return FAILURE
        if int(asked["page_size"][0]) != self.size:
            return _answer(orjson.dumps({"total": self.rows, "data": []}))
        return self.pages[min(number, len(self.pages)) - 1]


def _answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


class _Connection(asyncio.Protocol):
    def __init__(self, vendor: Vendor) -> None:
        self._vendor = vendor
        self._waiting = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._waiting += data
        while b"\r\n\r\n" in self._waiting:
            head, self._waiting = self._waiting.split(b"\r\n\r\n", 1)
            answer = self._vendor.answer(head.split(b" ", 2)[1].decode())
            asyncio.get_running_loop().call_later(self._vendor.latency_seconds, self._transport.write, answer)


async def serve(rows: int, size: int, latency_seconds: float) -> None:
    """Serve for ever, after printing the port."""
    vendor = Vendor(rows, size, latency_seconds)
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(vendor), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
