"""From a vendor's record to its id, its hash and its JSON as Postgres can hold it; or to the reason why not (law 3).

The hash is of the bytes that the record came in: while they are the same, nothing in it is looked at. Whether other
bytes say the same (another order of keys) is for Postgres to compare.

Text that Postgres cannot hold (NUL, lone surrogates) is escaped reversibly and flagged ``_raw_escaped``: backslashes
are doubled, the character becomes ``\\u0000`` or ``\\udXXX`` in plain letters.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import orjson
from msgspec import Raw

from common import redact
from common.errors import BadRecord
from common.rules.holdable import holdable, holdable_tree
from daemon.guard.answers import NotANumber, TooDeep
from daemon.guard.wire import head, opened, opened_plainly
from daemon.sync import values

HASH_BYTES = 16
MOST_ID_BYTES = 1000
"""A longer id fits no index (a third of a page, 2704 bytes, beside the account key), among rows and letters alike."""


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


def digest_of(record: Any) -> bytes:
    """The hash of a record's bytes."""
    return hashlib.blake2b(record, digest_size=HASH_BYTES).digest()


def arrived(record: Any) -> tuple[Arrived, Stamps]:
    """A record by its head, and its stamps. Raises ``BadRecord``."""
    if isinstance(record, Raw):
        found = head(record)
        if found is not None:
            record_id = as_id(found.id)
            if record_id is not None:
                digest = digest_of(record)
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
    digest = digest_of(dumped)
    return Prepared(record_id, digest, dumped.decode(), record, escaped)


def usable_id(record: Any) -> str | None:
    """The record's id as text, None when it has none that could tell it from others."""
    return as_id(record.get("id")) if isinstance(record, dict) else None


def is_plain_id(value: Any) -> bool:
    """Whether there is nothing to look at in it, but for our own key: nearly every id."""
    return value.__class__ is str and len(value) < 100 and value.isalnum()


def as_id(value: Any) -> str | None:
    """It as the text of an id, None when it could tell no record from others or is our own key."""
    if is_plain_id(value):
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
