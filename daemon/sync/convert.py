"""From a vendor's record to a line of COPY text, its hash and its id; or to the reason why not (law 3).

Only records whose hash differs from the stored one are converted, so an unchanged page costs a dump and a hash each.
Text that Postgres cannot hold (NUL, lone surrogates) is escaped reversibly and flagged ``_raw_escaped``: backslashes
are doubled, the character becomes ``\\u0000`` or ``\\udXXX`` in plain letters.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

from common.errors import BadRecord
from daemon.guard.answers import NotANumber, TooDeep
from daemon.integrations.base import Column, Entity, Kind

NULL = "\\N"
HASH_BYTES = 16
MOST_ID_BYTES = 1000
"""A longer id fits no index (a third of a page, 2704 bytes, beside the account key), among rows and letters alike."""
_COPY_SPECIAL = re.compile(r"[\\\t\n\r]")
_COPY_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_UNHOLDABLE = re.compile("[\\\\\x00\ud800-\udfff]")
_UNIX_TIME = re.compile(r"^-?[0-9]{9,13}(\.[0-9]+)?$")  # eight digits are a day: 20200131
_DAY = re.compile(r"^\d{4}-\d{2}-\d{2}(?=$|[T ])")
_MOST_DIGITS = 18  # of a bigint, less one
_FIRST_MILLISECOND = 100_000_000_000  # larger Unix times are milliseconds: as seconds they would be the year 5138


@dataclass(frozen=True)
class Prepared:
    """A record ready to be compared and, if it changed, converted."""

    id: str
    payload_hash: bytes
    dumped: bytes
    record: Mapping[str, Any]
    escaped: bool


def prepare(record: Any, volatile: frozenset[str]) -> Prepared:
    """Id, canonical JSON and hash of a record. Raises ``BadRecord``."""
    if not isinstance(record, dict):
        raise BadRecord("RECORD_NOT_OBJECT")
    record_id = usable_id(record)
    if record_id is None:
        raise BadRecord("RECORD_WITHOUT_ID")
    dumped, record, escaped = _dump_holdable(record)
    hashed = dumped if not volatile else _dump({k: v for k, v in record.items() if k not in volatile})
    digest = hashlib.blake2b(hashed, digest_size=HASH_BYTES).digest()
    return Prepared(record_id, digest, dumped, record, escaped)


def usable_id(record: Any) -> str | None:
    """The record's id as text, None when it has none that could tell it from others."""
    value = record.get("id") if isinstance(record, dict) else None
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    text = _holdable(str(value))
    return text if text.strip() and len(text.encode()) <= MOST_ID_BYTES else None


def updated_at(record: Any) -> datetime | None:
    """The record's ``updatedAt``, None when it has none that can be read."""
    try:
        return parse_moment(record.get("updatedAt"))
    except (BadRecord, AttributeError):
        return None


def created_at(record: Any) -> datetime | None:
    """The record's ``createdAt``, None when it has none that can be read."""
    try:
        return parse_moment(record.get("createdAt"))
    except (BadRecord, AttributeError):
        return None


class LineMaker:
    """Makes COPY text lines for one entity: id, typed columns, raw, flag, hash."""

    def __init__(self, entity: Entity) -> None:
        self._fields = [(column, _getter(column), _CONVERTERS[column.kind]) for column in entity.columns]
        self.columns = ("id", *(column.name for column in entity.columns), "raw", "_raw_escaped", "_payload_hash")

    def line(self, prepared: Prepared) -> str:
        """The line, without what is the same for the whole page. Raises ``BadRecord`` naming field and value."""
        record = prepared.record
        cells = [_escape(prepared.id)]
        for column, get, convert in self._fields:
            value = get(record)
            if value is None:
                cells.append(NULL)
                continue
            try:
                cells.append(convert(value))
            except (BadRecord, ValueError, TypeError, OverflowError, InvalidOperation):
                shown = "a sensitive value" if column.sensitive else repr(value)[:60]
                raise BadRecord("RECORD_TYPE", field=column.sources[0], value=shown, kind=column.kind) from None
        cells.append(prepared.dumped.decode().replace("\\", "\\\\"))
        cells.append("t" if prepared.escaped else "f")
        cells.append("\\\\x" + prepared.payload_hash.hex())
        return "\t".join(cells)


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
        holdable = _escape_tree(record)
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
        raise BadRecord("RECORD_TYPE", field="a number", value="NaN or Infinity", kind="JSON number")
    raise TypeError(f"unexpected {type(value).__name__}")


