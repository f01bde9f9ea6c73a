"""Whatever is asked wrongly gets a problem that names what is wrong and what to do."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from typing import Any

import httpx
import pytest

from common.access import Role
from common.codes import CODES
from common.codes.sign_in import SIGN_IN
from dashboard.api.problems import STATUS
from dashboard.api.table import ENDPOINTS
from tests.dashboard.api.conftest import API, House
from tests.dashboard.conftest import SECRET_KEY, start_web, stop_web
from tests.truth import rows
from tests.waiting import wait_for

MEMBERS = {"type", "title", "status", "detail", "code", "remedy", "facts"}


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The answer as the problem that it should be."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    body: dict[str, Any] = answer.json()
    assert set(body) == MEMBERS
    assert (body["code"], body["status"]) == (code, status)
    assert body["remedy"]
    return body


@pytest.mark.parametrize(
    "path", ["no/such", "", "sync/runs/7", "sync/runs/%0A", "integrations/Doorloop/ping", "../../healthz", "sync/runs/"]
)
def test_an_unknown_path_is_404(api_house: House, path: str) -> None:
    """No other framework's page answers beneath /api."""
    if path.startswith(".."):  # not normalised on its way
        request = httpx.Request("GET", api_house.web.address + "/api/admin/sync/%2e%2e/%2e%2e/daemons")
        answer = api_house.caller().send(request)
        assert answer.status_code == 401  # this request has no token: still closed
        return
    problem(api_house.caller().get(path), 404, "NO_SUCH_ROUTE")


@pytest.mark.parametrize("method", ["HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "POST"])
def test_another_method_is_405_and_names_the_right_one(api_house: House, method: str) -> None:
    """Allow says which method there is."""
    answer = api_house.caller().request(method, "daemons")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert api_house.caller().get("sync/run").headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("sync/runs?colour=red", "colour"),
        ("sync/runs?limit=0", "limit"),
        ("sync/runs?limit=201", "limit"),
        ("sync/runs?limit=ten", "limit"),
        ("sync/runs?limit=1&limit=2", "limit"),
        ("sync/runs?before=yesterday", "before"),
        ("sync/runs?before=2026-11-01T00:00:00", "before"),
        ("sync/runs?before=0001-01-01T00:00:00%2B23:59", "before"),
        ("sync/runs?state=happy", "state"),
        ("sync/runs?entity=people", "entity"),
        ("sync/dlq?before=99999999999999999999", "before"),
        ("sync/dlq?code=a%00b", "code"),
        ("sync/dlq?fingerprint=", "fingerprint"),
        ("integrations/doorloop/check", "endpoint"),
        ("integrations/doorloop/check?endpoint=/users/me", "endpoint"),
        ("integrations/doorloop/check?endpoint=owners&page_size=101", "page_size"),
        ("daemons?verbose=1", "verbose"),
        ("sync/bulk?id=7", "id"),
        ("errors?hours=0", "hours"),
        ("sync/logs/stream?token=secret", "token"),
    ],
)
def test_a_wrong_parameter_is_named(api_house: House, path: str, named: str) -> None:
    """422 names the parameter; unknown ones are refused, since ignoring them would answer another question."""
    assert f"`{named}`" in problem(api_house.caller().get(path), 422, "REQUEST_UNUSABLE")["detail"]


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("sync/run", {}, "mode"),
        ("sync/run", {"mode": "since"}, "mode"),
        ("sync/run", {"mode": "delta", "entities": []}, "entities"),
        ("sync/run", {"mode": "delta", "entities": ["owners", "people"]}, "entities.1"),
        ("sync/run", {"mode": "delta", "dry_run": True}, "dry_run"),
        ("sync/run", {"mode": "delta", "dryRun": "yes"}, "dryRun"),
        ("sync/run", {"mode": "delta", "since": 1700000000}, "since"),
        ("sync/stop", {"integration": "Door\u0000loop"}, "integration"),
        ("sync/stop", {"force": True}, "force"),
        ("integrations/doorloop/breaker", {"state": "ajar", "reason": "x"}, "state"),
        ("integrations/doorloop/limits", {"to": {"perDay": 1}, "reason": "x"}, "to.perDay"),
        ("integrations/doorloop/limits", {"minutes": 5, "reason": "x"}, "to"),
        ("sync/schedule", {"reason": "x"}, "paused"),
        ("sync/dlq/requeue", {}, "the body"),
        ("sync/dlq/requeue", {"id": 1, "filter": {}}, "the body"),
        ("sync/dlq/requeue", {"filter": {}, "counted": 3}, "the body"),
        ("sync/dlq/requeue", {"ids": []}, "ids"),
        ("sync/dlq/discard", {"id": 1}, "reason"),
        ("confirmations/00000000-0000-4000-8000-000000000003", {"answer": "reject"}, "reason"),
        ("confirmations/00000000-0000-4000-8000-000000000003", {"answer": "reject", "reason": "a\nb"}, "reason"),
        ("confirmations/00000000-0000-4000-8000-000000000003", {"answer": "yes", "reason": "x"}, "answer"),
    ],
)
def test_a_wrong_body_is_named(api_house: House, path: str, body: dict[str, Any], named: str) -> None:
    """422 names the key, in the spelling that is promised, and shows no value."""
    assert f"`{named}`" in problem(api_house.caller().post(path, json=body), 422, "REQUEST_UNUSABLE")["detail"]


