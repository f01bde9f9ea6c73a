"""Everybody can use it: axe-core's rules, WCAG 2.2 AA and best practice, on every screen, light and dark."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it carries no types
from playwright.sync_api import Browser, Page, expect

from common.store.database import Database
from tests.browser.conftest import Open
from tests.dashboard import letter_seed, seed
from tests.dashboard.conftest import Web

RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "resultTypes": ["violations", "incomplete", "passes"],
}
# A scroll region outside the viewport makes axe's contrast rule give up without a violation.
TALL = 3600
LEAST_PASSES = 15


def violations(page: Page, *, contrast: bool = True) -> list[str]:
    """What axe finds wrong, and where; fails when axe could not look properly.

    ``contrast`` False: behind an open drawer axe judges no colour at all. What a drawer shows stands on cards, too.
    """
    found: dict[str, Any] = Axe().run(page, options=RULES).response
    gave_up = [rule["id"] for rule in found["incomplete"] if "error-occurred" in str(rule)]
    assert gave_up == []
    passes = {rule["id"] for rule in found["passes"]}
    assert len(passes) >= LEAST_PASSES
    assert not contrast or "color-contrast" in passes
    return [
        f"{rule['id']}: {node['target']} {node['html'][:200]}" for rule in found["violations"] for node in rule["nodes"]
    ]


def in_both_schemes(page: Page) -> list[str]:
    """For our plain pages, which follow the reader's scheme at once."""
    found = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found += violations(page)
    return found


def test_the_door(browser: Browser, web: Web, database: Database) -> None:
    """The sign-in page, its hint open, after a wrong password."""
    seed.person(database)
    page = browser.new_page(base_url=web.address, bypass_csp=True)
    page.goto("/")
    page.get_by_label("Name").fill("ana")
    page.get_by_label("Password").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_text("Forgot it, or no account yet?").click()
    assert in_both_schemes(page) == []
    page.close()


def test_the_first_start(open_page: Open, database: Database) -> None:
    """Nothing copied yet: every card says so."""
    seed.person(database)
    seed.daemon(database)
    seed.account(database)
    page = open_page(height=TALL, bypass_csp=True)
    expect(page.get_by_text("No run yet.")).to_be_visible()
    assert violations(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_bad_day_with_and_without_the_drawer(open_page: Open, database: Database, scheme: str) -> None:
    """Failing, dead letters chosen, errors, a schema sample, the log; then a form and a run's drawer."""
    seed.person(database)
    seed.bad_day(database)
    letter_seed.letters_day(database)
    page = open_page(height=TALL, color_scheme=scheme, bypass_csp=True)
    page.get_by_role("button", name="Choose 18 letters of units").click()
    expect(page.get_by_role("button", name="Requeue 18")).to_be_visible()
    page.get_by_role("button", name="Circuit breaker…").click()
    expect(page.get_by_role("button", name="Force open")).to_be_visible()
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Open run").first.click()
    expect(page.get_by_role("dialog")).to_contain_text("Entities")
    assert violations(page, contrast=False) == []


def test_a_phone_at_night(open_page: Open, database: Database) -> None:
    """The same rules where everything stands in one column, dark, with a run under way."""
    seed.person(database)
    seed.active_run(database, seed.daemon(database))
    page = open_page(width=375, height=TALL, color_scheme="dark", bypass_csp=True)
    expect(page.get_by_role("progressbar")).to_be_visible()
    assert violations(page) == []


def test_the_docs(open_page: Open, database: Database) -> None:
    """The admin API's docs page."""
    seed.person(database)
    page = open_page(bypass_csp=True)
    page.goto("/api/admin/docs")
    expect(page.get_by_role("heading", name="Admin API")).to_be_visible()
    assert in_both_schemes(page) == []
