"""What is documented is what happens: every example of the table runs and answers as it says."""

from __future__ import annotations

import json

import pytest

from common.access import Role
from dashboard.api import docs
from dashboard.api.frame import Endpoint, Example
from dashboard.api.table import ENDPOINTS
from tests.dashboard.api.conftest import House, seed_examples, wait_until_quiet

EXAMPLES = [(endpoint, example) for endpoint in ENDPOINTS for example in endpoint.examples]


@pytest.fixture(autouse=True)
def quiet(api_house: House) -> None:
    """The examples' rows are there, and nothing runs."""
    wait_until_quiet(api_house)
    seed_examples(api_house.database)


@pytest.mark.parametrize(
    ("endpoint", "example"), EXAMPLES, ids=[f"{one.method} {one.path}: {example.title}" for one, example in EXAMPLES]
)
def test_every_example_answers_as_documented(api_house: House, endpoint: Endpoint, example: Example) -> None:
    """Each example of the docs, by a token, brings its status and an answer of the documented shape."""
    caller = api_house.caller(Role.ADMIN)
    address = docs.address_of(endpoint, example)
    if endpoint.is_stream:
        with caller.stream("GET", api_house.web.address + address) as opened:
            assert (opened.status_code, opened.headers["content-type"].split(";")[0]) == (200, endpoint.media_type)
            assert any(line.startswith("event: state") for line in opened.iter_lines())
        return
    answer = caller.request(endpoint.method, api_house.web.address + address, json=example.body)
    assert answer.status_code == example.status, answer.text
    if answer.status_code < 400:
        endpoint.answers[answer.status_code].model_validate_json(json.dumps(answer.json()), by_alias=True)
