"""The OpenAPI 3.1 document, made from the table of routes."""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic.json_schema import JsonSchemaMode, models_json_schema

from dashboard.api.frame import BASE, SEGMENTS, Endpoint
from dashboard.api.problems import MEDIA_TYPE
from dashboard.api.shapes import LARGEST_ID, Told, Wanted
from dashboard.api.table import ENDPOINTS
from dashboard.identity import PLAIN_COOKIE

VERSION = "1"
_REFERENCE = "#/components/schemas/{model}"
_PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "Why not, and what to do (RFC 9457).",
    "required": ["type", "title", "status", "detail", "code", "remedy", "facts"],
    "properties": {
        "type": {"type": "string", "description": "the code's place in the docs"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "one sentence: what happened"},
        "code": {"type": "string", "description": "the same on the page and in the logs"},
        "remedy": {"type": "string", "description": "one sentence: what to do"},
        "facts": {"type": "object", "description": "what the sentences were filled with"},
    },
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Asked again with the same key and body, the first answer comes again; kept for a day.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[ -~]+$"},
}
_LAST_EVENT = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "Go on strictly after this event; counts more than `lastEventId`.",
    "schema": {"type": "integer", "minimum": 0, "maximum": LARGEST_ID},
}


@cache
def document(cookie: str = PLAIN_COOKIE) -> dict[str, Any]:
    """The whole document. ``cookie`` is the session's, whose name says whether people come by https."""
    references, components = _components()
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in ENDPOINTS:
        paths.setdefault(BASE + endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, references)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Integrations Health & Control Center: admin API",
            "version": VERSION,
            "description": "What the page shows and does, for programs. A viewer reads, an admin acts.",
        },
        "paths": paths,
        "components": {
            "schemas": {**components, "Problem": _PROBLEM},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": cookie},
            },
        },
        "security": [{"token": []}, {"session": []}],
    }


def schema_of(model: type[Wanted | Told]) -> dict[str, Any]:
    """A model's own schema, its nested ones under ``$defs``."""
    return model.model_json_schema(by_alias=True, mode=_mode(model))


def _mode(model: type[Wanted | Told]) -> JsonSchemaMode:
    return "serialization" if issubclass(model, Told) else "validation"


def _components() -> tuple[dict[type[Wanted | Told], dict[str, Any]], dict[str, Any]]:
    """Each model's reference, and what stands there."""
    models: dict[type[Wanted | Told], None] = {}
    for endpoint in ENDPOINTS:
        models.update(dict.fromkeys(endpoint.answers.values()))
        if endpoint.body is not None:
            models[endpoint.body] = None
    wanted = [(model, _mode(model)) for model in models]
    found, definitions = models_json_schema(wanted, by_alias=True, ref_template=_REFERENCE)
    references = {model: found[(model, mode)] for model, mode in wanted}
    return references, definitions["$defs"]


def _operation(endpoint: Endpoint, references: dict[type[Wanted | Told], dict[str, Any]]) -> dict[str, Any]:
    told = {
        str(status): {
            "description": " ".join((model.__doc__ or "").split()),
            "content": {endpoint.media_type: {"schema": references[model]}},
        }
        for status, model in endpoint.answers.items()
    }
    refused = {
        str(status): {
            "description": " · ".join(codes),
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status, codes in endpoint.refusal_statuses.items()
    }
    operation: dict[str, Any] = {
        "operationId": f"{endpoint.method.lower()}_{endpoint.path}".replace("/", "_").replace("{", "").replace("}", ""),
        "summary": endpoint.summary,
        "description": description_of(endpoint),
        "tags": [endpoint.path.split("/")[0]],
        "parameters": _parameters(endpoint),
        "responses": {**told, **refused},
    }
    if endpoint.body is not None:
        examples = {example.title: {"value": example.body} for example in endpoint.examples if example.body is not None}
        content = {"application/json": {"schema": references[endpoint.body], "examples": examples}}
        operation["requestBody"] = {"required": bool(schema_of(endpoint.body).get("required")), "content": content}
    return operation


def description_of(endpoint: Endpoint) -> str:
    """What the route does, and for whom."""
    who = f"For admins; audited as `{endpoint.action.value}`." if endpoint.action else "For viewers and admins."
    return f"{' '.join((endpoint.does.__doc__ or '').split())} {who}"


def _parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": SEGMENTS[name][2],
            "schema": SEGMENTS[name][1],
            "example": endpoint.examples[0].path[name],
        }
        for name in endpoint.segments
    ]
    schema = schema_of(endpoint.query)
    for name, own in schema.get("properties", {}).items():
        shown = next((example.query[name] for example in endpoint.examples if name in example.query), None)
        found.append(
            {
                "name": name,
                "in": "query",
                "required": name in schema.get("required", ()),
                "description": own.pop("description", ""),
                "schema": _inlined(own, schema.get("$defs", {})),
                **({"example": int(shown) if shown and shown.isdigit() else shown} if shown else {}),
            }
        )
    headers = [_KEY] if endpoint.method == "POST" else [_LAST_EVENT] if endpoint.is_stream else []
    return [*found, *headers]


def _inlined(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """A query parameter's schema: it may simply be left out, so "or null" is; a named enumeration stands in place."""
    kinds = [kind for kind in schema.get("anyOf", (schema,)) if kind.get("type") != "null"]
    (kind,) = kinds
    if "$ref" in kind:
        kind = definitions[kind["$ref"].rsplit("/", 1)[1]]
    return {name: value for name, value in kind.items() if name not in ("title", "default", "description")} | (
        {"default": schema["default"]} if schema.get("default") is not None else {}
    )
