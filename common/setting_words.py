"""What is wrong with a setting, and what would be right: in the words of a person, not of a validator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic.fields import FieldInfo

_WRITTEN: Mapping[Any, str] = {bool: "true or false", int: "a whole number", float: "a number"}
"""How a value of a type is written."""


def problem_of(error: Any, field: FieldInfo) -> dict[str, str]:
    """The facts of a validation error: setting, problem, what is expected. Not the value: it may be a secret gone
    astray.
    """
    expected = _WRITTEN.get(field.annotation)
    if expected is None:
        expected = "a text in UTF-8" if error["type"] == "string_unicode" else _message(str(error["msg"]))
    return {
        "setting": str(error["loc"][0]).upper(),
        "problem": error.get("ctx", {}).get("problem", "not usable"),
        "expected": expected + _bounds(field),
    }


def _message(text: str) -> str:
    text = text.removeprefix("Value error, ").removeprefix("Input should be ")
    text = text.replace("String should have", "a text of")
    return text[0].lower() + text[1:]


def _bounds(field: FieldInfo) -> str:
    """Between what a number must lie, such as `` from 1 to 1000`` or `` above 0``; nothing for other settings."""
    bound = {name: getattr(one, name) for one in field.metadata for name in ("ge", "gt", "le") if hasattr(one, name)}
    if "ge" in bound:
        return f" from {bound['ge']}" + (f" to {bound['le']}" if "le" in bound else "")
    if "gt" in bound:
        return f" above {bound['gt']}" + (f" and at most {bound['le']}" if "le" in bound else "")
    return ""
