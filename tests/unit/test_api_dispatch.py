"""Whatever goes wrong inside a route leaves as a problem, not as a traceback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message, Scope

from common.access import Role
from common.config import WebSettings
from common.operator_actions import Actor
from common.store.database import Database
from dashboard import services
from dashboard.api import incoming
from dashboard.api.dispatch import AdminApi
from dashboard.api.frame import Answer, Call, Endpoint
from dashboard.services import services_for


@pytest.fixture
def answer_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Asks a route that does what is handed in."""
    settings = WebSettings(icc_data_dir=tmp_path, icc_secret_key="k" * 32)
    services.install(services_for(settings, Database("postgresql://nowhere"), {}))

    def ask(does: Any) -> tuple[int, dict[str, Any]]:
        monkeypatch.setattr(incoming, "ENDPOINTS", (Endpoint("GET", "odd", "Odd", does, {}, ()),))
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            return {"type": "http.request"}

        scope: Scope = {"type": "http", "method": "GET", "path": "/api/admin/odd", "query_string": b"", "headers": []}
        scope["icc_caller"] = Actor("program", Role.VIEWER, "api")
        asyncio.run(AdminApi()(scope, receive, send))
        return sent[0]["status"], json.loads(sent[1]["body"])

    yield ask
    services.install(None)


def test_an_error_of_ours_is_a_problem_without_its_words(answer_of: Any) -> None:
    """500 says where to look; what the error said stays in the log."""

    def does(_: Call) -> Answer:
        raise ValueError("a secret in it")

    status, body = answer_of(does)
    assert (status, body["code"]) == (500, "INTERNAL_ERROR")
    assert "secret" not in json.dumps(body)
