"""What an admin has changed about the pace for a while: a forced breaker, lowered limits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from common.rules.budget import Lowered
from common.store.budgets import as_lowered
from common.store.database import Row

FORCED_STATES = ("forced_open", "forced_closed")


@dataclass(frozen=True)
class Forced:
    """The circuit breaker as an admin wants it."""

    state: str
    by: str
    until: datetime
    reason: str


@dataclass(frozen=True)
class LoweredLimits:
    """What an admin allows instead of what is set; None leaves a limit as it is."""

    to: Lowered
    by: str
    until: datetime
    reason: str


def forced(row: Row) -> Forced | None:
    """From a row of the statement `account`."""
    if row.get("breaker_state") not in FORCED_STATES:
        return None
    return Forced(row["breaker_state"], row["forced_by"], row["forced_until"], row["forced_reason"])


def lowered(row: Row) -> LoweredLimits | None:
    """From a row of the statement `account`."""
    if not row.get("lowered_until"):
        return None
    return LoweredLimits(as_lowered(row["lowered_to"]), row["lowered_by"], row["lowered_until"], row["lowered_reason"])
