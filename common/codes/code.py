"""What one entry of the catalogue says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Outcome = Literal[
    "start refused",
    "finding",
    "retried",
    "run failed",
    "run deferred",
    "run stopped",
    "run interrupted",
    "run incomplete",
    "entity forbidden",
    "entity failed",
    "entity partial",
    "warning",
    "record put aside",
    "refused",
    "ends without writing",
]


@dataclass(frozen=True)
class Code:
    """One thing that can go wrong. ``private``: facts that may quote a vendor's record, so that only admins read them."""

    key: str
    outcome: Outcome
    cause: str
    remedy: str
    private: frozenset[str] = frozenset()

    def cause_with(self, facts: Mapping[str, Any]) -> str:
        """The cause with its facts filled in."""
        return self.cause.format_map(defaultdict(lambda: "?", facts))

    def remedy_with(self, facts: Mapping[str, Any]) -> str:
        """The remedy with its facts filled in."""
        return self.remedy.format_map(defaultdict(lambda: "?", facts))
