"""Idempotency-Key: the same question has one answer, whatever dies in between."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from common.access import Role
from tests.dashboard.api.conftest import House, wait_until_quiet
from tests.dashboard.conftest import SECRET_KEY, start_web, stop_web
from tests.truth import rows

RUN = {"mode": "delta", "entities": ["owners"]}


@pytest.fixture(autouse=True)
def quiet(api_house: House) -> Iterator[None]:
    """Nothing runs, before and after."""
    api_house.drill.clear_faults()
    wait_until_quiet(api_house)
    yield
    wait_until_quiet(api_house)


def commands(house: House) -> int:
    """How many runs were asked for."""
    return len(rows(house.database, "SELECT 1 FROM control.commands WHERE action = 'run' AND audit_id IS NOT NULL"))


def test_the_same_key_brings_the_same_answer_and_acts_once(api_house: House) -> None:
    """Same key, same body (however it is spelt): the first answer, its status and address, and one command."""
    caller, before = api_house.caller(), commands(api_house)
    first = caller.post("sync/run", json=RUN, headers={"Idempotency-Key": "once"})
    wait_until_quiet(api_house)
    spelt = b'{"entities" : ["owners"],\n "dryRun": false, "mode":"delta"}'
    headers = {"Idempotency-Key": "once", "Content-Type": "application/json"}
    again = caller.post("sync/run", content=spelt, headers=headers)
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert again.headers["location"] == first.headers["location"]
    assert commands(api_house) == before + 1


def test_the_same_key_for_another_body_is_refused(api_house: House) -> None:
    """422: a key belongs to one request; another caller's equal key is another key."""
    caller = api_house.caller()
    headers = {"Idempotency-Key": "mine"}
    assert caller.post("sync/stop", json={}, headers=headers).json()["code"] == "NOTHING_RUNNING"
    other = caller.post("sync/stop", json={"integration": "doorloop"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "KEY_REUSED")
    elsewhere = caller.post("sync/run", json=RUN, headers=headers)
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (422, "KEY_REUSED")
    person = api_house.person("ana").post("sync/stop", json={"integration": "doorloop"}, headers=headers)
    assert person.json()["code"] == "NOTHING_RUNNING"


def test_two_at_once_run_once(api_house: House) -> None:
    """Many equal requests in the same moment give one command and one answer."""
    before = commands(api_house)
    callers = [api_house.caller() for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        told = list(
            pool.map(lambda one: one.post("sync/run", json=RUN, headers={"Idempotency-Key": "at once"}), callers)
        )
    assert {answer.status_code for answer in told} == {202}
    assert len({answer.json()["runId"] for answer in told}) == 1
    assert commands(api_house) == before + 1


def test_a_kept_answer_survives_a_restart_and_ends_after_a_day(api_house: House) -> None:
    """Another web process on the same database gives the same answer; a day later the key is new."""
    headers = {"Idempotency-Key": "kept"}
    first = api_house.caller().post("sync/run", json=RUN, headers=headers)
    wait_until_quiet(api_house)
    web = start_web(DATABASE_URL=api_house.database.url, ICC_SECRET_KEY=SECRET_KEY)
    try:
        other = replace(api_house, web=web)
        assert other.caller().post("sync/run", json=RUN, headers=headers).json() == first.json()
    finally:
        stop_web(web)
    rows(api_house.database, "UPDATE control.idempotency_keys SET created_at = now() - interval '25 hours'")
    later = api_house.caller().post("sync/run", json=RUN, headers=headers)
    assert later.json()["runId"] != first.json()["runId"]


def test_a_process_that_died_in_between_gives_no_second_command(api_house: House) -> None:
    """The command was given and its answer not kept: asked again, the same command is followed to its answer."""
    headers, caller = {"Idempotency-Key": "died"}, api_house.caller()
    first = caller.post("sync/run", json=RUN, headers=headers)
    wait_until_quiet(api_house)
    before = commands(api_house)
    forget = "UPDATE control.idempotency_keys SET answer_status = NULL, answer_body = NULL WHERE key = 'died'"
    rows(api_house.database, forget)
    again = caller.post("sync/run", json=RUN, headers=headers)
    assert (again.status_code, again.json()["runId"]) == (202, first.json()["runId"])
    assert commands(api_house) == before
    assert api_house.audit()[-1]["result"] == "shared"


def test_a_refusal_of_the_person_is_not_kept(api_house: House) -> None:
    """A viewer who becomes an admin may use the key again; a refusal by the state of things is kept."""
    headers = {"Idempotency-Key": "role"}
    viewer = api_house.caller(Role.VIEWER)
    assert viewer.post("sync/run", json=RUN, headers=headers).status_code == 403
    kept = rows(api_house.database, "SELECT 1 FROM control.idempotency_keys WHERE key = 'role'")
    assert kept == []


@pytest.mark.parametrize("key", ["x" * 201, "tab\there"])
def test_an_odd_key_is_refused(api_house: House, key: str) -> None:
    """A key is a line of printable ASCII."""
    answer = api_house.caller().post("sync/stop", headers={"Idempotency-Key": key})
    assert (answer.status_code, answer.json()["code"]) == (422, "REQUEST_UNUSABLE")
