"""From an HTTP answer to parsed JSON, or to the error that says what to do next (DoorLoop fact sheet §2, §9)."""

from __future__ import annotations

import codecs
import json
import re
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Any
from urllib.parse import urlsplit

import orjson

from common.errors import EntityRefused, RateLimited, RunFault, TransientFault, VendorFault
from common.excerpt import MOST_OF_A_NAME, excerpt
from common.http.transport import Answer
from common.redact import mask
from daemon.guard.rate_headers import asked_wait_seconds, retry_after_seconds

SNIPPET_CHARACTERS = 300
MOST_ERROR_BYTES = 64 * 1024
"""A larger answer is no error body in which to look for how long to wait."""
# Sixteen digits, a decimal point among them or not, where a value may begin: digits within an id cost nothing. Looked
# for in a translation: 0.1 ms for a page of 100 KB, where a regular expression took 1.5 ms (measured).
_DIGITS_AND_BEGINNINGS = bytes.maketrans(b"0123456789[,- \t\r\n", b"0" * 10 + b":" * 7)
_LONG_NUMBER = b":" + b"0" * 16
_TINY_NUMBER = re.compile(rb"[0-9][eE]-[0-9]{3}")
MOST_MILLION_VALUES = 2
"""In one answer: a list of 20 MB of zeros would take gigabytes. Five hundred in each of a thousand records are less."""
LOOKED_AT_BYTES, BEFORE_THE_CUT = 8192, 2048
"""Of a longer answer the beginning is masked, and its last part never shown: half a secret is not recognised."""
_BOM = b"\xef\xbb\xbf"
_MARKS = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
DEEPEST = 200
"""Levels of nesting that are kept; both parsers give up at about a thousand, and orjson writes 254."""
SAMPLE_BYTES = 64 * 1024
_TAG = re.compile(r"\s*<(?!\?xml)")
_HTML = re.compile(r"<!doctype\s+html|<html", re.IGNORECASE)
HTML_WITHIN, SIGNS_WITHIN = 1024, 20_000
_CUT = "-Infinity"
_DOCS_SIGNS = ("readme", "api reference", "documentation")
_LOGIN_SIGNS = ("sign in", "log in")
_LOGIN_FORM = re.compile(
    r"""type=["']?password|<title\b[^<>]{0,100}>[^<]{0,100}(?:log|sign)[ -]?in\b"""
    r"""|<form\b[^<>]{0,300}\baction=["']?[^"'\s<>]{0,200}(?:log|sign)[-_]?in\b"""
)
"""What asks for a password, calls itself so, or sends what is filled in to where one signs in: some ask for the address
first, and for the password on the next page."""


class NotANumber:
    """Stands for NaN and Infinity, which JSON does not have and jsonb cannot hold, and for 1e99999999999999999999."""

    def __repr__(self) -> str:
        return "NaN"


class TooDeep:
    """Stands for what lies deeper than ``DEEPEST``: its record is put aside, the others of its page go on."""

    def __repr__(self) -> str:
        return "(nested too deeply to be kept)"


def is_beyond_floats(body: bytes) -> bool:
    """Whether there may be a number that a float does not hold: one with more digits, or one so small that it is 0."""
    if _LONG_NUMBER in b":" + body.translate(_DIGITS_AND_BEGINNINGS, b"."):
        return True
    return (b"e-" in body or b"E-" in body) and _TINY_NUMBER.search(body) is not None


def loads(body: bytes) -> Any:
    """JSON, exactly: orjson where it is exact, the slow parser with ``Decimal`` where a float would not hold a number.

    Raises ``ValueError`` when it is no JSON. NaN and Infinity come as ``NotANumber``, what is nested too deeply as
    ``TooDeep``; lone surrogates stay in the text.
    """
    body = body.removeprefix(_BOM)
    if not is_beyond_floats(body):
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:
            pass  # perhaps NaN or a lone surrogate, which the slow parser takes
    text = body.decode("utf-8", errors="surrogateescape")
    try:
        return _exactly(text, lambda _: NotANumber())
    except RecursionError:
        return _exactly(_cut_short(text), lambda word: TooDeep() if word == _CUT else NotANumber())


def _exactly(text: str, constant: Callable[[str], Any]) -> Any:
    return json.loads(text, parse_float=_fraction, parse_int=_whole, parse_constant=constant, strict=False)


def _cut_short(text: str) -> str:
    """The text with ``_CUT`` for everything deeper than ``DEEPEST``. Strings are passed over whole."""
    kept: list[str] = []
    depth = end = 0
    for mark in _MARKS.finditer(text):
        if mark[0] in ("[", "{"):
            depth += 1
            if depth == DEEPEST:
                kept += (text[end : mark.start()], _CUT)
        elif mark[0] in ("]", "}"):
            depth -= 1
            if depth == DEEPEST - 1:
                end = mark.end()
    return "".join(kept) + text[end:]


def repeated_key(body: bytes) -> str | None:
    """A key that an object names twice, looked for in the beginning of an answer; parsers keep the last value."""
    found: list[str] = []

    def look(pairs: list[tuple[str, Any]]) -> None:
        keys = Counter(key for key, _ in pairs)
        found.extend(key for key, times in keys.items() if times > 1)

    # The sample ends somewhere inside a record; by then whole objects have been looked at, which is all it is for.
    with suppress(ValueError, RecursionError):
        json.loads(body[:SAMPLE_BYTES].decode("utf-8", errors="replace"), object_pairs_hook=look)
    return found[0] if found else None


def _fraction(digits: str) -> float | Decimal | NotANumber:
    """As orjson has it where a float holds it: what a record says must not change with the company that it comes in."""
    if not is_beyond_floats(digits.encode()):
        number = float(digits)
        if isfinite(number):
            return number
    try:
        return Decimal(digits)
    except InvalidOperation:  # its exponent has nineteen digits or more
        return NotANumber()


