"""A vendor of tenants over a real socket, whose every answer a test may bend."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

ME = {"id": "5f0c1e2d3a4b5c6d7e8f9a0b", "name": "B", "email": "b@x.test"}


def id_of(number: int) -> str:
    """A tenant's id."""
    return f"{number:024x}"


def tenant(number: int, **changes: Any) -> dict[str, Any]:
    """A good record; ``changes`` may spoil it."""
    stamp = f"2025-01-01T{number // 60 % 24:02d}:{number % 60:02d}:00.000Z"
    return {
        "id": id_of(number),
        "name": f"T {number}",
        "active": True,
        "createdAt": stamp,
        "updatedAt": stamp,
    } | changes


class Answer:
    """What is sent instead of the usual."""

    def __init__(self, body: Any, status: int = 200, content_type: str = "application/json", **headers: str) -> None:
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.status = status
        self.content_type = content_type
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class SmallVendor:
    """Serves ``records``, by page and by id, as long as the block lasts.

    ``bend_record`` and ``bend_page`` may answer otherwise (None: as usual); ``after_page`` is told of each page sent.
    ``asked`` holds the ids and the numbers of pages asked for, without the question whose account it is.
    """

    def __init__(self, records: list[Any]) -> None:
        self.records = records
        self.bend_record: Callable[[str], Answer | None] = lambda _: None
        self.bend_page: Callable[[int], Answer | None] = lambda _: None
        self.after_page: Callable[[int], None] = lambda _: None
        self.asked: list[str | int] = []
        self.me: dict[str, Any] = ME
        self.sorts = False
        """Whether it heeds the order asked for; else its records come as they stand."""
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                answer = vendor._answer(self.path)
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.content_type)
                self.send_header("Content-Length", str(len(answer.body)))
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)

            def log_request(self, *_: Any) -> None:
                """Nothing: what was asked stands in ``asked``."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    def __enter__(self) -> SmallVendor:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def reach(self) -> dict[str, str]:
        """Settings that lead here."""
        return {"DOORLOOP_BASE_URL": f"http://127.0.0.1:{self._server.server_port}/api", "DOORLOOP_API_KEY": "k" * 24}

    @property
    def ids_asked(self) -> list[str]:
        """The ids of records asked for by id."""
        return [asked for asked in self.asked if isinstance(asked, str)]

    @property
    def pages_asked(self) -> list[int]:
        """The numbers of the pages asked for."""
        return [asked for asked in self.asked if isinstance(asked, int)]

    def _answer(self, target: str) -> Answer:
        parts = urlsplit(target)
        last = parts.path.rsplit("/", 1)[1]
        if last == "me":
            return Answer(self.me)
        if last == "tenants":
            query = dict(parse_qsl(parts.query))
            return self._page(int(query["page_number"]), int(query["page_size"]), query)
        self.asked.append(last)
        found = [record for record in self.records if isinstance(record, dict) and record.get("id") == last]
        usual = Answer(found[0]) if found else Answer({"message": "not found"}, 404)
        return self.bend_record(last) or usual

    def _page(self, number: int, size: int, query: Mapping[str, str]) -> Answer:
        self.asked.append(number)
        records = self.records
        if self.sorts:
            falls = query["sort_descending"] == "true"
            records = sorted(records, key=lambda record: str(record[query["sort_by"]]), reverse=falls)
        rows = records[(number - 1) * size : number * size]
        answer = self.bend_page(number) or Answer({"total": len(self.records), "data": rows})
        self.after_page(number)
        return answer
