"""Sign-in by a provider: off to it and back, and every way in which its answer must not be believed."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from common.access import Role
from common.signing import sealed_text, unsealed_text
from common.store import people
from common.store.database import Database
from dashboard.web.single_sign_on import PURPOSE
from tests.dashboard import seed
from tests.dashboard.conftest import SECRET_KEY, Web, emptied, start_web, stop_web
from tests.dashboard.providers import Wilful, authorize, real_provider, set_claims, settings_of

PAGE = "/systems/integrations"
MAIL = "Boss@Firm.example"


@dataclass
class Street:
    """A web process with three doors: ``firm`` and ``shop`` are real providers, ``wilful`` breaks rules."""

    web: Web
    firm: str
    shop: str
    wilful: Wilful
    database: Database

    def come_back(self, client: httpx.Client, key: str = "wilful", subject: str = "", next_path: str = PAGE) -> str:
        """Go to the provider and sign in there; the address it sends the browser back to."""
        left = client.get(f"/auth/oidc/{key}", params={"next": next_path})
        assert left.status_code == 302, left.text
        location = left.headers["location"]
        if key == "wilful":
            return httpx.get(location).headers["location"]
        return authorize(location, subject)

    def enter(self, key: str = "wilful", subject: str = "") -> tuple[httpx.Client, httpx.Response]:
        """All the way through one door."""
        client = self.web.client()
        return client, client.get(self.come_back(client, key, subject))


@pytest.fixture(scope="module")
def kept_street(shared_database: Database) -> Iterator[Street]:
    """One for the whole module."""
    wilful = Wilful()
    with real_provider() as firm, real_provider() as shop:
        settings = settings_of(firm=firm, shop=shop, wilful=wilful.address)
        web = start_web(
            DATABASE_URL=shared_database.url,
            ICC_SECRET_KEY=SECRET_KEY,
            ICC_ACCESS_CONTACT="it@firm.example",
            ICC_OIDC_FIRM_ADMIN_MAILS=f"x@firm.example, {MAIL.lower()}",
            ICC_OIDC_FIRM_LABEL="Firm & Sons",
            ICC_OIDC_SHOP_ROLES_CLAIM="roles",
            ICC_OIDC_WILFUL_ROLES_CLAIM="roles",
            **settings,  # type: ignore[arg-type]  # settings are strings by name
        )
        yield Street(web, firm, shop, wilful, shared_database)
        stop_web(web)
    wilful.close()


@pytest.fixture
def street(kept_street: Street) -> Street:
    """The same, with nobody known and an honest provider."""
    emptied(kept_street.database)
    kept_street.wilful.obey()
    return kept_street


def who(client: httpx.Client) -> Any:
    """Who this browser is, or the status."""
    answer = client.get("/auth/session")
    return answer.json() if answer.status_code == 200 else answer.status_code


def rows(street: Street, query: Any) -> list[dict[str, Any]]:
    """Rows of the database."""
    with street.database.transaction() as link:
        return link.execute(query).fetchall()


def test_through_the_door_and_back_to_where_one_was(street: Street) -> None:
    """Off with PKCE, state and nonce; back with a session, to the path one came from; the small cookie is gone."""
    client = street.web.client()
    set_claims(street.shop, "sam", name="Sam", roles=["viewer"])
    left = client.get("/auth/oidc/shop", params={"next": f"{PAGE}?run=7f3a"})
    asked = {name: values[0] for name, values in parse_qs(urlsplit(left.headers["location"]).query).items()}
    assert asked["code_challenge_method"] == "S256"
    assert len(asked["code_challenge"]) == 43
    assert asked["redirect_uri"] == f"{street.web.address}/auth/oidc/shop/callback"
    assert {"state", "nonce"} <= asked.keys()
    cookie = left.headers["set-cookie"]
    assert all(word in cookie for word in ("HttpOnly", "SameSite=lax", "Path=/auth/oidc", "Max-Age=600"))
    back = client.get(authorize(left.headers["location"], "sam"))
    assert (back.status_code, back.headers["location"]) == (303, f"{PAGE}?run=7f3a")
    assert who(client) == {"name": "Sam · Shop", "role": "viewer"}
    assert set(client.cookies.keys()) == {"hc_session"}


def test_the_code_is_bound_to_this_browser_by_pkce(street: Street) -> None:
    """The wilful provider checks the proof: with the verifier it lets in, with another one it does not."""
    client, answer = street.enter()
    assert answer.status_code == 303
    assert street.wilful.challenges[-1].startswith("S256 ")
    other = street.web.client()
    back = street.come_back(other)
    stolen = re.sub(r"code=[^&]+", f"code={parse_qs(urlsplit(street.come_back(client)).query)['code'][0]}", back)
    refused = other.get(stolen)
    assert refused.status_code == 401
    assert "did not confirm this sign-in (invalid_grant)" in refused.text
    assert who(other) == 401


def test_a_person_is_issuer_and_subject(street: Street) -> None:
    """The same subject at two providers is two people; one who is renamed there stays one."""
    set_claims(street.firm, "42", name="Ana", roles=["admin"])
    set_claims(street.shop, "42", name="Ana", roles=["admin"])
    first, _ = street.enter("firm", "42")
    second, _ = street.enter("shop", "42")
    assert who(first) == {"name": "Ana · Firm & Sons", "role": None}  # no app roles are read from firm
    assert who(second) == {"name": "Ana · Shop", "role": "admin"}
    set_claims(street.shop, "42", name="Anna", roles=["viewer"])
    again, _ = street.enter("shop", "42")
    assert who(again) == {"name": "Ana · Shop", "role": "viewer"}
    assert who(second) == 401  # a role that changed ends the sessions that had the old one
    assert len(rows(street, "SELECT 1 FROM control.people")) == 2


def test_two_of_the_same_name_are_told_apart(street: Street) -> None:
    """The audit log speaks of people by name: a second Ana of the same provider, or a look-alike, gets a mark."""
    set_claims(street.shop, "1", name="Ana")
    set_claims(street.shop, "2", name="ana\u200b ")
    names = {who(street.enter("shop", subject)[0])["name"] for subject in ("1", "2")}
    assert "Ana · Shop" in names
    assert re.fullmatch(r"ana · Shop #[0-9a-f]{8}", (names - {"Ana · Shop"}).pop())


def test_a_listed_mail_counts_at_its_own_provider_only_and_verified(street: Street) -> None:
    """A second provider asserting the admin's mail, or the first one unsure of it, gives no role."""
    claimed: list[tuple[str, dict[str, object]]] = [
        ("shop", {"email": MAIL, "email_verified": True}),
        ("firm", {"email": MAIL, "email_verified": False}),
        ("firm", {"email": MAIL, "email_verified": "true"}),
        ("firm", {"email": MAIL}),
        ("firm", {"email": f"{MAIL}.evil.example", "email_verified": True}),
    ]
    for number, (key, claims) in enumerate(claimed):
        set_claims(getattr(street, key), f"attacker{number}", **claims)
        client, _ = street.enter(key, f"attacker{number}")
        assert who(client)["role"] is None, claims
    set_claims(street.firm, "boss", email=MAIL, email_verified=True)
    client, _ = street.enter("firm", "boss")
    assert who(client) == {"name": f"{MAIL} · Firm & Sons", "role": "admin"}


