"""A real browser, and a web process with seeded rows to open in it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from common.store.database import Database
from tests.dashboard.conftest import SECRET_KEY, Web, copied_database, emptied, start_web, stop_web
from tests.dashboard.seed import PASSWORD

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PAGE = "/systems/integrations"
expect.set_options(timeout=15_000)

Open = Callable[..., Page]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium when it is there, else Playwright's own."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), headless=True, args=ARGUMENTS, chromium_sandbox=False
        )
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def kept(server_url: str, template_database: str) -> Iterator[tuple[Database, Web]]:
    """One database and one web process for a whole module: starting them takes seconds, emptying does not."""
    with copied_database(server_url, template_database) as database:
        web = start_web(DATABASE_URL=database.url, ICC_SECRET_KEY=SECRET_KEY)
        yield database, web
        stop_web(web)


@pytest.fixture
def database(kept: tuple[Database, Web]) -> Database:
    """The web process's database, emptied."""
    emptied(kept[0])
    return kept[0]


@pytest.fixture
def web(kept: tuple[Database, Web]) -> Web:
    """A running web process."""
    return kept[1]


@pytest.fixture
def open_page(browser: Browser, web: Web) -> Iterator[Open]:
    """Signs in through the form; fails at the end on any script error or breach of the content policy."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def opened(name: str = "ana", *, width: int = 1440, height: int = 900, **options: Any) -> Page:
        context = browser.new_context(base_url=web.address, viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if "Content Security Policy" in line.text else None)
        page.goto(PAGE)
        fill_door(page, name, PASSWORD)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert errors == []


def fill_door(page: Page, name: str, password: str) -> None:
    """Sign in on the page that stands before every other."""
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
