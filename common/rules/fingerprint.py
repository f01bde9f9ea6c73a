"""What makes two errors the same one: status, path template and the normalised beginning of the answer.

The version is kept beside each fingerprint: a better rule makes new groups instead of mixing with old ones.
"""

from __future__ import annotations

import hashlib
import re

VERSION = 1

_STEPS = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE), "<id>"),
    (re.compile(r"\b[0-9a-f]{16,}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"\d{4}-\d{2}-\d{2}([T ][\d:.]+(Z|[+-]\d{2}:?\d{2})?)?"), "<time>"),
    (re.compile(r"\d+"), "#"),
    (re.compile(r"\s+"), " "),
)


def normalised(snippet: str) -> str:
    """The text without what differs from one time to the next: ids, moments, numbers, spacing."""
    for pattern, stand_in in _STEPS:
        snippet = pattern.sub(stand_in, snippet)
    return snippet.strip()[:200]


def path_template(path: str) -> str:
    """``/owners/64b…`` → ``/owners/{id}``: a step that holds a digit is an id."""
    return "/".join(
        "{id}" if any(c.isdigit() for c in step) else step for step in path.split("?", maxsplit=1)[0].split("/")
    )


def fingerprint(code: str, status: int | None, path: str, snippet: str) -> str:
    """Sixteen hexadecimal characters, the same for the same kind of error."""
    parts = "\n".join((str(VERSION), code, str(status or ""), path_template(path), normalised(snippet)))
    return hashlib.blake2b(parts.encode("utf-8", "replace"), digest_size=8).hexdigest()
