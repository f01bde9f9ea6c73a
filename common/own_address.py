"""The address that people open, as a browser writes it in ``Origin``: cookies, links and that comparison rest on it."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import SplitResult, urlsplit

import idna

_PORTS = {"http": 80, "https": 443}
_NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_A_NUMBER = re.compile(r"([0-9]+|0x[0-9a-f]*)")
"""A last part of which a browser makes an IPv4 address, or nothing."""


def origin_of(text: str) -> str:
    """The origin of an address, in the one spelling that browsers use; what means the same is the same.

    Raises ``ValueError`` with what kind of address it is instead of a usable one; never with the address.
    """
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        raise ValueError("an address whose host or port cannot be read") from None
    _refuse_more_than_an_origin(parts)
    if port == 0:
        raise ValueError("an address with a port that nothing can listen on")
    suffix = "" if port in (None, _PORTS[parts.scheme]) else f":{port}"
    return f"{parts.scheme}://{_host(parts)}{suffix}"


def _refuse_more_than_an_origin(parts: SplitResult) -> None:
    if parts.scheme not in _PORTS:
        raise ValueError("not an http or https address")
    if not parts.hostname:
        raise ValueError("an address without a host")
    if "@" in parts.netloc:
        raise ValueError("an address with a user's name in it")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("an address with more than a host behind it")


def _host(parts: SplitResult) -> str:
    """The host as a browser writes it: small letters, other alphabets in punycode, numbers in full."""
    host = parts.hostname or ""
    try:
        if "[" in parts.netloc:
            if "%" in host:  # the zone of one machine's cable
                raise ValueError
            return f"[{IPv6Address(host).compressed}]"
        if not host.isascii():
            host = idna.encode(host, uts46=True).decode()
        if not _NAME.fullmatch(host):
            raise ValueError
        return str(IPv4Address(host)) if _A_NUMBER.fullmatch(host.rpartition(".")[2]) else host
    except ValueError:
        raise ValueError("an address with a host that cannot be used") from None