def test_the_local_admin_is_nobody_a_provider_could_be(street: Street) -> None:
    """A provider that calls its subject, name or mail like a local account makes another person, without a password."""
    seed.person(street.database, "ana", Role.ADMIN)
    set_claims(street.shop, "ana", name="ana", preferred_username="ana")
    client, _ = street.enter("shop", "ana")
    assert who(client) == {"name": "ana · Shop", "role": None}
    for name in ("ana · Shop", "ana"):
        answer = street.web.client().post("/auth/local", data={"name": name, "password": ""})
        assert answer.status_code == 401


def test_shut_out_and_a_role_by_hand(street: Street) -> None:
    """Disabling ends the session at once and stays; a role given by hand stands against what the provider says."""
    set_claims(street.shop, "sam", name="Sam", roles=["admin"])
    client, _ = street.enter("shop", "sam")
    with street.database.transaction() as link:
        found = people.named(link, "sam · shop")
        assert found is not None
        people.set_role(link, found[0].id, Role.VIEWER)
    assert who(client) == 401
    client, _ = street.enter("shop", "sam")
    assert who(client)["role"] == "viewer"
    with street.database.transaction() as link:
        people.set_disabled(link, found[0].id, disabled=True)
    assert who(client) == 401
    client, answer = street.enter("shop", "sam")
    assert "Your account is shut out here." in answer.text
    assert "Ask it@firm.example to let you in again." in answer.text
    assert (answer.status_code, who(client)) == (401, 401)


