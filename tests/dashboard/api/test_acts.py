"""Every action × every role × every kind of caller: the right answer, and every try in the audit log."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx
import pytest
from psycopg.types.json import Jsonb

from common.access import Action, Role
from dashboard.api import table
from dashboard.api.frame import Endpoint
from tests.dashboard.api.conftest import House, seed_examples, wait_until_quiet
from tests.dashboard.api.test_callers import READS
from tests.dashboard.conftest import SECRET_KEY, start_web, stop_web
from tests.truth import rows
from tests.unguarded import unguarded
from tests.waiting import wait_for
from tests.workflows import PATH, SIGNATURE

ACTS = [endpoint for endpoint in table.ENDPOINTS if endpoint.action]
CALLERS: dict[str, tuple[str, str, Role | None]] = {
    "admin token": ("api", "admin program", Role.ADMIN),
    "viewer token": ("api", "viewer program", Role.VIEWER),
    "admin session": ("page", "ana", Role.ADMIN),
    "viewer session": ("page", "vera", Role.VIEWER),
    "session without a role": ("page", "nils", None),
}
GOOD = {
    Action.PING: {200},
    Action.CHECK: {200},
    Action.RUN: {202},
    Action.STOP: {202, 409},
    Action.CONFIRM: {202},
    Action.TEST_ALERT: {200},
    Action.REQUEUE: {202},
    Action.DISCARD: {202},
    Action.CANCEL_BULK: {404},
    Action.FORCE_BREAKER: {200},
    Action.LOWER_LIMITS: {200},
    Action.SCHEDULE: {200},
}


@pytest.fixture(autouse=True)
def quiet(api_house: House) -> Iterator[None]:
    """The examples' rows are there, and nothing runs, before and after."""
    api_house.drill.clear_faults()
    wait_until_quiet(api_house)
    seed_examples(api_house.database)
    yield
    api_house.drill.clear_faults()
    wait_until_quiet(api_house)


def client_of(house: House, kind: str) -> httpx.Client:
    """A caller of that kind."""
    source, name, role = CALLERS[kind]
    return house.caller(role) if source == "api" and role else house.person(name)


def ask(client: httpx.Client, endpoint: Endpoint, **changes: Any) -> httpx.Response:
    """The endpoint's first example."""
    example = endpoint.examples[0]
    path = endpoint.path.format(**example.path)
    return client.request(endpoint.method, path, params=dict(example.query), json=example.body, **changes)


@pytest.mark.parametrize("endpoint", ACTS, ids=[str(endpoint.action) for endpoint in ACTS])
@pytest.mark.parametrize("kind", list(CALLERS))
def test_every_act_is_decided_and_written_down(api_house: House, endpoint: Endpoint, kind: str) -> None:
    """The gate decides by the role; the audit log has the caller's name, role, door and address, refused or not."""
    source, name, role = CALLERS[kind]
    before = len(api_house.audit())
    answer = ask(client_of(api_house, kind), endpoint)
    (row,) = api_house.audit()[before:]
    assert (row["actor"], row["role"], row["source"]) == (name, role.value if role else None, source)
    assert (row["action"], row["address"]) == (endpoint.action, "127.0.0.1")
    assert endpoint.action is not None
    if role is Role.ADMIN:
        assert answer.status_code in GOOD[endpoint.action], answer.text
        assert row["result"] in ("accepted", "shared") or answer.status_code == 409
    else:
        assert (answer.status_code, answer.json()["code"], row["result"]) == (403, "NOT_PERMITTED", "refused")
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("endpoint", ACTS, ids=[str(endpoint.action) for endpoint in ACTS])
@pytest.mark.parametrize("kind", list(CALLERS))
def test_an_act_that_makes_no_sense_is_written_down(api_house: House, endpoint: Endpoint, kind: str) -> None:
    """A try is a try: what the shape of the request refuses is in the audit log too, once, and names no value. Who may
    not act is told that first, and nothing about the request."""
    source, name, role = CALLERS[kind]
    before = len(api_house.audit())
    changes: dict[str, Any] = {"params": {"planted": "v4lue"}}
    if endpoint.method == "POST":
        changes = {"json": {"planted": "v4lue"}, "headers": {"Idempotency-Key": f"nonsense-{endpoint.action}"}}
    path = endpoint.path.format(**endpoint.examples[0].path)
    answer = client_of(api_house, kind).request(endpoint.method, path, **changes)
    expected = (422, "REQUEST_UNUSABLE") if role is Role.ADMIN else (403, "NOT_PERMITTED")
    assert (answer.status_code, answer.json()["code"]) == expected
    (row,) = api_house.audit()[before:]
    assert (row["actor"], row["source"], row["action"], row["result"]) == (name, source, endpoint.action, "refused")
    assert (row["reason"], row["address"]) == (answer.json()["detail"], "127.0.0.1")
    assert "v4lue" not in str(row)


