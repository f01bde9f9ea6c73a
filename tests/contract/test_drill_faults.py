"""Every fault of the drill server does what its sentence says (DoorLoop fact sheet §11.8), and only where asked."""

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
from tests.contract.drill_client import DrillClient, drilling

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


def pages(client: DrillClient, count: int, **params: Any) -> list[list[str]]:
    """Return the ids of the first pages of owners, ten each unless asked."""
    asked = {"page_size": 10, **params}
    return [
        [record["id"] for record in client.get("owners", page_number=number, **asked).json()["data"]]
        for number in range(1, count + 1)
    ]


def totals(client: DrillClient) -> list[int]:
    return [client.get("owners", page_number=number, page_size=10).json()["total"] for number in (1, 2, 3)]


def test_paging_faults_show_the_wrong_rows() -> None:
    """§5: repeated page, no new ids, an empty page before the last, a row on two pages, a clamped page size."""
    with drilling(rows=40, seed=4) as (drill, client):
        true = pages(client, 4)
        drill.set_fault("repeated_page")
        assert pages(client, 3) == [true[0]] * 3
        drill.clear_faults()
        drill.set_fault("no_new_ids", from_page=3)
        mixed = pages(client, 4)
        assert mixed[:2] == true[:2]
        assert set(mixed[2]) | set(mixed[3]) <= set(true[0]) | set(true[1])
        assert mixed[2] not in (true[0], true[1], mixed[3])
        drill.clear_faults()
        drill.set_fault("empty_page_before_last")
        assert pages(client, 4) == [true[0], [], *true[2:]]
        drill.clear_faults()
        drill.set_fault("duplicate_row_across_pages")
        assert pages(client, 2)[1] == [true[0][-1], *true[1]]
        drill.set_fault("duplicate_row_across_pages", replace=True)
        assert pages(client, 2)[1] == [true[0][-1], *true[1][1:]]
        drill.clear_faults()
        drill.set_fault("page_size_clamp", rows=7)
        assert [len(page) for page in pages(client, 6)] == [7, 7, 7, 7, 7, 5]


def test_totals_can_move_and_lie() -> None:
    """§5: the total shifts in mid-run, by page or by request, or claims more than there is."""
    with drilling(rows=30) as (drill, client):
        drill.set_fault("moving_total", step=2)
        assert totals(client) == totals(client) == [30, 32, 34]
        drill.set_fault("moving_total", step=-1, per="request")
        assert totals(client) + totals(client) == [30, 29, 28, 27, 26, 25]
        drill.clear_faults()
        drill.set_fault("total_off_by", rows=3)
        assert totals(client) == [33, 33, 33]


def test_rows_shift_for_good_while_paging() -> None:
    """§5: a record deleted from a page already read moves a later one past the reader."""
    with drilling(rows=40, seed=4) as (drill, client):
        true = pages(client, 4)
        drill.set_fault("shifting_rows", delete=1, times=1)
        shifted = pages(client, 4)
        assert shifted[1] == [*true[1][1:], true[2][0]]
        assert drill.count("owners") == 39
        drill.set_fault("shifting_rows", delete=0, insert=2, only_page=3)
        pages(client, 4)
        assert drill.count("owners") == 41


def test_sorting_can_be_ignored_or_disturbed() -> None:
    """§6: the engine may trust newest-first only while the answers prove it."""
    with drilling(rows=40, seed=4) as (drill, client):
        newest = {"sort_by": "updatedAt", "sort_descending": "true"}
        true, plain = pages(client, 2, **newest), pages(client, 2)
        drill.set_fault("ignore_sort")
        assert pages(client, 2, **newest) == plain
        drill.clear_faults()
        drill.set_fault("unsorted_updated_at")
        disturbed = pages(client, 2, **newest)
        assert disturbed != true
        assert list(map(sorted, disturbed)) == list(map(sorted, true))
        assert pages(client, 2) == plain


