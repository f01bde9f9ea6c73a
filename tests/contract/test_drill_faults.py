"""Faults of answers and connections do what their sentence says, only where asked (DoorLoop fact sheet §11.8)."""

from __future__ import annotations

import json
import socket
from email.utils import parsedate_to_datetime
from threading import Thread
from typing import Any

import httpx
import pytest

from daemon.integrations.doorloop.drill import FAULTS
from daemon.integrations.doorloop.drill.faults.bodies import DISTORTIONS
from daemon.integrations.doorloop.drill.faults.pages import ASKS, SHOWS
from daemon.integrations.doorloop.drill.faults.poison import SPOILS
from daemon.integrations.doorloop.drill.faults.stand_ins import STAND_INS
from tests.contract.drill_client import drilling

DELIVERY = {"latency", "slow", "slow_body", "hang", "reset", "close_early", "extra_headers"}
ELSEWHERE = {"other_account", "shifting_rows", "bare_array", "wrong_envelope"}


def test_every_entry_of_the_table_has_an_effect_and_a_sentence() -> None:
    """The table and the code name the same faults, each with one sentence for the operator."""
    keys = [fault.key for fault in FAULTS]
    effects = DELIVERY | ELSEWHERE | set(STAND_INS) | set(ASKS) | set(SHOWS) | set(SPOILS) | set(DISTORTIONS)
    assert len(set(keys)) == len(keys)
    assert set(keys) == effects
    assert all(fault.description.endswith((".", ").")) for fault in FAULTS)


@pytest.mark.parametrize(
    ("key", "status", "text"),
    [
        ("html_docs", 200, "API Reference"),
        ("html_app", 200, "JavaScript"),
        ("html_login", 200, "password"),
        ("http_500", 500, "<!DOCTYPE html>"),
        ("http_502", 502, "<!DOCTYPE html>"),
        ("http_503", 503, "<!DOCTYPE html>"),
        ("http_408", 408, "message"),
        ("http_status", 400, "Validation failed"),
        ("unauthorized", 401, "message"),
        ("forbidden_role", 405, "METHOD_NOT_ALLOWED"),
        ("forbidden_403", 403, "message"),
        ("rate_limited", 429, "RATE_LIMIT_EXCEEDED"),
        ("vendor_down", 503, "<!DOCTYPE html>"),
        ("redirect_same_host", 302, "moved"),
        ("redirect_other_host", 302, "moved"),
    ],
)
def test_answers_of_another_kind(key: str, status: int, text: str) -> None:
    """§9, §11.8: the fault's answer comes in place of the page while it is on, and not after."""
    with drilling(rows=3) as (drill, client):
        drill.set_fault(key)
        answer = client.get("owners")
        assert answer.status_code == status
        assert text in answer.text
        assert drill.clear_faults() == [key]
        assert client.get("owners").json()["total"] == 3


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, "30"),
        ({"retry_after": "3600"}, "3600"),
        ({"retry_after": 0}, "0"),
        ({"retry_after": "soon"}, "soon"),
        ({"form": "absent"}, None),
    ],
)
def test_retry_after_in_every_form(parameters: dict[str, Any], expected: str | None) -> None:
    """§4: seconds up to an hour, zero, text that should not be there, or no header."""
    with drilling(rows=1) as (drill, client):
        drill.set_fault("rate_limited", **parameters)
        assert client.get("owners").headers.get("retry-after") == expected


def test_retry_after_as_a_date_follows_the_servers_own_clock() -> None:
    """RFC 9110 §10.2.3: a date counts against the answer's Date header, however wrong that clock is."""
    with drilling(rows=1) as (drill, client):
        drill.set_fault("rate_limited", form="http_date", retry_after="120", skew_seconds=7200)
        headers = client.get("owners").headers
        wait = parsedate_to_datetime(headers["retry-after"]) - parsedate_to_datetime(headers["date"])
        assert wait.total_seconds() == 120


