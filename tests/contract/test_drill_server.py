"""The drill server keeps the assumed contract of DoorLoop (DoorLoop fact sheet §11.1 to §11.7)."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import httpx
import pytest

from daemon.integrations.doorloop.drill import ENTITIES, DrillServer, LimitSettings
from daemon.integrations.doorloop.drill.limits import CONVENTIONS, Limiter
from tests.contract.drill_client import DrillClient, drilling

ROWS = 130


@pytest.fixture(scope="module")
def drill() -> Iterator[DrillServer]:
    with DrillServer(rows=ROWS, seed=7) as server:
        yield server


@pytest.fixture
def client(drill: DrillServer) -> Iterator[DrillClient]:
    with DrillClient(drill) as asking:
        yield asking


@pytest.mark.parametrize("path", ["/", "/owners", "/v1/owners", "/apix", "/drill"])
def test_other_paths_are_the_web_application(client: DrillClient, path: str) -> None:
    """§11.1: whatever is not under /api answers 200 with HTML."""
    answer = client.http.get(client.drill.origin + path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.text.startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("header", [{}, {"Authorization": "bearer wrong"}, {"Authorization": "drill-key"}])
def test_a_missing_or_wrong_key_is_401(drill: DrillServer, header: dict[str, str]) -> None:
    """§11.2: without the key the answer is 401, JSON, with a message; control routes ask for it too."""
    for url in (f"{drill.base_url}/owners", f"{drill.base_url}/users/me", f"{drill.origin}/drill/state"):
        answer = httpx.get(url, headers=header, trust_env=False)
        assert answer.status_code == 401
        assert answer.json()["message"]


@pytest.mark.parametrize("scheme", ["bearer", "Bearer"])
def test_both_spellings_of_the_scheme_are_taken(drill: DrillServer, scheme: str) -> None:
    """§3: the documentation writes bearer, clients write Bearer."""
    answer = httpx.get(
        f"{drill.base_url}/users/me", headers={"Authorization": f"{scheme} {drill.key}"}, trust_env=False
    )
    assert {"id", "name", "fullName", "email"} <= answer.json().keys()


@pytest.mark.parametrize("entity", ENTITIES)
def test_pages_hold_every_record_once_in_order_of_creation(client: DrillClient, entity: str) -> None:
    """§11.4: page by page every record comes once, oldest first, equal to the truth."""
    got = list(client.all(entity, page_size=37, filter_active="all"))
    assert got == list(client.drill.records(entity))
    assert len({record["id"] for record in got}) == ROWS


def test_the_page_size_is_50_unless_asked_and_1000_at_most(client: DrillClient) -> None:
    """§11.4: default 50; above 1000 is clamped; text and zero mean the default; page numbers start at 1."""
    assert len(client.get("owners").json()["data"]) == 50
    assert len(client.get("owners", page_size=5000).json()["data"]) == ROWS
    assert len(client.get("owners", page_size=0).json()["data"]) == 50
    assert client.get("owners", page_number=0).json() == client.get("owners", page_number=1).json()


def test_a_page_size_out_of_range_can_be_refused() -> None:
    """§5: whether the vendor clamps or refuses is not verified, so both can be played."""
    with drilling(rows=3, page_size_policy="reject") as (_, client):
        assert client.get("owners", page_size=1001).status_code == 400
        assert "page_size" in client.get("owners", page_size="many").json()["message"]
        assert client.get("owners", page_size=1000).status_code == 200


def test_a_page_beyond_the_end_is_empty_with_the_same_total(client: DrillClient) -> None:
    """§5: beyond the end come 200, no data and the same total."""
    assert client.get("owners", page_number=99).json() == {"total": ROWS, "data": []}


def test_unknown_parameters_are_ignored(client: DrillClient) -> None:
    """§5: `page` and `limit` do nothing: the first 50 rows for ever; an unknown sort field means the default."""
    first = client.get("tenants").json()
    assert client.get("tenants", page=2, limit=5, filter_nothing="x").json() == first
    assert client.get("tenants", sort_by="noSuchField").json() == first


@pytest.mark.parametrize("key", ["createdAt", "updatedAt"])
@pytest.mark.parametrize("params", [{}, {"filter_active": "all"}, {"filter_active": "false"}])
def test_time_sorts_are_stable_both_ways(client: DrillClient, key: str, params: dict[str, str]) -> None:
    """§5: sorted pages rise by time, ties by id; descending is the exact reverse."""
    rising = list(client.all("units", sort_by=key, page_size=17, **params))
    assert [stamp(record[key]) for record in rising] == sorted(stamp(record[key]) for record in rising)
    ranks = [(stamp(record[key]), record["id"]) for record in rising]
    assert ranks == sorted(ranks)
    falling = list(client.all("units", sort_by=key, sort_descending="true", page_size=17, **params))
    assert falling == rising[::-1]


def test_other_fields_sort_too(client: DrillClient) -> None:
    """§5: `sort_by` takes any field of the resource."""
    rents = [record["marketRent"] for record in client.all("units", sort_by="marketRent", page_size=40)]
    assert rents == sorted(rents)


def test_units_show_only_active_ones_unless_asked(client: DrillClient) -> None:
    """§11.5: without filter_active=all|false only active units come back."""
    everything = list(client.drill.records("units"))
    active = [record["id"] for record in everything if record["active"]]
    inactive = [record["id"] for record in everything if not record["active"]]
    assert inactive
    assert client.ids("units") == active
    assert client.get("units").json()["total"] == len(active)
    assert client.ids("units", filter_active="false") == inactive
    assert len(client.ids("units", filter_active="all")) == ROWS


def test_one_record_by_id_is_the_one_of_the_list(client: DrillClient) -> None:
    """§7: GET /{resource}/{id}; an unknown id or resource is 404, JSON, with a message."""
    record = client.get("leases", page_size=1, page_number=9).json()["data"][0]
    assert client.get(f"leases/{record['id']}").json() == record
    for path in ("leases/000000000000000000000000", "leases/x", "portfolios", "leases/a/b", ""):
        answer = client.get(path)
        assert answer.status_code == 404
        assert answer.json()["message"]


@pytest.mark.parametrize(
    ("entity", "params", "field", "wanted"),
    [
        ("properties", {"filter_class": "COMMERCIAL"}, "class", "COMMERCIAL"),
        ("leases", {"filter_status": "INACTIVE"}, "status", "INACTIVE"),
        ("leases", {"filter_term": "AtWill"}, "term", "AtWill"),
        ("tenants", {"filter_type": "PROSPECT_TENANT"}, "type", "PROSPECT_TENANT"),
        ("owners", {"filter_active": "false"}, "active", False),
    ],
)
def test_filters_let_through_exactly_what_they_name(
    client: DrillClient, entity: str, params: dict[str, str], field: str, wanted: object
) -> None:
    """§7: a filtered list holds the matching records, all of them and no others."""
    expected = [record["id"] for record in client.drill.records(entity) if record[field] == wanted]
    assert expected
    assert client.ids(entity, **params) == expected


def test_references_lead_to_records_and_filters_follow_them(client: DrillClient) -> None:
    """§8: plain id references point to records that exist, and reference filters find the way back."""
    lease = client.get("leases", page_size=1).json()["data"][0]
    assert client.get(f"properties/{lease['property']}").status_code == 200
    assert client.get(f"units/{lease['units'][0]}").status_code == 200
    assert lease["id"] in client.ids("leases", filter_property=lease["property"])
    assert lease["id"] in client.ids("leases", filter_unit=lease["units"][0])
    assert lease["units"][0] in client.ids("units", filter_property=lease["property"], filter_active="all")
    joined = client.get("leases/tenants", filter_lease=lease["id"]).json()
    assert joined["total"] == len(joined["data"]) > 0
    tenant = joined["data"][0]["tenant"]
    assert tenant in client.ids("tenants", filter_lease=lease["id"])
    assert client.ids("leases", filter_tenant=tenant) == [lease["id"]]


def test_writing_is_not_allowed(client: DrillClient) -> None:
    """§3: what the key may not do is 405 METHOD_NOT_ALLOWED; the drill's key only reads."""
    answer = client.http.post(f"{client.drill.base_url}/owners", json={})
    assert (answer.status_code, answer.json()["code"]) == (405, "METHOD_NOT_ALLOWED")


