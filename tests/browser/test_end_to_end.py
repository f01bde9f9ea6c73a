"""The main job as an ops person does it: real launcher, page, daemon, Postgres and drill server, real browser."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from playwright.sync_api import Browser, Page, expect

from common.store import embedded
from tests.browser.house import House, sign_in, start_house, stop_house
from tests.waiting import wait_for

ENTITIES = ("owners", "properties", "units", "leases", "tenants")
ROWS = 400


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One house for the whole story; pages of twenty rows, so that there is something to see."""
    folder = tmp_path_factory.mktemp("house")
    started = start_house(
        folder / "data",
        folder / "log",
        ICC_DRILL_ROWS=str(ROWS),
        DOORLOOP_PAGE_SIZE="20",
        ICC_LEASE_SECONDS="4",
        ICC_HEARTBEAT_SECONDS="1",
    )
    yield started
    stop_house(started)
    embedded.delete(started.data_dir)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh browser context's page; a script error on it fails the test."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    opened = context.new_page()
    troubles: list[str] = []
    opened.on("pageerror", lambda error: troubles.append(str(error)))
    yield opened
    context.close()
    assert troubles == []


def test_ping_turns_the_chip_to_ok(page: Page, house: House) -> None:
    """Issue "The main job": sign in, Ping turns the chip to ok; drill data says so in a banner."""
    sign_in(page, house)
    expect(page.get_by_text("Drill data: this is not your DoorLoop account")).to_be_visible()
    page.get_by_role("button", name="Ping").first.click()
    expect(page.get_by_label("Verdict")).to_contain_text(re.compile(r"✓\s*ok"))
    expect(page).to_have_title(re.compile("^ok"))


def test_backfill_succeeds_and_a_second_one_writes_nothing(page: Page, house: House) -> None:
    """Issue "The main job": a backfill shows progress and ends succeeded; a second one writes nothing."""
    sign_in(page, house)
    before = _run_count(house)
    _slow_down(house)
    _press_backfill(page)
    expect(page.get_by_role("progressbar").first).to_be_visible()
    _slow_down(house, on=False)
    first = wait_for(lambda: _ended(house, before + 1), "the first backfill ends", seconds=90)
    assert first == ("succeeded", 5 * ROWS, 0, 0)
    expect(page.get_by_text("succeeded").first).to_be_visible()
    versions = _row_versions(house)
    _press_backfill(page)
    second = wait_for(lambda: _ended(house, before + 2), "the second backfill ends", seconds=90)
    assert second == ("succeeded", 0, 0, 5 * ROWS)
    assert _row_versions(house) == versions


def test_stop_stops(page: Page, house: House) -> None:
    """Law 6, as a person sees it: Stop ends the run, and the page says that it was stopped."""
    sign_in(page, house)
    before = _run_count(house)
    _slow_down(house)
    _press_backfill(page)
    page.get_by_role("button", name="Stop").click()
    wait_for(lambda: (_ended(house, before + 1) or ("",))[0] == "stopped", "the run is stopped", seconds=30)
    expect(page.get_by_text("stopped").first).to_be_visible()
    _slow_down(house, on=False)


def test_a_killed_daemon_is_seen_and_the_next_run_resumes(page: Page, house: House) -> None:
    """Law 2: kill -9 in the middle; the run is interrupted, the next goes on at its page, nothing lost or doubled."""
    sign_in(page, house)
    before = _run_count(house)
    _slow_down(house)
    _press_backfill(page)
    wait_for(lambda: _page_of_active_run(house) >= 4, "four pages are committed", seconds=60)
    daemon = wait_for(house.daemon, "the daemon is found")
    daemon.send_signal(signal.SIGKILL)
    wait_for(lambda: (_ended(house, before + 1) or ("",))[0] == "interrupted", "the run is interrupted", seconds=60)
    expect(page.get_by_text("interrupted").first).to_be_visible()
    wait_for(lambda: house.daemon() not in (None, daemon), "the daemon is started again", seconds=30)
    wait_for(lambda: _alive(house), "it serves again", seconds=30)
    _press_backfill(page)
    end = wait_for(lambda: _ended(house, before + 2), "the next run ends", seconds=120)
    assert end[0] == "succeeded"
    assert _resumed_at(house) > 1
    with _connect(house) as link:
        for entity in ENTITIES:
            query = f"SELECT count(*), count(DISTINCT id) FROM doorloop.{entity} WHERE _removed_at IS NULL"
            assert link.execute(query.encode()).fetchone() == (ROWS, ROWS)


def _press_backfill(page: Page) -> None:
    page.get_by_text("Backfill", exact=True).first.click()
    expect(page.get_by_text("Backfill · all five")).to_be_visible()
    page.get_by_role("button", name="Run now").click()


def _connect(house: House) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(_address(house.data_dir), autocommit=True)


def _address(data_dir: Path) -> str:
    url = embedded.status(data_dir).url
    assert url is not None
    return url


def _number(house: House, query: str) -> int:
    """The one whole number a query answers with."""
    with _connect(house) as link:
        row = link.execute(query.encode()).fetchone()
    assert row is not None
    return int(str(row[0]))


def _run_count(house: House) -> int:
    return _number(house, "SELECT count(*) FROM control.runs")


def _ended(house: House, number: int) -> tuple[str, int, int, int] | None:
    """State and counters of the ``number``-th run, once it has ended."""
    with _connect(house) as link:
        row = link.execute(
            "SELECT r.state, sum(e.inserted)::int, sum(e.updated)::int, sum(e.unchanged)::int FROM control.runs r "
            "JOIN control.run_entities e ON e.run_id = r.id WHERE r.finished_at IS NOT NULL "
            "GROUP BY r.id ORDER BY r.queued_at OFFSET %s LIMIT 1",
            [number - 1],
        ).fetchone()
    return None if row is None else (str(row[0]), int(str(row[1])), int(str(row[2])), int(str(row[3])))


def _row_versions(house: House) -> list[tuple[object, ...]]:
    with _connect(house) as link:
        return link.execute("SELECT id, xmin::text FROM doorloop.tenants ORDER BY id").fetchall()


def _page_of_active_run(house: House) -> int:
    return _number(
        house,
        "SELECT coalesce(max(e.page), 0) FROM control.run_entities e JOIN control.runs r ON r.id = e.run_id "
        "WHERE r.state = 'running'",
    )


def _resumed_at(house: House) -> int:
    return _number(
        house,
        "SELECT coalesce(max(resumed_at_page), 0) FROM control.run_entities "
        "WHERE run_id = (SELECT id FROM control.runs ORDER BY queued_at DESC LIMIT 1)",
    )


def _alive(house: House) -> bool:
    query = (
        "SELECT count(*) FROM control.daemons WHERE stopped_at IS NULL AND kind = 'service' "
        "AND heartbeat_at > clock_timestamp() - interval '3 s'"
    )
    return _number(house, query) == 1


def _slow_down(house: House, *, on: bool = True) -> None:
    """Each answer of the drill server takes a while, so that a person can press something in between."""
    with _connect(house) as link:
        row = link.execute("SELECT settings->>'DOORLOOP_BASE_URL' FROM control.accounts_synced").fetchone()
    assert row is not None
    address = str(row[0]).removesuffix("/api") + "/drill/faults/latency"
    headers = {"Authorization": "bearer drill-key"}
    answer = (
        httpx.put(address, json={"seconds": 0.15}, headers=headers) if on else httpx.delete(address, headers=headers)
    )
    assert answer.status_code < 300, answer.text
