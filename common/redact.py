"""The one mask for secrets, on every way out of the process (law 10).

Each process registers the secrets it holds once, at start. ``mask`` then hides them (plain, URL-encoded, base64) in any
text, and hides what looks like a credential even when it was never registered: ``Authorization`` values, signed tokens,
our own cookies, password parts of addresses, signatures and codes in query strings.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, quote, quote_plus, unquote, urlsplit

HIDDEN = "•••"
_SHORTEST_SECRET = 6  # masking every "a" because a key is "a" would hide the whole log

_PATTERNS = (
    (
        re.compile(r"(?i)\b(authorization(?:['\"]?\s*[:=]|['\"]\s*,)\s*['\"]?)(?:[a-z][\w-]*\s+)?[^\s'\",;]+"),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"(?i)\b(bearer\s+)[A-Za-z0-9._~+/=-]{8,}"), rf"\1{HIDDEN}"),
    (
        # Signed addresses as well: sig= (Azure), X-Amz-Signature and X-Amz-Security-Token (AWS), X-Goog-Signature.
        re.compile(
            r"(?i)([?&#](?:[\w.-]*(?:signature|token|secret|password|credential)|sig|code|code_verifier|api[_-]?key|key)=)"
            r"[^&#\s'\"]+"
        ),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"), HIDDEN),
    (re.compile(r"(?i)((?:__host-|__secure-)?hc_(?:session|oidc)=)[^;\s'\",]+"), rf"\1{HIDDEN}"),
    (re.compile(r"(://[^/\s:@]*:)[^/\s@]+@"), rf"\1{HIDDEN}@"),
    # A token of the admin API, by its look (common/store/api_tokens.py).
    (re.compile(r"\bicc_[A-Za-z0-9_-]{40,}"), HIDDEN),
    # A workflow's whole path and query are its credential (Teams fact: `sig` is the key, the id finds the flow).
    (
        re.compile(
            r"(https://[^/\s]+\.(?:logic\.azure\.com|powerplatform\.com|webhook\.office\.com)(?::\d+)?/)[^\s'\"]+"
        ),
        rf"\1{HIDDEN}",
    ),
)

# One of these stands in whatever a pattern above finds; nearly no text has one, and so is looked through once.
_SUSPICIOUS = re.compile(r"(?i)authorization|bearer|[?&#]|://|eyJ|hc_|icc_")
_PERCENT = re.compile("%[0-9A-F]{2}")

_lock = threading.Lock()
_forms: tuple[str, ...] = ()


def register(*secrets: str | None) -> None:
    """Remember secrets of this process in every form they could leave it; very short ones are passed over."""
    global _forms  # noqa: PLW0603 -- one mask per process is the point
    with _lock:
        forms = set(_forms)
        for secret in secrets:
            if secret and len(secret) >= _SHORTEST_SECRET:
                forms.update(_forms_of(secret))
        _forms = tuple(sorted(forms, key=len, reverse=True))


def _forms_of(secret: str) -> set[str]:
    # An environment variable may hold bytes that are no UTF-8; Python keeps them as lone surrogates.
    raw = secret.encode("utf-8", "surrogatepass")
    forms = {secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    for quoted in (quote(raw, safe=""), quote(raw), quote_plus(raw), quote_plus(raw, safe="/")):
        forms.update((quoted, _PERCENT.sub(lambda match: match[0].lower(), quoted)))
    # Inside a longer text its base64 shifts by 0, 1 or 2 bytes; characters made of its own bits alone stay the same.
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + raw + b"\0\0").decode()
        own = encoded[-(-8 * shift // 6) : 8 * (shift + len(raw)) // 6]
        forms.update((own, own.replace("+", "-").replace("/", "_")))
    return forms


def mask(text: str) -> str:
    """The text without secrets."""
    for form in _forms:
        if form in text:
            text = text.replace(form, HIDDEN)
    if _SUSPICIOUS.search(text):
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
    return text


def mask_value(value: Any) -> Any:
    """The same for anything made of dicts, lists and scalars; keys are masked too."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return {mask(str(key)): mask_value(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [mask_value(inner) for inner in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return mask(str(value))


def shape(secret: str | None) -> str:
    """How a secret may be shown: whether it is there, what it looks like, at most its last two characters."""
    if not secret:
        return "not set"
    kind = "JWT shape" if secret.count(".") == 2 and secret.startswith("ey") else f"{len(secret)} characters"
    return f"set ({kind}, …{secret[-2:]})" if len(secret) >= 12 else f"set ({kind})"


def passwords_in(address: str) -> list[str]:
    """The passwords of a database address, as they are and as they are written."""
    try:
        parts = urlsplit(address)
        written = [parts.password] if parts.password else []
    except ValueError:
        return []
    return [form for one in [*written, *parse_qs(parts.query).get("password", [])] for form in {one, unquote(one)}]