def test_the_minute_limit_answers_429_with_seconds_to_wait() -> None:
    """§11.6: the 51st request is 429 with Retry-After in seconds and RATE_LIMIT_EXCEEDED; control is never limited."""
    with drilling(rows=1, limits=LimitSettings(per_minute=50, per_hour=500)) as (drill, client):
        assert [client.get("users/me").status_code for _ in range(51)] == [200] * 50 + [429]
        refused = client.get("owners")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert refused.json()["code"] == "RATE_LIMIT_EXCEEDED"
        assert not any("ratelimit" in name.lower() for name in refused.headers)
        assert client.control("GET", "state").status_code == 200
        drill.set_limits(LimitSettings())
        assert client.get("owners").status_code == 200


@pytest.mark.parametrize(("window", "admitted"), [("fixed", [True, True]), ("sliding", [True, False])])
def test_windows_are_fixed_or_sliding(window: str, admitted: list[bool]) -> None:
    """§4: the vendor's window type is unknown: a fixed one gives everything back at once, a sliding one by and by."""
    now = 0.0
    limiter = Limiter(LimitSettings(per_minute=2, window=window), clock=lambda: now)
    assert limiter.admit()[0] is None
    now = 50.0
    assert limiter.admit()[0] is None
    assert limiter.admit()[0] == 10
    now = 60.5
    assert [limiter.admit()[0] is None for _ in range(2)] == admitted


