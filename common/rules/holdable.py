"""Text that Postgres cannot hold, neither as ``text`` nor in jsonb: NUL and lone surrogates. Pure.

``holdable`` can be undone and keeps different texts different; it is for what a vendor sent. ``spelled_out`` leaves
everything else as it reads; it is for messages, which nobody turns back.
"""

from __future__ import annotations

import re
from typing import Any

_TO_ESCAPE = re.compile("[\\\\\x00\ud800-\udfff]")
_UNHOLDABLE = re.compile("[\x00\ud800-\udfff]")


def holdable(text: str) -> str:
    """Different texts stay different: backslashes are doubled whether or not there is anything else to escape."""
    return _TO_ESCAPE.sub(lambda found: "\\\\" if found[0] == "\\" else _spelling(found), text)


def holdable_tree(value: Any) -> Any:
    """The same for every key and text of a JSON value."""
    if isinstance(value, str):
        return holdable(value)
    if isinstance(value, dict):
        return {holdable_tree(key): holdable_tree(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [holdable_tree(inner) for inner in value]
    return value


def spelled_out(value: Any) -> Any:
    """A text, or anything made of dicts and lists, with plain letters for what cannot be held."""
    if isinstance(value, str):
        return _UNHOLDABLE.sub(_spelling, value)
    if isinstance(value, dict):
        return {spelled_out(key): spelled_out(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [spelled_out(inner) for inner in value]
    return value


def _spelling(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
