"""Faults that spoil single records: what no parser, converter or database likes (DoorLoop fact sheet §8 and §11.8).

Which records are bad depends on the record alone, so they stay bad on every reading, by list or by id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import orjson

from ..catalogue.draft import Record
from ..catalogue.population import Population
from .switchboard import ActiveFault

Spoil = Callable[[ActiveFault, str, bytes], bytes]

MONEY = {"properties": "currentValue", "units": "marketRent", "leases": "totalRecurringRent"}
DATE = {
    "owners": "managementStartDate",
    "properties": "purchaseDate",
    "units": "createdAt",
    "leases": "start",
    "tenants": "dateOfBirth",
}
EXTRA_NUMBER = "score"  # owners and tenants have no number of their own
MARK = "@drill@"


def spoiled(population: Population, indexes: Iterable[int], faults: Iterable[ActiveFault]) -> list[bytes]:
    """Return records as served, the bad ones spoiled."""
    poisons = [fault for fault in faults if fault.stage == "record"]
    if not poisons:
        return population.many_bytes(indexes)
    served = []
    for index in indexes:
        record = population.bytes_of(index)
        for fault in poisons:
            if is_bad(fault, population, index):
                record = SPOILS[fault.key](fault, population.entity, record)
        served.append(record)
    return served


def is_bad(fault: ActiveFault, population: Population, index: int) -> bool:
    """Return whether a record is among the bad ones: named by id, or one in `every`."""
    if fault.key == "bad_money" and population.entity not in MONEY:
        return False
    if fault["ids"]:
        return population.id_of(index) in fault["ids"]
    every, at_most = max(1, fault["every"]), fault["at_most"]
    return index % every == every // 2 and (at_most is None or index < every * at_most)


def _edit(record: bytes, change: Callable[[Record], object]) -> bytes:
    """Change a record as a dictionary; a record that an earlier fault already broke stays as it is."""
    try:
        content = orjson.loads(record)
    except orjson.JSONDecodeError:
        return record
    if not isinstance(content, dict):
        return record
    change(content)
    return orjson.dumps(content)


def _set(key: str, value: object) -> Spoil:
    return lambda _, __, record: _edit(record, lambda content: content.update({key: value}))


def _drop(key: str) -> Spoil:
    return lambda _, __, record: _edit(record, lambda content: content.pop(key, None))


def _text(raw: bytes) -> Spoil:
    """Return a fault that writes raw JSON characters into the name, where a proper encoder would refuse."""

    def spoil(_: ActiveFault, __: str, record: bytes) -> bytes:
        marked = _edit(record, lambda content: content.update(name=f"{content.get('name', '')} {MARK}"))
        return marked.replace(MARK.encode(), raw)

    return spoil


def _number(raw: bytes) -> Spoil:
    """Return a fault that writes a raw literal where a number stands."""

    def spoil(_: ActiveFault, entity: str, record: bytes) -> bytes:
        marked = _edit(record, lambda content: content.update({MONEY.get(entity, EXTRA_NUMBER): MARK}))
        return marked.replace(f'"{MARK}"'.encode(), raw)

    return spoil


def _bad_money(_: ActiveFault, entity: str, record: bytes) -> bytes:
    return _edit(record, lambda content: content.update({MONEY[entity]: "abc"}))


def _bad_date(_: ActiveFault, entity: str, record: bytes) -> bytes:
    return _edit(record, lambda content: content.update({DATE[entity]: "31/31/2020"}))


def _numeric_id(_: ActiveFault, __: str, record: bytes) -> bytes:
    return _edit(record, lambda content: content.update(id=5_000_000 + int(str(content.get("id"))[18:] or "0", 16)))


def _duplicate_keys(_: ActiveFault, __: str, record: bytes) -> bytes:
    return record[:-1] + b',"name":"Second value"}' if record.endswith(b"}") else record


def _not_object(fault: ActiveFault, _: str, record: bytes) -> bytes:
    raw = {"string": b'"not a record"', "number": b"42", "null": b"null", "array": b"[" + record + b"]"}
    return raw[fault["what"]]


def _change_types(_: ActiveFault, __: str, record: bytes) -> bytes:
    def change(content: Record) -> None:
        for key, value in content.items():
            if isinstance(value, bool):
                content[key] = str(value).lower()
            elif isinstance(value, int | float):
                content[key] = str(value)

    return _edit(record, change)


def _unknown_fields(fault: ActiveFault, _: str, record: bytes) -> bytes:
    new = {f"drillField{number}": {"number": number, "text": "unheard of"} for number in range(fault["fields"])}
    return _edit(record, lambda content: content.update(new))


SPOILS: dict[str, Spoil] = {
    "missing_id": _drop("id"),
    "null_id": _set("id", None),
    "numeric_id": _numeric_id,
    "bad_money": _bad_money,
    "bad_date": _bad_date,
    "nul_character": _text(rb"a\u0000b"),
    "lone_surrogate": _text(rb"\ud800"),
    "nan_literal": _number(b"NaN"),
    "huge_integer": _number(b"12345678901234567890"),
    "long_decimal": _number(b"0.123456789012345678901234567890"),
    "deep_nesting": _number(b"[" * 10_000 + b"]" * 10_000),
    "duplicate_keys": _duplicate_keys,
    "record_not_object": _not_object,
    "field_type_change": _change_types,
    "unknown_fields": _unknown_fields,
    "missing_updated_at": _drop("updatedAt"),
}
