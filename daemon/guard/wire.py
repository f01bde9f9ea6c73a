"""A list as it comes over the wire: its envelope opened, its records not yet.

Most records are the same at every reading, and their bytes tell so: a record is opened only when these are new. An
envelope that is not quite one is left to the plain parser, which says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import orjson

from daemon.guard.answers import is_beyond_floats, loads


class Envelope(msgspec.Struct):
    """A list's answer; ``total`` is whatever came under that name."""

    data: list[msgspec.Raw]
    total: Any = None


class Head(msgspec.Struct, gc=False, rename={"updated_at": "updatedAt", "created_at": "createdAt"}):
    """What is read of every record without opening it."""

    id: Any = None
    updated_at: Any = None
    created_at: Any = None


_ENVELOPE = msgspec.json.Decoder(Envelope)
_HEAD = msgspec.json.Decoder(Head)
_UNUSUAL = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def open_list(body: bytes) -> Any:
    """An ``Envelope``, or the JSON it is instead. Raises ``ValueError`` when it is none."""
    try:
        return _ENVELOPE.decode(body)
    except _UNUSUAL:
        return loads(body)


def head(record: msgspec.Raw) -> Head | None:
    """The head of an unopened record; None when it has to be opened to be understood."""
    try:
        return _HEAD.decode(record)
    except _UNUSUAL:
        return None


def heads_of(records: Sequence[msgspec.Raw]) -> list[Head] | None:
    """The heads of a page's records; None when one of them has to be opened."""
    try:
        return [_HEAD.decode(record) for record in records]
    except _UNUSUAL:
        return None


def opened(record: Any) -> Any:
    """A record as JSON values, exactly (``loads``). Raises ``ValueError`` for one that is no JSON after all."""
    return loads(bytes(record)) if isinstance(record, msgspec.Raw) else record


def opened_plainly(record: msgspec.Raw) -> tuple[Any, str] | None:
    """A record and its text as it came; None when there is anything in it that Postgres, COPY or orjson may mind.

    Without a backslash there is no escape in it, and so no NUL, no half of a surrogate pair, no quote within a text.
    """
    data = bytes(record)
    if b"\\" in data or b"\n" in data or b"\t" in data or b"\r" in data or is_beyond_floats(data):
        return None
    try:
        return orjson.loads(data), data.decode()
    except ValueError:
        return None
