"""From a vendor's record to a line of COPY text, its hash and its id; or to the reason why not (law 3).

The hash is of the bytes that the record came in: while they are the same, nothing in it is looked at. Whether other
bytes say the same (another order of keys) is for Postgres to compare.

Text that Postgres cannot hold (NUL, lone surrogates) is escaped reversibly and flagged ``_raw_escaped``: backslashes
are doubled, the character becomes ``\\u0000`` or ``\\udXXX`` in plain letters.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from itertools import chain
from typing import Any, NamedTuple

import orjson
from msgspec import Raw

from common import redact
from common.errors import BadRecord
from common.excerpt import value_in_words
from common.rules.holdable import holdable, holdable_tree
from daemon.guard.answers import NotANumber, TooDeep
from daemon.guard.wire import head, opened, opened_plainly
from daemon.integrations.base import Column, Entity
from daemon.sync import values
from daemon.sync.quick_reader import Cell, QuickReader

NULL = "\\N"
HASH_BYTES = 16
MOST_ID_BYTES = 1000
"""A longer id fits no index (a third of a page, 2704 bytes, beside the account key), among rows and letters alike."""
_COPY_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})

_OUR_OWN = ("_raw_escaped", "_payload_hash")
_TEXT_OR_NONE = frozenset({str, type(None)})

Getter = Callable[[Mapping[Any, Any]], Any]


class Prepared(NamedTuple):
    """A record ready to be converted; ``text`` is its JSON."""

    id: str
    payload_hash: bytes
    text: str
    record: Mapping[str, Any]
    escaped: bool


class Arrived:
    """A record as it came: its id and the hash of its bytes; opened only if these are new."""

    __slots__ = ("came", "id", "payload_hash")

    def __init__(self, came: Any, record_id: str, payload_hash: bytes) -> None:
        self.came = came
        self.id = record_id
        self.payload_hash = payload_hash

    @property
    def record(self) -> Any:
        """It, opened. Raises ``BadRecord``."""
        return _opened(self.came)

    def prepared(self) -> Prepared:
        """Ready to be converted. Raises ``BadRecord``."""
        if isinstance(self.came, Raw):
            plain = opened_plainly(self.came)
            if plain is not None:
                return Prepared(self.id, self.payload_hash, plain[1], plain[0], escaped=False)
        return prepare(self.record)._replace(payload_hash=self.payload_hash)


class Stamps(NamedTuple):
    """A record's ``updatedAt`` and ``createdAt`` as they came, None where there is none."""

    updated: Any = None
    created: Any = None


def arrived(record: Any) -> tuple[Arrived, Stamps]:
    """A record by its head, and its stamps. Raises ``BadRecord``."""
    if isinstance(record, Raw):
        found = head(record)
        if found is not None:
            record_id = _as_id(found.id)
            if record_id is not None:
                digest = hashlib.blake2b(record, digest_size=HASH_BYTES).digest()
                return Arrived(record, record_id, digest), Stamps(found.updated_at, found.created_at)
        record = _opened(record)
    prepared = prepare(record)
    stamps = Stamps(record.get("updatedAt"), record.get("createdAt"))
    return Arrived(record, prepared.id, prepared.payload_hash), stamps


def _opened(record: Any) -> Any:
    try:
        return opened(record)
    except ValueError as error:
        raise BadRecord("RECORD_REFUSED", detail=str(error)) from None


def prepare(record: Any) -> Prepared:
    """An opened record, its JSON written anew. Raises ``BadRecord``."""
    if not isinstance(record, dict):
        raise BadRecord("RECORD_NOT_OBJECT")
    record_id = usable_id(record)
    if record_id is None:
        raise BadRecord("RECORD_WITHOUT_ID")
    dumped, record, escaped = _dump_holdable(record)
    digest = hashlib.blake2b(dumped, digest_size=HASH_BYTES).digest()
    return Prepared(record_id, digest, dumped.decode(), record, escaped)


def usable_id(record: Any) -> str | None:
    """The record's id as text, None when it has none that could tell it from others."""
    return _as_id(record.get("id")) if isinstance(record, dict) else None


