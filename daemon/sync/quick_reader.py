"""Reads the columns of a plain record at once: typed by the entity's columns, everything else in it passed over.

A record that is not just as its columns expect (a list where a text is due, an escape, an id that is no text) is left
to ``convert``, which looks at each value and says what is wrong: slower by half, and it decides the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from daemon.integrations.base import Column, Kind
from daemon.sync import values

Getter = Callable[[Any], Any]
Cell = str | bool | int | None
"""A cell, not yet in words; only text columns have other than text."""

_NOTHING = Raw(b"null")
_UNUSUAL = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, *values.UNCONVERTIBLE)


class Read(NamedTuple):
    """A record's id, its stamps, its JSON, and its cells, of which none needs an escape."""

    id: str
    updated_at: str | None
    created_at: str | None
    text: str
    cells: list[Cell]


class QuickReader:
    """``read`` for one entity: the cells of ``swept``, which are text columns, come first, then those of ``others``."""

    def __init__(self, swept: Sequence[Column], others: Sequence[Column]) -> None:
        shape = _Shape()
        for column in (*swept, *others):
            for source in column.sources:
                shape.add(source.split("."), column.kind)
        shape.add(["id"], "text")
        shape.add(["updatedAt"], "timestamp")
        shape.add(["createdAt"], "timestamp")
        self._decode = msgspec.json.Decoder(shape.type).decode
        self._head = shape.several(["id", "updatedAt", "createdAt"])
        self._sweeps = list(_sweeps(shape, swept))
        self._others = [
            (_first_of([shape.getter(source.split(".")) for source in column.sources]), _CONVERTERS[column.kind])
            for column in others
        ]

    def read(self, record: Raw) -> Read | None:
        """What is in a record; None when it has to be looked at more closely."""
        try:
            text = str(record, "utf-8")
            # Without a backslash there is no escape in it: no NUL, no half of a surrogate pair, no quote in a text.
            if "\\" in text or "\n" in text or "\t" in text or "\r" in text:
                return None
            found = self._decode(record)
            record_id, updated_at, created_at = self._head(found)
            if record_id.__class__ is not str:
                return None
            cells: list[Cell] = []
            for hold, inner, nothing in self._sweeps:
                holder = hold(found)
                cells += nothing if holder is None else inner(holder)
            for get, convert in self._others:
                value = get(found)
                cells.append(None if value is None else convert(value))
        except _UNUSUAL:
            return None
        return Read(record_id, updated_at, created_at, text, cells)


class _Shape:
    """What the columns expect of one object, or of every object of a list: its keys, and what lies beneath each."""

    def __init__(self) -> None:
        self.below: dict[str, _Shape | Kind] = {}
        self._is_list = False

    def add(self, path: Sequence[str], kind: Kind) -> None:
        """A column of ``kind`` has its value at ``path``."""
        if _picks(path[0]):
            self._is_list, path, kind = True, path[1:], "text" if path[0] == "*" else kind
        key, *rest = path
        below = self.below.setdefault(key, _Shape() if rest else kind)
        if rest:
            assert isinstance(below, _Shape), f"{key} is a value of one column and holds another's"
            below.add(rest, kind)

    @property
    def type(self) -> Any:
        """As msgspec decodes it; what is absent or null is None."""
        fields = [
            (name, *((below.type | None, None) if isinstance(below, _Shape) else _TYPES[below]))
            for name, below in zip(self._names(), self.below.values(), strict=True)
        ]
        struct = msgspec.defstruct("Record", fields, rename=dict(zip(self._names(), self.below, strict=True)), gc=False)
        return list[struct] if self._is_list else struct  # type: ignore[valid-type]  # it is made at run time

    def several(self, keys: Sequence[str]) -> Getter:
        """A function that finds the values of these keys."""
        if len(keys) == 1:
            get = self.getter(keys)
            return lambda found: (get(found),)
        return attrgetter(*(self._name(key) for key in keys))

    def getter(self, path: Sequence[str]) -> Getter:
        """A function that finds the value at ``path``."""
        if _picks(path[0]):
            inner = self.getter(path[1:])
            return _of_each(inner) if path[0] == "*" else _of_item(int(path[0]), inner)
        here, below = attrgetter(self._name(path[0])), self.below[path[0]]
        if isinstance(below, _Shape):
            return _through(here, below.getter(path[1:])) if path[1:] else here
        return _written(here) if _TYPES[below][0] is Raw else here

    def _names(self) -> list[str]:
        return [f"f{position}" for position in range(len(self.below))]

    def _name(self, key: str) -> str:
        return f"f{list(self.below).index(key)}"


def _picks(step: str) -> bool:
    return step == "*" or step.isdigit()


def _sweeps(shape: _Shape, columns: Sequence[Column]) -> Iterator[tuple[Getter, Getter, list[None]]]:
    """(what holds them, their values in it, as many times None) for the columns of each object, in their order."""
    holders: dict[str, list[str]] = {}
    for column in columns:
        outer, dot, key = column.sources[0].partition(".")
        holders.setdefault(outer if dot else "", []).append(key if dot else outer)
    for outer, keys in holders.items():
        holder = shape.below[outer] if outer else shape
        assert isinstance(holder, _Shape)
        yield (shape.getter([outer]) if outer else _itself), holder.several(keys), [None] * len(keys)


def _itself(found: Any) -> Any:
    return found


def _through(here: Getter, inner: Getter) -> Getter:
    def get(found: Any) -> Any:
        value = here(found)
        return None if value is None else inner(value)

    return get


def _written(here: Getter) -> Getter:
    def get(found: Any) -> Any:
        token = here(found)
        return None if token == _NOTHING else token

    return get


def _of_item(position: int, inner: Getter) -> Getter:
    return lambda items: inner(items[position]) if position < len(items) else None


def _of_each(inner: Getter) -> Getter:
    return lambda items: [inner(item) for item in items]


def _first_of(getters: Sequence[Getter]) -> Getter:
    if len(getters) == 1:
        return getters[0]

    def get(found: Any) -> Any:
        for getter in getters:
            value = getter(found)
            if value is not None:
                return value
        return None

    return get


def _number(token: Raw) -> str:
    text = bytes(token).decode()
    if text[0] not in "-0123456789":
        raise TypeError
    return text


def _whole(token: Raw) -> str | None:
    return values.integer(msgspec.json.decode(token, type=int))


_TYPES: Mapping[Kind, tuple[Any, Any]] = {
    "text": (str | bool | int | None, None),
    "boolean": (bool | None, None),
    "date": (str | None, None),
    "timestamp": (str | None, None),
    "texts": (list[str] | None, None),
    # As they are written: a float would lose digits.
    "numeric": (Raw, _NOTHING),
    "integer": (Raw, _NOTHING),
}
_CONVERTERS: Mapping[Kind, Callable[[Any], Cell]] = {
    **values.CONVERTERS,
    "text": lambda value: value,
    "boolean": {True: "t", False: "f"}.__getitem__,
    "numeric": _number,
    "integer": _whole,
}