def test_connections_can_break() -> None:
    """§9: reset before the headers or in the body, or closed early; the log says that no answer went out."""
    with drilling(rows=50) as (drill, client):
        drill.set_fault("reset", where="headers")
        with pytest.raises(httpx.ReadError):
            client.get("owners")
        assert drill.log.entries()[-1].status == 0
        drill.set_fault("reset", where="body")
        with pytest.raises(httpx.ReadError):
            client.get("owners")
        drill.clear_faults()
        drill.set_fault("close_early")
        with pytest.raises(httpx.RemoteProtocolError):
            client.get("owners")
        drill.clear_faults()
        assert client.get("owners").json()["total"] == 50


@pytest.mark.parametrize(("key", "parameters"), [("hang", {}), ("slow", {"delay_seconds": 30.0})])
def test_a_waiting_answer_ends_with_its_fault(key: str, parameters: dict[str, Any]) -> None:
    """§11.8: the request waits unanswered; switching the fault off lets it go at once."""
    with drilling(rows=1) as (drill, client):
        fault = drill.set_fault(key, **parameters)
        outcome: list[object] = []

        def ask() -> None:
            try:
                outcome.append(client.get("owners").status_code)
            except httpx.RemoteProtocolError:
                outcome.append("closed")

        asking = Thread(target=ask)
        asking.start()
        while not fault.struck:
            asking.join(0.01)
        assert not outcome
        assert drill.log.summary(1)["open"] == 1
        drill.clear_fault(key)
        asking.join(5)
        assert outcome == ["closed" if key == "hang" else 200]


def test_a_client_that_gives_up_on_a_hang_is_noticed() -> None:
    """A hung request ends in the log when its client leaves, so that no thread stays behind."""
    with drilling(rows=1) as (drill, _):
        fault = drill.set_fault("hang")
        with socket.create_connection(("127.0.0.1", drill.port), timeout=5) as raw:
            raw.sendall(f"GET /api/owners HTTP/1.1\r\nAuthorization: bearer {drill.key}\r\n\r\n".encode())
            waiting = Thread(target=raw.recv, args=(1,))
            waiting.start()
            while not fault.struck:
                waiting.join(0.01)
            raw.shutdown(socket.SHUT_RDWR)
            waiting.join(5)
        entry = drill.log.entries()[-1]
        while entry.status is None:
            waiting.join(0.01)
        assert entry.status == 0


def test_bodies_drip() -> None:
    """§11.8: headers at once, then the body in pieces."""
    with drilling(rows=5) as (drill, client):
        drill.set_fault("slow_body", seconds=0.05, pieces=5)
        with client.http.stream("GET", f"{drill.base_url}/owners") as answer:
            assert answer.status_code == 200
            assert sum(len(piece) for piece in answer.iter_raw()) > 1000


def test_the_vendor_can_refuse_connections_and_come_back() -> None:
    """§9: the port is closed but kept; it opens again when the fault is cleared, or by itself."""
    with drilling(rows=1) as (drill, client):
        drill.set_fault("vendor_down", mode="refuse", seconds=60)
        with pytest.raises(httpx.ConnectError):
            client.get("owners")
        drill.clear_fault("vendor_down")
        assert client.get("owners").status_code == 200
        answer = client.control("PUT", "faults/vendor_down", {"mode": "refuse", "seconds": 0.05})
        assert answer.status_code == 200
        while True:
            try:
                assert client.get("owners").status_code == 200
                break
            except httpx.TransportError:
                continue
        while drill.faults.active():
            client.get("owners")


def test_redirects_lead_on_or_away() -> None:
    """A redirect on the same host can be followed; one to another host shows whether the key went along."""
    with drilling(rows=2) as (drill, client):
        drill.set_fault("redirect_same_host")
        url = f"{drill.base_url}/owners?page_size=1"
        followed = client.http.get(url, follow_redirects=True)
        assert len(followed.json()["data"]) == 1
        drill.set_fault("redirect_same_host", loop=True)
        with pytest.raises(httpx.TooManyRedirects):
            client.http.get(url, follow_redirects=True)
        drill.clear_faults()
        drill.set_fault("redirect_other_host")
        location = client.get("owners").headers["location"]
        assert location == f"http://localhost:{drill.port}/api/owners"
        assert client.http.get(location).json()["total"] == 2
        last = drill.log.entries()[-1]
        assert (last.host, last.key_sent) == (f"localhost:{drill.port}", True)


