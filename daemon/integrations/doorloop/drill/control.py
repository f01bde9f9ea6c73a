"""The control routes under /drill: faults, mutations, limits, the request log, the truth.

They need the key like the API does, and no fault or limit ever strikes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any, Protocol

import orjson

from . import answers
from .catalogue.population import Mutation
from .catalogue.world import ENTITIES
from .faults.switchboard import ActiveFault, Switchboard
from .limits import LimitSettings
from .request_log import RequestLog
from .vendor import Vendor
from .wire import NDJSON, Request, Response, json_response


class Controlled(Protocol):
    """The drill server, as far as the control routes use it."""

    vendor: Vendor
    log: RequestLog

    @property
    def faults(self) -> Switchboard:
        """The switchboard."""
        ...

    @property
    def mutate(self) -> Callable[..., Mutation]:
        """Changes records of an entity."""
        ...

    def set_fault(self, key: str, /, **parameters: Any) -> ActiveFault:
        """Switch a fault on."""
        ...

    def check_fault(self, key: str, parameters: Mapping[str, Any]) -> None:
        """Raise ValueError when ``set_fault`` would."""
        ...

    def clear_fault(self, key: str) -> bool:
        """Switch a fault off."""
        ...

    def clear_faults(self) -> list[str]:
        """Switch all faults off."""
        ...

    def set_limits(self, settings: LimitSettings) -> None:
        """Put other request limits into force."""
        ...

    def state(self) -> dict[str, Any]:
        """What is going on."""
        ...


Route = Callable[[Controlled, Request, list[str]], Response]


def control(server: Controlled, request: Request) -> Response:
    """Answer a control request; what the server refuses as a ValueError becomes a 400 with its sentence."""
    if not server.vendor.key_fits(request):
        return answers.unauthorized()
    parts = [part for part in request.path.split("/") if part][1:]
    route = ROUTES.get((request.method, parts[0] if parts else "", len(parts)))
    if route is None:
        known = sorted({f"{method} /drill/{name}" for method, name, _ in ROUTES})
        return answers.error(404, f"No such control route. Known: {', '.join(known)}.")
    try:
        return route(server, request, parts)
    except (ValueError, TypeError) as error:
        return answers.error(400, str(error))


def _json_body(request: Request) -> dict[str, Any]:
    content = orjson.loads(request.body) if request.body.strip() else {}
    if not isinstance(content, dict):
        raise ValueError("The body must be a JSON object.")
    return content


def _faults(server: Controlled, _: Request, __: list[str]) -> Response:
    return json_response(200, server.faults.catalogue())


def _set_fault(server: Controlled, request: Request, parts: list[str]) -> Response:
    parameters = _json_body(request)
    if parts[1] == "vendor_down" and parameters.get("mode") == "refuse":
        # The port closes behind this very answer: it has to be out first.
        response = json_response(200, {"key": parts[1], "parameters": parameters})
        response.afterwards = lambda: _quietly(server, parts[1], parameters)
        server.check_fault(parts[1], parameters)
        return response
    return json_response(200, server.set_fault(parts[1], **parameters).state())


def _quietly(server: Controlled, key: str, parameters: dict[str, Any]) -> None:
    server.set_fault(key, **parameters)


def _clear_fault(server: Controlled, _: Request, parts: list[str]) -> Response:
    return json_response(200, {"cleared": server.clear_fault(parts[1])})


def _clear_faults(server: Controlled, _: Request, __: list[str]) -> Response:
    return json_response(200, {"cleared": server.clear_faults()})


def _mutate(server: Controlled, request: Request, _: list[str]) -> Response:
    content = _json_body(request)
    entity = content.pop("entity", None)
    if entity not in ENTITIES:
        raise ValueError(f"entity must be one of {', '.join(ENTITIES)}, not {entity!r}.")
    return json_response(200, asdict(server.mutate(entity, **content)))


def _requests(server: Controlled, request: Request, _: list[str]) -> Response:
    recent = request.params.get("recent", "100")
    return json_response(200, server.log.summary(int(recent) if recent.isdecimal() else 100))


def _forget_requests(server: Controlled, _: Request, __: list[str]) -> Response:
    server.log.clear()
    return json_response(200, {"cleared": True})


def _state(server: Controlled, _: Request, __: list[str]) -> Response:
    return json_response(200, server.state())


def _limits(server: Controlled, request: Request, _: list[str]) -> Response:
    settings = LimitSettings(**_json_body(request))
    server.set_limits(settings)
    return json_response(200, asdict(settings))


def _truth(server: Controlled, _: Request, parts: list[str]) -> Response:
    if parts[1] not in ENTITIES:
        raise ValueError(f"There is no entity {parts[1]!r}. Known: {', '.join(ENTITIES)}.")
    return Response(200, content_type=NDJSON, stream=_lines(server.vendor.populations[parts[1]].stream()))


def _lines(records: Iterator[bytes]) -> Iterator[bytes]:
    """Yield newline-separated records in pieces of some 64 KB: a chunk per record would cost more than the record."""
    piece: list[bytes] = []
    for record in records:
        piece.append(record)
        if len(piece) == 64:
            yield b"\n".join(piece) + b"\n"
            piece.clear()
    if piece:
        yield b"\n".join(piece) + b"\n"


# (method, first part after /drill, number of parts)
ROUTES: dict[tuple[str, str, int], Route] = {
    ("GET", "faults", 1): _faults,
    ("PUT", "faults", 2): _set_fault,
    ("DELETE", "faults", 2): _clear_fault,
    ("DELETE", "faults", 1): _clear_faults,
    ("POST", "mutate", 1): _mutate,
    ("GET", "requests", 1): _requests,
    ("DELETE", "requests", 1): _forget_requests,
    ("GET", "state", 1): _state,
    ("PUT", "limits", 1): _limits,
    ("GET", "truth", 2): _truth,
}