@pytest.mark.parametrize("since", ["2026-11-01T00:00:00", "2026-11-01", "yesterday", 1700000000])
def test_a_time_that_is_none_is_answered_with_one_that_is(api_house: House, since: Any) -> None:
    """A sentence, with an example, in a body as in a query."""
    wanted = "must be a time with its zone, such as 2026-11-01T00:00:00Z"
    refused = api_house.caller().post("sync/run", json={"mode": "delta", "since": since})
    assert f"`since` {wanted}" in problem(refused, 422, "REQUEST_UNUSABLE")["detail"]
    if isinstance(since, str):
        asked = api_house.caller().get("sync/runs", params={"before": since})
        assert f"query parameter `before` {wanted}" in problem(asked, 422, "REQUEST_UNUSABLE")["detail"]


def test_a_body_must_be_json_and_small(api_house: House) -> None:
    """415 for another type, 422 for what is no JSON, 413 past 64 KB, whether its length was announced or not."""
    caller = api_house.caller()
    headers = {"Content-Type": "application/json"}
    problem(caller.post("sync/stop", content=b"integration=doorloop"), 415, "REQUEST_NOT_JSON")
    problem(caller.post("sync/stop", data={"integration": "doorloop"}), 415, "REQUEST_NOT_JSON")
    for content in (b"{", b'{"integration": NaN}', b"\xff\xfe", b'{"integration": "\\ud800"}', b"[]"):
        problem(caller.post("sync/stop", content=content, headers=headers), 422, "REQUEST_UNUSABLE")
    large = json.dumps({"integration": "x" * 70_000}).encode()
    problem(caller.post("sync/stop", content=large, headers=headers), 413, "REQUEST_TOO_LARGE")
    parts = iter([large[:40_000], large[40_000:]])
    problem(caller.post("sync/stop", content=parts, headers=headers), 413, "REQUEST_TOO_LARGE")


def test_a_body_without_end_is_not_waited_for(api_house: House) -> None:
    """413 comes as soon as the body is too large, not when a client that drips for ever has finished."""
    token = api_house.tokens[Role.ADMIN]
    head = (
        f"POST {API}sync/stop HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {token}\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", api_house.web.port), timeout=30) as connection:
        connection.sendall(head.encode() + b"11170\r\n" + b"x" * 0x11170 + b"\r\n")  # 70 000 bytes, and no last chunk
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_what_is_not_there_is_404(api_house: House) -> None:
    """A run, a command or an integration that does not exist."""
    caller, nobody = api_house.caller(), "11111111-1111-4111-8111-111111111111"
    problem(caller.get(f"sync/runs/{nobody}"), 404, "NO_SUCH_THING")
    problem(caller.get(f"commands/{nobody}"), 404, "NO_SUCH_THING")
    problem(caller.get("sync/dlq/999999999"), 404, "NO_SUCH_THING")
    problem(caller.post(f"sync/bulk/{nobody}/cancel"), 404, "UNKNOWN_BULK_ACTION")
    problem(caller.post("sync/dlq/discard", json={"id": 999, "reason": "x"}), 409, "NO_SUCH_LETTERS")
    problem(caller.post("sync/dlq/requeue", json={"filter": {"code": "NONE"}}), 409, "NO_SUCH_LETTERS")
    problem(caller.post("integrations/doorloop/breaker", json={"state": "open", "reason": "x"}), 422, "VALUE_UNUSABLE")
    problem(caller.get("integrations/dropbox/ping"), 404, "UNKNOWN_INTEGRATION")
    problem(caller.get("integrations/dropbox/schema-diff"), 404, "UNKNOWN_INTEGRATION")
    for path in ("sync/status", "sync/dlq", "sync/dlq/groups", "sync/bulk", "errors"):
        problem(caller.get(f"{path}?integration=dropbox"), 404, "UNKNOWN_INTEGRATION")
    problem(caller.post("sync/run", json={"mode": "delta", "integration": "dropbox"}), 404, "UNKNOWN_INTEGRATION")