def _as_id(value: Any) -> str | None:
    if value.__class__ is str and len(value) < 100 and value.isalnum():  # nearly every id: nothing in it to look at
        return None if redact.is_in_data(value) else str(value)
    if isinstance(value, bool) or not (isinstance(value, str | int) or _is_whole(value)):
        return None
    text = holdable(str(value))
    if redact.is_in_data(text):
        return None
    return text if text.strip() and len(text.encode()) <= MOST_ID_BYTES else None


def _is_whole(value: Any) -> bool:
    """Whether it is a whole number that came with all its digits: a long one comes as ``Decimal`` (``loads``)."""
    return isinstance(value, Decimal) and value.as_tuple().exponent == 0


def moment_or_none(value: Any) -> datetime | None:
    """A vendor's stamp, None when it is none that can be read."""
    try:
        return values.parse_moment(value)
    except BadRecord:
        return None


def updated_at(record: Any) -> datetime | None:
    """The record's ``updatedAt``, None when it has none that can be read."""
    return moment_or_none(record.get("updatedAt")) if isinstance(record, dict) else None


def created_at(record: Any) -> datetime | None:
    """The record's ``createdAt``, None when it has none that can be read."""
    return moment_or_none(record.get("createdAt")) if isinstance(record, dict) else None


def readable(record: Any) -> Any:
    """A record opened, or, when it is no JSON after all, its text."""
    try:
        return opened(record)
    except ValueError:
        return bytes(record).decode("utf-8", "backslashreplace")


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

    def at_once(self, record: Any, same: str) -> tuple[Arrived, Stamps, str] | None:
        """A record as it came, its stamps and its line; None when it has to be looked at more closely."""
        read = self._quick.read(record) if isinstance(record, Raw) else None
        record_id = None if read is None else _as_id(read.id)
        if read is None or record_id is None or redact.is_in_data(read.text):
            return None
        digest = hashlib.blake2b(record, digest_size=HASH_BYTES).digest()
        cells = [cell if cell.__class__ is str else _in_words(cell) for cell in (record_id, *read.cells, read.text)]
        line = "\t".join(cells)
        made = f"{same}\t{line}\tf\t\\\\x{digest.hex()}\n"
        return Arrived(record, record_id, digest), Stamps(read.updated_at, read.created_at), made

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


def _in_words(cell: Cell) -> str:
    return NULL if cell is None else values.text(cell)


def _text(column: Column, value: Any) -> str:
    try:
        return values.text(value)
    except values.UNCONVERTIBLE:
        raise _unconvertible(column, value) from None


def _unconvertible(column: Column, value: Any) -> BadRecord:
    shown = "a sensitive value" if column.sensitive else value_in_words(value)
    return BadRecord("RECORD_TYPE", field=column.sources[0], value=shown, kind=column.kind)


def payload_text(record: Any) -> str:
    """Any value as JSON text that a ``text`` column can hold, for dead letters."""
    try:
        return _dump(record).decode()
    except (TypeError, ValueError, BadRecord):
        pass
    try:
        return json.dumps(record, default=str)  # lone surrogates stay as they came: \\udXXX is JSON, only not jsonb
    except RecursionError:
        return '"(nested too deeply to be kept)"'


def _dump_holdable(record: dict[str, Any]) -> tuple[bytes, dict[str, Any], bool]:
    try:
        dumped = _dump(record)
        if b"\\u0000" not in dumped:
            return dumped, record, False
    except (TypeError, ValueError) as error:
        if "surrogate" not in str(error):
            raise BadRecord("RECORD_REFUSED", detail=str(error)) from None
    try:
        holdable = holdable_tree(record)
        return _dump(holdable), holdable, True
    except (TypeError, ValueError, RecursionError) as error:
        raise BadRecord("RECORD_REFUSED", detail=str(error)) from None


def _dump(value: Any) -> bytes:
    try:
        return orjson.dumps(value, default=_exact, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:
        if isinstance(error.__cause__, BadRecord):
            raise error.__cause__ from None
        raise


def _exact(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value).encode())
    if isinstance(value, TooDeep):
        raise BadRecord("RECORD_REFUSED", detail="it is nested too deeply")
    if isinstance(value, NotANumber):
        raise BadRecord("RECORD_TYPE", field="a number", value="NaN, Infinity or beyond all", kind="JSON number")
    raise TypeError(f"unexpected {type(value).__name__}")


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