def _escape_tree(value: Any) -> Any:
    if isinstance(value, str):
        return _holdable(value)
    if isinstance(value, dict):
        return {_escape_tree(key): _escape_tree(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_escape_tree(inner) for inner in value]
    return value


def _holdable(text: str) -> str:
    """Different texts stay different: backslashes are doubled whether or not there is anything else to escape."""
    return _UNHOLDABLE.sub(lambda m: "\\\\" if m[0] == "\\" else f"\\u{ord(m[0]):04x}", text)


def _escape(text: str) -> str:
    return text.translate(_COPY_ESCAPES) if _COPY_SPECIAL.search(text) else text


# --- values of one kind, as COPY text


def _text(value: Any) -> str:
    if isinstance(value, str):
        return _escape(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        return str(value)
    raise TypeError


def _boolean(value: Any) -> str:
    if value is True:
        return "t"
    if value is False:
        return "f"
    word = str(value).strip().lower()
    if isinstance(value, str | int) and word in ("true", "yes", "1"):
        return "t"
    if isinstance(value, str | int) and word in ("false", "no", "0"):
        return "f"
    if word == "":
        return NULL
    raise ValueError


def _numeric(value: Any) -> str:
    if isinstance(value, bool):
        raise TypeError
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        if not value.strip():
            return NULL
        value = Decimal(value.strip())
    if not isinstance(value, Decimal) or not value.is_finite():
        raise TypeError
    return str(value)


def _integer(value: Any) -> str:
    number = _numeric(value)
    if number == NULL:
        return NULL
    whole = Decimal(number)
    if whole.adjusted() > _MOST_DIGITS or whole != whole.to_integral_value():
        raise ValueError  # judged by its exponent first: 1E+999999999 written out would fill the memory
    return str(int(whole))


def _date(value: Any) -> str:
    if isinstance(value, str):
        if not value.strip():
            return NULL
        if _DAY.match(value):
            return date.fromisoformat(value[:10]).isoformat()
        if not _UNIX_TIME.match(value.strip()):
            raise ValueError
    return parse_moment(value).date().isoformat()  # type: ignore[union-attr]  # None was handled before


def _timestamp(value: Any) -> str:
    moment = parse_moment(value)
    return NULL if moment is None else moment.isoformat()


def _texts(value: Any) -> str:
    items = value if isinstance(value, list) else [value]
    texts = [_item(item) for item in items if item is not None and item != ""]
    quoted = ",".join('"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' for text in texts)
    return _escape("{" + quoted + "}")


def _item(item: Any) -> str:
    if isinstance(item, dict):
        item = item.get("id", item.get("_id"))
    if isinstance(item, bool) or not isinstance(item, str | int):
        raise TypeError
    return str(item)


def parse_moment(value: Any) -> datetime | None:
    """An ISO date-time, a day, or a Unix time in seconds or milliseconds, in UTC; without a zone it is UTC.

    None for an absent or empty value; raises ``BadRecord`` for anything else.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        if isinstance(value, str) and _UNIX_TIME.match(value.strip()):
            value = Decimal(value.strip())
        if isinstance(value, str):
            moment = datetime.fromisoformat(value.strip())
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            number = float(value)
            return datetime.fromtimestamp(number / 1000 if abs(number) >= _FIRST_MILLISECOND else number, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    raise BadRecord("RECORD_TYPE", field="a time", value=repr(value)[:60], kind="timestamp")


_CONVERTERS: Mapping[Kind, Callable[[Any], str]] = {
    "text": _text,
    "boolean": _boolean,
    "integer": _integer,
    "numeric": _numeric,
    "date": _date,
    "timestamp": _timestamp,
    "texts": _texts,
}


def _getter(column: Column) -> Callable[[Mapping[str, Any]], Any]:
    """A function that finds the column's value; the first source that is there wins."""
    if len(column.sources) == 1 and "." not in column.sources[0]:
        name = column.sources[0]
        return lambda record: record.get(name)
    paths = [source.split(".") for source in column.sources]

    def get(record: Mapping[str, Any]) -> Any:
        for path in paths:
            value = _walk(record, path)
            if value is not None:
                return value
        return None

    return get


def _walk(value: Any, path: list[str]) -> Any:
    for position, step in enumerate(path):
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step == "*":
            return [_walk(item, path[position + 1 :]) for item in value]
        elif isinstance(value, list) and step.isdigit():
            value = value[int(step)] if int(step) < len(value) else None
        else:
            return None
    return value
