"""The readable docs and the OpenAPI document, served by ourselves: no script, no outside asset, nothing inline."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from html import escape
from string import Template
from typing import Any
from urllib.parse import urlencode

from starlette.responses import HTMLResponse, Response

from common.codes import CODES
from dashboard import identity, services
from dashboard.api import openapi
from dashboard.api.frame import BASE, Endpoint, Example
from dashboard.api.problems import STATUS
from dashboard.api.shapes import Told, Wanted
from dashboard.api.table import ENDPOINTS
from dashboard.web.pages import ASSETS, POLICY

_NO_STORE = {"Cache-Control": "no-store"}


def page(path: str) -> Response | None:
    """The document, the page or its stylesheet; None for any other path."""
    if path == f"{BASE}openapi.json":
        described = openapi.document(identity.cookie_name(services.current()))
        return Response(json.dumps(described, indent=1), 200, _NO_STORE, "application/json")
    if path == f"{BASE}docs.css":
        sheets = ("tokens.css", "api_docs.css")
        return Response("".join((ASSETS / name).read_text() for name in sheets), media_type="text/css")
    if path in (f"{BASE}docs", f"{BASE}docs/"):
        return HTMLResponse(_page(), 200, {**_NO_STORE, "Content-Security-Policy": POLICY})
    return None


def _page() -> str:
    own = services.current()
    contents = "".join(
        f'<li><a href="#{_anchor(endpoint)}">{endpoint.method} {escape(endpoint.path)}</a></li>'
        for endpoint in ENDPOINTS
    )
    return Template((ASSETS / "api_docs.html").read_text()).substitute(
        contents=contents + '<li><a href="#codes">codes of refusals</a></li>',
        routes="".join(_route(endpoint, own.address) for endpoint in ENDPOINTS),
        codes="".join(_code(code, status) for code, status in sorted(STATUS.items(), key=lambda pair: pair[1])),
        address=escape(own.address),
        per_minute=own.settings.icc_api_requests_per_minute,
    )


def _anchor(endpoint: Endpoint) -> str:
    return f"{endpoint.method}-{endpoint.path}".replace("/", "-").replace("{", "").replace("}", "")


def _route(endpoint: Endpoint, address: str) -> str:
    anchor, kind = _anchor(endpoint), "method acts" if endpoint.action else "method"
    parts = [
        f'<section id="{anchor}" aria-labelledby="{anchor}-name">',
        f'<h2 id="{anchor}-name">{escape(endpoint.summary)}</h2>',
        f'<p class="path"><span class="{kind}">{endpoint.method}</span>{BASE}{escape(endpoint.path)}</p>',
        f"<p>{_prose(openapi.description_of(endpoint))}</p>",
        _fields("Query", endpoint.query, endpoint),
        _fields("Body", endpoint.body, endpoint) if endpoint.body else "",
        "".join(_fields(f"Answer {status}", model, endpoint) for status, model in endpoint.answers.items()),
        "<h3>Refusals</h3><p>",
        " · ".join(
            f"{status} " + " ".join(f'<a href="#{code}">{code}</a>' for code in codes)
            for status, codes in endpoint.refusal_statuses.items()
        ),
        "</p><h3>Examples</h3>",
        "".join(_example(endpoint, example, address) for example in endpoint.examples),
        "</section>",
    ]
    return "\n".join(parts)


def _example(endpoint: Endpoint, example: Example, address: str) -> str:
    words = ["curl -N" if endpoint.is_stream else "curl", '-H "Authorization: Bearer $TOKEN"']
    if endpoint.method == "POST":
        words.append(f"-H 'Content-Type: application/json' -d {shlex.quote(json.dumps(example.body or {}))}")
    words.append(shlex.quote(address + address_of(endpoint, example)))
    return f'<p>{escape(example.title)}:</p><pre tabindex="0"><code>{escape(" ".join(words))}</code></pre>'


def address_of(endpoint: Endpoint, example: Example) -> str:
    """The path and query of an example."""
    return BASE + endpoint.path.format(**example.path) + (f"?{urlencode(example.query)}" if example.query else "")


def _fields(title: str, model: type[Wanted | Told], endpoint: Endpoint) -> str:
    schema = openapi.schema_of(model)
    properties: Mapping[str, Any] = schema.get("properties", {})
    if not properties:
        return ""
    definitions, required = schema.get("$defs", {}), schema.get("required", ())
    needs = isinstance(model, type) and issubclass(model, Wanted)
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{_kind(own, definitions)}"
        f"{' (needed)' if needs and name in required else ''}</td><td>{escape(own.get('description', ''))}</td></tr>"
        for name, own in properties.items()
    )
    head = '<tr><th scope="col">name</th><th scope="col">kind</th><th scope="col">meaning</th></tr>'
    about = f'<p class="quiet">{_prose(" ".join((model.__doc__ or "").split()))}</p>'
    named = escape(f"{title} of {endpoint.method} {endpoint.path}")
    region = f'<div class="wide" tabindex="0" role="region" aria-label="{named}">'
    return f"<h3>{escape(title)}</h3>{about}{region}<table><thead>{head}</thead><tbody>{rows}</tbody></table></div>"


def _kind(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """A schema in a few words: text, whole number, one of …, a list of …."""
    if "anyOf" in schema:
        return " or ".join(_kind(one, definitions) for one in schema["anyOf"])
    if "$ref" in schema:
        return _kind(definitions[schema["$ref"].rsplit("/", 1)[1]], definitions)
    if "enum" in schema:
        return _listed(schema["enum"])
    kind = schema.get("type", "anything")
    if kind == "array":
        return "list of " + _kind(schema.get("items", {}), definitions)
    if kind == "object":
        names = schema.get("properties")
        return "{" + ", ".join(f"<code>{escape(name)}</code>" for name in names) + "}" if names else "object"
    words = {"string": "text", "integer": "whole number", "boolean": "true or false", "null": "nothing"}
    return "time" if schema.get("format") == "date-time" else words.get(kind, str(kind))


def _listed(values: Iterable[Any]) -> str:
    return " · ".join(f"<code>{escape(str(value))}</code>" for value in values)


def _prose(text: str) -> str:
    """A docstring's sentence: what stands between backticks is code."""
    pieces = escape(text).replace("``", "`").split("`")
    return "".join(f"<code>{piece}</code>" if index % 2 else piece for index, piece in enumerate(pieces))


def _code(code: str, status: int) -> str:
    entry = CODES[code]
    cause, remedy = (
        _prose(entry.cause.replace("{", "‹").replace("}", "›")),
        _prose(entry.remedy.replace("{", "‹").replace("}", "›")),
    )
    return f'<tr id="{code}"><td>{status}</td><td><code>{code}</code></td><td>{cause}</td><td>{remedy}</td></tr>'
