"""HTTP answers made by hand."""

from __future__ import annotations

from datetime import UTC, datetime

from common.http.transport import Answer

RECEIVED = datetime(2026, 11, 1, 12, 0, 0, tzinfo=UTC)


def answer(
    body: bytes = b"{}",
    status: int = 200,
    *,
    content_type: str = "application/json; charset=utf-8",
    url: str = "https://app.doorloop.com/api/owners",
    **headers: str,
) -> Answer:
    """An answer; header names with underscores instead of dashes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, {"content-type": content_type, **named}, body, url, 0.01, RECEIVED)
