"""A stand-in for Teams Workflows on this machine: takes a card as Workflows does, and keeps what it was sent."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

PATH = "/powerautomate/automations/direct/workflows/planted-workflow-id/triggers/manual/paths/invoke"
SIGNATURE = "planted-signature-of-the-webhook"


class Workflows:
    """A real server. ``answer`` is (status, body, headers) of the next requests; 202 without a body by default.

    As Workflows it checks the signature (401), the JSON (400) and that `attachments` is a list; without one it answers
    202 all the same and shows nothing: ``shown`` holds the cards that a person would see.
    """

    def __init__(self) -> None:
        self.answer: tuple[int, bytes, dict[str, str]] = (202, b"", {})
        self.posts: list[bytes] = []
        self.shown: list[dict[str, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                status, text, headers = outer._take(self.path, body)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(text)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: Any) -> None:
                """Silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def webhook(self) -> str:
        """The address as somebody would paste it."""
        return f"http://127.0.0.1:{self._server.server_port}{PATH}?api-version=1&sp=%2Ftriggers&sv=1.0&sig={SIGNATURE}"

    def _take(self, path: str, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        self.posts.append(body)
        if f"sig={SIGNATURE}" not in path:
            return 401, b'{"error": {"code": "DirectApiAuthorizationRequired", "message": "Not authorised."}}', {}
        try:
            message = json.loads(body)
        except ValueError:
            return 400, b'{"error": {"code": "InvalidRequestContent", "message": "Not JSON."}}', {}
        if self.answer[0] < 300 and isinstance(message.get("attachments"), list):
            self.shown.extend(attachment["content"] for attachment in message["attachments"])
        return self.answer

    def __enter__(self) -> Workflows:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
