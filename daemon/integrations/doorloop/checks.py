"""What can be said about DoorLoop's settings without asking DoorLoop (DoorLoop fact sheet §2)."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from common.config import Finding

KEY = "doorloop"


def check_base_url(base_url: str) -> Finding | None:
    """The finding about an address that cannot be right; it holds the schedule. None when it may be."""
    parts = urlsplit(base_url)
    host = (parts.hostname or "").lower()
    if parts.scheme not in ("http", "https") or not host:
        facts = {
            "setting": "DOORLOOP_BASE_URL",
            "problem": "not an http(s) address",
            "expected": "https://app.doorloop.com/api",
        }
        return Finding("SETTING_INVALID", "error", facts, KEY, holds=True)
    if host == "api.doorloop.com":
        return Finding("BASE_URL_NOT_API", "error", {"problem": "the documentation site"}, KEY, holds=True)
    if host.endswith("doorloop.com") and parts.path.rstrip("/") != "/api":
        return Finding("BASE_URL_NOT_API", "error", {"problem": "the web application (no /api)"}, KEY, holds=True)
    if parts.scheme == "http" and not is_loopback(host):
        return Finding("BASE_URL_NOT_ENCRYPTED", "error", {}, KEY, holds=True)
    return None


def is_loopback(host: str) -> bool:
    """Whether this is the machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
