"""A plain client of the drill server, shared by its tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import httpx

from daemon.integrations.doorloop.drill import DrillServer


class DrillClient:
    """Asks a drill server with its key, over kept-alive connections."""

    def __init__(self, drill: DrillServer, key: str | None = None) -> None:
        self.drill = drill
        header = {"Authorization": f"bearer {key or drill.key}"}
        self.http = httpx.Client(headers=header, timeout=5.0, trust_env=False)

    def __enter__(self) -> DrillClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.http.close()

    def get(self, path: str, **params: Any) -> httpx.Response:
        """Ask the API: get("owners", page_size=5)."""
        return self.http.get(f"{self.drill.base_url}/{path}", params=params)

    def control(self, method: str, path: str, body: object = None) -> httpx.Response:
        """Ask a control route."""
        return self.http.request(method, f"{self.drill.origin}/drill/{path}", json=body)

    def ids(self, entity: str, **params: Any) -> list[str]:
        """Read every page of a list and return the ids in the order they came."""
        return [record["id"] for record in self.all(entity, **params)]

    def all(self, entity: str, **params: Any) -> Iterator[dict[str, Any]]:
        """Read every page of a list."""
        number = 1
        while data := self.get(entity, **params, page_number=number).json()["data"]:
            yield from data
            number += 1


@contextmanager
def drilling(**settings: Any) -> Iterator[tuple[DrillServer, DrillClient]]:
    """Start a drill server and a client of it."""
    with DrillServer(**settings) as drill, DrillClient(drill) as client:
        yield drill, client
