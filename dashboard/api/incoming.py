"""From a request to checked input: the route it means, its query, its body. Raises ``Refused`` with what is wrong."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request

from common.errors import Refused
from common.excerpt import excerpt, name_in_words
from dashboard.api.frame import Endpoint
from dashboard.api.shapes import Wanted
from dashboard.api.table import ENDPOINTS

LARGEST_BODY_BYTES = 64 * 1024
LONGEST_KEY = 200
_A_MOMENT = " must be a time with its zone, such as 2026-11-01T00:00:00Z"
_WORDS = {
    "extra_forbidden": " is not known here",
    "missing": " is missing",
    "json_invalid": " is not JSON",
    "too_short": " is empty",
    "too_long": " is too long",
    "timezone_aware": _A_MOMENT,
    "datetime_type": _A_MOMENT,
    "datetime_parsing": _A_MOMENT,
    "datetime_from_date_parsing": _A_MOMENT,
}


def route(method: str, path: str) -> tuple[Endpoint, Mapping[str, str]]:
    """The route that is meant, with the variable parts of its path."""
    matching = [(endpoint, found) for endpoint in ENDPOINTS if (found := endpoint.pattern.fullmatch(path))]
    if not matching:
        raise Refused("NO_SUCH_ROUTE", path=excerpt(path, 200))
    for endpoint, found in matching:
        if endpoint.method == method:
            return endpoint, found.groupdict()
    allowed = ", ".join(sorted({endpoint.method for endpoint, _ in matching}))
    raise Refused("METHOD_REFUSED", path=path, method=excerpt(method, 20), allowed=allowed)


def query_of(endpoint: Endpoint, request: Request) -> Wanted:
    """The query, with its defaults."""
    pairs = request.query_params.multi_items()
    twice = sorted(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
    if twice:
        raise Refused(
            "REQUEST_UNUSABLE",
            problems=_sentence(f"`{name_in_words(name)}` was given more than once" for name in twice),
        )
    try:
        return endpoint.query.model_validate_strings(dict(pairs))
    except ValidationError as error:
        raise _unusable(error, "query parameter ") from None


async def body_of(endpoint: Endpoint, request: Request) -> Wanted | None:
    """The body of a POST; none at all counts as an empty object."""
    if endpoint.body is None:
        return None
    raw = await _bounded(request)
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if raw and media_type != "application/json":
        raise Refused("REQUEST_NOT_JSON", problem=f"its Content-Type is {name_in_words(media_type) or 'missing'}")
    try:
        return endpoint.body.model_validate_json(raw or b"{}", strict=True)
    except ValidationError as error:
        raise _unusable(error, "") from None


def key_of(request: Request) -> str | None:
    """The Idempotency-Key of a POST."""
    key = request.headers.get("idempotency-key")
    if key is None or request.method != "POST":
        return None
    if not key or len(key) > LONGEST_KEY or not (key.isascii() and key.isprintable()):
        problem = f"`Idempotency-Key` must be 1 to {LONGEST_KEY} printable ASCII characters"
        raise Refused("REQUEST_UNUSABLE", problems=problem)
    return key


def canonical(endpoint: Endpoint, path: Mapping[str, str], body: Wanted | None) -> bytes:
    """A request in its one spelling, so that blanks and the order of keys do not make it another one."""
    spelt = [endpoint.path, dict(path), body.model_dump(mode="json") if body else None]
    return json.dumps(spelt, sort_keys=True).encode()


async def _bounded(request: Request) -> bytes:
    length = request.headers.get("content-length", "0")
    parts: list[bytes] = []
    size = int(length) if length.isascii() and length.isdigit() else 0
    if size <= LARGEST_BODY_BYTES:
        size = 0
        async for part in request.stream():
            size += len(part)
            parts.append(part)
            if size > LARGEST_BODY_BYTES:
                break
    if size > LARGEST_BODY_BYTES:
        raise Refused("REQUEST_TOO_LARGE", limit_kb=LARGEST_BODY_BYTES // 1024)
    return b"".join(parts)


def _unusable(error: ValidationError, kind: str) -> Refused:
    """Each wrong key by its name; never the value, which may be a secret gone astray."""
    return Refused(
        "REQUEST_UNUSABLE", problems=_sentence(_problem(one, kind) for one in error.errors(include_url=False))
    )


def _problem(one: Any, kind: str) -> str:
    name = excerpt(".".join(str(step) for step in one["loc"]), 100) or "the body"
    return f"{kind}`{name}`{_WORDS.get(one['type']) or _in_words(str(one['msg']))}"


def _in_words(said: str) -> str:
    """A message of pydantic's after the name that it is about."""
    message = said.removeprefix("Value error, ")
    wanted = message.removeprefix("Input should ")
    return f": {message}" if wanted == message else f" must {wanted}"


def _sentence(problems: Any) -> str:
    return "; ".join(list(problems)[:10])