NOW = int(time.time())
LIES: dict[str, tuple[dict[str, Any], str]] = {
    "another audience": ({"aud": "somebody-else"}, "its claim aud"),
    "another audience, ours as the party": ({"aud": ["somebody-else"], "azp": "icc"}, "its claim aud"),
    "ours among others, for another party": ({"aud": ["icc", "x"], "azp": "x"}, "its claim azp"),
    "another issuer": ({"iss": "https://evil.example"}, "its claim iss"),
    "another nonce": ({"nonce": "old"}, "its claim nonce"),
    "no nonce": ({"nonce": None}, "its claim nonce"),
    "no subject": ({"sub": None}, "its claim sub"),
    "an empty subject": ({"sub": ""}, "its subject is empty"),
    "an endless subject": ({"sub": "s" * 256}, "its subject is empty or too long"),
    "a subject that is no text": ({"sub": 7}, "its claim sub"),
    "expired": ({"exp": NOW - 600}, "set this server&#x27;s clock right"),
    "from the future": ({"iat": NOW + 6000, "exp": NOW + 9000}, "set this server&#x27;s clock right"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_token_that_is_not_for_us_is_not_believed(street: Street, lie: str) -> None:
    """Wrong audience, issuer, nonce, subject or time: no session, and the sign-in page says why and what to do."""
    street.wilful.claims, words = LIES[lie][0], LIES[lie][1]
    client, answer = street.enter()
    assert (answer.status_code, who(client)) == (401, 401)
    assert words in answer.text
    assert 'role="alert"' in answer.text


@pytest.mark.parametrize("sign", ["none", "secret", "foreign"])
def test_a_signature_that_is_not_the_providers_is_not_believed(street: Street, sign: str) -> None:
    """Unsigned, signed by the secret that both sides know, or by a stranger's key of the same name."""
    street.wilful.sign = sign
    client, answer = street.enter()
    assert (answer.status_code, who(client)) == (401, 401)
    assert "its signature does not fit" in answer.text


def test_a_clock_off_by_a_minute_is_forgiven(street: Street) -> None:
    """Two machines never agree to the second."""
    now = int(time.time())
    street.wilful.claims = {"iat": now + 60, "exp": now - 30}
    assert street.enter()[1].status_code == 303


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((200, b"{}"), "it holds no ID token"),
        ((200, b"<html>"), "something else than OpenID Connect"),
        ((200, b'["a"]'), "something else than OpenID Connect"),
        ((200, b'{"id_token": 7, "access_token": "a"}'), "cannot be trusted"),
        ((401, b'{"error": "invalid_client", "error_description": "<b>boo</b>"}'), "(invalid_client)"),
        ((400, b'{"error": "<script>alert(1)</script>"}'), "(no usable reason)"),
        ((503, b"busy"), "(HTTP 503)"),
    ],
)
def test_a_token_endpoint_out_of_order_is_a_sentence(street: Street, answer: tuple[int, bytes], words: str) -> None:
    """Whatever comes instead of a token: the sign-in page with cause and remedy, nothing of the provider's text."""
    street.wilful.token_answer = answer
    client, page = street.enter()
    assert (page.status_code, who(client)) == (401, 401)
    assert words in page.text
    assert "boo" not in page.text
    assert "<script>" not in page.text


