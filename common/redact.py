"""The one mask for secrets, on every way out of the process (law 10).

Each process registers the secrets it holds once, at start. ``mask`` then hides them (plain, URL-encoded, in base64, in
hexadecimal) in any text, in whatever case and with whichever characters written as escapes of HTML, JSON or addresses.
It also hides what looks like a credential even when it was never registered: ``Authorization`` values, signed tokens,
our own cookies, password parts of addresses, signatures and codes in query strings.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import parse_qs, quote, quote_plus, unquote, urlsplit

from common.escapes import Escape, Place, may_have_escapes, undoings, undone_in_place

HIDDEN = "•••"
_SHORTEST_SECRET = 6  # masking every "a" because a key is "a" would hide the whole log
SHORTEST_CREDENTIAL = 16  # a shorter one may be a word of somebody's records
_LONGER_THAN_WORDS = 12  # a shorter secret of letters only may be a word: "postgres" must not hide every "Postgres"

_PATTERNS = (
    re.compile(r"(?i)\bauthorization(?:['\"]?\s*[:=]|['\"]\s*,)\s*['\"]?(?P<hidden>(?:[a-z][\w-]*\s+)?[^\s'\",;]+)"),
    re.compile(r"(?i)\bbearer\s+(?P<hidden>[A-Za-z0-9._~+/=-]{8,})"),
    # Signed addresses as well: sig= (Azure), X-Amz-Signature and X-Amz-Security-Token (AWS), X-Goog-Signature.
    re.compile(
        r"(?i)[?&#](?:[\w.-]*(?:signature|token|secret|password|credential)|sig|code|code_verifier|api[_-]?key|key)="
        r"(?P<hidden>[^&#\s'\"]+)"
    ),
    # A signed token. First is seen whether a point ends the word at all: looked for from each "eyJ" of one without, a
    # header's length would take seconds.
    re.compile(r"(?<![\w-])(?=[\w-]+\.[\w-]{8,}\.)[\w-]*?\b(?P<hidden>eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)"),
    re.compile(r"(?i)(?:__host-|__secure-)?hc_(?:session|oidc)=(?P<hidden>[^;\s'\",]+)"),
    re.compile(r"://[^/\s:@]*:(?P<hidden>[^/\s@]+)@"),
    # A token of the admin API, by its look (common/store/api_tokens.py).
    re.compile(r"\b(?P<hidden>icc_[A-Za-z0-9_-]{40,})"),
    # A workflow's whole path and query are its credential (Teams fact: `sig` is the key, the id finds the flow).
    re.compile(
        r"https://[^/\s]+\.(?:logic\.azure\.com|powerplatform\.com|webhook\.office\.com)(?::\d+)?/(?P<hidden>[^\s'\"]+)"
    ),
)

# One of these stands in whatever a pattern above finds; nearly no text has one. To look for nine words takes a third of
# the time of one expression.
_SUSPICIOUS = ("authorization", "bearer", "?", "&", "#", "://", "eyj", "hc_", "icc_")
_PERCENT = re.compile("%[0-9A-F]{2}")

_lock = threading.Lock()


class _Held(NamedTuple):
    """Secrets as they are looked for in a folded text.

    ``forms`` may stand in any text, ``written`` have an escape in them, ``plain`` are for a text whose escapes are
    undone.
    """

    fold: Callable[[str], str]
    forms: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    plain: tuple[str, ...] = ()

    def holding(self, secret: str, *forms_too: str) -> _Held:
        """These and one more, which may also stand in these forms."""
        forms = set(map(self.fold, (*_forms_of(secret), *forms_too)))
        written = set(filter(may_have_escapes, forms))
        plain = map(self.fold, (secret, *(undone for undone, _ in undoings(secret)), *_encoded(secret)))
        return _Held(
            self.fold,
            tuple({*self.forms, *(forms - written)}),
            tuple({*self.written, *written}),
            tuple({*self.plain, *plain}),
        )


class _All(tuple[_Held, ...]):
    """Hashed and compared as the object it is: going through every form again would cost what remembering saves."""

    __slots__ = ()
    __hash__ = object.__hash__
    __eq__ = object.__eq__


_held: tuple[_Held, ...] = ()
_SHORT = 40
"""Longer texts are not remembered."""
_STEP, _OVERLAP = 64_000, 16_000
"""Characters: how long texts are looked through part by part, each with so many of the next."""


def register(*secrets: str | None) -> None:
    """Remember secrets of this process in every form they could leave it; very short ones are passed over."""
    global _held  # noqa: PLW0603 -- one mask per process is the point
    with _lock:
        held = {one.fold: one for one in _held}
        for secret in secrets:
            if secret and len(secret) >= _SHORTEST_SECRET:
                fold = _as_it_is if secret.isalpha() and len(secret) < _LONGER_THAN_WORDS else str.casefold
                held[fold] = held.get(fold, _Held(fold)).holding(secret, *_byte_by_byte(secret))
        # Words last: one that is part of a key must not leave the key's tail behind.
        _held = _All(sorted(held.values(), key=lambda one: one.fold is _as_it_is))


_credentials = _Held(str.lower)
"""In lower case: a vendor that spells the key otherwise shows it all the same."""
_telling = _Held(str.lower)
"""Those of them that are part of none other, by which any is found: each more is looked for in every page."""


def keep_out_of_data(*credentials: str | None) -> None:
    """Remember what no vendor's record may carry into a table: the key that it was asked with, and its like.

    Together are given an address and the parts of it that may be quoted alone.
    """
    global _credentials, _telling  # noqa: PLW0603 -- one mask per process is the point
    long = [one for one in credentials if one and len(one) >= SHORTEST_CREDENTIAL]
    with _lock:
        for one in long:
            _credentials = _credentials.holding(one)
            if not any(other in one for other in long if other != one):
                _telling = _telling.holding(one)


def is_in_data(text: str) -> bool:
    """Whether a record's JSON, or its id, holds one of those credentials in any form or behind any escapes."""
    lower = text.lower()
    # Asked of every id and every new record: to call functions for these lines makes an id half as dear again.
    for form in _telling.forms:
        if form in lower:
            return True
    if "%" in text or "\\" in text or "&" in text:
        return _is_one_in(lower, _telling.written) or _is_behind_escapes(text, _telling)
    return False


