"""Attacks on the door: guessed, forged, flooded, lured from elsewhere, and sent as no browser would."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import httpx
import pytest

from common.access import Role
from common.store import anonymous, people
from common.store.database import Database
from dashboard import identity
from dashboard.identity import Credentials
from dashboard.services import Services
from dashboard.turns import LONGEST_DELAY_SECONDS, LONGEST_LINE_SECONDS, TooManyAtOnce
from tests.dashboard import seed
from tests.dashboard.conftest import Web, stop_web
from tests.waiting import wait_for

PAGE = "/systems/integrations"
FORM = {"name": "ana", "password": seed.PASSWORD}


@pytest.mark.parametrize(
    "cookie", ["", "x", "a" * 43, "a" * 5000, "\u00e9\u00e9", "null", "%00", "' OR 1=1 --", "../../etc"]
)
def test_a_forged_cookie_is_nobody(house: Web, cookie: str) -> None:
    """Only a token that this house gave out opens it; anything else is a 401, never an error."""
    header = f"hc_session={cookie}".encode("latin-1")
    assert httpx.get(f"{house.address}/auth/session", headers={b"cookie": header}).status_code == 401


def test_the_stored_form_of_a_token_opens_nothing(house: Web, shared_database: Database) -> None:
    """Whoever reads the sessions table cannot sign in with what stands there."""
    house.signed_in()
    with shared_database.transaction() as link:
        (row,) = link.execute("SELECT id::text, encode(token_hash, 'hex') AS hex FROM control.sessions").fetchall()
    for stolen in row.values():
        answer = httpx.get(f"{house.address}/auth/session", cookies={"hc_session": stolen})
        assert answer.status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        b"name=a%00na&password=x%00",
        b"name=%ff%fe&password=%80",
        b"name=%ed%a0%80&password=x",
        b"name=" + b"a" * 9000 + b"&password=x",
        b"name=ana&name=vera&password=",
        b"password=x",
        b"\x00\xff=",
    ],
)
def test_what_no_browser_sends_is_a_wrong_password(house: Web, body: bytes) -> None:
    """NUL, broken text, endless names, missing fields: refused like any wrong password."""
    headers = {"origin": house.address, "content-type": "application/x-www-form-urlencoded"}
    answer = httpx.post(f"{house.address}/auth/local", content=body, headers=headers, timeout=30)
    assert answer.status_code == 401, answer.text[:200]
    assert "set-cookie" not in answer.headers


MULTIPART = b'--a\r\nContent-Disposition: form-data; name="name"\r\n\r\n\\ud800\r\n--a--\r\n'


@pytest.mark.parametrize(
    "kinds",
    [
        ["multipart/form-data; boundary=a; charset=unicode_escape"],
        ["multipart/form-data; boundary=a", "application/x-www-form-urlencoded"],
        ["multipart/form-data"],
        ["application/json"],
        ["application/x-www-form-urlencoded, multipart/form-data; boundary=a"],
        [],
    ],
)
def test_the_form_is_taken_in_one_encoding(house: Web, shared_database: Database, kinds: list[str]) -> None:
    """A multipart body chooses its codec, and with it text that is none. Such a body is not looked at: no attempt."""
    headers = [("origin", house.address), *(("content-type", kind) for kind in kinds)]
    answer = httpx.post(f"{house.address}/auth/local", content=MULTIPART, headers=headers)
    assert (answer.status_code, answer.text) == (415, "Send the form as application/x-www-form-urlencoded.")
    with shared_database.transaction() as link:
        assert link.execute("SELECT FROM control.sign_in_attempts").fetchall() == []


@pytest.mark.parametrize(
    ("length", "body", "status"),
    [
        ("Content-Length: 17", "&".join(["name=ana"] * 2), 401),
        ("Content-Length: 65", "&".join(["x=%00"] * 11), 400),
        ("Content-Length: 20000", "name=" + "a" * 19_995, 413),
        ("Transfer-Encoding: chunked", "3\r\na=b\r\n0\r\n\r\n", 413),
        (f"Content-Length: {'9' * 5000}", "", 400),
        ("Content-Length: -1", "", 400),
        ("Content-Length: 1_0", "name=ana&p", 400),
        ("Content-Length: ", "", 400),
    ],
)
def test_a_body_of_any_length_is_answered(house: Web, length: str, body: str, status: int) -> None:
    """Over a bare socket: too long, too many fields, without a length or with a wrong one. Never our error."""
    with _posted(house, length, body) as wire:
        assert wire.recv(100).decode().split(" ")[1] == str(status)


def test_who_hangs_up_writes_no_traceback(house: Web) -> None:
    """A form that ends in the middle is nobody's error: else a stranger fills the log."""
    for _ in range(3):
        with _posted(house, "Content-Length: 500", "name=ana"):
            time.sleep(0.2)  # the route has begun to read
    assert house.client().post("/auth/local", data={"name": "ana"}).status_code == 401
    assert "ClientDisconnect" not in house.output


