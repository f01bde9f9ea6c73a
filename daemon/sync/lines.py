"""From a record that came to a line of COPY text: the columns' cells, the whole record, its flag and its hash."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain, repeat
from typing import Any, NamedTuple

from common import redact
from common.errors import BadRecord
from common.excerpt import value_in_words
from daemon.integrations.base import Column, Entity
from daemon.sync import values
from daemon.sync.convert import Arrived, Prepared, Stamps, as_id, digest_of, is_plain_id, prepare
from daemon.sync.quick_reader import NULL, Plain, QuickReader

_COPY_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_OUR_OWN = ("_raw_escaped", "_payload_hash")
_TEXT_OR_NONE = frozenset({str, type(None)})

Getter = Callable[[Mapping[Any, Any]], Any]


class Made(NamedTuple):
    """Records of a page, a value for each: where it stands, how it came, its stamps, and the line made of it."""

    positions: Sequence[int]
    good: Sequence[Arrived]
    updated_at: Sequence[str | None]
    created_at: Sequence[str | None]
    lines: Sequence[str]

    def by_position(self) -> dict[int, tuple[Arrived, Stamps, str]]:
        """Each with its stamps and its line."""
        stamps = map(Stamps, self.updated_at, self.created_at)
        return dict(zip(self.positions, zip(self.good, stamps, self.lines, strict=True), strict=True))


class LineMaker:
    """Makes COPY text lines for one entity: id, typed columns, raw, flag, hash.

    Text columns come first, those at the top of the record before those one step deeper: their values are fetched in a
    sweep or two and, being text already, need no look at each.
    """

    def __init__(self, entity: Entity) -> None:
        texts = [column for column in entity.columns if column.kind == "text" and len(column.sources) == 1]
        top = [column for column in texts if "." not in column.sources[0]]
        inner: dict[str, list[Column]] = {}
        for column in texts:
            outer, dot, rest = column.sources[0].partition(".")
            if dot and "." not in rest and rest != "*" and not rest.isdigit():
                inner.setdefault(outer, []).append(column)
        swept = [*top, *chain.from_iterable(inner.values())]
        others = [column for column in entity.columns if column not in swept]
        self.volatile = entity.volatile
        self.met_credential = False
        self._top = [column.sources[0] for column in top]
        self._inner = [
            (outer, [column.sources[0].partition(".")[2] for column in columns], [None] * len(columns))
            for outer, columns in inner.items()
        ]
        self._others = [(_getter(column), values.CONVERTERS[column.kind], column) for column in others]
        self._swept = swept
        self._quick = QuickReader(swept, others)
        self.columns = ("id", *(c.name for c in (*swept, *others)), "raw", *_OUR_OWN)

    def at_once(self, records: Sequence[Any], same: str) -> Made:
        """What can be made of a page's records together; ``same`` are the cells that all its lines have."""
        plain = self._quick.read(records)
        plain = plain.without(_suspicious(plain))
        came = [records[position] for position in plain.positions]
        digests = list(map(digest_of, came))
        ends = [f"f\t\\\\x{digest.hex()}\n" for digest in digests]
        lines = list(
            map("\t".join, zip(repeat(same, len(came)), plain.ids, *plain.columns, plain.texts, ends, strict=True))
        )
        good = list(map(Arrived, came, plain.ids, digests))
        return Made(plain.positions, good, plain.updated_at, plain.created_at, lines)

    def line(self, prepared: Prepared, same: str) -> str:
        """The line, after ``same``, the cells that all lines of a page have. Raises ``BadRecord``, naming the field.

        A record that quotes the key it was asked with is kept without it (``met_credential``).
        """
        if redact.is_in_data(prepared.text):
            self.met_credential = True
            cleaned = prepare(redact.data_without(prepared.record))
            prepared = cleaned._replace(payload_hash=prepared.payload_hash, escaped=prepared.escaped)
        cells = [prepared.id, *self._cells(prepared.record), prepared.text]
        # JSON writes a backslash for each character that COPY wants escaped: without one there is none in any cell.
        if "\\" in prepared.text:
            cells = [cell if cell is None else cell.translate(_COPY_ESCAPES) for cell in cells]
        line = "\t".join([NULL if cell is None else cell for cell in cells])
        flag = "t" if prepared.escaped else "f"
        return f"{same}\t{line}\t{flag}\t\\\\x{prepared.payload_hash.hex()}\n"

    def _cells(self, record: Mapping[str, Any]) -> list[str | None]:
        """The columns' texts in order, not yet escaped."""
        cells: list[Any] = [*map(record.get, self._top)]
        for outer, names, nothing in self._inner:
            found = record.get(outer)
            cells += map(found.get, names) if found.__class__ is dict else nothing
        if not _TEXT_OR_NONE.issuperset(map(type, cells)):
            cells = [
                value if value.__class__ in _TEXT_OR_NONE else _text(column, value)
                for column, value in zip(self._swept, cells, strict=True)
            ]
        for get, convert, column in self._others:
            value = get(record)
            try:
                cells.append(None if value is None else convert(value))
            except values.UNCONVERTIBLE:
                raise _unconvertible(column, value) from None
        return cells


def _suspicious(plain: Plain) -> set[int]:
    """Rows whose id has to be looked at more closely, or that may hold the key that they were asked with."""
    found = {row for row, value in enumerate(plain.ids) if not is_plain_id(value) and as_id(value) is None}
    whole = "\n".join(plain.texts)
    if "%" in whole or "&" in whole or redact.is_in_data(whole):  # perhaps behind escapes: those take longer
        found.update(row for row, text in enumerate(plain.texts) if redact.is_in_data(text))
    return found


def _text(column: Column, value: Any) -> str:
    try:
        return values.text(value)
    except values.UNCONVERTIBLE:
        raise _unconvertible(column, value) from None


def _unconvertible(column: Column, value: Any) -> BadRecord:
    shown = "a sensitive value" if column.sensitive else value_in_words(value)
    return BadRecord("RECORD_TYPE", field=column.sources[0], value=shown, kind=column.kind)


def _getter(column: Column) -> Getter:
    """A function that finds the column's value; the first source that is there wins."""
    paths = [[int(step) if step.isdigit() else step for step in source.split(".")] for source in column.sources]
    if len(paths) == 1 and len(paths[0]) == 1:
        name = paths[0][0]
        return lambda record: record.get(name)

    def get(record: Mapping[str, Any]) -> Any:
        for path in paths:
            value = _walk(record, path)
            if value is not None:
                return value
        return None

    return get


def _walk(value: Any, path: list[str | int]) -> Any:
    for position, step in enumerate(path):
        if isinstance(value, dict):
            value = value.get(step)
        elif not isinstance(value, list):
            return None
        elif step == "*":
            return [_walk(item, path[position + 1 :]) for item in value]
        else:
            value = value[step] if isinstance(step, int) and step < len(value) else None
    return value
