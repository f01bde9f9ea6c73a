"""Whether the schedule fits into the vendor's limits: forecast from the lists' sizes, as the last complete readings met
them."""

from __future__ import annotations

from common.config import Finding, ScheduleSettings
from common.rules.forecast import ListSize, Plan, busiest_hour, remedies
from common.store import passes
from common.store.database import Database
from daemon.checks import scheduled_entities
from daemon.integrations.base import Account


def over_budget(
    schedule: ScheduleSettings, integration: str, account: Account, database: Database | None, account_key: str = "main"
) -> tuple[Finding, ...]:
    """The finding that the schedule needs more than is allowed, with what would fit. Raises ``DatabaseAway``.

    Without a database, and for lists never read to their end, each counts as one page: less it can never be.
    """
    allowed = account.limits.most_an_hour
    if not schedule.auto_sync_enabled or allowed is None:
        return ()
    wanted = scheduled_entities(schedule)
    rows = passes.list_sizes(database, integration, account_key, wanted) if database is not None else []
    known = {row["entity"]: ListSize(row["total"], row["in_order"]) for row in rows}
    lists = tuple(known.get(entity, ListSize(None)) for entity in wanted)
    plan = Plan(lists, account.page_size, schedule.auto_sync_interval_minutes)
    needed = busiest_hour(plan)
    if needed <= allowed:
        return ()
    page_setting = f"{integration.upper()}_PAGE_SIZE"
    facts = {"needed": needed, "allowed": int(allowed), "remedy": remedies(plan, allowed, page_setting)}
    return (Finding("SCHEDULE_OVER_BUDGET", "warning", facts, integration),)