def test_who_says_no_at_the_provider_reads_that(street: Street) -> None:
    """The provider's error code is shown, its sentence is not: anybody could have written it into the address."""
    client = street.web.client()
    back = street.come_back(client)
    state = parse_qs(urlsplit(back).query)["state"][0]
    denied = client.get(
        "/auth/oidc/wilful/callback",
        params={"error": "access_denied", "error_description": "Call 555-0100 now", "state": state},
    )
    assert denied.status_code == 401
    assert "Wilful did not let you in (access_denied)." in denied.text
    assert "555" not in denied.text
    for query in ("error=access_denied&state=x", "error=access_denied"):  # said by nobody whom this browser had asked
        stray = street.web.client().get(f"/auth/oidc/wilful/callback?{query}")
        assert "was used already" in stray.text


def test_an_answer_counts_once(street: Street) -> None:
    """The same address again, with or without the kept cookie: no second session, and the way to a new start."""
    client = street.web.client()
    back = street.come_back(client)
    kept = dict(client.cookies)
    assert client.get(back).status_code == 303
    client.post("/auth/sign-out")
    again = client.get(back)
    assert (again.status_code, who(client)) == (401, 401)
    assert "was used already" in again.text
    assert 'href="/auth/oidc/wilful?next=' in again.text
    replayed = httpx.get(back, cookies=kept)
    assert replayed.status_code == 401
    assert "invalid_grant" in replayed.text


