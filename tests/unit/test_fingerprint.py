"""Fingerprints: the same kind of error is one group, different kinds are not."""

from __future__ import annotations

import pytest

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
    assert normalised("user 5f0c2a1d-3e4f-45a6-b7c8-d9e0f1a2b3c4 \n at 2026-11-23 05:00") == "user <id> at <time>"
    assert path_template("/owners/64b7f0?x=1") == "/owners/{id}"
    assert path_template("/users/me") == "/users/me"
