"""What a request says of itself: cookie, address, where it came from. Pure ASGI, no framework's request needed."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from starlette.types import Scope

from dashboard.services import Services

HOME = "/systems/integrations"
LONGEST_NEXT = 2000
DOCS = "/api/admin/docs"
_NO_PAGES = ("/sign-in", "/auth/", "/api/")


def header(scope: Scope, name: str) -> str | None:
    """A header's value, or None; the last one when it was sent more than once."""
    wanted = name.lower().encode()
    values = [value for key, value in scope["headers"] if key == wanted]
    return values[-1].decode("latin-1") if values else None


def cookie(scope: Scope, name: str) -> str | None:
    """A cookie's value, or None. Others' cookies on this host may be written in any way and hide ours from no one."""
    pairs = (pair.partition("=") for pair in (header(scope, "cookie") or "").split(";"))
    return next((value.strip().strip('"') for key, sign, value in pairs if sign and key.strip() == name), None)


def address_of(scope: Scope, services: Services) -> str:
    """Whose request this is, for slowing and audit."""
    return client_address(scope, behind_proxy=services.behind_proxy, is_named=services.proxy_is_named)


def client_address(scope: Scope, *, behind_proxy: bool, is_named: bool = False) -> str:
    """Whose request this is: the last proxy's word, never one the client could choose.

    uvicorn writes the first X-Forwarded-For entry, which the client chooses, into ``client`` with port 0 when it trusts
    the peer. So: behind a proxy the last entry counts, if the proxy ``is_named`` only from a peer that uvicorn trusts;
    without a proxy a port of 0 can only mean this very machine.
    """
    forwarded = header(scope, "x-forwarded-for")
    host, port = scope.get("client") or ("unknown", None)
    if behind_proxy and forwarded and (port == 0 or not is_named):
        return forwarded.rsplit(",", 1)[-1].strip()[:64]
    return "127.0.0.1" if forwarded and port == 0 else str(host)


def comes_from_elsewhere(scope: Scope) -> bool:
    """Whether the browser says that another site, or a sister of ours, made it ask this."""
    return header(scope, "sec-fetch-site") not in (None, "same-origin", "none")


def is_same_origin(scope: Scope, services: Services) -> bool:
    """Whether a request that changes something comes from a page of ours; without any evidence it does not."""
    if comes_from_elsewhere(scope):
        return False
    origin = header(scope, "origin")
    if origin is None:
        return header(scope, "sec-fetch-site") == "same-origin"
    if origin == services.address:
        return True
    # Opened by number, as localhost, or by a name that a proxy answers to. Not by any other name: a foreign page can
    # make its own name point to a machine of ours.
    try:
        parts = urlsplit(origin)
    except ValueError:  # no browser writes such a one
        return False
    same_host = parts.scheme in ("http", "https") and parts.netloc == header(scope, "host")
    return same_host and (services.behind_proxy or _is_plain(parts.hostname))


def is_foreign_socket(scope: Scope, services: Services) -> bool:
    """Whether a page that is not ours opens this websocket, which reads and acts as whose cookie the browser sends.

    A browser always says where a socket's page is from; what says nothing is no browser and sends what it was given.
    """
    if header(scope, "origin") is None:
        return comes_from_elsewhere(scope)
    return not is_same_origin(scope, services)


def under_its_origin(scope: Scope) -> Scope:
    """The scope of a websocket that ``is_foreign_socket`` has passed, with the host of its Origin as ``Host``.

    Streamlit compares the two by itself, and refuses our own page where a proxy passes another ``Host`` on. Whether a
    page is ours is decided by the public address, which Streamlit does not know.
    """
    origin = header(scope, "origin")
    if origin is None:
        return scope
    others = [(key, value) for key, value in scope["headers"] if key != b"host"]
    return {**scope, "headers": [(b"host", urlsplit(origin).netloc.encode("latin-1")), *others]}


def _is_plain(host: str | None) -> bool:
    """Whether a host is a number or this machine, so that no foreign name server has a say in it."""
    try:
        return host == "localhost" or bool(ip_address(host or ""))
    except ValueError:
        return False


def wants_page(scope: Scope) -> bool:
    """Whether a browser is going to a page (and not fetching a part of one)."""
    if scope["method"] not in ("GET", "HEAD"):
        return False
    mode = header(scope, "sec-fetch-mode")
    return mode == "navigate" if mode is not None else "text/html" in (header(scope, "accept") or "")


_DOTS = re.compile(r"/(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)


def safe_next(path: str | None) -> str:
    """Where to go after sign-in: a path of ours with exactly one leading slash, else the main page."""
    if not path or len(path) > LONGEST_NEXT or not path.startswith("/") or path[1:2] in ("/", "\\"):
        return HOME
    # Nor to the API: some of its GETs act, and a link from elsewhere must not make a sign-in one's order to act.
    if any(ord(letter) < 33 or letter in '\\"<>\x7f' for letter in path) or unquote(path).startswith(_NO_PAGES):
        return DOCS if path == DOCS else HOME
    # Browsers take `.` and `..` out of a path, however they are written: it would lead elsewhere than it says.
    return HOME if _DOTS.search(path.partition("?")[0].partition("#")[0]) else path
