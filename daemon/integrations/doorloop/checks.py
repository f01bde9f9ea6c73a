"""What can be said about DoorLoop's settings without asking DoorLoop (DoorLoop fact sheet §2)."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from common.config import Finding
from common.redact import SHORTEST_CREDENTIAL

KEY = "doorloop"


def check_base_url(base_url: str) -> Finding | None:
    """The finding about an address that cannot be right; it holds the schedule. None when it may be."""
    try:
        parts = urlsplit(base_url)
        host, usable = (parts.hostname or "").lower(), parts.port != 0
    except ValueError:  # such as an unclosed bracket or a port beyond 65535
        parts, host, usable = urlsplit(""), "", False
    readable = base_url.isascii() and base_url.isprintable() and not set(base_url) & set(" \\@?#")
    if parts.scheme not in ("http", "https") or not host or not usable or not readable:
        facts = {
            "setting": "DOORLOOP_BASE_URL",
            "problem": "not an http(s) address without user, query and odd letters",
            "expected": "https://app.doorloop.com/api",
        }
        return Finding("SETTING_INVALID", "error", facts, KEY, holds=True)
    if host == "api.doorloop.com":
        return Finding("BASE_URL_NOT_API", "error", {"problem": "the documentation site"}, KEY, holds=True)
    if f".{host}".endswith(".doorloop.com") and parts.path.rstrip("/") != "/api":
        return Finding("BASE_URL_NOT_API", "error", {"problem": "the web application (no /api)"}, KEY, holds=True)
    if parts.scheme == "http" and not is_loopback(host):
        return Finding("BASE_URL_NOT_ENCRYPTED", "error", {}, KEY, holds=True)
    return None


def check_api_key(api_key: str) -> Finding | None:
    """The finding about a key that no request could carry; it holds the schedule. None when it may be right."""
    if api_key.isascii() and api_key.isprintable() and " " not in api_key:
        return None
    facts = {
        "setting": "DOORLOOP_API_KEY",
        "problem": "not usable (it holds spaces or letters that no key has)",
        "expected": "the whole key as DoorLoop shows it (Settings → Zapier & API Keys)",
    }
    return Finding("SETTING_INVALID", "error", facts, KEY, holds=True)


def check_key_length(api_key: str, base_url: str) -> Finding | None:
    """The finding about a key too short to be hidden; a stand-in on this machine may have any."""
    if len(api_key) >= SHORTEST_CREDENTIAL or is_loopback(_host(base_url)):
        return None
    facts = {
        "setting": "DOORLOOP_API_KEY",
        "problem": f"shorter than {SHORTEST_CREDENTIAL} characters, too short to be kept out of records",
        "expected": "the whole key as DoorLoop shows it (Settings → Zapier & API Keys)",
    }
    return Finding("SETTING_INVALID", "warning", facts, KEY)


def _host(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").lower()
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """Whether this is the machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