def test_an_answer_is_worth_nothing_in_another_browser(street: Street) -> None:
    """An attacker's answer sent to a victim signs nobody in: it belongs to the browser that had asked."""
    attacker, victim = street.web.client(), street.web.client()
    back = street.come_back(attacker)
    refused = victim.get(back, headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"})
    assert (refused.status_code, who(victim)) == (401, 401)
    street.come_back(victim)  # even one that has begun a sign-in of its own
    assert victim.get(back).status_code == 401
    assert who(victim) == 401


def test_an_answer_goes_to_its_own_door(street: Street) -> None:
    """One provider's code and state brought to another's door are refused (mix-up)."""
    client = street.web.client()
    back = street.come_back(client)
    assert client.get(back.replace("/wilful/", "/shop/")).status_code == 401
    client = street.web.client()
    back = street.come_back(client) + "&iss=https%3A%2F%2Fevil.example"
    assert "it comes from another issuer" in client.get(back).text


@pytest.mark.parametrize("forged", ["", "x", "x.y", "e30.0000", "\u00e9"])
def test_a_forged_small_cookie_is_no_cookie(street: Street, forged: str) -> None:
    """What the browser keeps for us counts only with our seal."""
    client = street.web.client()
    back = street.come_back(client)
    header = f"hc_oidc={forged}".encode("latin-1")
    answer = httpx.get(back, headers={b"cookie": header})
    assert answer.status_code == 401
    assert "was used already" in answer.text


def test_what_was_kept_lasts_ten_minutes(street: Street) -> None:
    """A browser left at the provider for longer starts again; a clock set back does not make it last."""
    for age_seconds in (601, -60):
        client = street.web.client()
        back = street.come_back(client)
        text = unsealed_text(SECRET_KEY.encode(), PURPOSE, client.cookies["hc_oidc"])
        assert text is not None
        older = json.dumps({**json.loads(text), "at": time.time() - age_seconds})
        answer = httpx.get(back, cookies={"hc_oidc": sealed_text(SECRET_KEY.encode(), PURPOSE, older)})
        assert answer.status_code == 401
        assert "is older than ten minutes" in answer.text


@pytest.mark.parametrize("path", ["//evil.example", "https://evil.example", "/\\evil.example", "/auth/sign-out", "x"])
def test_no_door_leads_elsewhere(street: Street, path: str) -> None:
    """Open redirect: ``next`` is a path of ours also through a provider's door."""
    client = street.web.client()
    answer = client.get(street.come_back(client, next_path=path))
    assert (answer.status_code, answer.headers["location"]) == (303, PAGE)


def test_no_other_site_begins_a_sign_in(street: Street) -> None:
    """A link or an image on another site leads to the sign-in page at most; there is no door of another name."""
    client = street.web.client()
    for site in ("cross-site", "same-site"):
        answer = client.get("/auth/oidc/wilful", headers={"sec-fetch-site": site})
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
        assert "set-cookie" not in answer.headers
    assert client.get("/auth/oidc/nobody").status_code == 401
    assert client.get("/auth/oidc/nobody/callback?state=x&code=y").status_code == 401
    assert client.get("/auth/oidc/wilful/../../../systems/integrations").status_code in (303, 401)
    assert client.get("/auth/oidc/wilful/callback/more").status_code == 401


def test_a_session_from_before_ends_at_a_providers_door_too(street: Street) -> None:
    """Fixation: the id is new, the browser's earlier session is over, whoever's it was."""
    seed.person(street.database)
    client = street.web.signed_in()
    before = client.cookies["hc_session"]
    assert client.get(street.come_back(client)).status_code == 303
    assert client.cookies["hc_session"] != before
    assert httpx.get(f"{street.web.address}/auth/session", cookies={"hc_session": before}).status_code == 401


def test_the_doors_are_shown_and_secrets_are_not(street: Street) -> None:
    """A button each, by name; local accounts stay beside them."""
    page = street.web.client().get("/sign-in", params={"next": f"{PAGE}?a=1&b=2"}).text
    assert "Continue with Firm &amp; Sons" in page
    assert 'href="/auth/oidc/shop?next=/systems/integrations%3Fa%3D1%26b%3D2"' in page
    assert 'name="password"' in page
    assert "canary-client-secret" not in page


def test_every_way_in_is_audited(street: Street) -> None:
    """Law 9: who, from where, by whose word."""
    street.enter()
    (row,) = rows(street, "SELECT * FROM control.admin_logs ORDER BY id DESC LIMIT 1")
    assert (row["action"], row["actor"], row["address"]) == ("sign in", "somebody · Wilful", "127.0.0.1")
    assert (row["result"], row["source"], row["role"]) == ("done", "page", None)
    assert row["summary"] == {"issuer": street.wilful.address, "subject": "sub-1"}


def test_a_provider_out_of_order_is_told_and_waited_for(start: Callable[..., Web], database: Database) -> None:
    """Away, answering pages, calling itself otherwise: a sentence; well again, the door opens without a restart."""
    wilful = Wilful()
    try:
        web = start(**settings_of(wilful=wilful.address))
        client = web.client()
        wilful.failing_status = 502
        assert "cannot be reached from here (HTTP 502)" in client.get("/auth/oidc/wilful").text
        wilful.failing_status = 200
        assert "something else than OpenID Connect" in client.get("/auth/oidc/wilful").text
        wilful.obey()
        wilful.metadata = {"issuer": "https://evil.example"}
        assert "its issuer is not the one of its address" in client.get("/auth/oidc/wilful").text
        wilful.obey()
        assert client.get("/auth/oidc/wilful").status_code == 302
        wilful.close()
        again = web.client().get("/auth/oidc/wilful")
        assert again.status_code == 302  # what it publishes is known for an hour
        assert "Traceback" not in web.output
        with database.transaction() as link:
            audited = link.execute(
                "SELECT actor, action, result, reason FROM control.admin_logs ORDER BY id"
            ).fetchall()
        assert {(row["actor"], row["action"], row["result"]) for row in audited} == {
            ("anonymous", "sign in", "refused")
        }
        assert [row["reason"].split()[-1] for row in audited] == ["502).", "Connect).", "address."]
    finally:
        wilful.close()


def test_a_provider_set_wrongly_is_left_out_and_said(start: Callable[..., Web]) -> None:
    """The process starts, says which variable and what it should be, and keeps the other doors."""
    settings = settings_of(good="http://127.0.0.1:9", entra="https://login.microsoftonline.com/common/v2.0")
    web = start(**settings, ICC_PUBLIC_URL="ops.example.org")
    assert "ICC_OIDC_ENTRA_DISCOVERY_URL is not usable." in web.output
    assert "TENANT-ID" in web.output
    assert "ICC_PUBLIC_URL is not an http or https address." in web.output
    page = httpx.get(f"{web.address}/sign-in").text
    assert "Continue with Good" in page
    assert "Microsoft" not in page
    away = web.client().get("/auth/oidc/good")
    assert "Good cannot be reached from here (no connection)." in away.text