def test_a_websocket_finds_nothing_here(api_house: House) -> None:
    """The API speaks HTTP only; a knock by websocket is refused, not an error of ours."""
    headers = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
    headers |= {"sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==", "origin": api_house.web.address}
    assert api_house.person("ana").get("daemons", headers=headers).status_code == 403


def test_pace_backfills_and_what_is_away(api_house: House) -> None:
    """429 with Retry-After past the pace, per caller; 403 while backfills are off; 503 with a cure without a daemon."""
    web = start_web(
        DATABASE_URL=api_house.database.url,
        ICC_SECRET_KEY=SECRET_KEY,
        ICC_API_REQUESTS_PER_MINUTE="10",
        ALLOW_MANUAL_BACKFILL="false",
    )
    beats = "UPDATE control.daemons SET heartbeat_at = %s, heartbeat_seconds = %s"
    try:
        strict = replace(api_house, web=web)
        admin = strict.caller()
        refused = problem(admin.post("sync/run", json={"mode": "backfill"}), 403, "BACKFILL_NOT_ALLOWED")
        assert "ALLOW_MANUAL_BACKFILL" in refused["detail"]
        for mode in ("backfill", "delta"):  # by another name it would read every page as well
            since = {"mode": mode, "since": "1970-01-01T00:00:00Z"}
            problem(admin.post("sync/run", json=since), 403, "BACKFILL_NOT_ALLOWED")
        assert api_house.audit()[-1]["result"] == "refused"
        api_house.yard.last.kill()
        rows(api_house.database, beats, "2026-01-01T00:00:00Z", 1)
        for act in ("integrations/doorloop/ping", "integrations/doorloop/check?endpoint=owners"):
            away = admin.get(act)
            assert "make run" in problem(away, 503, "NO_DAEMON")["remedy"]
            assert away.headers["retry-after"]
        problem(admin.post("sync/run", json={"mode": "delta"}), 503, "NO_DAEMON")
        assert admin.get("daemons").json()["alive"] is False
        answers = [admin.get("daemons") for _ in range(6)]
        problem(answers[-1], 429, "TOO_MANY_REQUESTS")
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
        assert strict.caller(Role.VIEWER).get("daemons").status_code == 200
        deaf = api_house.yard.service(INTEGRATIONS_TEAMS_WEBHOOK="")
        missing = problem(api_house.caller().post("alerts/test"), 422, "WEBHOOK_MISSING")
        assert "INTEGRATIONS_TEAMS_WEBHOOK" in missing["remedy"]
        deaf.kill()
    finally:
        stop_web(web)
        api_house.yard.service()


def test_a_database_that_is_away_is_a_problem_too(api_house: House) -> None:
    """503 with a remedy and no word of the driver's; the API is back by itself with the database."""
    name = api_house.database.url.rsplit("/", 1)[1].split("?")[0]
    web = start_web(
        DATABASE_URL=api_house.database.url.replace(f"/{name}", "/no_such_database_1"),
        ICC_SECRET_KEY=SECRET_KEY,
        wait=False,
    )
    try:
        alive = lambda: _answer(f"{web.address}/healthz")  # noqa: E731 -- one line, used once
        wait_for(alive, "the web process lives", seconds=60)
        headers = {"Authorization": f"Bearer {api_house.tokens[Role.ADMIN]}"}
        answer = httpx.get(f"{web.address}{API}daemons", headers=headers, timeout=30)
        assert "no_such_database_1" not in json.dumps(problem(answer, 503, "DATABASE_AWAY"))
    finally:
        stop_web(web)


def _answer(address: str) -> bool:
    try:
        return httpx.get(address, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def test_every_refusal_has_its_status() -> None:
    """One table: every code that a person or program can be refused with has a status, and every status a code."""
    on_pages = {code.key for code in SIGN_IN}  # a person who signs in reads a page, no problem
    refusals = {key for key, code in CODES.items() if code.outcome == "refused"} - on_pages
    assert refusals <= set(STATUS)
    assert set(STATUS) <= set(CODES)
    assert {code for endpoint in ENDPOINTS for code in endpoint.codes} <= set(CODES)