def test_the_account_behind_the_key_can_change() -> None:
    """§7: users/me shows another identity; lists stay."""
    with drilling(rows=2) as (drill, client):
        mine = client.get("users/me").json()
        drill.set_fault("other_account")
        theirs = client.get("users/me").json()
        assert {key for key in mine if mine[key] != theirs[key]} >= {"id", "email", "company"}
        assert client.get("owners").json()["total"] == 2


def test_scope_counters_and_dice_decide_where_a_fault_strikes() -> None:
    """A fault strikes the named entity, after so many requests, so many times, with a seeded share of them."""
    with drilling(rows=2, seed=8) as (drill, client):
        drill.set_fault("http_500", entity="tenants,units", after_requests=1, times=2)
        assert [client.get("owners").status_code for _ in range(3)] == [200] * 3
        assert [client.get("tenants").status_code for _ in range(5)] == [200, 500, 500, 200, 200]
        drill.clear_faults()
        drill.set_fault("http_503", only_page=2)
        assert [client.get("owners", page_number=number).status_code for number in (1, 2, 3)] == [200, 503, 200]
        drill.clear_faults()
        runs = []
        for _ in range(2):
            drill.set_fault("http_502", probability=0.5)
            runs.append([client.get("owners").status_code for _ in range(40)])
        assert runs[0] == runs[1]
        assert 8 < runs[0].count(502) < 32


def test_two_faults_play_together() -> None:
    """Faults of different stages add up: a moving total over a bad record behind a marked body."""
    with drilling(rows=12) as (drill, client):
        for key in ("total_off_by", "null_id", "bom"):
            drill.set_fault(key)
        body = json.loads(client.get("owners").content.decode("utf-8-sig"))
        assert body["total"] == 15
        assert [record["id"] for record in body["data"]].count(None) == 1


def test_faults_are_switched_over_http() -> None:
    """The control routes list, set, refuse and clear faults; nothing strikes them."""
    with drilling(rows=2) as (drill, client):
        listed = client.control("GET", "faults").json()
        assert [fault["key"] for fault in listed["faults"]] == [fault.key for fault in FAULTS]
        assert client.control("PUT", "faults/html_docs", {"entity": "owners"}).json()["struck"] == 0
        assert client.get("owners").text.startswith("<!DOCTYPE")
        assert client.control("GET", "state").json()["faults"][0]["struck"] == 1
        for path, body in (("nonsense", {}), ("slow", {"entity": "cats"}), ("slow", {"x": 1}), ("slow", [1])):
            refused = client.control("PUT", f"faults/{path}", body)
            assert refused.status_code == 400
            assert refused.json()["message"]
        assert client.control("DELETE", "faults/html_docs").json() == {"cleared": True}
        drill.set_fault("http_500")
        assert client.control("DELETE", "faults").json() == {"cleared": ["http_500"]}
        assert client.get("owners").status_code == 200


def test_records_and_limits_are_controlled_over_http() -> None:
    """The control routes mutate, tell the truth, set limits and forget the log."""
    with drilling(rows=20, seed=6) as (drill, client):
        done = client.control("POST", "mutate", {"entity": "units", "change": 2, "add": 1, "delete": 1}).json()
        assert [len(done[key]) for key in ("changed", "added", "deleted")] == [2, 1, 1]
        truth = [json.loads(line) for line in client.control("GET", "truth/units").text.splitlines()]
        assert truth == list(drill.records("units"))
        assert client.control("POST", "mutate", {"entity": "cats"}).status_code == 400
        assert client.control("POST", "mutate", {"entity": "units", "delete": 999}).status_code == 400
        assert client.control("PUT", "limits", {"per_minute": 1}).json()["per_minute"] == 1
        assert [client.get("owners").status_code for _ in range(2)] == [200, 429]
        client.control("DELETE", "requests")
        assert client.control("GET", "requests").json()["total"] == 0
        assert client.control("GET", "nowhere").status_code == 404
