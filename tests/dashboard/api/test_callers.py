"""Who calls: a token or a session, never both, never by accident, and never in an address."""

from __future__ import annotations

import os
import subprocess
import sys

import httpx
import pytest

from common.access import Role
from common.store import api_tokens
from tests.dashboard.api.conftest import API, House, wait_until_quiet
from tests.dashboard.conftest import ROOT, SECRET_KEY
from tests.truth import one, rows

PROBLEM = "application/problem+json"
READS = (
    "integrations",
    "sync/status",
    "sync/runs",
    "sync/dlq",
    "sync/bulk",
    "errors",
    "daemons",
    "confirmations",
    "openapi.json",
    "docs",
)


def accounts(house: House, *words: str) -> subprocess.CompletedProcess[str]:
    """``python -m common.accounts …`` as an admin types it."""
    environment = {**os.environ, "DATABASE_URL": house.database.url, "ICC_SECRET_KEY": SECRET_KEY}
    command = [sys.executable, "-m", "common.accounts", *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def with_token(house: House, token: str, path: str = "daemons") -> httpx.Response:
    """Ask with this token."""
    return httpx.get(house.web.address + API + path, headers={"Authorization": f"Bearer {token}"}, timeout=30)


def test_nobody_gets_a_problem_that_says_how(api_house: House) -> None:
    """Without token or session every path under /api is 401 as problem+json with a remedy; a page leads to sign-in."""
    for path in (*READS, "no/such/route", "sync/run"):
        answer = httpx.get(api_house.web.address + API + path)
        assert (answer.status_code, answer.headers["content-type"]) == (401, PROBLEM), path
        assert answer.json()["code"] == "SIGN_IN_FIRST"
        assert "common.accounts token" in answer.json()["remedy"]
        assert answer.headers["www-authenticate"].startswith("Bearer")
    page = httpx.get(
        api_house.web.address + API + "docs", headers={"accept": "text/html", "sec-fetch-mode": "navigate"}
    )
    assert (page.status_code, page.headers["location"]) == (303, "/sign-in?next=/api/admin/docs")


@pytest.mark.parametrize("token", ["", "x", "icc_" + "A" * 43, "y" * 5000, "\xff\xfe"])
def test_a_wrong_token_opens_nothing(api_house: House, token: str) -> None:
    """A token that is not one is 401, even beside a session that holds."""
    client = api_house.person("ana")
    header = (b"Bearer " + token.encode("latin-1")).strip()
    answer = client.get("daemons", headers=[(b"authorization", header)])
    assert (answer.status_code, answer.json()["code"]) == (401, "SIGN_IN_FIRST")
    assert client.get("daemons").status_code == 200


def test_a_token_opens_the_api_and_nothing_else(api_house: House) -> None:
    """The page, its websocket and its files want a session; a token counts under /api only, and not in an address."""
    token = api_house.tokens[Role.ADMIN]
    assert with_token(api_house, token).status_code == 200
    for path in ("/systems/integrations", "/systems/_stcore/health", "/auth/session"):
        headers = {"Authorization": f"Bearer {token}"}
        assert httpx.get(api_house.web.address + path, headers=headers).status_code == 401, path
    for name in ("token", "access_token", "api_key"):
        assert httpx.get(f"{api_house.web.address}{API}daemons?{name}={token}").status_code == 401


def test_the_command_line_makes_lists_and_revokes_tokens(api_house: House) -> None:
    """A token is the last line once, stored only as a hash; the list never shows it; revoked, it opens nothing."""
    made = accounts(api_house, "token", "--name", "nightly check", "--role", "viewer", "--days", "3")
    token = made.stdout.strip().splitlines()[-1]
    assert (made.returncode, token.startswith("icc_")) == (0, True)
    assert with_token(api_house, token).status_code == 200
    row = one(api_house.database, "SELECT * FROM control.api_tokens WHERE name = 'nightly check'")
    assert row["last_used_at"] is not None
    assert 2.9 < (row["expires_at"] - row["created_at"]).total_seconds() / 86400 < 3.1
    assert token.encode() not in bytes(row["token_hash"])
    again = accounts(api_house, "token", "--name", "nightly check", "--role", "admin")
    assert (again.returncode, "already" in again.stderr) == (1, True)
    listed = accounts(api_house, "tokens").stdout
    assert "nightly check" in listed
    assert token not in listed
    assert accounts(api_house, "revoke", "nightly check").returncode == 0
    assert with_token(api_house, token).status_code == 401
    assert "revoked" in accounts(api_house, "tokens").stdout
    assert accounts(api_house, "revoke", "nightly check").returncode == 1
    done = [(row["action"], row["source"]) for row in api_house.audit() if row["action"].startswith("token")]
    assert done == [("token add", "cli"), ("token revoke", "cli")]


@pytest.mark.parametrize(
    "words", [("--name", " "), ("--name", "a\nb"), ("--name", "x" * 81), ("--name", "n", "--days", "0")]
)
def test_an_odd_token_is_not_made(api_house: House, words: tuple[str, ...]) -> None:
    """A name that could forge a line of the audit log, or a term that makes no sense, is refused with a sentence."""
    made = accounts(api_house, "token", "--role", "viewer", *words)
    assert (made.returncode, made.stdout) == (1, "")
    assert "A token" in made.stderr


def test_an_expired_token_opens_nothing(api_house: House) -> None:
    """The expiry is the database's, at each request."""
    with api_house.database.transaction() as link:
        token = api_tokens.add(link, "short", Role.ADMIN, days=1, created_by="tests")
    assert with_token(api_house, token).status_code == 200
    rows(api_house.database, "UPDATE control.api_tokens SET expires_at = now() WHERE name = 'short'")
    assert with_token(api_house, token).status_code == 401


@pytest.mark.parametrize("path", READS)
def test_a_viewer_reads_by_token_and_by_session(api_house: House, path: str) -> None:
    """Roles: a viewer reads everything."""
    assert api_house.caller(Role.VIEWER).get(path).status_code == 200
    assert api_house.person("vera").get(path).status_code == 200


def test_a_person_without_a_role_reads_nothing(api_house: House) -> None:
    """Signed in, but of no role: 403 that says whom to ask."""
    answer = api_house.person("nils").get("sync/status")
    assert (answer.status_code, answer.json()["code"]) == (403, "NO_ROLE")
    assert "admin" in answer.json()["remedy"]


FOREIGN = [
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "none"},
    {},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
@pytest.mark.parametrize(("method", "path"), [("POST", "sync/stop"), ("GET", "integrations/doorloop/ping")])
def test_a_cookie_acts_from_our_own_pages_only(
    api_house: House, method: str, path: str, headers: dict[str, str]
) -> None:
    """Another site's page cannot act with the browser's cookie, by a POST or by a GET that acts; a token may."""
    client = api_house.person("ana")
    del client.headers["origin"]
    before = len(api_house.audit())
    answer = client.request(method, path, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "FOREIGN_PAGE")
    (tried,) = [(row["actor"], row["source"], row["result"], row["reason"]) for row in api_house.audit()[before:]]
    assert tried == ("ana", "page", "refused", answer.json()["detail"])
    ours = {"sec-fetch-site": "same-origin"}
    assert client.request(method, path, headers=ours).status_code in (200, 409)
    assert api_house.caller().request(method, path, headers=headers).status_code in (200, 409)


def test_a_session_that_ended_is_out_at_once(api_house: House) -> None:
    """Sign-out takes effect on the next request."""
    client = api_house.person("vera", fresh=True)
    assert client.get("daemons").status_code == 200
    assert client.post(api_house.web.address + "/auth/sign-out").status_code == 303
    assert client.get("daemons").status_code == 401


def test_no_token_is_in_any_log_or_row(api_house: House) -> None:
    """Law 10: a planted token is found neither in the process's output nor in the audit log, commands or answers."""
    token = api_house.tokens[Role.ADMIN]
    answer = api_house.caller().post("sync/stop", headers={"Idempotency-Key": token}, json={"integration": token[:30]})
    assert token not in answer.text
    api_house.caller().get(f"{token}")
    reason = f"because of {token} and {SECRET_KEY}"
    told = api_house.caller().post("sync/schedule", json={"paused": True, "reason": reason})
    assert (told.status_code, "because of" in str(api_house.audit()[-1]["summary"])) == (200, True)
    seen = api_house.caller(Role.VIEWER).get("sync/status").text
    for secret in (token, SECRET_KEY):
        assert secret not in seen
        for table in ("accounts_synced", "commands", "admin_logs", "events"):
            assert secret not in str(rows(api_house.database, f"SELECT t::text FROM control.{table} AS t")), table
    wait_until_quiet(api_house)
    for table in ("admin_logs", "commands", "api_tokens"):
        text = str(rows(api_house.database, f"SELECT t::text FROM control.{table} AS t"))
        assert token not in text, table
    assert token not in api_house.web.output
