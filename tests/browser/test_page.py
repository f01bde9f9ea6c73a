"""The page as a person meets it: a real browser, signed in through the form, rows seeded by SQL."""

from __future__ import annotations

import re
from contextlib import suppress
from functools import partial

import pytest
from playwright.sync_api import Browser, Page, expect

from common.store import people
from common.store.database import Database
from tests.browser.conftest import PAGE, Open, fill_door
from tests.dashboard import seed
from tests.dashboard.conftest import Web
from tests.waiting import wait_for

CLOCK = re.compile(r"^\d\d:\d\d:\d\d UTC$")


def test_from_the_door_to_a_good_day(open_page: Open, database: Database) -> None:
    """Sign in; the first line says how it is; the tab says so too; a reload needs no second sign-in."""
    seed.person(database)
    seed.good_day(database)
    page = open_page()
    expect(page.get_by_label("Verdict")).to_contain_text("DoorLoop is well.")
    expect(page).to_have_title("ok · DoorLoop · Integrations")
    expect(page).to_have_url(re.compile(f"{PAGE}$"))
    expect(page.get_by_role("row", name=re.compile("owners"))).to_contain_text("1 204")
    page.reload()
    expect(page.get_by_label("Verdict")).to_contain_text("DoorLoop is well.")


def test_a_wrong_password_says_so_and_keeps_the_name(browser: Browser, web: Web, database: Database) -> None:
    """The door answers in words, keeps what was typed, and puts the cursor where it is needed."""
    seed.person(database)
    page = browser.new_page(base_url=web.address)
    page.goto("/")
    page.get_by_label("Name").fill("ana")
    page.get_by_label("Password").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("That name and password do not go together.")
    expect(page.get_by_label("Name")).to_have_value("ana")
    expect(page.get_by_label("Password")).to_be_focused()
    page.close()


def test_the_page_lives(open_page: Open, database: Database) -> None:
    """What changes in the database changes on the page by itself; with Live off there is no timer at all."""
    seed.person(database)
    seed.daemon(database)
    seed.account(database)
    page = open_page()
    expect(page.get_by_label("Verdict")).to_contain_text("Nothing is known of DoorLoop yet.")
    seed.ping(database, seconds_ago=0)
    expect(page.get_by_label("Verdict")).to_contain_text("DoorLoop answers.")
    page.get_by_role("switch", name="Live").locator("xpath=ancestor::label").click()
    expect(page.locator("iframe")).to_have_count(0)


def test_a_run_moves_and_ends(open_page: Open, database: Database) -> None:
    """The bar, the page of pages and the rows follow the run; at its end the list has it."""
    seed.person(database)
    run_id = seed.active_run(database, seed.daemon(database))
    seed.events(database, run_id)
    page = open_page()
    bar = page.get_by_role("progressbar")
    expect(page.get_by_text("page 42 of 100, 8 400 rows")).to_be_visible()
    before = float(bar.get_attribute("value") or 0)
    with database.transaction() as link:
        link.execute("UPDATE control.run_entities SET page = 84, received = 16800 WHERE state = 'running'")
    expect(page.get_by_text("page 84 of 100, 16 800 rows")).to_be_visible()
    assert float(bar.get_attribute("value") or 0) > before
    with database.transaction() as link:
        link.execute("UPDATE control.runs SET state = 'succeeded', finished_at = now()")
        link.execute("UPDATE control.leases SET run_id = NULL, holder = NULL, expires_at = NULL")
    expect(page.get_by_role("region", name="The last 1 runs")).to_contain_text("succeeded")
    expect(bar).to_have_count(0)


def test_pressing_run_twice_asks_once(open_page: Open, database: Database) -> None:
    """Two admins press: one run is asked for, and the second reads who was first."""
    seed.person(database)
    seed.person(database, "ben")
    seed.daemon(database)
    first, second = open_page("ana"), open_page("ben")
    first.get_by_role("radio", name="Backfill").click()
    first.get_by_role("button", name="Run now").click()
    expect(first.get_by_role("status")).to_contain_text("Waiting for the daemon to take it.")
    second.get_by_role("button", name="Run now").click()
    expect(second.get_by_role("status")).to_contain_text("started by ana")
    with database.transaction() as link:
        rows = link.execute("SELECT payload ->> 'mode' AS mode, actor FROM control.commands").fetchall()
    assert rows == [{"mode": "backfill", "actor": "ana"}]


