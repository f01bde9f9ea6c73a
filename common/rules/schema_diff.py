"""What a vendor's records hold against what our table keeps: unmapped keys, columns never seen, types that drifted.

Judged on a sample; it never changes a table, since ``raw`` keeps every record whole anyway.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from common.rules.field_diff import said
from common.rules.holdable import holdable

MOST_EXAMPLES = 3
MOST_DIGITS = 3
MOST_KEYS = 500
"""Of keys without a column so many are told: a record may have any number of them."""
_CONSTANT = re.compile(r"[A-Z][A-Z_]{1,30}")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_FITTING: Mapping[str, frozenset[str]] = {
    "text": frozenset({"text", "number", "boolean"}),
    "boolean": frozenset({"boolean"}),
    "integer": frozenset({"number"}),
    "numeric": frozenset({"number"}),
    "date": frozenset({"text"}),
    "timestamp": frozenset({"text", "number"}),
    "texts": frozenset({"list"}),
}
"""Column kind → JSON types that are no news; another one is converted if it can be, and told as drift."""


@dataclass(frozen=True)
class Mapped:
    """A column as this rule needs it: its kind, the keys it is read from, and whether its values are personal."""

    name: str
    kind: str
    sources: tuple[str, ...]
    sensitive: bool = False


class Wording(NamedTuple):
    """How a key and a value from outside are told: short, and without secrets."""

    name: Callable[[str], str]
    value: Callable[[Any], str]


def json_type(value: Any) -> str:
    """The JSON type of a value, in a person's words; ``no JSON``: what stands in for NaN, or for too deep a nesting."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "text"
    if isinstance(value, int | float | Decimal):
        return "number"
    if isinstance(value, list):
        return "list"
    if value is None:
        return "nothing"
    return "object" if isinstance(value, dict) else "no JSON"


def schema_diff(records: Iterable[Any], columns: Iterable[Mapped], wording: Wording) -> dict[str, Any]:
    """``{"unmapped": {key: {type: [examples]}}, "never_seen": [column], "drift": {column: {type: [examples]}}}``.

    Names are sorted. A key inside an object of which some keys are columns has its dotted name. Values of sensitive
    columns are not shown; of an unmapped key, which may be personal for all we know, and of an object or list that has
    no place in its column, only what tells of no person.
    A key that may be personal, too, is not told. One that Postgres cannot hold is escaped as it is in ``raw``; of very
    many keys the first are told.
    """
    sample = [record for record in records if isinstance(record, dict)]
    mapped = list(columns)
    sources = {source for column in mapped for source in column.sources} | {"id"}
    unmapped: dict[str, dict[str, list[str]]] = {}
    for key, value in _without_column(sample, sources):
        if len(unmapped) == MOST_KEYS:
            break
        _note(unmapped, wording, key, value)
    never_seen = [column.name for column in mapped if not any(_values(record, column) for record in sample)]
    drift = {column.name: found for column in mapped if (found := _drift(sample, column, wording))}
    return {
        "unmapped": {key: unmapped[key] for key in sorted(unmapped)},
        "never_seen": sorted(never_seen) if sample else [],
        "drift": {name: drift[name] for name in sorted(drift)},
    }


def _without_column(sample: list[dict[str, Any]], sources: set[str]) -> Iterator[tuple[str, Any]]:
    opened = {source.split(".")[0] for source in sources if "." in source}
    known = {source.split(".")[0] for source in sources}
    inner = {".".join(source.split(".")[:2]) for source in sources if "." in source}
    for record in sample:
        for key, value in record.items():
            if key not in known:
                yield said(key), value
            elif key in opened and isinstance(value, dict):
                for name, part in value.items():
                    if f"{key}.{name}" not in inner:
                        yield f"{said(key)}.{said(name)}", part


def _note(found: dict[str, dict[str, list[str]]], wording: Wording, key: str, value: Any) -> None:
    types = found.setdefault(holdable(wording.name(key)), {})
    if value is None:
        return
    examples = types.setdefault(json_type(value), [])
    shown = harmless(value, wording.name)
    if len(examples) < MOST_EXAMPLES and shown not in examples:
        examples.append(shown)


def harmless(value: Any, name: Callable[[str], str]) -> str:
    """An example of a value nobody has judged: itself if it is a flag or a very short number; else its shape, since a
    name (in capitals, too), a birth date, PIN or account number must not get into a report.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float | Decimal):
        digits = sum(character.isdigit() for character in str(value))
        return str(value) if digits <= MOST_DIGITS else f"{digits} digits"
    if isinstance(value, str):
        if _DAY.fullmatch(value):
            return "a day"
        return f"{len(value)} {'capitals' if _CONSTANT.fullmatch(value) else 'characters'}"
    if isinstance(value, list):
        return f"{len(value)} items"
    if not isinstance(value, dict):
        return repr(value)  # a stand-in for what is no JSON says so itself, and nothing else
    keys = ", ".join(holdable(name(said(key))) for key in sorted(value)[:6])
    return f"keys {keys}" if keys else "no keys"


def _drift(sample: list[dict[str, Any]], column: Mapped, wording: Wording) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for record in sample:
        for value in _values(record, column):
            kind = json_type(value)
            if kind not in _FITTING[column.kind]:
                examples = found.setdefault(kind, [])
                if len(examples) < MOST_EXAMPLES:
                    shown = "•••" if column.sensitive else _drifted(value, wording)
                    examples += [shown] if shown not in examples else []
    return found


def _drifted(value: Any, wording: Wording) -> str:
    return harmless(value, wording.name) if isinstance(value, dict | list) else wording.value(value)


def _values(record: dict[str, Any], column: Mapped) -> list[Any]:
    """What the column would be read from; lists inside a path are left to the conversion."""
    found = []
    for source in column.sources:
        value: Any = record
        for step in source.split("."):
            if step == "*":
                break
            if isinstance(value, list):
                value = value[0] if step == "0" and value else None
            elif isinstance(value, dict):
                value = value.get(step)
            else:
                value = None
        if value is not None and value != "":
            found.append(value)
    return found