def test_a_wish_that_its_maker_refuses_is_written_down_once(api_house: House) -> None:
    """Under an Idempotency-Key, too: the refusal is kept with the key, and telling it again is no new try."""
    before = len(api_house.audit())
    body = {"to": {"perMinute": 5}, "reason": "no minutes"}
    headers = {"Idempotency-Key": "lowered-for-how-long"}
    caller = api_house.caller()
    first, again = (caller.post("integrations/doorloop/limits", json=body, headers=headers) for _ in range(2))
    assert (first.status_code, first.json()) == (422, again.json())
    (row,) = api_house.audit()[before:]
    assert (row["action"], row["integration"], row["result"]) == ("lower_limits", "doorloop", "refused")
    assert row["reason"] == first.json()["detail"]


def test_the_table_knows_every_action_of_the_api() -> None:
    """An action whose route is missing here would be untested above."""
    assert {endpoint.action for endpoint in ACTS} == set(GOOD)


def test_a_run_is_started_followed_and_found(api_house: House) -> None:
    """POST sync/run gives the run; the run ends, and the list, its filters and its own address know it."""
    caller = api_house.caller()
    started = caller.post("sync/run", json={"entities": ["units"], "mode": "backfill", "dryRun": True})
    assert started.status_code == 202
    run_id = started.json()["runId"]
    assert started.headers["location"] == f"/api/admin/sync/runs/{run_id}"

    def ended() -> dict[str, Any] | None:
        run: dict[str, Any] = caller.get(f"sync/runs/{run_id}").json()
        return run if run["run"]["finishedAt"] else None

    detail = wait_for(ended, "the run has ended")
    assert (detail["run"]["state"], detail["run"]["dryRun"], detail["run"]["requestedBy"]) == (
        "succeeded",
        True,
        "admin program",
    )
    assert (detail["run"]["trigger"], detail["parts"][0]["entity"]) == ("api", "units")
    assert detail["parts"][0]["totals"]["received"] == 40
    (delta,) = detail["delta"]
    assert delta["entity"] == "units"
    assert delta["insert"] + delta["update"] + delta["unchanged"] == 40
    found = caller.get("sync/runs", params={"mode": "backfill", "entity": "units", "state": "succeeded"}).json()
    assert run_id in {run["id"] for run in found["runs"]}
    assert run_id not in {run["id"] for run in caller.get("sync/runs", params={"state": "failed"}).json()["runs"]}
    page = caller.get("sync/runs", params={"limit": 1}).json()
    older = caller.get("sync/runs", params={"limit": 1, "before": page["nextBefore"]}).json()
    assert page["runs"][0]["queuedAt"] > older["runs"][0]["queuedAt"]


def test_a_second_run_is_told_by_whom_and_since_when(api_house: House) -> None:
    """409 names who started the active run, and when; Stop ends it."""
    caller = api_house.caller()
    api_house.drill.set_fault("hang", entity="owners")
    started = caller.post("sync/run", json={"mode": "backfill"}).json()
    second = api_house.person("ana").post("sync/run", json={"mode": "delta"})
    assert (second.status_code, second.json()["code"]) == (409, "ALREADY_RUNNING")
    assert second.json()["facts"]["by"] == "admin program"
    assert second.json()["facts"]["since"].endswith("UTC")
    assert second.json()["facts"]["since"] in second.json()["detail"]
    status = caller.get("sync/status", params={"integration": "doorloop"}).json()["accounts"][0]
    assert (status["activeRun"]["id"], status["lock"]["runId"]) == (started["runId"], started["runId"])
    assert (status["lock"]["holds"], status["lock"]["requestedBy"]) == (True, "admin program")
    assert caller.post("sync/stop").status_code == 202
    ended = wait_for(
        lambda: (run := caller.get(f"sync/runs/{started['runId']}").json()["run"])["finishedAt"] and run, "it ended"
    )
    assert ended["state"] == "stopped"


