"""The lists of quoted policy names that the current IETF draft sends (rate-limit header fact sheet §3)."""

from __future__ import annotations

import re

_KEY = r"[a-z*][a-z0-9_.*-]*"
_VALUE = r'-?[0-9.]+|"[^"\\]*"|:[A-Za-z0-9+/=]*:|\?[01]|[A-Za-z*][\w!#$%&*+.^|~:/-]*'
"""A number, text, bytes, truth or token (RFC 9651); a key without one is true. What we do not know is left alone."""
_ITEM = re.compile(rf'\s*"(?P<name>[^"\\]*)"(?P<parameters>(?:;\s*{_KEY}(?:=(?:{_VALUE}))?)*)\s*(?:,|$)', re.ASCII)
_PARAMETER = re.compile(rf";\s*({_KEY})=({_VALUE})", re.ASCII)


def policies(text: str) -> dict[str, dict[str, str]] | None:
    """Name → parameters, texts without their quotes. None when the field is empty or any part of it is malformed: it is
    then ignored as a whole, as the draft demands."""
    found: dict[str, dict[str, str]] = {}
    at = 0
    while at < len(text):
        item = _ITEM.match(text, at)
        if item is None:
            return None
        found[item["name"]] = {name: value.strip('"') for name, value in _PARAMETER.findall(item["parameters"])}
        at = item.end()
    return found or None