def data_without(value: Any) -> Any:
    """A JSON value without them. Only they are hidden: what merely looks like a credential is the vendor's data."""
    if isinstance(value, str):
        return _without(value, _credentials)
    if isinstance(value, dict):
        return {data_without(key): data_without(inner) for key, inner in value.items()}
    return [data_without(inner) for inner in value] if isinstance(value, list) else value


def _as_it_is(text: str) -> str:
    return text


def _forms_of(secret: str) -> set[str]:
    # An environment variable may hold bytes that are no UTF-8; Python keeps them as lone surrogates.
    raw = secret.encode("utf-8", "surrogatepass")
    forms = {secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    for quoted in (quote(raw, safe=""), quote(raw), quote_plus(raw), quote_plus(raw, safe="/")):
        forms.update((quoted, _PERCENT.sub(lambda match: match[0].lower(), quoted)))
    return forms | _encoded(secret)


def _encoded(secret: str) -> set[str]:
    """In hexadecimal, as dumps and Postgres's ``bytea`` have it, and in base64."""
    raw = secret.encode("utf-8", "surrogatepass")
    forms = {raw.hex(), raw.hex().upper()}
    # Inside a longer text its base64 shifts by 0, 1 or 2 bytes; characters made of its own bits alone stay the same.
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + raw + b"\0\0").decode()
        own = encoded[-(-8 * shift // 6) : 8 * (shift + len(raw)) // 6]
        forms.update((own, own.replace("+", "-").replace("/", "_")))
    return forms


def _byte_by_byte(secret: str) -> Iterable[str]:
    """In hexadecimal as dumps for people have it. Not looked for in records: each form costs every one of them."""
    raw = secret.encode("utf-8", "surrogatepass")
    return (form for separator in ": -" for form in (raw.hex(separator), raw.hex(separator).upper()))


def mask(text: str) -> str:
    """The text without secrets."""
    return _mask_short(text, _held) if len(text) <= _SHORT else _masked(text, _held)


@lru_cache(maxsize=4096)
def _mask_short(text: str, held: tuple[_Held, ...]) -> str:
    """Names and words, which come again and again: a third of what telling of a page cost (measured)."""
    return _masked(text, held)


def _masked(text: str, held_now: tuple[_Held, ...]) -> str:
    spans: list[Place] = []
    for window in _windows(text):
        part = window[1]
        for held in held_now:
            spans += _spans(window, held)
        if _is_suspicious(part.lower()):
            for pattern in _PATTERNS:
                spans += [_at(window, found.span("hidden")) for found in pattern.finditer(part)]
    return _hidden(text, spans) if spans else text


def _is_suspicious(lower: str) -> bool:
    for sign in _SUSPICIOUS:  # noqa: SIM110 -- asked of every line: a generator takes twice as long
        if sign in lower:
            return True
    return False


def _without(text: str, held: _Held) -> str:
    return _hidden(text, [span for window in _windows(text) for span in _spans(window, held)])


def _hidden(text: str, spans: list[Place]) -> str:
    """The text without what stands there."""
    kept: list[str] = []
    end = 0
    for first, last in sorted(spans):
        if first >= end:  # else it overlaps the one before, and is hidden with it
            kept += (text[end:first], HIDDEN)
        end = max(end, last)
    return "".join((*kept, text[end:]))


_Window = tuple[int, str]
"""Where a part of a text begins in it, and the part."""


def _windows(text: str) -> Iterable[_Window]:
    """The text, a long one in parts that overlap by more than any secret is long, however it is escaped.

    An expression that runs over a vendor's twenty megabytes lets no other thread work meanwhile, a Stop's neither.
    """
    if len(text) <= _STEP + _OVERLAP:
        return ((0, text),)
    starts = range(0, len(text) - _OVERLAP, _STEP)
    return ((start, text[start : start + _STEP + _OVERLAP]) for start in starts)


def _at(window: _Window, place: Place) -> Place:
    """A place in the window, in the whole text."""
    return window[0] + place[0], window[0] + place[1]


def _spans(window: _Window, held: _Held) -> Sequence[Place]:
    """Where in the whole text a secret stands, one that is behind escapes as well."""
    text = window[1]
    folded, escaped = held.fold(text), may_have_escapes(text)
    found: Sequence[Place] = ()
    if _is_one_in(folded, held.forms) or (escaped and _is_one_in(folded, held.written)):
        found = _found(text, held.fold, held.forms + held.written)
    if escaped:
        for undone, escapes in undoings(text):
            if _is_one_in(held.fold(undone), held.plain):
                found = [*found, *_found(text, held.fold, held.plain, escapes)]
    return [_at(window, place) for place in found] if found else ()


def _is_behind_escapes(text: str, held: _Held) -> bool:
    for _, part in _windows(text):
        for undone, _ in undoings(part):
            if _is_one_in(held.fold(undone), held.plain):
                return True
    return False


def _is_one_in(text: str, secrets: tuple[str, ...]) -> bool:
    for secret in secrets:  # noqa: SIM110 -- asked of every text: a generator takes twice as long
        if secret in text:
            return True
    return False


def _found(
    text: str, fold: Callable[[str], str], secrets: tuple[str, ...], escapes: Sequence[Escape] = ()
) -> list[Place]:
    """Where these stand in the text, which were found in it folded, perhaps with its ``escapes`` undone."""
    view, places = _view(text, fold, escapes)
    spans = []
    for secret in secrets:
        start = view.find(secret)
        while start >= 0:
            spans.append((places[start][0], places[start + len(secret) - 1][1]))
            start = view.find(secret, start + 1)
    return spans


def _view(text: str, fold: Callable[[str], str], escapes: Sequence[Escape]) -> tuple[str, list[Place]]:
    """The text undone and folded, and of each character of that the place in it. Only for texts that hold a secret."""
    places = [(place, place + 1) for place in range(len(text))]
    for escape in escapes:
        text, places = undone_in_place(text, places, escape)
    folded = [fold(character) for character in text]
    return "".join(folded), [place for place, shown in zip(places, folded, strict=True) for _ in shown]


def mask_value(value: Any) -> Any:
    """The same for anything made of dicts, lists and scalars; keys are masked too."""
    if isinstance(value, str):
        return mask(value)
    if value is None or isinstance(value, (int, float)):
        return value
    if isinstance(value, dict) or isinstance(value, Mapping):  # noqa: SIM101 -- the second alone is ten times as slow
        return {mask(str(key)): mask_value(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [mask_value(inner) for inner in value]
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