def test_the_hour_limit_outlasts_the_minute() -> None:
    """§4: when the hour is full, the wait is the hour's."""
    now = 0.0
    limiter = Limiter(LimitSettings(per_minute=50, per_hour=2), clock=lambda: now)
    assert [limiter.admit()[0] for _ in range(3)] == [None, None, 3600]


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_limit_headers_appear_only_when_switched_on(convention: str) -> None:
    """§4: no rate-limit headers are documented, so none come unless a convention is chosen."""
    with drilling(rows=1, limits=LimitSettings(per_minute=9, per_hour=90, convention=convention)) as (_, client):
        names = [name for name in client.get("users/me").headers if "limit" in name.lower() or "quota" in name.lower()]
        assert bool(names) == (convention != "none")


def test_many_connections_read_the_same_truth(client: DrillClient) -> None:
    """Eight clients at once get the same pages, and the log knows how many were at work together."""
    with ThreadPoolExecutor(8) as pool:
        pages = list(pool.map(lambda number: client.get("owners", page_number=1 + number % 3).json(), range(48)))
    assert all(page == pages[number % 3] for number, page in enumerate(pages))
    assert client.drill.log.most_at_once >= 1


def test_requests_are_logged_without_the_key(client: DrillClient) -> None:
    """Law 10: the log shows path, query, status and time, and that a key was sent, never the key."""
    client.get("owners", page_size=3)
    answer = client.control("GET", "requests?recent=1")
    last = answer.json()["recent"][0]
    assert (last["method"], last["path"], last["query"], last["status"]) == ("GET", "/api/owners", "page_size=3", 200)
    assert last["key_sent"] is True
    assert last["ended"] >= last["started"]
    assert client.drill.key not in answer.text
    assert answer.json()["counts"]["/api/owners"]["200"] >= 1


def test_what_is_not_http_gets_a_400(drill: DrillServer) -> None:
    """A peer that does not speak HTTP is told so and let go."""
    with socket.create_connection(("127.0.0.1", drill.port), timeout=5) as raw:
        raw.sendall(b"hello\r\n\r\n")
        assert raw.recv(1000).startswith(b"HTTP/1.1 400")


def test_two_requests_sent_at_once_get_two_answers(drill: DrillServer) -> None:
    """A kept-alive connection answers what came early, in order."""
    head = f"Host: x\r\nAuthorization: bearer {drill.key}\r\n"
    one = f"GET /api/users/me HTTP/1.1\r\n{head}\r\n"
    last = f"GET /api/nowhere HTTP/1.1\r\n{head}Connection: close\r\n\r\n"
    received = b""
    with socket.create_connection(("127.0.0.1", drill.port), timeout=5) as raw:
        raw.sendall((one + last).encode())
        while piece := raw.recv(65_536):
            received += piece
    assert received.count(b"HTTP/1.1 200 OK") == 1
    assert received.count(b"HTTP/1.1 404 Not Found") == 1


def stamp(value: str | int) -> str:
    """Return a time stamp as ISO text: some records carry Unix time instead."""
    if isinstance(value, str):
        return value
    seconds, ms = divmod(value if value > 1e11 else value * 1000, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ms:03}Z"
