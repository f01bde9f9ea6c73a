"""What a request says of itself is believed only where the client could not have chosen it."""

from __future__ import annotations

from typing import Any, cast

import pytest

from dashboard.services import Services
from dashboard.web.requests import (
    HOME,
    client_address,
    comes_from_elsewhere,
    cookie,
    is_foreign_socket,
    is_same_origin,
    safe_next,
    wants_page,
)


class _Services:
    address = "https://ops.example.org"
    behind_proxy = False


SERVICES = cast("Services", _Services())


def scope(method: str = "POST", client: tuple[str, int] = ("10.0.0.9", 4242), **headers: Any) -> dict[str, Any]:
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "method": method, "headers": named, "client": client}


@pytest.mark.parametrize(
    "path", ["/systems/integrations", "/systems/integrations?run=7f3a", "/a%20b", "/api/admin/docs"]
)
def test_next_is_a_path_of_ours(path: str) -> None:
    """After sign-in one is back where one was."""
    assert safe_next(path) == path


@pytest.mark.parametrize(
    "path",
    [
        None, "", "systems", "//evil.example", "/\\evil.example", "https://evil.example", "/a\nb", "/a\\b", "/ b",
        "/api/admin/integrations/doorloop/ping",
        "/%61pi/admin/integrations/doorloop/ping",
        "/x/../api/admin/integrations/doorloop/ping",
        "/./api/admin/integrations/doorloop/ping",
        "/%2e/api/admin/integrations/doorloop/ping",
        "/x/.%2E/api/admin/integrations/doorloop/ping",
        "/.//evil.example",
        "/x/..",
        "javascript:alert(1)", '/"><script>', "/sign-in?next=/", "/auth/sign-out", "/" + "a" * 3000,
    ],
)  # fmt: skip
def test_next_never_leads_elsewhere(path: str | None) -> None:
    """Anything but a path with exactly one leading slash leads to the main page (no open redirect)."""
    assert safe_next(path) == HOME


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        ({"origin": "https://ops.example.org"}, True),
        ({"origin": "http://127.0.0.1:8501", "host": "127.0.0.1:8501"}, True),
        ({"origin": "https://evil.example", "host": "ops.example.org"}, False),
        ({"origin": "null", "host": "ops.example.org"}, False),
        ({"origin": "https://ops.example.org", "sec_fetch_site": "cross-site"}, False),
        ({"origin": "https://ops.example.org", "sec_fetch_site": "same-site"}, False),
        ({"sec_fetch_site": "same-origin"}, True),
        ({"host": "ops.example.org"}, False),
        ({"origin": "http://evil.example:8501", "host": "evil.example:8501"}, False),
        ({"origin": "http://localhost:8501", "host": "localhost:8501"}, True),
        ({"origin": "http://192.168.1.5:8501", "host": "192.168.1.5:8501"}, True),
        ({"origin": "http://[::1]:8501", "host": "[::1]:8501"}, True),
        ({"origin": "http://ops.example.org", "host": "ops.example.org"}, False),
        ({"origin": "https://ops.example.org.evil.example", "host": "ops.example.org"}, False),
        ({"origin": "https://ops.example.org@evil.example", "host": "ops.example.org"}, False),
        ({"origin": "http://[::1", "host": "[::1"}, False),
        ({"origin": "https://[evil]", "host": "[evil]"}, False),
    ],
)
def test_a_change_must_come_from_a_page_of_ours(headers: dict[str, str], ours: bool) -> None:
    """A POST from another site, or without any evidence where it comes from, does not count."""
    assert is_same_origin(scope(**cast("dict[str, Any]", headers)), SERVICES) is ours


