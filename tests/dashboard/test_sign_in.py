"""Sign-in over real HTTP: nothing passes without a session, and a session ends when it should."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import websockets
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from common.access import Role
from common.passwords import hashed
from common.store import people
from common.store.database import Database
from tests.dashboard import seed
from tests.dashboard.conftest import Web
from tests.waiting import wait_for

PAGE = "/systems/integrations"
IDLE = "SELECT now() - last_active_at > interval '1 minute' AS idle FROM control.sessions"
BROWSER = {"accept": "text/html", "sec-fetch-mode": "navigate"}
CLOSED = (
    PAGE,
    "/systems/_stcore/health",
    "/systems/_stcore/host-config",
    "/systems/_stcore/metrics",
    "/systems/_stcore/agent/openapi.json",
    "/systems/media/anything.csv",
    "/systems/component/streamlit_autorefresh.st_autorefresh/index.html",
    "/systems/static/js/index.js",
    "/systems/favicon.png",
    "/_stcore/health",
    "/auth/session",
    "/no/such/page",
)


@pytest.mark.parametrize("path", CLOSED)
def test_nothing_passes_without_a_session(shared_web: Web, path: str) -> None:
    """Closed by default: every path but the sign-in page and the health checks answers 401, or leads to sign-in."""
    answer = httpx.get(shared_web.address + path)
    assert answer.status_code == 401, path
    page = httpx.get(shared_web.address + path, headers=BROWSER)
    assert page.status_code == 303
    assert page.headers["location"].startswith("/sign-in?next=/")


def test_the_websocket_is_closed_too(shared_web: Web) -> None:
    """The page's data flows through a websocket: without a session it is refused before it opens."""

    address = shared_web.address.replace("http", "ws") + "/systems/_stcore/stream"
    with pytest.raises(InvalidStatus) as refusal, connect(address, origin=websockets.Origin(shared_web.address)):
        pass
    assert refusal.value.response.status_code == 403


@pytest.mark.parametrize(
    "foreign", ["http://127.0.0.1:{other}", "http://localhost:{other}", "https://evil.example", "null"]
)
def test_the_websocket_opens_for_our_own_page_only(house: Web, foreign: str) -> None:
    """With a person's cookie, too: a page on another port of this host would read and press as they do."""
    cookies = "; ".join(f"{name}={value}" for name, value in house.signed_in().cookies.items())
    address, headers = house.address.replace("http", "ws") + "/systems/_stcore/stream", {"Cookie": cookies}
    origin = websockets.Origin(foreign.format(other=house.port + 1))
    with pytest.raises(InvalidStatus) as refusal, connect(address, origin=origin, additional_headers=headers):
        pass
    assert refusal.value.response.status_code == 403
    with connect(address, origin=websockets.Origin(house.address), additional_headers=headers):
        pass


