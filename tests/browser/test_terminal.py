"""The live log in a real browser, over the real stream: nothing lost, nothing doubled, nothing obeyed."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from common.store.database import Database
from tests.browser.conftest import Open
from tests.dashboard import seed
from tests.dashboard.conftest import SECRET_KEY, Web, start_web
from tests.dashboard.sse import write
from tests.waiting import wait_for


class Log:
    """The terminal on a page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.box = page.get_by_role("region", name="Live log")
        self.lines = self.box.locator("li:not([hidden])")
        self.state = self.box.locator("[data-part=state]")

    def button(self, name: str) -> Locator:
        """A button of it."""
        return self.box.get_by_role("button", name=re.compile(name))

    def texts(self) -> list[str]:
        """What each line says."""
        return self.lines.locator(".m").all_inner_texts()

    def says(self, *texts: str) -> None:
        """Wait until exactly these lines stand there."""
        expect(self.lines.locator(".m")).to_have_text(list(texts))


@pytest.fixture
def log(open_page: Open, database: Database) -> Log:
    """The terminal of somebody who has just come, with two lines in it."""
    seed.person(database)
    with database.transaction() as link:  # the web process keeps lines of earlier tests until the log begins anew
        link.execute("UPDATE control.event_head SET last_id = 0")
    write(database, msg="the first line")
    write(database, msg="the second line", level="warn", entity="leases")
    opened = Log(open_page())
    opened.says("the first line", "the second line")
    expect(opened.state).to_have_text("● live")
    return opened


def test_lines_appear_as_they_are_written(log: Log, database: Database) -> None:
    """New lines come by themselves, in their order and once each; copied they are text, and hostile ones stay text."""
    for number in range(20):
        write(database, msg=f"line {number}")
    log.says("the first line", "the second line", *(f"line {number}" for number in range(20)))
    expect(log.box).to_contain_text("22 lines")
    log.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    log.box.get_by_label("Text").fill("second")
    log.button("Copy").click()
    expect(log.button("Copied")).to_be_visible()
    copied = log.page.evaluate("() => navigator.clipboard.readText()")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\S+Z WARN leases the second line", copied)
    log.box.get_by_label("Text").fill("")
    hostile = "<img src=x onerror='window.hacked = 1'>\x1b[31m \u202egnp\nid: 9 <script>window.hacked = 1</script>"
    write(database, msg=hostile)
    said = log.lines.last.locator(".m")
    expect(said).to_contain_text("<img src=x onerror='window.hacked = 1'>␛[31m ⟨Right-To-Left Override⟩gnp␊id: 9 ")
    assert log.page.evaluate("() => window.hacked") is None


def test_filters_of_the_stream_and_of_the_text(log: Log, database: Database) -> None:
    """Level, entity and run begin anew with the last lines that match; the text hides what does not."""
    run_id = seed.run(database)
    write(database, msg="of the run", run_id=run_id, level="error", entity="owners")
    log.says("the first line", "the second line", "of the run")
    log.box.get_by_label("Level").select_option("Warnings")
    log.says("the second line", "of the run")
    log.box.get_by_label("Entity").select_option("leases")
    log.says("the second line")
    write(database, msg="another of owners", level="error")
    write(database, msg="another of leases", level="error", entity="leases")
    log.says("the second line", "another of leases")
    log.box.get_by_label("Entity").select_option("All")
    expect(log.box.get_by_label("Run").locator("option")).to_have_count(2)
    log.box.get_by_label("Run").select_option(run_id)
    log.says("of the run")
    log.box.get_by_label("Run").select_option("All")
    log.box.get_by_label("Text").fill("LEASES")
    log.says("the second line", "another of leases")
    expect(log.box).to_contain_text("2 of 4 lines")


