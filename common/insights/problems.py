"""An error, a warning or a finding as a screen shows it: stored by the daemon, read back with care."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.codes import CODES
from common.redact import HIDDEN


@dataclass(frozen=True)
class Problem:
    """What is wrong, and what to do. ``cause`` and ``remedy`` are sentences; ``code`` is a key of ``CODES`` or None.

    ``cause_hidden`` is the cause for who may not read vendors' records; None: it holds nothing of them.
    """

    code: str | None
    cause: str
    remedy: str | None = None
    severity: str = "error"
    holds: bool = False
    cause_hidden: str | None = None


def problem(record: Mapping[str, Any] | None) -> Problem | None:
    """A stored error; sentences that it lacks come from the catalogue. None for none."""
    if not record:
        return None
    code = str(record["code"]) if record.get("code") else None
    entry = CODES.get(code or "")
    facts = record.get("facts") or {}
    cause = record.get("cause") or record.get("reason") or (entry.cause_with(facts) if entry else None)
    remedy = record.get("remedy") or (entry.remedy_with(facts) if entry else None)
    return Problem(
        code,
        str(cause or "The daemon gave no reason."),
        str(remedy) if remedy else None,
        str(record.get("severity") or "error"),
        bool(record.get("holds")),
        entry.cause_with({**facts, **dict.fromkeys(entry.private, HIDDEN)}) if entry and entry.private else None,
    )


def problems(records: Any) -> tuple[Problem, ...]:
    """A stored list of them; anything else counts as an empty one."""
    if not isinstance(records, list):
        return ()
    found = (problem(record) for record in records if isinstance(record, Mapping))
    return tuple(one for one in found if one is not None)


def remedy_of(code: str) -> str | None:
    """What to do, in the catalogue's words; None for a code that it does not know."""
    return CODES[code].remedy_with({}) if code in CODES else None


def of_code(code: str, **facts: Any) -> Problem:
    """A problem that no living daemon could write down, in the catalogue's words."""
    entry = CODES[code]
    return Problem(code, entry.cause_with(facts), entry.remedy_with(facts))
