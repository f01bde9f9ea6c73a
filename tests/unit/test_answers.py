"""From an HTTP answer to JSON, or to the error that says what to do next (DoorLoop fact sheet §2, §9)."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import redact
from common.errors import EntityRefused, RateLimited, RunFault, TransientFault, VendorFault
from common.http.transport import Answer
from daemon.guard.answers import LOOKED_AT_BYTES, SNIPPET_CHARACTERS, NotANumber, loads, parsed, repeated_key, snippet
from tests.unit.answer_maker import RECEIVED, answer

DOCS_PAGE = b"<!DOCTYPE html><html><title>DoorLoop API</title><link href='https://cdn.readme.io/x.css'></html>"
APP_PAGE = b"<!doctype html><html><div id='root'></div></html>"
LOGIN_PAGE = b"<html><form><input type='password'></form></html>"


def fault(given_answer: Answer) -> VendorFault:
    """The error that an answer is."""
    with pytest.raises(VendorFault) as caught:
        parsed(given_answer, path="/owners", entity="owners")
    assert "?" not in caught.value.cause + caught.value.remedy
    return caught.value


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, EntityRefused, "REQUEST_REFUSED"),
        (401, RunFault, "KEY_REFUSED"),
        (402, EntityRefused, "REQUEST_REFUSED"),
        (403, EntityRefused, "ROLE_FORBIDDEN"),
        (404, EntityRefused, "NOT_FOUND"),
        (405, EntityRefused, "ROLE_FORBIDDEN"),
        (408, TransientFault, "VENDOR_TIMEOUT"),
        (409, EntityRefused, "REQUEST_REFUSED"),
        (422, EntityRefused, "REQUEST_REFUSED"),
        (429, RateLimited, "RATE_LIMITED"),
        (500, TransientFault, "VENDOR_ERROR"),
        (502, TransientFault, "VENDOR_ERROR"),
        (503, TransientFault, "VENDOR_ERROR"),
        (504, TransientFault, "VENDOR_ERROR"),
        (520, TransientFault, "VENDOR_ERROR"),
        (304, EntityRefused, "REQUEST_REFUSED"),
    ],
)
def test_each_status_has_its_one_outcome(status: int, kind: type[VendorFault], code: str) -> None:
    """429, 408 and 5xx are tried again; 400, 401, 403, 404, 405, 422 never; 405 and 403 fail that entity only."""
    error = fault(answer(b'{"error": "no"}', status))
    assert type(error) is kind
    assert (error.code, error.status) == (code, status)


def test_an_answer_too_large_just_now_is_tried_again() -> None:
    """RFC 9110 §15.5.14: a 413 that names a time passes; one that names none stays."""
    error = fault(answer(b"", 413, retry_after="7"))
    assert isinstance(error, TransientFault)
    assert (error.code, error.retry_after_seconds) == ("VENDOR_ERROR", 7)
    assert fault(answer(b"", 413)).code == "REQUEST_REFUSED"


@pytest.mark.parametrize("status", [429, 408, 500, 503])
def test_a_retry_after_rides_on_what_is_tried_again(status: int) -> None:
    """The server's wish is kept; without one it is unknown."""
    waiting = fault(answer(status=status, retry_after="120"))
    silent = fault(answer(status=status))
    assert isinstance(waiting, TransientFault)
    assert isinstance(silent, TransientFault)
    assert (waiting.retry_after_seconds, silent.retry_after_seconds) == (120, None)