def test_who_reads_is_not_disturbed(log: Log, database: Database) -> None:
    """Paused, or scrolled up, nothing moves: what comes meanwhile is counted and lost to nobody. 200 lines are kept."""
    log.button("Pause").press("Enter")
    expect(log.state).to_have_text("‖ paused")
    write(database, 3, msg="meanwhile")
    expect(log.button("Resume")).to_have_text("Resume (3 new)")
    log.says("the first line", "the second line")
    log.button("Resume").click()
    log.says("the first line", "the second line", "meanwhile", "meanwhile", "meanwhile")
    expect(log.state).to_have_text("● live")
    write(database, 250, msg="many")
    expect(log.box).to_contain_text("the last 200 lines")
    expect(log.lines).to_have_count(200)
    view = log.box.get_by_role("log")
    at_end = "(box) => box.scrollTop + box.clientHeight > box.scrollHeight - 24"
    wait_for(lambda: view.evaluate(at_end), "it is at its end")
    view.evaluate("(box) => { box.scrollTop = 0; }")
    write(database, 2, msg="news")
    write(database, 1, msg="more news")
    expect(log.button("new")).to_have_text("3 new ↓")
    log.button("new").click()
    expect(log.button("new")).to_have_count(0)
    expect(log.lines.last).to_be_in_viewport()


def test_a_restart_loses_and_doubles_nothing(log: Log, database: Database, web: Web) -> None:
    """The web process is killed and comes back: the terminal says so, and goes on after its last line by itself."""
    web.process.kill()
    web.process.wait()
    expect(log.state).to_have_text("○ reconnecting…")
    write(database, 3, msg="while it was away")
    restarted = start_web(web.port, DATABASE_URL=database.url, ICC_SECRET_KEY=SECRET_KEY)
    web.process, web.log = restarted.process, restarted.log
    log.says("the first line", "the second line", *["while it was away"] * 3)
    expect(log.state).to_have_text("● live")
    write(database, msg="and on")
    log.says("the first line", "the second line", *["while it was away"] * 3, "and on")


def test_a_hidden_tab_closes_its_stream_and_catches_up(log: Log, database: Database) -> None:
    """Six connections per host are all a browser has: a tab nobody sees gives its own back, and loses nothing by it."""
    tell = "document.dispatchEvent(new Event('visibilitychange'))"
    log.page.evaluate("() => Object.defineProperty(document, 'hidden', { get: () => window.isHidden })")
    with log.page.expect_event("requestfailed", lambda request: "/logs/stream" in request.url):
        log.page.evaluate(f"() => {{ window.isHidden = true; {tell}; }}")
    write(database, 2, msg="unseen")
    log.says("the first line", "the second line")
    log.page.evaluate(f"() => {{ window.isHidden = false; {tell}; }}")
    log.says("the first line", "the second line", "unseen", "unseen")


def test_too_many_streams_are_said_with_their_cure(log: Log, database: Database) -> None:
    """What the server refuses is shown in its own words; the terminal tries on."""
    log.page.route(
        "**/sync/logs/stream*",
        lambda route: route.fulfill(
            status=429,
            content_type="application/problem+json",
            body='{"detail": "ana has 20 streams of the log open already.", "remedy": "Close a tab."}',
        ),
    )
    log.box.get_by_label("Level").select_option("Errors")
    expect(log.state).to_have_text("✕ refused")
    expect(log.box.get_by_role("alert")).to_have_text("ana has 20 streams of the log open already. Close a tab.")
    log.page.unroute_all()
    write(database, msg="an error", level="error")
    log.says("an error")
    expect(log.box.get_by_role("alert")).to_have_count(0)


def test_a_tick_leaves_the_terminal_alone(log: Log, database: Database) -> None:
    """Ticks and new runs to choose from change neither what was chosen nor the stream."""
    asked: list[str] = []
    log.page.on("request", lambda request: asked.append(request.url))
    log.box.get_by_label("Text").fill("line")
    log.box.get_by_label("Text").focus()
    seed.run(database)
    expect(log.box.get_by_label("Run").locator("option")).to_have_count(2)
    seed.run(database)
    expect(log.box.get_by_label("Run").locator("option")).to_have_count(3)
    expect(log.box.get_by_label("Text")).to_be_focused()
    assert not [url for url in asked if "/logs/stream" in url]
    log.says("the first line", "the second line")
