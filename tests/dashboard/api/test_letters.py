"""Dead letters and pace for programs: nothing is touched that was not counted, and what was done is told to its end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from common.access import Role
from dashboard.api.letter_table import A_LETTER
from tests.dashboard.api.conftest import House, seed_examples, wait_until_quiet
from tests.truth import one, rows
from tests.waiting import wait_for

LETTER = int(A_LETTER["letter"])


@pytest.fixture(autouse=True)
def quiet(api_house: House) -> Iterator[None]:
    """One letter is open, and nothing runs, is forced or is paused, before and after."""
    wait_until_quiet(api_house)
    rows(api_house.database, "DELETE FROM control.bulk_letters")
    rows(api_house.database, "DELETE FROM control.dead_letters")
    seed_examples(api_house.database)
    yield
    wait_until_quiet(api_house)


def state_of_letter(house: House) -> str:
    """The example letter's."""
    return str(one(house.database, "SELECT state FROM control.dead_letters WHERE id = %s", LETTER)["state"])


def ended(house: House, bulk_id: str) -> dict[str, Any]:
    """The bulk action at its end."""
    path = f"sync/bulk?id={bulk_id}"

    def seen() -> dict[str, Any] | None:
        (action,) = house.caller(Role.VIEWER).get(path).json()["actions"]
        return action if action["verdict"] else None

    return wait_for(seen, "it has a verdict")


@pytest.mark.parametrize("which", [{"id": LETTER}, {"ids": [LETTER, LETTER]}, {"filter": {"code": "RECORD_TYPE"}}])
def test_a_requeue_is_followed_to_its_verdict(api_house: House, which: dict[str, Any]) -> None:
    """By id, ids or filter: 202 with the address of the bulk action, which ends with its verdict."""
    answer = api_house.caller().post("sync/dlq/requeue", json=which)
    assert (answer.status_code, answer.json()["state"]) == (202, "done"), answer.text
    assert answer.headers["location"] == answer.json()["bulkAddress"]
    assert answer.json()["bulkAddress"] == f"/api/admin/sync/bulk?id={answer.json()['id']}"
    action = ended(api_house, answer.json()["id"])
    assert (action["action"], action["actor"], action["counted"], action["done"]) == ("requeue", "admin program", 1, 1)
    assert sum(action["outcomes"].values()) == 1
    assert state_of_letter(api_house) != "queued"


def test_a_discard_keeps_its_reason(api_house: House) -> None:
    """The letter is closed with who and why, and found among the discarded ones."""
    caller = api_house.caller()
    body = {"filter": {"entity": "owners", "fingerprint": "f1"}, "reason": "a test record of the vendor's"}
    ended(api_house, caller.post("sync/dlq/discard", json=body).json()["id"])
    (letter,) = caller.get("sync/dlq", params={"state": "discarded"}).json()["letters"]
    assert (letter["id"], letter["finishedBy"], letter["finishReason"]) == (LETTER, "admin program", body["reason"])
    assert caller.get("sync/dlq").json() == {
        "integration": "doorloop",
        "letters": [],
        "nextBefore": None,
        "counted": 0,
        "lastId": None,
    }


def test_only_what_was_counted_is_touched(api_house: House) -> None:
    """The list tells how many match and the newest one; a letter that came later is left, more before it refuse all."""
    caller = api_house.caller()
    seen = caller.get("sync/dlq", params={"limit": 1}).json()
    assert (seen["counted"], seen["lastId"], [one["id"] for one in seen["letters"]]) == (1, LETTER, [LETTER])
    plant = """INSERT INTO control.dead_letters (id, integration, entity, record_id, payload, payload_hash, code,
                                                 reason, fingerprint) OVERRIDING SYSTEM VALUE
               VALUES (%s, 'doorloop', 'owners', %s, '{}', 'h', 'RECORD_TYPE', 'r', 'f1')"""
    rows(api_house.database, plant, LETTER - 1, "a0")
    body = {"filter": {}, "counted": 1, "lastId": LETTER, "reason": "tidy up"}
    refused = caller.post("sync/dlq/discard", json=body)
    assert (refused.status_code, refused.json()["code"]) == (409, "LETTERS_GREW")
    assert state_of_letter(api_house) == "open"
    rows(api_house.database, plant, LETTER + 1, "a2")
    action = ended(api_house, caller.post("sync/dlq/discard", json=body | {"counted": 2}).json()["id"])
    assert action["counted"] == 2
    assert [one["id"] for one in caller.get("sync/dlq").json()["letters"]] == [LETTER + 1]


