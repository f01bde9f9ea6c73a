"""How two versions of a record differ, field by field, in words that may be shown. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

HIDDEN = "•••"
ABSENT = "(absent)"
MOST_CHARACTERS = 80


def plain_fields(columns: Iterable[tuple[tuple[str, ...], bool]]) -> frozenset[str]:
    """The fields whose values may be shown: those a column is read from (its sources, sensitive or not).

    A field that no column knows may be personal for all we know, so it is not among them. A list is one field.
    """
    shown: set[str] = set()
    hidden: set[str] = set()
    for sources, sensitive in columns:
        (hidden if sensitive else shown).update(_field_of(source) for source in sources)
    return frozenset(shown - hidden)


def field_diffs(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    plain: Collection[str],
    excerpt: Callable[[str, int], str],
) -> dict[str, tuple[str, str]]:
    """Field → (before, after), by name. Objects are compared by their dotted fields, lists as a whole.

    Of a field that is not ``plain`` only that it differs is told. ``excerpt`` makes a text short, without secrets.
    """
    old, new = _flat(before), _flat(after)
    differing = sorted(name for name in old.keys() | new.keys() if old.get(name, ...) != new.get(name, ...))

    def words(record: Mapping[str, Any], name: str) -> str:
        if name not in record:
            return ABSENT
        if name not in plain:
            return HIDDEN
        value = record[name]
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        return excerpt(text, MOST_CHARACTERS)

    return {excerpt(name, MOST_CHARACTERS): (words(old, name), words(new, name)) for name in differing}


def _field_of(source: str) -> str:
    """``emails.0.address`` → ``emails``; ``address.city`` as it is."""
    steps = source.split(".")
    index = next((n for n, step in enumerate(steps) if step == "*" or step.isdigit()), len(steps))
    return ".".join(steps[:index])


def _flat(record: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, Mapping) and value:
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found