def test_a_proxy_may_pass_another_host_on(start: Callable[..., Web], database: Database) -> None:
    """Where a page is from is asked of ICC_PUBLIC_URL: a proxy's ``Host`` keeps no page of ours from living, and lets
    no other in."""
    seed.person(database)
    web = start(ICC_PUBLIC_URL="https://ops.example.org", FORWARDED_ALLOW_IPS="127.0.0.1")
    host, ours = f"127.0.0.1:{web.port}", "https://ops.example.org"
    proxied = {"X-Forwarded-Host": "ops.example.org", "X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    form = {"name": "ana", "password": seed.PASSWORD}
    answer = httpx.post(f"{web.address}/auth/local", data=form, headers={**proxied, "origin": ours})
    assert answer.status_code == 303
    headers = {**proxied, "Cookie": answer.headers["set-cookie"].split(";", 1)[0]}
    address = f"ws://{host}/systems/_stcore/stream"
    for foreign in ("https://evil.example", "http://ops.example.org", "https://ops.example.org:444", "null"):
        origin = websockets.Origin(foreign)
        with pytest.raises(InvalidStatus) as refusal, connect(address, origin=origin, additional_headers=headers):
            pass
        assert refusal.value.response.status_code == 403
    with connect(address, origin=websockets.Origin(ours), additional_headers=headers) as socket:
        socket.ping().wait(10)


def test_a_session_opens_the_house_and_sign_out_closes_it(house: Web) -> None:
    """The form gives a cookie that nobody's script can read; signing out ends the session, wherever the cookie is."""
    client = house.client()
    form = client.get("/sign-in", params={"next": PAGE})
    assert 'autocomplete="username"' in form.text
    assert 'autocomplete="current-password"' in form.text
    answer = client.post("/auth/local", data={"name": " Ana ", "password": seed.PASSWORD, "next": PAGE})
    assert (answer.status_code, answer.headers["location"]) == (303, PAGE)
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Path=/" in cookie
    assert client.get("/auth/session").json() == {"name": "ana", "role": "admin"}
    assert client.get("/systems/_stcore/health").status_code == 200
    stolen = client.cookies["hc_session"]
    assert client.post("/auth/sign-out").status_code == 303
    assert httpx.get(f"{house.address}/auth/session", cookies={"hc_session": stolen}).status_code == 401


def test_https_binds_the_cookie_to_the_host(start: Callable[..., Web], database: Database) -> None:
    """Under an https address the cookie is __Host- and Secure, and the plain name is not looked at."""
    seed.person(database)
    web = start(ICC_PUBLIC_URL="https://ops.example.org")
    answer = httpx.post(
        f"{web.address}/auth/local",
        data={"name": "ana", "password": seed.PASSWORD},
        headers={"origin": "https://ops.example.org"},
    )
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-hc_session=")
    assert "Secure" in cookie
    token = cookie.split("=", 1)[1].split(";", 1)[0]
    assert httpx.get(f"{web.address}/auth/session", cookies={"hc_session": token}).status_code == 401
    assert httpx.get(f"{web.address}/auth/session", cookies={"__Host-hc_session": token}).status_code == 200
    assert "max-age" in answer.headers["strict-transport-security"]


@pytest.mark.parametrize(("name", "password"), [("ana", "wrong-password"), ("nobody", seed.PASSWORD), ("", "")])
def test_nobody_learns_which_part_was_wrong(house: Web, name: str, password: str) -> None:
    """A wrong name and a wrong password get the same words and the same status, and no cookie."""
    answer = house.client().post("/auth/local", data={"name": name, "password": password})
    assert answer.status_code == 401
    assert "That name and password do not go together." in answer.text
    assert "set-cookie" not in answer.headers


def test_what_was_typed_comes_back_as_text(house: Web) -> None:
    """A name is shown again, never as markup; ``next`` never leads to another host."""
    answer = house.client().post(
        "/auth/local", data={"name": '"><script>alert(1)</script>', "password": "x", "next": "//evil.example"}
    )
    assert "<script>" not in answer.text
    assert "evil.example" not in answer.text
    assert "script" not in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {},
    ],
)
def test_a_post_from_elsewhere_is_refused(house: Web, headers: dict[str, str]) -> None:
    """Signing somebody in or out from another site does not work, nor does a POST that cannot say where it is from."""
    for path in ("/auth/local", "/auth/sign-out"):
        answer = httpx.post(house.address + path, data={"name": "ana", "password": seed.PASSWORD}, headers=headers)
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers


def test_signing_in_gives_a_new_id_and_ends_the_old_one(house: Web) -> None:
    """A token planted before sign-in is worth nothing after it (fixation)."""
    client = house.signed_in()
    first = client.cookies["hc_session"]
    client.post("/auth/local", data={"name": "ana", "password": seed.PASSWORD})
    assert client.cookies["hc_session"] != first
    assert httpx.get(f"{house.address}/auth/session", cookies={"hc_session": first}).status_code == 401
    planted = httpx.post(
        f"{house.address}/auth/local",
        data={"name": "ana", "password": seed.PASSWORD},
        cookies={"hc_session": "planted"},
        headers={"origin": house.address},
    )
    assert "planted" not in planted.headers["set-cookie"]


@pytest.mark.parametrize("change", ["disable", "role", "passwd"])
def test_a_change_of_a_person_ends_their_sessions_at_once(house: Web, shared_database: Database, change: str) -> None:
    """Shut out, another role, another password: the very next request knows."""
    client = house.signed_in("vera")
    with shared_database.transaction() as link:
        vera = people.by_name(link, "vera")
        assert vera is not None
        if change == "disable":
            people.set_disabled(link, vera.id, disabled=True)
        elif change == "role":
            people.set_role(link, vera.id, Role.ADMIN)
        else:
            people.set_password(link, vera.id, hashed("another-password"))
    assert client.get("/auth/session").status_code == 401
    again = house.client().post("/auth/local", data={"name": "vera", "password": seed.PASSWORD})
    assert again.status_code == (303 if change == "role" else 401)


