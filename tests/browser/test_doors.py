"""The doors in a real browser: a provider's and our own, back to where one was, and no secret on the way."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, WebSocket, expect

from common.access import Role
from common.store import people
from common.store.database import Database
from tests.browser.conftest import PAGE, fill_door
from tests.dashboard import seed
from tests.dashboard.conftest import Web, copied_database, emptied, start_web, stop_web
from tests.dashboard.providers import CLIENT_SECRET, Wilful, real_provider, set_claims, settings_of
from tests.waiting import wait_for

SECRET = "canary-secret-key/0123456789+abcdef="
VENDOR_KEY = "canary-vendor-key_7f3a9b2c"
WEBHOOK = "https://prod-00.westeurope.logic.azure.com/workflows/canaryflow01/triggers?sig=Canary-sig_5kq0Zb8wT3"
DATABASE_PASSWORD = "canary-database-password"
PLANTED = (SECRET, VENDOR_KEY, CLIENT_SECRET, "canaryflow01", "Canary-sig_5kq0Zb8wT3", DATABASE_PASSWORD)


@dataclass
class Street:
    """A web process with a real provider's door and a wilful one's, on a database of its own."""

    web: Web
    firm: str
    wilful: Wilful
    database: Database


@pytest.fixture(scope="module")
def kept_street(server_url: str, template_database: str) -> Iterator[Street]:
    """One for the whole module, with every secret planted that a web process can be given."""
    wilful = Wilful()
    with copied_database(server_url, template_database) as database, real_provider() as firm:
        web = start_web(
            DATABASE_URL=f"{database.url}{'&' if '?' in database.url else '?'}password={DATABASE_PASSWORD}",
            ICC_SECRET_KEY=SECRET,
            DOORLOOP_API_KEY=VENDOR_KEY,
            INTEGRATIONS_TEAMS_WEBHOOK=WEBHOOK,
            ICC_ACCESS_CONTACT="it@firm.example",
            ICC_OIDC_FIRM_ROLES_CLAIM="roles",
            ICC_OIDC_FIRM_LABEL="Firm",
            **settings_of(firm=firm, wilful=wilful.address),  # type: ignore[arg-type]  # settings are strings by name
        )
        yield Street(web, firm, wilful, database)
        stop_web(web)
    wilful.close()


@dataclass
class Looked:
    """Everything that reached one browser."""

    page: Page
    seen: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@pytest.fixture
def street(kept_street: Street) -> Street:
    """The same with nobody known."""
    emptied(kept_street.database)
    kept_street.wilful.obey()
    seed.good_day(kept_street.database)
    return kept_street


@pytest.fixture
def looked(browser: Browser, street: Street) -> Iterator[Looked]:
    """A browser that notes every answer and every websocket frame; a breach of the content policy fails the test."""
    context: BrowserContext = browser.new_context(base_url=street.web.address)
    looked = Looked(context.new_page())

    def frames(socket: WebSocket) -> None:
        socket.on("framereceived", lambda frame: looked.seen.append(_text(frame)))
        socket.on("framesent", lambda frame: looked.seen.append(_text(frame)))

    looked.page.on("websocket", frames)
    looked.page.on("pageerror", lambda error: looked.errors.append(str(error)))
    looked.page.on("console", lambda line: looked.errors.append(line.text) if "Content Security" in line.text else None)
    yield looked
    context.close()
    assert looked.errors == []


def _text(frame: Any) -> str:
    return frame if isinstance(frame, str) else bytes(frame).decode("utf-8", "replace")


def sign_in_at_firm(page: Page, subject: str) -> None:
    """The provider's own page: say who one is, and let this program know."""
    page.get_by_role("link", name="Continue with Firm").click()
    page.get_by_placeholder("sub").fill(subject)
    page.get_by_role("button", name="Authorize").click()


def test_by_the_provider_to_where_one_was(looked: Looked, street: Street) -> None:
    """A deep link leads to the door, the provider, and back to the deep link; signing out leads to the door."""
    set_claims(street.firm, "sam", name="Sam", roles=["admin"])
    page = looked.page
    page.goto(f"{PAGE}?run=7f3a")
    sign_in_at_firm(page, "sam")
    expect(page).to_have_url(re.compile(rf"{PAGE}\?run=7f3a$"))
    expect(page.get_by_label("Verdict")).to_contain_text("DoorLoop is well.")
    page.get_by_text("Sam · Firm · admin").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("link", name="Continue with Firm")).to_be_visible()


def test_who_says_no_reads_it_and_may_try_again(looked: Looked, street: Street) -> None:
    """Denied at the provider: back at the door with the reason; the second try lets in, to the same place."""
    set_claims(street.firm, "sam", roles=["viewer"])
    page = looked.page
    page.goto(f"{PAGE}?run=7f3a")
    page.get_by_role("link", name="Continue with Firm").click()
    page.get_by_role("button", name="Deny").click()
    expect(page.get_by_role("alert")).to_contain_text("Firm did not let you in (access_denied).")
    sign_in_at_firm(page, "sam")
    expect(page).to_have_url(re.compile(rf"{PAGE}\?run=7f3a$"))


