"""The OpenAPI document and the docs page say what the table says, completely, and bring nothing from outside."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from common.access import Action
from common.config import WebSettings
from common.store.database import Database
from dashboard import services
from dashboard.api import docs, openapi
from dashboard.api.problems import STATUS
from dashboard.api.table import ENDPOINTS
from dashboard.services import services_for

DOCUMENT = openapi.document()
OPERATIONS = {
    (method.upper(), path.removeprefix("/api/admin/")): operation
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}


@pytest.fixture
def page(tmp_path: Path) -> str:
    """The docs page as it is served."""
    settings = WebSettings(icc_data_dir=tmp_path, icc_secret_key="k" * 32, icc_public_url="https://ops.example")
    services.install(services_for(settings, Database("postgresql://nowhere"), {}))
    answer = docs.page("/api/admin/docs")
    services.install(None)
    assert answer is not None
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    return bytes(answer.body).decode()


def references(node: Any) -> Iterator[str]:
    """Every ``$ref`` beneath."""
    if isinstance(node, dict):
        yield from ([node["$ref"]] if "$ref" in node else [])
        for inner in node.values():
            yield from references(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from references(inner)


def test_the_document_is_whole() -> None:
    """OpenAPI 3.1, JSON through and through, every reference leads somewhere, every id is used once."""
    assert DOCUMENT["openapi"].startswith("3.1")
    assert json.loads(json.dumps(DOCUMENT)) == DOCUMENT
    schemas = DOCUMENT["components"]["schemas"]
    for reference in references(DOCUMENT):
        assert reference.removeprefix("#/components/schemas/") in schemas, reference
    ids = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(ids) == len(set(ids)) == len(ENDPOINTS)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=[f"{one.method} {one.path}" for one in ENDPOINTS])
def test_each_route_is_described_in_full(endpoint: Any) -> None:
    """Sentence, parameters, answers and every refusal's status; bodies have examples; keys are camelCase."""
    operation = OPERATIONS[endpoint.method, endpoint.path]
    assert operation["summary"]
    assert operation["description"].endswith(".")
    assert {"401", "403", "422", "429", "503"} <= set(operation["responses"])
    assert {str(STATUS.get(code, 502)) for code in endpoint.codes} <= set(operation["responses"])
    assert [one["name"] for one in operation["parameters"] if one["in"] == "path"] == list(endpoint.segments)
    assert all(one["description"] for one in operation["parameters"])
    assert set(operation["responses"]["200" if 200 in endpoint.answers else "202"]["content"]) == {endpoint.media_type}
    assert endpoint.is_stream == any(one["name"] == "Last-Event-ID" for one in operation["parameters"])
    assert endpoint.examples
    if endpoint.body:
        content = operation["requestBody"]["content"]["application/json"]
        assert content["examples"]
        names = openapi.schema_of(endpoint.body)["properties"]
        assert all(re.fullmatch("[a-z][a-zA-Z0-9]*", name) for name in names)
        assert all(schema["description"] for schema in names.values())
    assert (endpoint.method == "POST") == any(one["name"] == "Idempotency-Key" for one in operation["parameters"])


def test_every_act_names_its_action() -> None:
    """A POST without an action would pass the gate of actions by."""
    assert all(endpoint.action for endpoint in ENDPOINTS if endpoint.method == "POST")
    assert {endpoint.action for endpoint in ENDPOINTS if endpoint.action} <= set(Action)


class _Tags(HTMLParser):
    """Every tag with its attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_the_docs_page_brings_nothing_from_outside(page: str) -> None:
    """No script, no inline style or handler, no address of another host: it works under `default-src 'none'`."""
    tags = _Tags()
    tags.feed(page)
    for tag, attributes in tags.found:
        assert tag not in ("script", "style", "iframe", "img", "form"), tag
        assert not [name for name in attributes if name == "style" or name.startswith("on")]
        for name in ("src", "href"):
            target = attributes.get(name)
            assert target is None or re.match(r"[/#](?!/)", target), target
    assert "https://ops.example/api/admin" in page
    assert "<&" not in page


def test_the_docs_page_leads_everywhere(page: str) -> None:
    """Every route, every code that can be refused with, and no link into nothing."""
    tags = _Tags()
    tags.feed(page)
    ids = [attributes["id"] for _, attributes in tags.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {attributes["href"] or "" for tag, attributes in tags.found if tag == "a"}
    assert {target[1:] for target in targets if target.startswith("#")} <= set(ids)
    assert set(STATUS) <= set(ids)
    for endpoint in ENDPOINTS:
        assert f"/api/admin/{endpoint.path}" in page
        for example in endpoint.examples:
            assert example.title in page