@pytest.mark.parametrize(
    ("body", "url", "status", "code"),
    [
        (DOCS_PAGE, "https://api.doorloop.com/owners", 200, "HTML_FROM_DOCS_HOST"),
        (DOCS_PAGE, "https://api.doorloop.com/owners", 404, "HTML_FROM_DOCS_HOST"),
        (APP_PAGE, "https://app.doorloop.com/owners", 200, "HTML_FROM_APP"),
        (LOGIN_PAGE, "https://sso.example/owners", 200, "HTML_LOGIN_PAGE"),
        (b"  \n<html>Please sign in</html>", "https://proxy.example/", 200, "HTML_LOGIN_PAGE"),
        (b"<html><title>Login</title><a href=/docs>Documentation</a>", "https://x.example/", 200, "HTML_LOGIN_PAGE"),
        (b"<html><title lang=en>Acme Signin</title>", "https://x.example/", 200, "HTML_LOGIN_PAGE"),
        (b"<html><form method=post action='/auth/login?next=/docs'>", "https://x.example/", 200, "HTML_LOGIN_PAGE"),
        (b"<html><title>Signing of leases</title>", "https://app.doorloop.com/owners", 200, "HTML_FROM_APP"),
        (b"<html><input type=password></html>", "https://app.doorloop.com/login", 200, "HTML_LOGIN_PAGE"),
    ],
)
def test_a_web_page_is_a_wrong_address_not_an_outage(body: bytes, url: str, status: int, code: str) -> None:
    """A 2xx with HTML is a configuration error: the run stops and names the setting to change."""
    error = fault(answer(body, status, content_type="text/html; charset=utf-8", url=url))
    assert isinstance(error, RunFault)
    assert error.code == code
    assert "DOORLOOP_BASE_URL" in error.cause + error.remedy


def test_html_labelled_as_json_is_still_html() -> None:
    """The body's first character counts as much as its label."""
    assert fault(answer(APP_PAGE)).code == "HTML_FROM_APP"


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf<!DOCTYPE html><p>Sign in</p>",
        b"\n<?xml version='1.0'?>\n<!DOCTYPE html PUBLIC '-//W3C//DTD XHTML 1.0 Strict//EN'><p>Sign in</p>",
        b"<?xml version='1.0'?><!-- a page --><HTML><p>Sign in</p>",
        b"Notice: something is odd <html><p>Sign in</p>",
        "<!DOCTYPE html><p>Sign in</p>".encode("utf-16"),
        "\ufeff<?xml version='1.0'?><html><p>Sign in</p>".encode("utf-16-be"),
        "<html><p>Sign in</p>".encode("utf-16-le"),
        "\n<html><p>Sign in</p>".encode("utf-16-be"),
    ],
)
def test_html_is_known_whatever_stands_before_it(body: bytes) -> None:
    """Byte order marks, UTF-16 and an XML declaration make it no outage; what is shown of it can be read."""
    error = fault(answer(body))
    assert error.code == "HTML_LOGIN_PAGE"
    assert "Sign in" in error.facts["snippet"]


@pytest.mark.parametrize("body", [b'{"note": "<html>', b' ["<!DOCTYPE html>', b'\xef\xbb\xbf"<html>'])
def test_html_inside_cut_off_json_makes_it_no_page(body: bytes) -> None:
    """A record may quote a page; an answer that was cut off is tried again."""
    assert fault(answer(body)).code == "INVALID_JSON"


@pytest.mark.parametrize("status", [500, 502, 503])
def test_an_error_page_of_an_outage_is_tried_again(status: int) -> None:
    """A gateway's HTML error page does not mean that the address is wrong."""
    assert fault(answer(APP_PAGE, status, content_type="text/html")).code == "VENDOR_ERROR"


@pytest.mark.parametrize(
    ("body", "content_type", "code"),
    [
        (b'{"data": [', "application/json", "INVALID_JSON"),
        (b"", "application/json", "INVALID_JSON"),
        (b"", "", "INVALID_JSON"),
        (b"[" * 100_000, "application/json", "INVALID_JSON"),
        (b"\xff\xfe\x00", "application/json", "INVALID_JSON"),
        (b"plain words", "text/plain", "NOT_JSON"),
        (b"plain words", "text/html", "HTML_FROM_APP"),
        (b"<Error><Code>Busy</Code></Error>", "application/xml", "NOT_JSON"),
        (b"<html></html>", "application/xhtml+xml", "HTML_FROM_APP"),
        (b"%PDF-1.7", "application/pdf", "NOT_JSON"),
        (b"<?xml version='1.0'?><list/>", "application/xml", "NOT_JSON"),
    ],
)
def test_what_is_no_json_is_said_so(body: bytes, content_type: str, code: str) -> None:
    """Truncated and invalid JSON is tried again; another kind of content is a wrong address."""
    assert fault(answer(body, content_type=content_type)).code == code


