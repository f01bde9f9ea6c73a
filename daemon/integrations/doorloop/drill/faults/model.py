"""What a fault is: its key, the stage at which it acts, the sentence an operator reads, and its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Stage = Literal["delivery", "answer", "page", "record", "envelope", "body", "identity"]
Kind = Literal["integer", "number", "text", "boolean", "list", "map"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One setting of a fault. Names hold the unit; `choices` limits a text."""

    name: str
    kind: Kind
    default: Any
    description: str
    choices: tuple[str, ...] = ()

    def read(self, value: Any) -> Any:
        """Return a value in this parameter's type.

        Raises:
            ValueError: with a sentence that names the parameter.
        """
        if value is None:
            return self.default
        if self.kind == "text" and isinstance(value, int | float) and not isinstance(value, bool):
            value = str(value)
        if self.choices and value not in self.choices:
            raise ValueError(f"{self.name} must be one of {', '.join(self.choices)}, not {value!r}.")
        if not _fits(self.kind, value):
            raise ValueError(f"{self.name} must be of kind {self.kind}, not {value!r}.")
        return value


@dataclass(frozen=True, slots=True)
class Fault:
    """One entry of the catalogue. Requests for pages before `first_page` are none it could strike."""

    key: str
    stage: Stage
    description: str
    parameters: tuple[Parameter, ...] = ()
    first_page: int = 1


def _fits(kind: Kind, value: Any) -> bool:
    if kind == "boolean":
        return isinstance(value, bool)
    if isinstance(value, bool):
        return False
    if kind == "integer":
        return isinstance(value, int) and value >= -1_000_000_000
    types: Mapping[Kind, Any] = {"number": (int, float), "text": str, "list": list, "map": dict}
    return isinstance(value, types[kind])


def parameter(
    name: str, default: Any, description: str, *, kind: Kind | None = None, choices: tuple[str, ...] = ()
) -> Parameter:
    """Return a parameter whose kind follows from its default unless given."""
    kinds: dict[type, Kind] = {bool: "boolean", int: "integer", float: "number", str: "text", list: "list", dict: "map"}
    return Parameter(name, kind or kinds[type(default)], default, description, choices)


# What every fault takes besides its own parameters.
COMMON = (
    parameter(
        "entity", "all", "owners, properties, units, leases, tenants, users, or several with commas; all for every path"
    ),
    parameter("after_requests", 0, "matching requests that pass before it starts"),
    parameter("times", None, "requests it strikes before it rests; empty for no end", kind="integer"),
    parameter("probability", 1.0, "share of matching requests it strikes, 0 to 1, by the drill's seed"),
    parameter("only_page", None, "the one page_number it strikes; empty for all", kind="integer"),
)
