"""What a vendor's records hold against what our table keeps: unmapped keys, columns never seen, types that drifted.

Judged on a sample; it never changes a table, since ``raw`` keeps every record whole anyway.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

MOST_EXAMPLES = 3
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


def json_type(value: Any) -> str:
    """The JSON type of a value, in a person's words."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "text"
    if isinstance(value, int | float | Decimal):
        return "number"
    if isinstance(value, list):
        return "list"
    return "object" if isinstance(value, dict) else "nothing"


def schema_diff(records: Iterable[Any], columns: Iterable[Mapped]) -> dict[str, Any]:
    """``{"unmapped": {key: [types]}, "never_seen": [column], "drift": {column: {type: [examples]}}}``, names sorted.

    Values of sensitive columns are not shown.
    """
    sample = [record for record in records if isinstance(record, dict)]
    mapped = list(columns)
    known = {source.split(".")[0] for column in mapped for source in column.sources} | {"id"}
    unmapped: dict[str, set[str]] = {}
    for record in sample:
        for key, value in record.items():
            if key not in known:
                unmapped.setdefault(str(key), set()).add(json_type(value))
    never_seen = [column.name for column in mapped if not any(_values(record, column) for record in sample)]
    drift = {column.name: found for column in mapped if (found := _drift(sample, column))}
    return {
        "unmapped": {key: sorted(unmapped[key] - {"nothing"}) for key in sorted(unmapped)},
        "never_seen": sorted(never_seen) if sample else [],
        "drift": {name: drift[name] for name in sorted(drift)},
    }


def _drift(sample: list[dict[str, Any]], column: Mapped) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for record in sample:
        for value in _values(record, column):
            kind = json_type(value)
            if kind not in _FITTING[column.kind]:
                examples = found.setdefault(kind, [])
                shown = "•••" if column.sensitive else repr(value)[:60]
                if len(examples) < MOST_EXAMPLES and shown not in examples:
                    examples.append(shown)
    return found


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
