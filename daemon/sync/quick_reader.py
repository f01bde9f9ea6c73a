"""Reads the plain records of a page together: typed by the entity's columns, everything else in them passed over.

What a value needs is done for a whole column of them: a third less work than record by record (measured). A record that
is not just as its columns expect (a list where a text is due, an escape, an id that is no text) is left to ``convert``,
which looks at each value and says what is wrong: slower by half, and it decides the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import compress
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import Raw
from msgspec.structs import astuple

from daemon.integrations.base import Column, Kind
from daemon.sync import values

T = TypeVar("T")
NULL = "\\N"

Values = Sequence[Any]
"""One for each record."""
Getter = Callable[[Any], Any]
Finder = Callable[[Sequence[Values]], Values]
"""Finds values in those of each key of the record."""

_NOTHING = Raw(b"null")
_UNUSUAL = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, *values.UNCONVERTIBLE)


class Plain(NamedTuple):
    """The plain records of a page, a value for each: where it stands, its id, its stamps, its JSON.

    ``columns`` have their cells, of which none needs an escape.
    """

    positions: Sequence[int]
    ids: Sequence[str]
    updated_at: Sequence[str | None]
    created_at: Sequence[str | None]
    texts: Sequence[str]
    columns: Sequence[Sequence[str]]

    def without(self, rows: Collection[int]) -> Plain:
        """These but for some, each given by its place among them."""
        if not rows:
            return self
        stays = [row not in rows for row in range(len(self.positions))]

        def kept(values: Sequence[T]) -> list[T]:
            return list(compress(values, stays))

        firsts = kept(self.positions), kept(self.ids), kept(self.updated_at), kept(self.created_at), kept(self.texts)
        return Plain(*firsts, list(map(kept, self.columns)))


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
        self._head = [shape.place(key) for key in ("id", "updatedAt", "createdAt")]
        self._sweeps = list(_sweeps(shape, swept))
        self._others = [(_first_of([shape.finder(source.split(".")) for source in c.sources]), c.kind) for c in others]

    def read(self, records: Sequence[Any]) -> Plain:
        """What is in the plain ones of a page's records."""
        opened = [(position, *one) for position, record in enumerate(records) if (one := self._open(record))]
        if not opened:
            return Plain((), (), (), (), (), ())
        positions, texts, found = zip(*opened, strict=True)
        fields = list(zip(*map(astuple, found), strict=True))
        ids, updated_at, created_at = (fields[place] for place in self._head)
        unusual = {row for row, value in enumerate(ids) if value.__class__ is not str}
        columns = [*self._texts(fields), *self._converted(fields, unusual)]
        return Plain(positions, ids, updated_at, created_at, texts, columns).without(unusual)

    def _open(self, record: Any) -> tuple[str, Any] | None:
        """A record's text, and what it is by its type."""
        if record.__class__ is not Raw:
            return None
        try:
            text = str(record, "utf-8")
            # Without a backslash there is no escape in it: no NUL, no half of a surrogate pair, no quote in a text.
            if "\\" in text or "\n" in text or "\t" in text or "\r" in text:
                return None
            return text, self._decode(record)
        except _UNUSUAL:
            return None

    def _texts(self, fields: Sequence[Values]) -> Iterator[Sequence[str]]:
        for sweep in self._sweeps:
            for column in sweep(fields):
                is_text = {str}.issuperset(map(type, column))
                yield column if is_text else [NULL if value is None else values.text(value) for value in column]

    def _converted(self, fields: Sequence[Values], unusual: set[int]) -> Iterator[Sequence[str]]:
        """``unusual`` grows by the rows of which a value cannot be converted."""
        for find, kind in self._others:
            column = find(fields)
            if kind == "timestamp" and values.are_plain_moments(column):
                yield column
                continue
            convert = _CONVERTERS[kind]
            cells: list[str] = []
            for row, value in enumerate(column):
                try:
                    text = None if value is None else convert(value)
                except _UNUSUAL:
                    unusual.add(row)
                    text = None
                cells.append(NULL if text is None else text)
            yield cells


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

    def place(self, key: str) -> int:
        """Where among the values of an object that of ``key`` is."""
        return list(self.below).index(key)

    def finder(self, path: Sequence[str]) -> Finder:
        """A function that finds those at ``path``."""
        place, below = self.place(path[0]), self.below[path[0]]
        if isinstance(below, _Shape):
            inner = below.getter(path[1:])
            return lambda fields: [None if holder is None else inner(holder) for holder in fields[place]]
        if _TYPES[below][0] is Raw:
            return lambda fields: [None if token == _NOTHING else token for token in fields[place]]
        return lambda fields: fields[place]

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
        return f"f{self.place(key)}"


def _picks(step: str) -> bool:
    return step == "*" or step.isdigit()


def _sweeps(shape: _Shape, columns: Sequence[Column]) -> Iterator[Callable[[Sequence[Values]], Iterable[Values]]]:
    """For each object that holds some of them, in order, a function that finds their values in those of each key."""
    holders: dict[str, list[str]] = {}
    for column in columns:
        outer, dot, key = column.sources[0].partition(".")
        holders.setdefault(outer if dot else "", []).append(key if dot else outer)
    for outer, keys in holders.items():
        holder = shape.below[outer] if outer else shape
        assert isinstance(holder, _Shape)
        if outer:
            yield _within(shape.place(outer), holder.several(keys), (None,) * len(keys))
        else:
            yield _at([shape.place(key) for key in keys])


def _at(places: Sequence[int]) -> Callable[[Sequence[Values]], Iterable[Values]]:
    return lambda fields: [fields[place] for place in places]


def _within(place: int, several: Getter, nothing: tuple[None, ...]) -> Callable[[Sequence[Values]], Iterable[Values]]:
    return lambda fields: zip(*[nothing if one is None else several(one) for one in fields[place]], strict=True)


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


def _first_of(finders: Sequence[Finder]) -> Finder:
    """A function that finds for each record the first value that is there."""
    if len(finders) == 1:
        return finders[0]

    def find(fields: Sequence[Values]) -> Values:
        found = [find(fields) for find in finders]
        return [next((value for value in several if value is not None), None) for several in zip(*found, strict=True)]

    return find


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
_CONVERTERS: Mapping[Kind, Callable[[Any], str | None]] = {
    **values.CONVERTERS,
    "boolean": {True: "t", False: "f"}.__getitem__,
    "numeric": _number,
    "integer": _whole,
}
