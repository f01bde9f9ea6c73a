"""Dead letters as a person meets them: choose, press, follow; nothing sticks out, nothing hostile becomes markup."""

from __future__ import annotations

from functools import partial

import pytest
from playwright.sync_api import expect

from common.access import Role
from common.store.database import Database
from tests.browser.conftest import Open
from tests.browser.test_page import _fits
from tests.dashboard import letter_seed, seed
from tests.waiting import wait_for


def test_a_group_is_chosen_and_requeued(open_page: Open, database: Database) -> None:
    """Choose a cause, read how many, press: one command with that count; afterwards the choice is closed."""
    seed.person(database)
    seed.good_day(database)
    letter_seed.letters_day(database)
    page = open_page()
    page.get_by_role("button", name="Choose 18 letters of units").click()
    expect(page.get_by_role("heading", name="18 letters of units")).to_be_visible()
    page.get_by_role("button", name="Requeue 18").click()
    expect(page.get_by_text("Waiting for the daemon to take it.")).to_be_visible()
    expect(page.get_by_role("button", name="Requeue 18")).to_have_count(0)
    with database.transaction() as link:
        rows = link.execute("SELECT action, payload -> 'counted' AS counted FROM control.commands").fetchall()
    assert rows == [{"action": "requeue", "counted": 18}]


@pytest.mark.parametrize("role", [Role.ADMIN, Role.VIEWER])
def test_the_panel_fits_at_every_width(open_page: Open, database: Database, role: Role) -> None:
    """No horizontal scrolling with letters, one of them open, actions, errors and a schema sample; for both roles."""
    seed.person(database, "ana", role)
    seed.good_day(database)
    letter_seed.letters_day(database)
    page = open_page()
    page.get_by_text("one by one").click()
    page.get_by_role("button", name="Show the letter of").first.click()
    expect(page.get_by_role("region", name="Payload")).to_be_visible()
    for width in (1440, 900, 375):
        page.set_viewport_size({"width": width, "height": 900})
        wait_for(partial(_fits, page), f"everything fits into {width} px", seconds=5)


def test_a_hostile_letter_is_text(open_page: Open, database: Database) -> None:
    """Reason and payload are the vendor's words: shown, not obeyed."""
    hostile = "<img src=x onerror='window.hacked = 1'> \u202egnp"
    seed.person(database)
    letter_seed.letters(database, 1, reason=hostile, payload={"id": hostile, "name": hostile})
    page = open_page()
    page.get_by_role("button", name="Show the letter of").click()
    expect(page.get_by_role("region", name="Payload")).to_contain_text("<img src=x onerror=")
    assert page.evaluate("() => window.hacked") is None