def test_a_label_that_quotes_our_key_shows_no_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Law 10: a label ends at its first `;`, where half a key would stand unknown."""
    monkeypatch.setattr(redact, "_held", ())
    redact.register("dl-live;0123456789")
    error = fault(answer(b"no", content_type="text/dl-live;0123456789; charset=utf-8"))
    assert error.code == "NOT_JSON"
    assert "dl-live" not in str(error.as_record())


def test_json_with_another_label_is_taken() -> None:
    """A vendor that labels its JSON text/plain is understood."""
    for label in ("text/plain", "text/html; charset=utf-8"):
        assert parsed(answer(b'{"total": 0}', content_type=label), path="/", entity="x") == {"total": 0}


@given(st.binary(max_size=60), st.sampled_from([200, 201, 204]))
def test_any_body_is_json_or_a_vendor_fault(body: bytes, status: int) -> None:
    """Whatever arrives: never an error of ours."""
    try:
        parsed(answer(body, status), path="/owners", entity="owners")
    except VendorFault as error:
        error.as_record()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_json_is_read_exactly(value: Any) -> None:
    """Numbers keep every digit they came with, whichever parser took them."""
    text = json.dumps(value)
    read = loads(text.encode())
    assert json.loads(json.dumps(read, default=str), parse_float=str, parse_int=str) is not None or value is None
    assert as_decimals(read) == json.loads(text, parse_float=Decimal, parse_int=Decimal)


def as_decimals(value: Any) -> Any:
    """The value with every number as a decimal of its shortest spelling."""
    if isinstance(value, dict):
        return {key: as_decimals(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [as_decimals(inner) for inner in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Decimal(repr(value))
    return value


@pytest.mark.parametrize(
    "digits",
    [
        "12345678901234567890",
        "0.1234567890123456789",
        "12345678.123456789",
        "-1.00000000000000001",
        "1234567890123456.7",
    ],
)
@pytest.mark.parametrize("frame", ['{"a":%s}', '{"a": %s}', "[1,%s]", "%s", "[%s]"])
def test_long_numbers_keep_their_digits(digits: str, frame: str) -> None:
    """A double holds 15 digits for sure; whatever has more comes as a decimal."""
    read = loads((frame % digits).encode())
    number = read["a"] if isinstance(read, dict) else read[-1] if isinstance(read, list) else read
    assert Decimal(str(number)) == Decimal(digits)
    assert isinstance(number, Decimal)


@pytest.mark.parametrize("number", ["12.50", "1e2", "1E5", "-0.0", "0.1", "1e-5", "1.0", "1e308", "1e999"])
@pytest.mark.parametrize("company", ["NaN", '"\\ud800"', "12345678901234567890", "[" * 1100 + "]" * 1100])
def test_a_record_says_the_same_in_any_company(number: str, company: str) -> None:
    """Issue 3: a record's hash tells it from others; its page's other records must not change it."""
    alone = loads(b'{"value": ' + number.encode() + b"}")["value"]
    beside = loads(f'[{{"value": {number}}}, {company}]'.encode())[0]["value"]
    assert (type(beside), beside) == (type(alone), alone)


@pytest.mark.parametrize("number", ["1e-400", "-2.50E-1000", "1.2345678901e-315"])
def test_a_tiny_number_is_not_made_zero(number: str) -> None:
    """Law 3: a float would say 0, or lose digits; such a thing in a text is no number."""
    body = b'{"value": ' + number.encode() + b', "text": "1e-5, e-mail"}'
    assert loads(body) == {"value": Decimal(number), "text": "1e-5, e-mail"}
    assert loads(b'{"text": "' + number.encode() + b'"}') == {"text": number}


@pytest.mark.parametrize("number", ["1e9999999999999999999", "-1.5E-99999999999999999999"])
def test_an_exponent_that_no_number_has_is_none(number: str) -> None:
    """Law 3: its record is put aside, wherever the number stands; nothing else of the answer is lost."""
    read = loads(b'{"a": %s, "b": [1]}' % number.encode())
    assert isinstance(read["a"], NotANumber)
    assert read["b"] == [1]


def test_oddities_of_text_are_kept() -> None:
    """BOM, lone surrogates, bytes that are no UTF-8, control characters: read, not refused."""
    assert loads(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}
    assert loads(b'{"a": "\\ud800"}') == {"a": "\ud800"}
    assert loads(b'{"a": "\xff"}') == {"a": "\udcff"}
    assert loads(b'{"a": "line\nbreak"}') == {"a": "line\nbreak"}
    assert isinstance(loads(b'{"a": NaN}')["a"], NotANumber)


@pytest.mark.parametrize("nested", [b"[" * 10_000 + b"]" * 10_000, b'{"a":' * 10_000 + b"1" + b"}" * 10_000])
def test_what_is_nested_too_deeply_spares_the_rest(nested: bytes) -> None:
    """Law 3: one record deeper than a parser goes must not take its page along; brackets inside texts do not count."""
    body = b'{"data": [{"id": "a", "deep": %s, "text": "[[{\\"{"}, {"id": "b"}, {"id": "c", "n": -Infinity}]}' % nested
    first, second, third = loads(body)["data"]
    assert (first["text"], second) == ('[[{"{', {"id": "b"})
    assert "nested too deeply" in repr(first["deep"])
    assert isinstance(loads(body.replace(nested, b"1"))["data"][2]["n"], NotANumber)
    assert third["id"] == "c"
    with pytest.raises(ValueError, match="Expecting"):
        loads(body[:-1])


@pytest.mark.parametrize(
    ("body", "key"),
    [
        (b'{"data": [{"id": "a", "name": "x", "name": "y"}]}', "name"),
        (b'{"data": [{"id": "a", "in": {"b": 1, "b": 2}}, {"id": "b', "b"),  # the sample ends inside a record
        (b'{"data": [{"id": "a"}, {"id": "b"}]}', None),
        (b"[" * 10_000, None),
        (b"\xff\x00", None),
    ],
)
def test_a_key_named_twice_is_found(body: bytes, key: str | None) -> None:
    """Issue 3: duplicate keys are found on a sample, and said; the parsers keep the last value."""
    assert repeated_key(body) == key


@given(st.binary(max_size=3000))
def test_a_snippet_is_short_and_on_one_line(body: bytes) -> None:
    """It can be stored, logged and shown whatever it was cut from."""
    shown = snippet(body)
    assert len(shown) <= SNIPPET_CHARACTERS
    assert not set("\n\r\0") & set(shown)
    shown.encode()


def test_a_snippet_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A vendor that echoes our key back does not bring it into the database."""
    monkeypatch.setattr(redact, "_held", ())
    redact.register("canary-secret-4711")
    error = fault(answer(b'{"error": "bad key canary-secret-4711"}', 400))
    assert "canary" not in str(error.as_record())
    for cut_at in range(1, 18):  # what is read of a long answer may end inside the key, and white space brings it near
        body = b"no" + b" " * (LOOKED_AT_BYTES - 2 - cut_at) + b"canary-secret-4711 and so on"
        assert "ca" not in snippet(body)


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("Sun, 01 Nov 2026 11:59:00 GMT", "2026-11-01T11:59:00+00:00"),
        ("Sun, 01 Nov 2026 11:59:00 -0000", "2026-11-01T11:59:00+00:00"),
        ("Sun, 01 Nov 2026 12:59:00 +0100", "2026-11-01T11:59:00+00:00"),
        ("nonsense", RECEIVED.isoformat()),
        ("", RECEIVED.isoformat()),
        ("Fri, 31 Dec 9999 23:59:59 -2300", RECEIVED.isoformat()),
        ("Sun, 06 Nov 99999999999999999999 08:49:37 GMT", RECEIVED.isoformat()),
    ],
)
def test_the_vendors_clock_is_its_date_header_else_ours(date: str, expected: str) -> None:
    """Any Date header gives a moment in UTC."""
    assert answer(date=date).vendor_now.isoformat() == expected
