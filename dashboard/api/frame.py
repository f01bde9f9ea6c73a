"""What a route of the admin API is: one entry of ``dashboard/api/table.py``.

Routing, validation, the OpenAPI document, the docs page and the statuses that may come all follow from the entry.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from starlette.responses import Response
from starlette.types import Scope

from common.access import Action
from common.catalog import CATALOG
from common.insights.control import CommandView
from common.operator_actions import Actor, Receipt
from dashboard.api.problems import status_of
from dashboard.api.shapes import Nothing, Told, Wanted
from dashboard.services import Services

BASE = "/api/admin/"
_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
SEGMENTS: Mapping[str, tuple[str, dict[str, Any], str]] = {
    "key": ("[a-z][a-z0-9_]{0,39}", {"type": "string", "enum": list(CATALOG)}, "the integration"),
    "id": (_UUID, {"type": "string", "format": "uuid"}, "its id"),
    "letter": ("[1-9][0-9]{0,17}", {"type": "integer", "minimum": 1, "maximum": 10**18 - 1}, "its number"),
}
"""Name of a path's variable part → what it matches, its schema, what it is."""

EVERY = ("SIGN_IN_FIRST", "NO_ROLE", "REQUEST_UNUSABLE", "TOO_MANY_REQUESTS", "DATABASE_AWAY")
"""Refusals that any route may answer with."""
OF_ACTS = ("NOT_PERMITTED", "FOREIGN_PAGE", "UNKNOWN_INTEGRATION", "NO_DAEMON", "COMMAND_EXPIRED", "INTERNAL_ERROR")
OF_POSTS = ("REQUEST_TOO_LARGE", "REQUEST_NOT_JSON", "KEY_REUSED")


@dataclass(frozen=True)
class Call:
    """One request, checked. ``command_id`` is planned ahead when it came with an Idempotency-Key.

    ``scope`` is the request as it came, for an answer that outlives it.
    """

    own: Services
    caller: Actor
    path: Mapping[str, str]
    query: Any
    body: Any
    scope: Scope
    command_id: str | None = None


@dataclass(frozen=True)
class Answer:
    """What is told. ``location`` is where to look further."""

    told: Told
    status: int = 200
    location: str | None = None


@dataclass(frozen=True)
class Follow:
    """A command was given: wait up to ``seconds`` for its end and tell it by ``told``; else 202 with its address."""

    receipt: Receipt
    seconds: float
    told: Callable[[CommandView], Answer]


@dataclass(frozen=True)
class Example:
    """A request as it may be copied; ``status`` is what it answers in the house that the tests build."""

    title: str
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    status: int = 200


@dataclass(frozen=True)
class Endpoint:
    """One route. ``does`` runs in a thread; its docstring is the route's description.

    ``is_stream``: it answers a stream of events instead, each with one of ``answers`` in its data; ``does`` runs in the
    event loop.

    ``action``: what it asks of the gate, which decides and audits; None: it reads, which any role may. ``refusals`` are
    codes that it may answer with besides those of every route of its kind.
    """

    method: Literal["GET", "POST"]
    path: str
    summary: str
    does: Callable[[Call], Answer | Follow | Response]
    answers: Mapping[int, type[Told]]
    examples: tuple[Example, ...]
    query: type[Wanted] = Nothing
    body: type[Wanted] | None = None
    action: Action | None = None
    refusals: tuple[str, ...] = ()
    is_stream: bool = False

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The whole path as it is matched."""
        parts = re.split(r"\{(\w+)\}", BASE + self.path)
        return re.compile("".join(_matching(part, is_name=bool(index % 2)) for index, part in enumerate(parts)))

    @property
    def media_type(self) -> str:
        """What its answers are."""
        return "text/event-stream" if self.is_stream else "application/json"

    @property
    def segments(self) -> tuple[str, ...]:
        """The names of the path's variable parts."""
        return tuple(re.findall(r"\{(\w+)\}", self.path))

    @property
    def codes(self) -> tuple[str, ...]:
        """Every code it may refuse with."""
        acts = OF_ACTS if self.action else ()
        posts = OF_POSTS if self.method == "POST" else ()
        return tuple(dict.fromkeys((*EVERY, *acts, *posts, *self.refusals)))

    @property
    def refusal_statuses(self) -> dict[int, tuple[str, ...]]:
        """HTTP status → the codes behind it."""
        found: dict[int, tuple[str, ...]] = {}
        for code in self.codes:
            status = status_of(code)
            found[status] = (*found.get(status, ()), code)
        return dict(sorted(found.items()))


def _matching(part: str, *, is_name: bool) -> str:
    return f"(?P<{part}>{SEGMENTS[part][0]})" if is_name else re.escape(part)
