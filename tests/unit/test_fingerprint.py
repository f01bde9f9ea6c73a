"""Fingerprints: the same kind of error is one group, different kinds are not."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from common.rules import fingerprint as rule
from common.rules.fingerprint import fingerprint, normalised, path_template


def test_what_differs_from_time_to_time_does_not_count() -> None:
    """Issue "An engine": errors are fingerprinted by status, path template and normalised snippet."""
    first = fingerprint(
        "VENDOR_ERROR", 500, "/owners/64b7f0c2a1d3e4f5a6b7c8d9", "request 7781 failed at 2026-11-23T05:00:01Z"
    )
    again = fingerprint(
        "VENDOR_ERROR", 500, "/owners/64b7f0c2a1d3e4f5a6b7c8ff", "request  9 failed at 2026-11-24T06:10:00Z"
    )
    assert first == again


@pytest.mark.parametrize(
    ("code", "status", "path", "snippet"),
    [
        ("VENDOR_ERROR", 502, "/owners", "bad gateway"),
        ("VENDOR_ERROR", 500, "/tenants", "bad gateway"),
        ("VENDOR_ERROR", 500, "/owners", "out of memory"),
        ("VENDOR_TIMEOUT", 500, "/owners", "bad gateway"),
    ],
)
def test_another_kind_is_another_group(code: str, status: int, path: str, snippet: str) -> None:
    """Issue "An engine": status, path, code or text of another kind make another group."""
    assert fingerprint(code, status, path, snippet) != fingerprint("VENDOR_ERROR", 500, "/owners", "bad gateway")


def test_ids_moments_and_numbers_are_taken_out() -> None:
    """A group shows what its errors have in common."""
    assert normalised("user 5f0c2a1d-3e4f-45a6-b7c8-d9e0f1a2b3c4 \n at 2026-11-23 05:00") == "user # at <time>"
    assert path_template("/owners/64b7f0?x=1") == "/owners/{id}"
    assert path_template("/owners/abcdefabcdefabcdefabcdef") == "/owners/{id}"
    assert path_template("/users/me") == "/users/me"


@pytest.mark.parametrize(
    ("once", "again"),
    [
        ("req_5f0c1e2d3a4b5c6d7e8f9a0b failed", "req_abcd1e2d3a4b5c6d7e8f9aff failed"),
        ("req 01ARZ3NDEKTSV4RRFFQ69G5FAV", "req 01BX5ZZKBKACTAV9WEVGEMMVRZ"),
        ("trace Ab3xYz9Q", "trace Zk8wQp1R"),
        ("ref a1b2c3d4", "ref 9f8e7d6c"),
        ("ref abcdefab", "ref 12345678"),
        ('{"requestId":"qZ-1","m":"boom"}', '{"requestId":"xkcdxkcdxkcd","m":"boom"}'),
        ("Thu, 26 Nov 2026 21:10:46 GMT", "Fri, 04 Dec 2026 01:10:46 GMT"),
        ("Thu Nov 26 21:10:46 2026", "May 3, 2026 9:10 PM"),
        ("11/26/2026 9:10 PM", "1/2/2026 10:10 AM"),
        ("2026-11-26t21:10:46z", "2026-11-26T21:10:46.5+0000"),
        ("user john@x.test not found", "user jane.doe@mail.x.test not found"),
        ("off by -1.5e3", "off by 2.25"),
        ("pointer 0x7ffe12ab is bad", "pointer 0xdeadbeef is bad"),
        ("upstream [fe80::1ff:fe23:4567:890a] reset", "upstream [2001:db8::8a2e:370:7334] reset"),
        ("error: 5 records were locked", "error: 12 records were locked"),
        ('{"error":"lease-48213 is locked"}', '{"error":"lease-7 is locked"}'),
        ("Error: user12345 has no access", "Error: user99887 has no access"),
        (f"{'word ' * 57}0: token abcdef1", f"{'word ' * 57}0: token abcdefghijk"),
    ],
)
def test_the_same_error_with_other_ids_or_moments_is_the_same(once: str, again: str) -> None:
    """One and the same 500 whose answer names a new request or moment each time is one group."""
    assert fingerprint("VENDOR_ERROR", 500, "/owners", once) == fingerprint("VENDOR_ERROR", 500, "/owners", again)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"code":1001}', '{"code":2002}'),
        ('{"errorCode": "1001"}', '{"errorCode": "2002"}'),
        ('{"error_code":"E-17"}', '{"error_code":"E-18"}'),
        ('{\\"code\\":1}', '{\\"code\\":2}'),
        ("[Errno 111] refused", "[Errno 13] refused"),
        ("<code>5</code>", "<code>6</code>"),
        ('{"error":"E1001"}', '{"error":"E2002"}'),
        ("SQLSTATE 40001", "SQLSTATE 23505"),
        ("HTTP 502.", "HTTP 503."),
        ("HTTP/2 502", "HTTP/2 504"),
        ("Error code: 1001.", "Error code: 2002."),
        ("SQLSTATE[23000]: ", "SQLSTATE[42S02]: "),
        ("ORA-00942: table", "ORA-01017: table"),
        ("AADSTS50011: x", "AADSTS70001: x"),
        ("upstream said HTTP 502", "upstream said HTTP 504"),
        ("X509CertificateException", "Base64DecodeException"),
        ("no such field: leaseEndDate2", "no such field: accountNumber2"),
        ("defaced page", "effaced page"),
        ("session id: missing", "session id: invalid"),
        ("paid true", "paid false"),
    ],
)
def test_words_and_codes_tell_errors_apart(one: str, other: str) -> None:
    """A number under a key that means a code is what the error is; words are never taken for ids."""
    assert fingerprint("VENDOR_ERROR", 400, "/owners", one) != fingerprint("VENDOR_ERROR", 400, "/owners", other)


def test_a_code_of_a_place_is_no_code_of_an_error() -> None:
    """`zip code: 90210` is of a record."""
    assert normalised('zip code: 90210, "postalCode":"90210"') == 'zip code: #, "postalCode":"#"'


@pytest.mark.parametrize("part", ["a", "1:", "a-", "a.", "a@", "Aa", "Mon ", "1/", "aB1", "a:", "0x", "ab:1"])
def test_a_hostile_answer_costs_no_time(part: str) -> None:
    """The rule is linear enough for the longest snippet that there is."""
    began = time.perf_counter()
    normalised(part * 500)
    assert time.perf_counter() - began < 0.5


@pytest.mark.parametrize("part", ["a", "a ", "_", "h.", "1:"])
def test_of_a_header_as_long_as_a_book_a_beginning_is_searched(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Law 8: a long word must not hold the interpreter, and with it the heartbeat, until nobody is told of it."""
    searched: list[int] = []
    real = rule._STEP

    def sub(replacement: object, text: str) -> str:
        searched.append(len(text))
        return real.sub(replacement, text)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(rule, "_STEP", SimpleNamespace(sub=sub))
    normalised(f"REDIRECT_REFUSED 302 {part * 60_000}")
    assert searched[0] <= rule.LOOKED_AT
