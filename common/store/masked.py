"""What leaves for the database as a message: without secrets, and with nothing in it that Postgres cannot hold.

A vendor's words get into messages (a key's name, a content type), so one NUL in them would fail the statement that
tells of it. What a vendor sent as data is kept reversibly instead (``common/rules/holdable.py``).
"""

from __future__ import annotations

from typing import Any

import orjson
from psycopg.types.json import Jsonb

from common.redact import mask, mask_value
from common.rules.holdable import spelled_out


def masked_text(text: str) -> str:
    """A text for a ``text`` column."""
    return str(spelled_out(mask(text)))


def masked_value(value: Any) -> Any:
    """Anything made of dicts, lists and scalars."""
    return spelled_out(mask_value(value))


def masked_dump(value: Any) -> str:
    """The same as JSON text. Nearly nothing has to be spelled out, and the text tells whether anything has."""
    masked = mask_value(value)
    try:
        text = orjson.dumps(masked).decode()
    except TypeError:  # half a surrogate pair
        text = "\\u0000"
    return orjson.dumps(spelled_out(masked)).decode() if "\\u0000" in text else text


def masked_json(value: Any) -> Jsonb:
    """The same for a ``jsonb`` column."""
    return Jsonb(masked_value(value))