def test_what_matches_nothing_is_decided_and_written_down_all_the_same(api_house: House) -> None:
    """A viewer's try is refused by role, an admin's by what there is; both stand in the audit log."""
    before, body = len(api_house.audit()), {"filter": {"code": "NONE_SUCH"}, "reason": "tidy up"}
    assert api_house.caller(Role.VIEWER).post("sync/dlq/discard", json=body).json()["code"] == "NOT_PERMITTED"
    assert api_house.caller().post("sync/dlq/discard", json=body).json()["code"] == "NO_SUCH_LETTERS"
    assert [row["result"] for row in api_house.audit()[before:]] == ["refused", "accepted"]


def test_a_requeue_that_waits_can_be_cancelled(api_house: House) -> None:
    """For a held account a requeue waits and says why; cancelled, its letter is open as before."""
    caller = api_house.caller()
    rows(api_house.database, "UPDATE control.accounts_synced SET held = true")
    bulk_id = caller.post("sync/dlq/requeue", json={"id": LETTER}).json()["id"]
    assert state_of_letter(api_house) == "queued"
    (waiting,) = caller.get(f"sync/bulk?id={bulk_id}").json()["actions"]
    assert waiting["why"] == "the account is held by its settings: see its findings"
    assert caller.post(f"sync/bulk/{bulk_id}/cancel").status_code == 200
    action = ended(api_house, bulk_id)
    assert (action["state"], action["cancelAskedBy"], action["why"]) == ("cancelled", "admin program", None)
    assert state_of_letter(api_house) == "open"


def test_a_paused_schedule_keeps_no_requeue_waiting(api_house: House) -> None:
    """The pause is told with who and why; a requeue is a press, and done meanwhile as a run by hand is."""
    caller = api_house.caller()
    paused = caller.post("sync/schedule", json={"paused": True, "reason": "the vendor moves house"})
    assert (paused.status_code, paused.json()["state"]) == (200, "done")
    status = caller.get("sync/status").json()["accounts"][0]
    assert (status["scheduler"]["pausedBy"], status["scheduler"]["pausedReason"]) == (
        "admin program",
        "the vendor moves house",
    )
    bulk_id = caller.post("sync/dlq/requeue", json={"id": LETTER}).json()["id"]
    assert ended(api_house, bulk_id)["state"] == "done"
    assert caller.post("sync/schedule", json={"paused": False, "reason": "all is well"}).status_code == 200


def test_a_forced_breaker_and_lowered_limits_are_seen_and_lifted(api_house: House) -> None:
    """Forced open for so long, then lifted; lowered, then lifted; lifting what is not there is 409."""
    caller, why = api_house.caller(), {"reason": "the vendor asked us to"}
    path = "integrations/doorloop/breaker"
    assert caller.post(path, json={"state": "open", "minutes": 30, **why}).json()["result"]["state"] == "forced_open"
    assert caller.get("sync/status").json()["accounts"][0]["breaker"]["state"] == "forced_open"
    assert caller.post(path, json={"state": "none", **why}).status_code == 200
    assert caller.get("sync/status").json()["accounts"][0]["breaker"]["state"] == "closed"
    assert caller.post(path, json={"state": "none", **why}).json()["code"] == "NOTHING_TO_LIFT"
    path = "integrations/doorloop/limits"
    lowered = caller.post(path, json={"to": {"perHour": 100, "concurrency": 2}, "minutes": 5, **why})
    assert lowered.json()["result"]["to"] == {"perHour": 100, "concurrency": 2}
    assert caller.post(path, json={"to": {}, **why}).status_code == 200
    assert caller.post(path, json={"to": {}, **why}).json()["code"] == "NOTHING_TO_LIFT"