@pytest.mark.parametrize(
    ("client", "forwarded", "proxy", "address"),
    [
        (("10.0.0.9", 4242), None, "none", "10.0.0.9"),
        (("10.0.0.9", 4242), "6.6.6.6", "none", "10.0.0.9"),
        (("6.6.6.6", 0), "6.6.6.6", "none", "127.0.0.1"),
        (("6.6.6.6", 0), "6.6.6.6, 203.0.113.7", "named", "203.0.113.7"),
        (("10.0.0.9", 4242), "6.6.6.6", "named", "10.0.0.9"),
        (("10.0.0.9", 4242), "6.6.6.6, 203.0.113.7", "platform's", "203.0.113.7"),
        (("10.0.0.9", 4242), None, "named", "10.0.0.9"),
    ],
)
def test_the_address_is_never_one_the_client_chose(
    client: tuple[str, int], forwarded: str | None, proxy: str, address: str
) -> None:
    """Behind a proxy the last hop counts, a named one's only from itself; else a forwarded header is worth nothing."""
    headers = {"x_forwarded_for": forwarded} if forwarded else {}
    found = client_address(scope(client=client, **headers), behind_proxy=proxy != "none", is_named=proxy == "named")
    assert found == address


@pytest.mark.parametrize(
    ("headers", "foreign"),
    [
        ({"origin": "http://127.0.0.1:8501", "host": "127.0.0.1:8501"}, False),
        ({"origin": "https://ops.example.org"}, False),
        ({"host": "127.0.0.1:8501"}, False),
        ({"origin": "http://127.0.0.1:9999", "host": "127.0.0.1:8501"}, True),
        ({"origin": "http://localhost:9999", "host": "127.0.0.1:8501"}, True),
        ({"origin": "http://127.0.0.1:8501", "host": "127.0.0.1:8501", "sec_fetch_site": "same-site"}, True),
        ({"origin": "null", "host": "127.0.0.1:8501"}, True),
        ({"host": "127.0.0.1:8501", "sec_fetch_site": "cross-site"}, True),
    ],
)
def test_a_socket_is_opened_by_a_page_of_ours(headers: dict[str, str], foreign: bool) -> None:
    """A page on another port of this host is another site's: Streamlit itself would let it in."""
    assert is_foreign_socket(scope(**cast("dict[str, Any]", headers)), SERVICES) is foreign


def test_cookies_are_read_with_care() -> None:
    """A torn cookie header is no cookie, not an error."""
    assert cookie(scope(cookie="a=1; hc_session=abc"), "hc_session") == "abc"
    assert cookie(scope(cookie="\x00;;=;hc_session"), "hc_session") is None
    for odd in ('x={"a":1}', "a[b]=1", 'x="q', "=", "é=1"):  # another program's on this host
        assert cookie(scope(cookie=f"{odd}; hc_session=abc"), "hc_session") == "abc"
    assert cookie(scope(), "hc_session") is None


def test_a_page_is_told_from_its_parts() -> None:
    """Only a browser going somewhere is led to the sign-in page; scripts get a 401."""
    assert wants_page(scope("GET", sec_fetch_mode="navigate"))
    assert wants_page(scope("GET", accept="text/html,*/*"))
    assert not wants_page(scope("GET", accept="text/html", sec_fetch_mode="cors"))
    assert not wants_page(scope("POST", sec_fetch_mode="navigate"))


def test_behind_a_proxy_its_name_counts() -> None:
    """A platform's router answers to names it knows only, so a page opened by such a name is ours."""

    class Routed(_Services):
        behind_proxy = True

    own = cast("Services", Routed())
    assert is_same_origin(scope(origin="https://app.example", host="app.example"), own)
    assert not is_same_origin(scope(origin="https://evil.example", host="app.example"), own)


def test_a_browser_says_when_another_site_asks() -> None:
    """What somebody types or clicks here is not from elsewhere; without a word nothing is known."""
    assert [comes_from_elsewhere(scope("GET", sec_fetch_site=site)) for site in ("same-origin", "none")] == [False] * 2
    assert [comes_from_elsewhere(scope("GET", sec_fetch_site=site)) for site in ("cross-site", "same-site")] == [
        True
    ] * 2
    assert not comes_from_elsewhere(scope("GET"))