def test_without_a_role_one_reads_whom_to_ask(looked: Looked, street: Street) -> None:
    """Signed in by a provider that gives no role: the page names who can give one, and shows nothing else."""
    page = looked.page
    page.goto(PAGE)
    sign_in_at_firm(page, "nora")
    expect(page.get_by_role("heading", name="you have no role here yet")).to_be_visible()
    expect(page.get_by_text("Ask it@firm.example to give you one")).to_be_visible()
    expect(page.get_by_text("python -m common.accounts role 'somebody · Firm' viewer")).to_be_visible()
    expect(page.get_by_label("Verdict")).to_have_count(0)


def test_an_ended_session_leads_back_by_the_providers_door_too(looked: Looked, street: Street) -> None:
    """Shut off while the page is open: the next tick says so, and the way back leads to the very same place."""
    set_claims(street.firm, "sam", name="Sam", roles=["viewer"])
    page = looked.page
    page.goto(f"{PAGE}?run=7f3a")
    sign_in_at_firm(page, "sam")
    expect(page.get_by_label("Verdict")).to_be_visible()
    clock = page.get_by_text(re.compile(r"^\d\d:\d\d:\d\d UTC$"))
    first = clock.inner_text()
    expect(clock).not_to_have_text(first)  # it ticks
    with street.database.transaction() as link:
        found = people.named(link, "Sam · Firm")
        assert found is not None
        people.set_role(link, found[0].id, Role.ADMIN)
    expect(page.get_by_role("heading", name="Your session has ended")).to_be_visible()
    page.get_by_role("link", name="Sign in").click()
    expect(page.get_by_role("status")).to_contain_text("Your session has ended.")
    sign_in_at_firm(page, "sam")
    expect(page).to_have_url(re.compile(rf"{PAGE}\?run=7f3a$"))
    expect(page.get_by_text("Sam · Firm · admin")).to_be_visible()


def test_planted_secrets_reach_no_screen_and_no_log(looked: Looked, street: Street) -> None:
    """Law 10: through both doors, wrong and right, and the page with its websocket: no secret in any form, anywhere."""
    seed.person(street.database, "ana")
    set_claims(street.firm, "sam", name="Sam", roles=["admin"])
    page = looked.page
    page.on("response", lambda answer: looked.seen.append(f"{answer.url} {answer.headers}"))
    page.goto(PAGE)
    fill_door(page, "ana", "wrong")
    expect(page.get_by_role("alert")).to_be_visible()
    looked.seen.append(page.content())
    street.wilful.token_answer = (
        401,
        f'{{"error": "{CLIENT_SECRET}", "error_description": "{CLIENT_SECRET}"}}'.encode(),
    )
    page.goto(f"/auth/oidc/wilful?next={quote(PAGE)}")
    expect(page.get_by_role("alert")).to_contain_text("did not confirm")
    looked.seen.append(page.content())
    street.wilful.failing_status = 500
    sign_in_at_firm(page, "sam")
    expect(page.get_by_label("Verdict")).to_be_visible()
    page.get_by_role("button", name="Ping", exact=True).click()
    expect(page.get_by_text("Waiting for the daemon to take it.")).to_be_visible()
    wait_for(lambda: any("DoorLoop is well" in text for text in looked.seen), "the page came through the websocket")
    looked.seen += [page.content(), street.web.output]
    with street.database.transaction() as link:
        for table in ("admin_logs", "people", "sessions", "sign_in_attempts", "commands", "anonymous_tally"):
            for row in link.execute(f"SELECT row_to_json(t)::text AS row FROM control.{table} AS t").fetchall():
                looked.seen.append(row["row"])
    token = next(one["value"] for one in page.context.cookies() if one["name"] == "hc_session")
    everything = "\n".join(looked.seen)
    for secret in PLANTED:
        for form in (secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode().rstrip("=")[:-1]):
            assert form not in everything, form
    assert token not in everything.replace(f"hc_session={token}", "")  # but for the header that hands it out
    assert everything.count(f"hc_session={token}") <= 1


@pytest.mark.parametrize("width", [1280, 375])
def test_the_door_fits_every_screen(looked: Looked, width: int) -> None:
    """No horizontal scrolling, every way in large enough for a thumb, and the keyboard reaches them in order."""
    page = looked.page
    page.set_viewport_size({"width": width, "height": 800})
    page.goto("/sign-in")
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    for way in page.get_by_role("link", name=re.compile("^Continue with")).all():
        box = way.bounding_box()
        assert box is not None
        assert box["height"] >= 44
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Continue with Firm")).to_be_focused()
