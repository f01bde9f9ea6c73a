"""The first sign-in is told once, and only where the owner of the terminal reads it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from common.access import Role
from common.config import WebSettings
from common.providers import Provider
from common.store import people
from common.store.database import Database
from dashboard import first_admin
from dashboard.oidc import Door
from dashboard.services import Services, services_for
from tests.dashboard.conftest import Web, start_web, stop_web
from tests.waiting import wait_for


def services(database: Database, folder: Path, *, outside: bool) -> Services:
    """Services as after a start, on an embedded or an outside database."""
    settings = WebSettings(icc_data_dir=folder, database_url=database.url if outside else None, icc_secret_key="k" * 32)
    return services_for(settings, database, {})


def test_the_password_is_told_once(database: Database, tmp_path: Path) -> None:
    """Embedded and on loopback: made and shown; at the second start neither."""
    own = services(database, tmp_path, outside=False)
    first = first_admin.greeting(own, "127.0.0.1")
    password = re.search(r"password  (\S+)", first)
    assert password is not None
    assert "/systems/integrations" in first
    second = first_admin.greeting(own, "127.0.0.1")
    assert password[1] not in second
    assert "python -m common.accounts passwd NAME" in second
    with database.transaction() as link:
        admin = people.by_name(link, "admin")
        stored = link.execute("SELECT row_to_json(a)::text AS row FROM control.admin_logs AS a").fetchall()
    assert admin is not None
    assert admin.role is Role.ADMIN
    assert stored
    assert all(password[1] not in row["row"] for row in stored)


@pytest.mark.parametrize(("outside", "listens_on"), [(True, "127.0.0.1"), (False, "0.0.0.0"), (False, None)])
def test_elsewhere_the_command_is_told_instead(
    database: Database, tmp_path: Path, outside: bool, listens_on: str | None
) -> None:
    """Where others may read the log or reach the page, no account is made by itself."""
    told = first_admin.greeting(services(database, tmp_path, outside=outside), listens_on)
    assert "python -m common.accounts add NAME --role admin" in told
    assert "password" not in told
    with database.transaction() as link:
        assert not people.anybody(link)


def test_with_a_provider_it_is_not_said_that_nobody_can_sign_in(database: Database, tmp_path: Path) -> None:
    """Who has set a provider up reads that its people come in, and how a local account is made all the same."""
    own = services(database, tmp_path, outside=True)
    address = "https://idp.example/.well-known/openid-configuration"
    own.doors = {"idp": Door(Provider(key="idp", discovery_url=address, client_id="icc"))}
    told = first_admin.greeting(own, None)
    assert "Sign-in by Idp is set up" in told
    assert "Nobody" not in told
    assert "python -m common.accounts add NAME --role admin" in told


def test_a_first_start_with_nothing_but_the_program(tmp_path: Path) -> None:
    """No setting at all: the embedded database starts, the block is printed once, and its password signs in."""
    web = start_web(ICC_DATA_DIR=str(tmp_path / "data"))
    try:
        assert web.output.count("password  ") == 1
        found = re.search(r"password  (\S+)", web.output)
        assert found is not None
        assert web.address in web.output
        client = web.signed_in("admin", found[1])
        assert client.get("/auth/session").json() == {"name": "admin", "role": "admin"}
        second = start_web(ICC_DATA_DIR=str(tmp_path / "data"))
        assert "Sign in as before" in second.output
        assert found[1] not in second.output
        stop_web(second)
    finally:
        stop_web(web)


def test_a_setting_it_cannot_live_without_stops_it_with_a_sentence() -> None:
    """The variable, what is wrong and what to do: no traceback."""
    web = start_web(wait=False, DATABASE_URL="mysql://nowhere/db", ICC_SECRET_KEY="k" * 32)
    assert web.process.wait(timeout=30) == 2
    assert "DATABASE_URL" in web.output
    assert "Traceback" not in web.output


def test_the_vendors_key_is_not_kept(start: Callable[..., Web]) -> None:
    """Law: the dashboard holds no vendor key: it drops the variable at start, and starts all the same."""
    web = start(DOORLOOP_API_KEY="planted-canary-123456")
    assert "planted-canary-123456" not in web.output


def test_a_database_that_is_away_is_waited_for() -> None:
    """The process starts, says so on every page, and asks again by itself."""
    web = start_web(wait=False, DATABASE_URL="postgresql://icc@127.0.0.1:9/none", ICC_SECRET_KEY="k" * 32)
    try:

        def alive() -> bool:
            try:
                return httpx.get(f"{web.address}/healthz").status_code == 200
            except httpx.TransportError:
                return False

        wait_for(alive, "the process lives", seconds=40)
        page = httpx.get(f"{web.address}/systems/integrations", headers={"accept": "text/html"})
        assert (page.status_code, page.headers["refresh"]) == (503, "5")
        assert "The database is away" in page.text
        assert httpx.get(f"{web.address}/readyz").status_code == 503
        assert httpx.get(f"{web.address}/auth/session").status_code == 503
    finally:
        stop_web(web)