def test_without_a_daemon_the_cure_is_named(open_page: Open, database: Database) -> None:
    """Nobody works: the page says so in its first line and again at the press."""
    seed.person(database)
    page = open_page()
    expect(page.get_by_label("Verdict")).to_contain_text("Nobody is watching DoorLoop")
    expect(page.get_by_text("daemon not running")).to_be_visible()
    page.get_by_role("button", name="Ping", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("No daemon is running")
    expect(page.get_by_role("status")).to_contain_text("make run")


def test_a_run_opens_by_keyboard_and_gives_the_focus_back(open_page: Open, database: Database) -> None:
    """Enter opens the drawer, it stays open over ticks, Escape closes it and returns to the row."""
    seed.person(database)
    seed.bad_day(database)
    page = open_page()
    row = page.get_by_role("button", name=re.compile("^Open run")).nth(1)
    row.focus()
    page.keyboard.press("Enter")
    drawer = page.get_by_role("dialog")
    expect(drawer).to_contain_text("DoorLoop refused the API key (401).")
    _ticked(page)
    _ticked(page)
    expect(drawer).to_be_visible()
    page.keyboard.press("Escape")
    with suppress(AssertionError):  # a tick that was under way may draw it once more: a person presses again
        expect(drawer).to_have_count(0, timeout=4000)
    if drawer.count():
        page.keyboard.press("Escape")
    expect(drawer).to_have_count(0)
    expect(row).to_be_focused()


def test_what_was_chosen_survives_the_ticks(open_page: Open, database: Database) -> None:
    """A half-made choice is nobody's but the person's."""
    seed.person(database)
    seed.good_day(database)
    page = open_page()
    page.get_by_role("radio", name="Backfill").click()
    page.get_by_label("Remove leases").click()
    expect(page.get_by_text("Backfill · owners, properties, units and tenants")).to_be_visible()
    _ticked(page)
    _ticked(page)
    expect(page.get_by_text("Backfill · owners, properties, units and tenants")).to_be_visible()


def _ticked(page: Page) -> None:
    """Wait until the page has looked again by itself."""
    clock = page.get_by_text(CLOCK)
    first = clock.inner_text()
    expect(clock).not_to_have_text(first)


def test_a_session_that_ends_says_so_and_leads_back(open_page: Open, database: Database) -> None:
    """Shut out while the page is open: the next tick shows it, and signing in again leads here."""
    seed.person(database)
    seed.good_day(database)
    page = open_page()
    _ticked(page)
    with database.transaction() as link:
        ana = people.by_name(link, "ana")
        assert ana is not None
        people.end_sessions_of(link, ana.id)
    expect(page.get_by_role("heading", name="Your session has ended")).to_be_visible()
    expect(page.get_by_label("Verdict")).to_have_count(0)
    page.get_by_role("link", name="Sign in").click()
    fill_door(page, "ana", seed.PASSWORD)
    expect(page.get_by_label("Verdict")).to_be_visible()


def test_signing_out_leads_to_the_door(open_page: Open, database: Database) -> None:
    """The menu has the way out; afterwards the page is closed."""
    seed.person(database)
    page = open_page()
    page.get_by_text("ana · admin").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    page.goto(PAGE)
    expect(page).to_have_url(re.compile("/sign-in"))


@pytest.mark.parametrize("day", ["good_day", "bad_day"])
def test_nothing_sticks_out(open_page: Open, database: Database, day: str) -> None:
    """No horizontal scrolling at any width, no component wider than its card, every chosen entity in sight."""
    seed.person(database)
    getattr(seed, day)(database)
    page = open_page()
    for width in (1440, 1360, 1024, 768, 375):
        page.set_viewport_size({"width": width, "height": 900})
        expect(page.get_by_role("heading", name="Last runs")).to_be_visible()
        wait_for(partial(_fits, page), f"everything fits into {width} px", seconds=5)


def _fits(page: Page) -> bool:
    """Whether nothing is wider than what holds it."""
    wide: list[int] = page.evaluate(
        """() => {
            const main = document.querySelector('[data-testid="stMain"]');
            const holders = '[data-testid^="stBidiComponent"], [data-testid="stMultiSelectTagsContainer"]';
            const inner = [...document.querySelectorAll(holders)];
            return [main.scrollWidth - main.clientWidth, ...inner.map((box) => box.scrollWidth - box.clientWidth)];
        }"""
    )
    return len(wide) > 5 and max(wide) <= 0


def test_nothing_is_fetched_from_elsewhere(open_page: Open, web: Web, database: Database) -> None:
    """Every request of the page goes to its own host."""
    seed.person(database)
    seed.good_day(database)
    page = open_page()
    expect(page.get_by_label("Verdict")).to_be_visible()
    hosts: list[str] = page.evaluate(
        "() => performance.getEntriesByType('resource').map((entry) => new URL(entry.name).host)"
    )
    assert set(hosts) <= {web.address.removeprefix("http://"), ""}


def test_our_elements_carry_no_inline_style(open_page: Open, database: Database) -> None:
    """What our component draws has classes only: the content policy need not trust a style in a text."""
    seed.person(database)
    seed.bad_day(database)
    page = open_page()
    expect(page.get_by_label("Verdict")).to_be_visible()
    styled = page.evaluate(
        """() => {
            let found = 0, seen = 0;
            const walk = (node) => {
                if (node.shadowRoot) walk(node.shadowRoot);
                for (const child of node.children) {
                    if (child.closest('.hc')) { seen += 1; if (child.hasAttribute('style')) found += 1; }
                    walk(child);
                }
            };
            walk(document.body);
            return [seen, found];
        }"""
    )
    assert styled[0] > 100
    assert styled[1] == 0


def test_a_hostile_record_is_text(open_page: Open, database: Database) -> None:
    """A script, an image and a direction mark in a vendor's sentence are shown, not obeyed."""
    seed.person(database)
    seed.daemon(database)
    hostile = (
        "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'> \u202egnp [a](http://evil.example)"
    )
    seed.run(database, "failed", error={"code": "VENDOR_ERROR", "cause": hostile, "remedy": hostile})
    page = open_page()
    expect(page.get_by_label("Verdict")).to_contain_text("<script>window.hacked = 1</script>")
    expect(page.get_by_label("Verdict")).to_contain_text("⟨Right-To-Left Override⟩")
    assert page.evaluate("() => window.hacked") is None
    assert page.locator("a[href*=evil]").count() == 0


def test_live_ticks_are_no_activity(open_page: Open, database: Database) -> None:
    """A page left open does not keep its session alive; what a person does there, does."""
    seed.person(database)
    page = open_page()
    _ticked(page)
    with database.transaction() as link:
        link.execute("UPDATE control.sessions SET last_active_at = now() - interval '10 minutes'")
    _ticked(page)
    _ticked(page)
    assert _is_idle(database)
    page.get_by_role("radio", name="Backfill").click()
    wait_for(lambda: not _is_idle(database), "the press counts as activity")


def _is_idle(database: Database) -> bool:
    with database.transaction() as link:
        row = link.execute(
            "SELECT now() - last_active_at > interval '9 minutes' AS idle FROM control.sessions"
        ).fetchone()
    assert row is not None
    return bool(row["idle"])


def test_limits_are_lowered_from_the_rail(open_page: Open, database: Database) -> None:
    """The form stays open and keeps what was typed while the page ticks; the press is one command with its reason."""
    seed.person(database)
    seed.good_day(database)
    page = open_page()
    page.get_by_role("button", name="Lower limits…").click()
    reason = page.get_by_label("Reason (kept in the audit log)").locator("visible=true")
    page.get_by_label("Requests a minute (empty: as set)").fill("10")
    reason.fill("their support asked")
    _ticked(page)
    _ticked(page)
    expect(reason).to_have_value("their support asked")
    page.get_by_role("button", name="Lower", exact=True).click()
    expect(page.get_by_role("status").locator("visible=true")).to_contain_text("Waiting for the daemon to take it.")
    with database.transaction() as link:
        (asked,) = link.execute("SELECT action, payload -> 'to' AS wanted, actor FROM control.commands").fetchall()
    assert asked == {"action": "lower_limits", "wanted": {"perMinute": 10}, "actor": "ana"}