RAW_POISON = {
    "nul_character": r"\u0000",
    "lone_surrogate": r"\ud800",
    "nan_literal": ":NaN",
    "huge_integer": ":12345678901234567890",
    "long_decimal": ":0.123456789012345678901234567890",
    "duplicate_keys": '"name":"Second value"}',
    "bad_money": '"marketRent":"abc"',
    "bad_date": '"31/31/2020"',
    "null_id": '"id":null',
    "numeric_id": '"id":50000',
    "record_not_object": '"not a record"',
    "field_type_change": '"active":"true"',
    "unknown_fields": '"drillField2"',
}


@pytest.mark.parametrize("key", sorted(RAW_POISON))
def test_poison_spoils_the_named_records_only(key: str) -> None:
    """§8: one record in ten is bad, the same on every reading, and the rest of the page is whole."""
    with drilling(rows=20, seed=4) as (drill, client):
        drill.set_fault(key, every=10, entity="units")
        bad = drill.bad_ids(key, "units")
        assert [found[-1] for found in bad] == ["5", "f"]
        text = client.get("units", filter_active="all").text
        assert text.count(RAW_POISON[key]) == 2
        good = [record for record in drill.records("units") if record["id"] not in bad]
        served = json.loads(text)["data"]
        assert [record for record in served if record in good] == good
        assert len(served) == 20
        assert RAW_POISON[key] in client.get(f"units/{bad[0]}").text
        assert RAW_POISON[key] not in client.get("leases").text


@pytest.mark.parametrize(("key", "field"), [("missing_id", "id"), ("missing_updated_at", "updatedAt")])
def test_fields_can_be_missing(key: str, field: str) -> None:
    """§8: a record without its id, and lists without updatedAt."""
    with drilling(rows=20, seed=4) as (drill, client):
        wanted = next(drill.records("owners"))["id"]
        drill.set_fault(key, ids=[wanted])
        assert drill.bad_ids(key, "owners") == [wanted]
        assert [field in record for record in client.get("owners").json()["data"]] == [False] + [True] * 19


@pytest.mark.parametrize(
    ("mode", "shape"),
    [
        ("data_missing", {"total", "results"}),
        ("data_null", {"total", "data"}),
        ("data_object", {"total", "data"}),
        ("data_text", {"total", "data"}),
        ("total_missing", {"data"}),
        ("total_text", {"total", "data"}),
    ],
)
def test_envelopes_can_be_wrong(mode: str, shape: set[str]) -> None:
    """§5: data is missing or no list, total is missing or no number; other answers keep their form."""
    with drilling(rows=2) as (drill, client):
        drill.set_fault("wrong_envelope", mode=mode)
        assert client.get("owners").json().keys() == shape
        assert client.get("users/me").json()["id"]
        drill.clear_faults()
        drill.set_fault("bare_array")
        assert len(client.get("owners").json()) == 2


def test_bodies_can_be_torn_marked_empty_or_huge() -> None:
    """§9, §11.8: truncated and invalid JSON, a byte order mark, nothing, another type, compressed, and too much."""
    with drilling(rows=5) as (drill, client):
        whole = client.get("owners").content
        for key in ("truncated_json", "invalid_json", "empty_body"):
            drill.set_fault(key)
            with pytest.raises(ValueError, match=r"."):
                client.get("owners").json()
            drill.clear_faults()
        drill.set_fault("bom")
        assert client.get("owners").content == b"\xef\xbb\xbf" + whole
        drill.clear_faults()
        drill.set_fault("wrong_content_type")
        assert client.get("owners").headers["content-type"] == "text/plain"
        drill.clear_faults()
        for announced in (True, False):
            drill.set_fault("oversized_body", bytes=300_000, announced=announced)
            answer = client.get("owners")
            assert len(answer.content) == 300_000
            assert answer.json() == json.loads(whole)
        drill.clear_faults()
        for key in ("gzip", "gzip_bomb"):
            drill.set_fault(key, **({"bytes": 500_000} if key == "gzip_bomb" else {}))
            answer = client.get("owners")
            assert answer.json() == json.loads(whole)
            assert len(answer.content) == (500_000 if key == "gzip_bomb" else len(whole))
            drill.clear_faults()


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
    """Design §6: a redirect on the same host can be followed; one to another host shows whether the key went along."""
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
    """Issue "main job", guards: users/me shows another identity; lists stay."""
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