def _whole(digits: str) -> int | Decimal:
    return int(digits) if len(digits) <= 18 else Decimal(digits)


def parsed(answer: Answer, *, path: str, entity: str, parse: Callable[[bytes], Any] = loads) -> Any:
    """The JSON of a good answer; raises a ``VendorFault`` for every other one.

    ``parse`` makes JSON of a body and raises ``ValueError`` for what is none.
    """
    if not 200 <= answer.status < 300:
        raise _fault_of_status(answer, path, entity)
    if _is_html(answer.body, answer.content_type):
        raise _fault_of_html(answer)
    if _holds_too_much(answer.body):
        raise EntityRefused("TOO_MANY_VALUES", path=path, most=MOST_MILLION_VALUES)
    try:
        return parse(answer.body)
    except ValueError:
        if answer.content_type == "text/html":
            raise _fault_of_html(answer) from None
        if answer.content_type and "json" not in answer.content_type:
            told = excerpt(answer.content_type, MOST_OF_A_NAME)
            raise RunFault("NOT_JSON", content_type=told, **_facts(answer, path)) from None
        raise TransientFault("INVALID_JSON", **_facts(answer, path)) from None


def _holds_too_much(body: bytes) -> bool:
    """By what stands between values or begins one with others in it: as quick as copying it."""
    most = MOST_MILLION_VALUES * 1_000_000
    return len(body) > most and sum(map(body.count, (b",", b"[", b"{"))) > most


def _is_html(body: bytes, content_type: str) -> bool:
    """By its beginning, whatever its label, encoding and what stands before the first tag; XML is labelled so."""
    if body[:1] in (b"{", b"[") and body[1:2] != b"\0":  # HTML in one of its texts makes it no page
        return False
    start = _beginning(body, HTML_WITHIN).lstrip()
    has_tag = _TAG.match(start) and not content_type.endswith("xml")
    return bool(has_tag or (start[:1] not in ("{", "[", '"') and _HTML.search(start)))


def _beginning(body: bytes, most_bytes: int) -> str:
    """The first bytes as text without byte order marks: UTF-16 when it looks so, else UTF-8."""
    start = body[:most_bytes]
    first = start[:2]
    encoding = "utf-8"
    if first == codecs.BOM_UTF16_LE or (first[1:] == b"\0" and first[:1] != b"\0"):
        encoding = "utf-16-le"
    elif first == codecs.BOM_UTF16_BE or (first[:1] == b"\0" and first[1:] not in (b"", b"\0")):
        encoding = "utf-16-be"
    return start.decode(encoding, errors="replace").lstrip("\ufeff")


def _facts(answer: Answer, path: str) -> dict[str, Any]:
    return {"status": answer.status, "path": path, "snippet": snippet(answer.body)}


def snippet(body: bytes) -> str:
    """The beginning of an answer as masked text on one line."""
    text = _beginning(body, LOOKED_AT_BYTES)
    words = mask(" ".join(text.replace("\0", "␀").split()))
    if len(body) > LOOKED_AT_BYTES:
        words = words[:-BEFORE_THE_CUT]
    return words[:SNIPPET_CHARACTERS]


def _fault_of_status(answer: Answer, path: str, entity: str) -> VendorFault:
    facts = _facts(answer, path)
    status = answer.status
    if status == 401:
        return RunFault("KEY_REFUSED", **facts)
    if status in (403, 405):
        return EntityRefused("ROLE_FORBIDDEN", entity=entity, **facts)
    if status == 404:
        if answer.content_type == "text/html" and _is_docs_host(answer):
            return _fault_of_html(answer)
        return EntityRefused("NOT_FOUND", **facts)
    if status in (429, 503):
        wait = asked_wait_seconds(answer.headers, _json_or_none(answer.body), answer.received_at)
    else:
        wait = retry_after_seconds(answer.headers, answer.received_at)
    if status == 429:
        return RateLimited("RATE_LIMITED", retry_after_seconds=wait, **facts)
    if status in (408, 425):
        return TransientFault("VENDOR_TIMEOUT", retry_after_seconds=wait, **facts)
    if status >= 500 or (status == 413 and wait is not None):  # RFC 9110 §15.5.14: with a time it is a passing one
        return TransientFault("VENDOR_ERROR", retry_after_seconds=wait, **facts)
    return EntityRefused("REQUEST_REFUSED", **facts)


def _json_or_none(body: bytes) -> Any:
    try:
        return loads(body) if len(body) <= MOST_ERROR_BYTES else None
    except ValueError:
        return None


def _is_docs_host(answer: Answer) -> bool:
    start = _beginning(answer.body, SIGNS_WITHIN).lower()
    return _is_at_docs(answer) or any(sign in start for sign in _DOCS_SIGNS)


def _is_at_docs(answer: Answer) -> bool:
    return urlsplit(answer.url).hostname == "api.doorloop.com"


def _fault_of_html(answer: Answer) -> RunFault:
    start = _beginning(answer.body, SIGNS_WITHIN).lower()
    facts = {"status": answer.status, "snippet": snippet(answer.body)}
    has_form = bool(_LOGIN_FORM.search(start))  # a page that asks for a password may name the documentation, too
    if _is_docs_host(answer) and not (has_form and not _is_at_docs(answer)):
        return RunFault("HTML_FROM_DOCS_HOST", **facts)
    if has_form or any(sign in start for sign in _LOGIN_SIGNS):
        return RunFault("HTML_LOGIN_PAGE", **facts)
    return RunFault("HTML_FROM_APP", **facts)