def test_a_session_grows_old_and_idle(house: Web, shared_database: Database) -> None:
    """It ends after its hours at the latest, and earlier when its person does nothing; asking is not doing."""
    client = house.signed_in()
    with shared_database.transaction() as link:
        link.execute("UPDATE control.sessions SET last_active_at = now() - interval '119 minutes'")
    assert client.get("/auth/session").status_code == 200
    with shared_database.transaction() as link:
        asked = link.execute(IDLE).fetchone()
        assert asked == {"idle": True}
    client.get(PAGE, headers=BROWSER)
    with shared_database.transaction() as link:
        opened = link.execute(IDLE).fetchone()
        assert opened == {"idle": False}
        link.execute("UPDATE control.sessions SET last_active_at = now() - interval '121 minutes'")
    assert client.get("/auth/session").status_code == 401
    client = house.signed_in()
    with shared_database.transaction() as link:
        link.execute("UPDATE control.sessions SET expires_at = now() WHERE ended_at IS NULL")
    assert client.get("/auth/session").status_code == 401


def test_trying_passwords_gets_slower(house: Web) -> None:
    """Wrong tries are delayed, more with each; a forged X-Forwarded-For changes nothing; nobody is locked out."""
    client = house.client()
    took = []
    for number in range(6):
        began = time.monotonic()
        client.post(
            "/auth/local", data={"name": "ana", "password": "x"}, headers={"x-forwarded-for": f"6.6.6.{number}"}
        )
        took.append(time.monotonic() - began)
    assert took[5] > 1.9  # the sixth waits two seconds; that the first waits for nothing is a rule of its own
    assert house.signed_in().get("/auth/session").status_code == 200


def test_many_tries_at_once_turn_nobody_away(house: Web) -> None:
    """Parallel tries wait in line, the right password among them: delay, not lock-out."""

    def attempt(password: str) -> int:
        form = {"name": "ana", "password": password}
        headers = {"origin": house.address}
        return httpx.post(f"{house.address}/auth/local", data=form, headers=headers, timeout=60).status_code

    passwords = ["x"] * 6 + [seed.PASSWORD] + ["x"] * 6
    with ThreadPoolExecutor(len(passwords)) as crowd:
        answers = list(crowd.map(attempt, passwords))
    assert answers == [401] * 6 + [303] + [401] * 6


def test_signing_in_and_out_is_audited(house: Web, shared_database: Database) -> None:
    """Law 9: who, when, from where."""
    house.signed_in().post("/auth/sign-out")
    with shared_database.transaction() as link:
        rows = link.execute(
            "SELECT actor, role, source, address, action FROM control.admin_logs ORDER BY id DESC LIMIT 2"
        ).fetchall()
    assert [row.pop("action") for row in rows] == ["sign out", "sign in"]
    who = {"actor": "ana", "role": "admin", "source": "page", "address": "127.0.0.1"}
    assert rows == [who, who]


def test_static_files_come_compressed_behind_the_gate(house: Web) -> None:
    """Streamlit's own files are large: they are compressed once, and only for who is signed in."""
    client = house.signed_in()
    page = client.get(PAGE, headers=BROWSER).text
    script = page.split('src="./static/')[1].split('"')[0]
    path = f"/systems/static/{script}"
    first, second = (client.get(path, headers={"accept-encoding": "gzip"}) for _ in range(2))
    assert first.headers["content-encoding"] == second.headers["content-encoding"] == "gzip"
    plain = client.get(path, headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert first.content == second.content == plain.content
    assert httpx.get(house.address + path, headers={"accept-encoding": "gzip"}).status_code == 401


def test_health_says_no_more_than_it_must(shared_web: Web) -> None:
    """Platforms may ask whether it lives and whether it can serve."""
    assert httpx.get(f"{shared_web.address}/healthz").text == "ok"
    assert httpx.get(f"{shared_web.address}/readyz").text == "ready"


def test_it_ends_at_once_when_told(start: Callable[..., Web]) -> None:
    """SIGTERM ends the process within two seconds."""
    web = start()
    began = time.monotonic()
    web.process.terminate()
    wait_for(lambda: web.process.poll() is not None, "the process ends", seconds=5)
    assert time.monotonic() - began < 2