def test_one_answer_for_the_same_question(api_house: House) -> None:
    """Pings asked at once, and again within ten seconds, ask the vendor once; each try is audited."""
    rows(api_house.database, "DELETE FROM control.pings")
    with unguarded(api_house.database) as link:
        link.execute("UPDATE control.commands SET finished_at = now() - interval '1 hour' WHERE state = 'done'")
    before = len(api_house.audit())
    callers = [api_house.caller() for _ in range(5)]
    with ThreadPoolExecutor(5) as pool:
        told = list(pool.map(lambda caller: caller.get("integrations/doorloop/ping").json(), callers))
    told.append(api_house.person("ana").get("integrations/doorloop/ping").json())
    assert {(one["ok"], one["at"]) for one in told} == {(True, told[0]["at"])}
    assert set(told[0]) >= {
        "ok",
        "state",
        "reason",
        "baseUrl",
        "authenticated",
        "sampleCount",
        "elapsedMs",
        "rateLimit",
    }
    assert (told[0]["state"], told[0]["authenticated"], told[0]["sampleCount"]) == ("ok", True, 1)
    assert len(rows(api_house.database, "SELECT 1 FROM control.pings")) == 1
    assert sorted(row["result"] for row in api_house.audit()[before:]) == ["accepted"] + ["shared"] * 5


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [("unauthorized", 401, "KEY_REFUSED"), ("forbidden_role", 405, "ROLE_FORBIDDEN"), ("hang", None, "VENDOR_TIMEOUT")],
)
def test_a_check_makes_refusals_readable(api_house: House, fault: str, status: int | None, code: str) -> None:
    """401, 405 and silence come as status, code and remedy; a good one has the keys of the first record, no value."""
    size = {"unauthorized": 2, "forbidden_role": 3, "hang": 4}[fault]
    api_house.drill.set_fault(fault)
    question: dict[str, str | int] = {"endpoint": "owners", "page_size": size}
    told = api_house.caller().get("integrations/doorloop/check", params=question).json()
    assert (told["ok"], told["status"], told["code"]) == (False, status, code)
    assert told["remedy"]
    assert told["keys"] == []
    api_house.drill.clear_faults()
    good = api_house.caller().get("integrations/doorloop/check", params={"endpoint": "owners", "page_size": size + 10})
    assert (good.json()["status"], good.json()["count"], good.json()["total"]) == (200, size + 10, 40)
    assert {"id", "updatedAt"} <= set(good.json()["keys"])


def test_what_takes_long_gives_an_address(api_house: House) -> None:
    """A frozen daemon: 202 with the command's address, where its end is found later."""
    caller = api_house.caller()
    daemon = api_house.yard.last
    rows(api_house.database, "UPDATE control.daemons SET heartbeat_seconds = 60")
    daemon.send(signal.SIGSTOP)
    try:
        answer = caller.post("sync/run", json={"mode": "delta", "entities": ["owners"]})
        assert (answer.status_code, answer.json()["state"], answer.json()["runId"]) == (202, "pending", None)
        address = api_house.web.address + answer.headers["location"]
        assert answer.headers["location"] == answer.json()["address"]
        assert caller.get(address).json()["state"] == "pending"
    finally:
        daemon.send(signal.SIGCONT)
    told = wait_for(lambda: (seen := caller.get(address).json())["state"] == "done" and seen, "it was taken")
    assert told["runAddress"].endswith(told["runId"])


def test_a_process_told_to_end_keeps_nobody_waiting(api_house: House) -> None:
    """SIGTERM while a caller waits for a command: the caller gets 202 with the address, and the process is gone."""
    web = start_web(DATABASE_URL=api_house.database.url, ICC_SECRET_KEY=SECRET_KEY)
    daemon = api_house.yard.last
    rows(api_house.database, "UPDATE control.daemons SET heartbeat_seconds = 60")
    daemon.send(signal.SIGSTOP)
    try:
        waiting = replace(api_house, web=web).caller()
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(
                waiting.get, "integrations/doorloop/check", params={"endpoint": "units", "page_size": 77}
            )
            pending = "SELECT 1 FROM control.commands WHERE state = 'pending'"
            wait_for(lambda: rows(api_house.database, pending), "the command is given")
            web.process.send_signal(signal.SIGTERM)
            web.process.wait(15)  # a check would be waited for longer
            assert (answer.result().status_code, answer.result().json()["state"]) == (202, "pending")
            stop_web(web)
    finally:
        daemon.send(signal.SIGCONT)


def test_the_whole_picture_is_told(api_house: House) -> None:
    """integrations, sync/status and daemons agree with each other and with what ran."""
    caller = api_house.caller(Role.VIEWER)
    started = api_house.caller().post("sync/run", json={"mode": "backfill", "entities": ["owners"]})
    assert started.status_code == 202, started.text
    run_id = started.json()["runId"]
    wait_until_quiet(api_house)
    (known,) = caller.get("integrations").json()["integrations"]
    (status,) = caller.get("sync/status").json()["accounts"]
    assert (known["key"], known["state"]) == ("doorloop", status["state"])
    owners = next(one for one in status["entities"] if one["entity"] == "owners")
    assert owners["lastSuccessAt"] >= caller.get(f"sync/runs/{run_id}").json()["run"]["startedAt"]
    assert owners["rows"] == 40
    assert (status["breaker"]["state"], status["lock"], status["activeRun"]) == ("closed", None, None)
    assert status["rateLimit"]["source"] == "counted"
    assert caller.get("daemons").json()["daemons"][0]["alive"] is True
    diffs = caller.get("integrations/doorloop/schema-diff").json()["entities"]
    assert "owners" in {diff["entity"] for diff in diffs}