def _posted(web: Web, length: str, body: str) -> socket.socket:
    """A bare connection on which a form with this header of its length was sent."""
    head = ["POST /auth/local HTTP/1.1", f"Host: 127.0.0.1:{web.port}", f"Origin: {web.address}", length]
    kind = "Content-Type: Application/X-WWW-form-urlencoded; charset=utf-16"
    wire = socket.create_connection(("127.0.0.1", web.port), timeout=30)
    wire.sendall("\r\n".join([*head, kind, "Connection: close", "", body]).encode())
    return wire


def test_a_foreign_name_that_points_here_is_another_site(house: Web) -> None:
    """A page of evil.example whose name is made to mean this machine (DNS rebinding) cannot post to us."""
    host = f"evil.example:{house.port}"
    for headers in (
        {"host": host, "origin": f"http://{host}"},
        {"host": host, "origin": house.address.replace("http", "https")},
    ):
        answer = httpx.post(f"{house.address}/auth/local", data=FORM, headers=headers)
        assert answer.status_code == 403
        assert "ICC_PUBLIC_URL" in answer.text


def _attempt(web: Web, name: str, password: str, forwarded: str) -> int:
    """The status of an attempt from behind a proxy that saw ``forwarded``."""
    headers = {"origin": web.address, "x-forwarded-for": forwarded}
    form = {"name": name, "password": password}
    return httpx.post(f"{web.address}/auth/local", data=form, headers=headers, timeout=60).status_code


def test_guessing_is_slowed_and_its_victim_is_not(start: Callable[..., Web], database: Database) -> None:
    """Behind a proxy the last hop counts, whatever the client writes before it; who is known at an address gets in
    while the strangers' line at the account is full."""
    ana = seed.person(database)
    web = start(FORWARDED_ALLOW_IPS="*")
    assert _attempt(web, "ana", seed.PASSWORD, "198.51.100.1") == 303
    with database.transaction() as link:
        for number in range(120):
            people.note_attempt(link, "ana", f"203.0.113.{number}")
    with ThreadPoolExecutor(20) as crowd:
        guesses = [crowd.submit(_attempt, web, "ana", "guess", f"6.6.6.{n}, 203.0.113.{n}") for n in range(20)]
        wait_for(lambda: any(guess.done() for guess in guesses), "the strangers' line is full")
        status = _attempt(web, "ana", seed.PASSWORD, "7.7.7.7, 198.51.100.1")
        still_waiting = [guess for guess in guesses if not guess.done()]
        web.process.kill()  # nobody waits for the strangers' long delays
    assert status == 303
    assert 0 < len(still_waiting) <= 12  # two seconds each, in a line of 22
    assert {guess.result() for guess in guesses if guess.exception() is None} == {429}
    with database.transaction() as link:
        addresses = link.execute("SELECT DISTINCT address FROM control.sign_in_attempts").fetchall()
        assert not [row for row in addresses if row["address"].startswith(("6.", "7."))]
        sessions = link.execute("SELECT count(*) AS n FROM control.sessions WHERE person_id = %s", [ana]).fetchone()
    assert sessions == {"n": 2}


