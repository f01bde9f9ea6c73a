"""The admin API's docs in a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from common.access import Role
from common.store.database import Database
from tests.browser.conftest import Open
from tests.dashboard import seed


@pytest.mark.parametrize("width", [1440, 375])
def test_the_docs_are_readable_under_their_own_policy(open_page: Open, database: Database, width: int) -> None:
    """Styled, complete, nothing sticking out, no breach of a policy that allows no script at all; links lead there."""
    seed.person(database, "ana", Role.ADMIN)
    page = open_page(width=width)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto("/api/admin/docs")
    expect(page.get_by_role("heading", name="Admin API")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.body).display") == "grid"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("link", name="POST sync/run").click()
    expect(page.get_by_role("heading", name="Start a run")).to_be_in_viewport()
    own = page.url.split("/api/")[0]
    assert [url for url in asked if not url.startswith(own)] == []
