"""Judges a block by our own budget anew, so that it ends when the limits do: raised at a restart, or no longer lowered.

What the vendor asked for stands; only BUDGET_SPENT is ours to judge.
"""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from common.rules.budget import BudgetLimits, ask
from common.store import budgets
from common.store.database import Database
from daemon.integrations.base import Account

log = structlog.get_logger("budget")
WORTH_MOVING_SECONDS = 1.0
MAIN = "main"


class Blocks:
    """``run_once`` is one turn; it returns the integrations whose block was moved."""

    def __init__(self, database: Database, served: Mapping[str, Account]) -> None:
        self._database = database
        self._served = served

    def run_once(self) -> list[str]:
        """Let every block end as soon as a run would get a permit; none is made longer."""
        return [name for name, account in self._served.items() if self._judge(name, account.limits)]

    def _judge(self, integration: str, base: BudgetLimits) -> bool:
        with self._database.transaction() as link:
            block = budgets.blocked_by_us(link, integration, MAIN)
            if block is None:
                return False
            now = block["now"]
            limits = budgets.as_lowered(block["lowered_to"]).limits(base)
            until = now + ask(block["windows"], limits, permit="", now=now, flight_seconds=0).wait_seconds
            if until > block["blocked_epoch"] - WORTH_MOVING_SECONDS:
                return False
            budgets.move_block(link, integration, MAIN, block, until)
        log.info("a block by our own budget ends earlier", integration=integration, seconds=round(until - now))
        return True