def test_an_office_does_not_wait_for_a_colleague_who_fails(start: Callable[..., Web], database: Database) -> None:
    """Behind one address sit many: whose own account was never tried there comes in at once."""
    seed.person(database)
    web = start(FORWARDED_ALLOW_IPS="*")
    assert _attempt(web, "ana", seed.PASSWORD, "198.51.100.1") == 303
    with database.transaction() as link:
        for _ in range(60):
            people.note_attempt(link, "ben", "198.51.100.1")
    began = time.monotonic()
    assert _attempt(web, "ana", seed.PASSWORD, "198.51.100.1") == 303
    assert time.monotonic() - began < LONGEST_DELAY_SECONDS / 2


def test_who_is_turned_away_has_not_failed(database: Database) -> None:
    """A few addresses that guess fill the line but for its end; what finds no room there is no attempt."""
    own = cast(Services, SimpleNamespace(database=database))
    guess = Credentials("ana", "guess", "203.0.113.1", None)
    with database.transaction() as link:
        for number in range(400):
            people.note_attempt(link, "ana", f"203.0.113.{number % 3}")
    for number in range(20):
        with suppress(TooManyAtOnce):
            identity.begin(own, replace(guess, address=f"203.0.113.{number % 3}"))
    with database.transaction() as link:
        noted = len(link.execute("SELECT FROM control.sign_in_attempts").fetchall()) - 400
    assert 9 <= noted <= 11  # two seconds each, in a line of 16
    assert identity.begin(own, replace(guess, address="198.51.100.1"))[1] <= LONGEST_LINE_SECONDS


def test_a_flood_is_a_number(start: Callable[..., Web], database: Database) -> None:
    """Without a session, from other sites: a row per minute and kind; the first failed sign-ins get their own."""
    seed.person(database)
    web = start()
    with httpx.Client(base_url=web.address) as client:
        for _ in range(60):
            client.get("/systems/media/x", headers={"user-agent": "flood"})
        for _ in range(10):
            client.post("/auth/sign-out", headers={"origin": "https://evil.example"})
    for name in ("ana", "hunter2-typed-into-the-wrong-field"):
        assert _attempt(web, name, "wrong", "") == 401
    stop_web(web)  # what was not told yet is told at the end
    with database.transaction() as link:
        failed = link.execute("SELECT summary, result FROM control.admin_logs ORDER BY id").fetchall()
        link.execute("UPDATE control.anonymous_tally SET minute = minute - interval '1 hour'")
        anonymous.close_minutes(link)
        rows = link.execute(
            "SELECT action, sum((summary ->> 'requests')::int)::int AS n, count(*) AS rows, min(address) AS address "
            "FROM control.admin_logs WHERE actor = 'anonymous' AND summary ? 'minute' GROUP BY 1 ORDER BY 1"
        ).fetchall()
        left = link.execute("SELECT count(*) AS n FROM control.anonymous_tally").fetchone()
    assert [row["summary"] for row in failed] == [{"account": "ana"}, {"account": "unknown"}]
    counted = {row["action"]: row["n"] for row in rows}
    assert counted == {"request from another site": 10, "request without a session": 60}
    assert all(row["rows"] <= 2 for row in rows)  # 2: the minute turned in between
    assert {row["address"] for row in rows} == {"127.0.0.1"}
    assert left == {"n": 0}


def test_the_vendors_key_is_gone_from_the_process(start: Callable[..., Web]) -> None:
    """Law: the web process holds no vendor key, not for itself, not for its children, not for who looks in /proc."""
    web = start(DOORLOOP_API_KEY="planted-canary-123456", ICC_ACCESS_CONTACT="it stays")
    shown = Path(f"/proc/{web.process.pid}/environ").read_bytes()
    assert b"planted-canary" not in shown
    assert b"it stays" in shown


def test_a_session_is_of_its_person_as_they_are_now(house: Web, shared_database: Database) -> None:
    """The role is read with every request: one changed by plain SQL counts at once, too."""
    client = house.signed_in("vera")
    with shared_database.transaction() as link:
        link.execute("UPDATE control.people SET role = %s WHERE name = 'vera'", [Role.ADMIN.value])
    assert client.get("/auth/session").json()["role"] == "admin"
    with shared_database.transaction() as link:
        link.execute("UPDATE control.people SET disabled_at = now() WHERE name = 'vera'")
    assert client.get("/auth/session").status_code == 401
