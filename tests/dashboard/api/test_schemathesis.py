"""The API against its own document: schemathesis plays what the OpenAPI allows and what it forbids."""

from __future__ import annotations

import os
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from schemathesis.specs.openapi.schemas import OpenApiSchema

from common.access import Role
from dashboard.api.frame import Endpoint
from dashboard.api.table import ENDPOINTS
from tests.dashboard.api.conftest import House, seed_examples, wait_until_quiet

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
]
EXAMPLES = int(os.environ.get("API_EXAMPLES", "12"))
"""Per route and kind; `API_EXAMPLES=500 pytest …` plays longer."""


@pytest.fixture(scope="module")
def described(api_house: House) -> OpenApiSchema:
    """The document that the running API serves."""
    seed_examples(api_house.database)
    document = api_house.caller(Role.VIEWER).get("openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=api_house.web.address)
    return schema


@pytest.mark.parametrize("mode", list(GenerationMode), ids=["allowed", "forbidden"])
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=[f"{one.method} {one.path}" for one in ENDPOINTS])
def test_nothing_undocumented_is_answered(
    api_house: House, described: OpenApiSchema, endpoint: Endpoint, mode: GenerationMode
) -> None:
    """Whatever is sent: no 500, no 503 while a daemon lives, and every answer as documented."""
    wait_until_quiet(api_house)
    operation = described["/api/admin/" + endpoint.path][endpoint.method]
    headers = {"Authorization": f"Bearer {api_house.tokens[Role.ADMIN]}"}

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def play(case: schemathesis.Case[Any]) -> None:
        if endpoint.is_stream:  # it does not end by itself: the answer's head is what there is to check
            asked = case.as_transport_kwargs(base_url=api_house.web.address, headers=headers)
            with requests.request(**asked, stream=True, timeout=30) as opened:
                status, media_type = opened.status_code, opened.headers["content-type"].split(";")[0]
                documented = operation.definition.raw["responses"][str(status)]["content"]
                assert media_type in documented
                assert status != 503
            return
        response = case.call(headers=headers)
        assert response.status_code != 503, response.text
        case.validate_response(response, checks=CHECKS, headers=headers)

    play()
