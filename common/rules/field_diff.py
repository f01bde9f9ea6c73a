"""How two versions of a record differ, field by field, in words that may be shown. Pure."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

HIDDEN = "•••"
ABSENT = "(absent)"
MOST_CHARACTERS = 80
Path = tuple[str, ...]
"""Keys, from the record's own inwards."""
_PERSONAL = re.compile(r"@|\s|(?:\d\D*){5}")


def said(key: str) -> str:
    """A record's key as it may be shown: not one that may be somebody's name, number or mail address."""
    return HIDDEN if _PERSONAL.search(key) else key


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
    """Field → (before, after), by name. Objects are compared by their dotted fields, lists as a whole. Of fields whose
    names are shown alike the second is told as ``name (2)``.

    Of a field that is not ``plain`` only that it differs is told. ``excerpt`` makes a text short, without secrets.
    """
    old, new = _flat(before), _flat(after)
    differing = sorted(path for path in old.keys() | new.keys() if old.get(path, ...) != new.get(path, ...))

    def words(record: Mapping[Path, Any], path: Path) -> str:
        if path not in record:
            return ABSENT
        if ".".join(path) not in plain:
            return HIDDEN
        value = record[path]
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        return excerpt(text, MOST_CHARACTERS)

    diffs: dict[str, tuple[str, str]] = {}
    told = Counter[str]()
    for path in differing:
        name = excerpt(".".join(map(said, path)), MOST_CHARACTERS)
        told[name] += 1  # no key shown has a space, as the name of a second one has
        diffs[f"{name} ({told[name]})" if told[name] > 1 else name] = words(old, path), words(new, path)
    return diffs


def _field_of(source: str) -> str:
    """``emails.0.address`` → ``emails``; ``address.city`` as it is."""
    steps = source.split(".")
    index = next((n for n, step in enumerate(steps) if step == "*" or step.isdigit()), len(steps))
    return ".".join(steps[:index])


def _flat(record: Mapping[str, Any], above: Path = ()) -> dict[Path, Any]:
    found: dict[Path, Any] = {}
    for key, value in record.items():
        if isinstance(value, Mapping) and value:
            found |= _flat(value, (*above, key))
        else:
            found[*above, key] = value
    return found
