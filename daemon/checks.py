"""Findings about settings that belong to no single vendor."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from common.alerting import teams
from common.config import ChannelSettings, Finding, ScheduleSettings
from daemon.integrations.base import Account


def check_channels(channels: ChannelSettings) -> tuple[Finding, ...]:
    """The Teams webhook's address, judged without calling it (Teams fact sheet §1–2)."""
    webhook = channels.integrations_teams_webhook
    if webhook is None:
        return ()
    problem = teams.problem_with(webhook)
    if problem is not None:
        return (Finding("WEBHOOK_UNUSABLE", "error", {"problem": problem}),)
    host = (urlsplit(webhook).hostname or "").lower()
    if f".{host}".endswith(teams.RETIRED_HOSTS):
        return (Finding("WEBHOOK_RETIRED", "warning"),)
    if not host.endswith(teams.WORKFLOW_HOSTS):
        return (Finding("WEBHOOK_UNUSABLE", "warning", {"problem": "not an address of Teams Workflows"}),)
    return ()


def check_schedule(schedule: ScheduleSettings, served: Mapping[str, Account]) -> tuple[Finding, ...]:
    """Entities nobody knows, and a schedule that needs more requests than its vendor allows."""
    findings: list[Finding] = []
    for integration, account in served.items():
        unknown = [name for name in scheduled_entities(schedule) if name not in account.entry.entities]
        if unknown:
            facts = {
                "setting": "SYNC_ENTITIES",
                "problem": f"not usable (unknown: {', '.join(unknown)})",
                "expected": ",".join(account.entry.entities),
            }
            findings.append(Finding("SETTING_INVALID", "error", facts, integration, holds=True))
        findings.extend(_over_budget(schedule, integration, account))
    return tuple(findings)


def scheduled_entities(schedule: ScheduleSettings) -> tuple[str, ...]:
    """The names in SYNC_ENTITIES."""
    return tuple(name.strip() for name in schedule.sync_entities.split(",") if name.strip())


def _over_budget(schedule: ScheduleSettings, integration: str, account: Account) -> tuple[Finding, ...]:
    allowed = account.limits.per_hour
    # At best one request per entity and one for whose account it is; a real forecast needs the vendor's totals.
    per_run = len(scheduled_entities(schedule)) + 1
    needed = round(per_run * 60 / schedule.auto_sync_interval_minutes)
    if not schedule.auto_sync_enabled or not allowed or needed <= allowed:
        return ()
    facts = {"needed": needed, "allowed": allowed, "minutes": -(-per_run * 60 // allowed)}
    return (Finding("SCHEDULE_OVER_BUDGET", "warning", facts, integration),)
