"""From a vendor's value to a column's text as Postgres reads it, by the column's kind; or an error (law 3).

Every converter returns the text, not yet escaped for COPY, or None for what is empty. What cannot be converted raises
``BadRecord``, ``ValueError``, ``TypeError``, ``OverflowError`` or ``InvalidOperation``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from common.errors import BadRecord
from common.excerpt import value_in_words
from daemon.integrations.base import Kind

UNCONVERTIBLE = (BadRecord, ValueError, TypeError, OverflowError, InvalidOperation)
_UNIX_TIME = re.compile(r"^-?[0-9]{9,13}(\.[0-9]+)?$")  # eight digits are a day: 20200131
_DAY = re.compile(r"^\d{4}-\d{2}-\d{2}(?=$|[T ])")
_PLAIN_UTC = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(?:\.[0-9]{3,6})?Z")
# Many are compared in a translation: a third of what a regular expression took for a page (measured).
_DIGITS = bytes.maketrans(b"123456789", b"0" * 9)
_PLAIN = b"0000-00-00T00:00:00.000Z"
_MOST_DIGITS = 18  # of a bigint, less one
_FIRST_MILLISECOND = 100_000_000_000  # larger Unix times are milliseconds: as seconds they would be the year 5138


def text(value: Any) -> str:
    """Text as it is; scalars in words."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        return str(value)
    raise TypeError


def boolean(value: Any) -> str | None:
    """Both spellings that vendors use."""
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
        return None
    raise ValueError


def numeric(value: Any) -> str | None:
    """Every digit of it."""
    if isinstance(value, bool):
        raise TypeError
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        if not value.strip():
            return None
        value = Decimal(value.strip())
    if not isinstance(value, Decimal) or not value.is_finite():
        raise TypeError
    return str(value)


def integer(value: Any) -> str | None:
    """A whole number that fits a bigint."""
    number = numeric(value)
    if number is None:
        return None
    whole = Decimal(number)
    if whole.adjusted() > _MOST_DIGITS or whole != whole.to_integral_value():
        raise ValueError  # judged by its exponent first: 1E+999999999 written out would fill the memory
    return str(int(whole))


def day(value: Any) -> str | None:
    """A day; of a written moment the day as written, since a vendor's dates are the company's own; else that in UTC."""
    if isinstance(value, str):
        if len(value) == 10 and value[4] == value[7] == "-":  # nearly every one
            date.fromisoformat(value)  # for its ValueError: the text itself is what Postgres reads
            return value
        if not value.strip():
            return None
        if _DAY.match(value):
            return datetime.fromisoformat(value.strip()).date().isoformat()  # what stands behind the day is a time
        if not _UNIX_TIME.match(value.strip()):
            raise ValueError
    moment = parse_moment(value)
    return None if moment is None else moment.date().isoformat()


def timestamp(value: Any) -> str | None:
    """A moment."""
    if value.__class__ is str and _PLAIN_UTC.fullmatch(value):
        datetime.fromisoformat(value)  # for its ValueError: the text itself is what Postgres reads
        return str(value)
    moment = parse_moment(value)
    return None if moment is None else moment.isoformat()


def are_written_alike(stamps: Sequence[Any]) -> bool:
    """Whether all are texts like ``2026-11-01T10:00:00.000Z``; some may be no day of the calendar."""
    try:
        return "".join(stamps).encode("ascii").translate(_DIGITS) == _PLAIN * len(stamps)
    except (TypeError, UnicodeEncodeError):  # one is no text
        return False


def are_plain_moments(stamps: Sequence[Any]) -> bool:
    """Whether Postgres reads each of them as it stands."""
    try:
        return are_written_alike(stamps) and all(map(datetime.fromisoformat, stamps))
    except ValueError:
        return False


def texts(value: Any) -> str:
    """An array of texts or of the ids of objects, as an array literal."""
    items = value if isinstance(value, list) else [value]
    found = [_item(item) for item in items if item is not None and item != ""]
    return "{" + ",".join('"' + item.replace("\\", "\\\\").replace('"', '\\"') + '"' for item in found) + "}"


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
        if value.__class__ is str and value[-1] == "Z" and value[0].isdigit():  # nearly every one
            return datetime.fromisoformat(value)
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
    raise BadRecord("RECORD_TYPE", field="a time", value=value_in_words(value), kind="timestamp")


CONVERTERS: Mapping[Kind, Callable[[Any], str | None]] = {
    "text": text,
    "boolean": boolean,
    "integer": integer,
    "numeric": numeric,
    "date": day,
    "timestamp": timestamp,
    "texts": texts,
}