def test_a_viewer_sees_no_value_of_a_record(api_house: House) -> None:
    """Roles: payloads, quoted values and a question's details are hidden from a viewer, shown to an admin."""
    planted = ("planted@person.example", "Ms Example", "1961-08-04")
    whose = Jsonb({"before": {"name": "Ms Example"}, "now": {"name": "planted@person.example"}})
    asked = """INSERT INTO control.confirmations (id, integration, kind, details)
               VALUES (gen_random_uuid(), 'doorloop', 'account_changed', %s)"""
    rows(api_house.database, asked, whose)
    drifted = {
        "unmapped": {"day": {"text": ["1961-08-04"]}},
        "never_seen": [],
        "drift": {"active": {"text": ["Ms Example"]}},
    }
    sampled = (
        "INSERT INTO control.schema_diffs (integration, entity, sampled, diff) VALUES ('doorloop', 'leases', 1, %s)"
    )
    rows(api_house.database, sampled, Jsonb(drifted))
    for path in (*READS, "sync/dlq/4711", "sync/dlq/groups", "integrations/doorloop/schema-diff"):
        seen = api_house.caller(Role.VIEWER).get(path)
        assert seen.status_code == 200
        assert not [value for value in planted if value in seen.text], path
    assert planted[0] in api_house.caller().get("sync/dlq").text
    assert planted[1] in api_house.caller().get("confirmations").text
    assert planted[1] in api_house.caller().get("integrations/doorloop/schema-diff").text
    told = api_house.caller(Role.VIEWER).get("integrations/doorloop/schema-diff").json()["entities"]
    leases = next(one for one in told if one["entity"] == "leases")
    assert (leases["unmapped"], leases["drift"]) == ({"day": {"text": ["•••"]}}, {"active": {"text": ["•••"]}})
    hidden, whole = (api_house.caller(role).get("sync/dlq/4711").json() for role in (Role.VIEWER, Role.ADMIN))
    assert json.loads(hidden["payload"]) == {"email": "••• (text)"}
    assert hidden["letter"]["reason"] == "••• holds •••, which is no •••."
    assert json.loads(whole["payload"]) == {"email": planted[0]}
    rows(api_house.database, "DELETE FROM control.confirmations WHERE kind = 'account_changed'")


def test_an_answered_question_is_answered(api_house: House) -> None:
    """POST confirmations/{id} ends the question with its reason; asked again it is not found."""
    caller, path = api_house.caller(), f"confirmations/{table.A_QUESTION['id']}"
    body = {"answer": "reject", "reason": "a filter was left on"}
    assert caller.post(path, json=body).json()["state"] == "done"
    (row,) = rows(api_house.database, "SELECT * FROM control.confirmations WHERE id = %s", table.A_QUESTION["id"])
    assert (row["state"], row["answered_by"], row["answer_reason"]) == ("rejected", "admin program", body["reason"])
    again = caller.post(path, json=body)
    assert (again.status_code, again.json()["code"]) == (404, "UNKNOWN_CONFIRMATION")


def test_a_test_alert_tells_what_workflows_answered(api_house: House) -> None:
    """One card that a person would see; a refusal comes as status, reason and remedy; the webhook shows nowhere."""
    caller, workflows = api_house.caller(), api_house.workflows
    workflows.shown.clear()
    told = caller.post("alerts/test").json()
    assert (told["accepted"], told["status"]) == (True, 202)
    assert "Accepted by Workflows" in told["sentence"]
    (card,) = workflows.shown
    assert "admin program" in str(card)
    words = f"The workflow planted-workflow-id could not be found (signature {SIGNATURE})."
    deleted = json.dumps({"error": {"code": "WorkflowNotFound", "message": words}})
    workflows.answer = (404, deleted.encode(), {})
    try:
        refused = caller.post("alerts/test")
    finally:
        workflows.answer = (202, b"", {})
    assert (refused.status_code, refused.json()["accepted"], refused.json()["status"]) == (200, False, 404)
    assert refused.json()["code"] == "WEBHOOK_REFUSED"
    assert refused.json()["remedy"]
    assert "The workflow ••• could not be found (signature •••)" in refused.json()["sentence"]
    kept = str(rows(api_house.database, "SELECT result::text FROM control.commands"))
    logs = str(rows(api_house.database, "SELECT summary::text, reason FROM control.admin_logs"))
    published = caller.get("integrations").text + caller.get("sync/status").text
    for text in (kept, logs, published, api_house.web.output, api_house.yard.last.stderr):
        assert SIGNATURE not in text
        assert "planted-workflow-id" not in text
        assert PATH not in text
