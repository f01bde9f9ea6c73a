"""Findings about settings that belong to no single vendor."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from common.alerting import teams
from common.config import ChannelSettings, Finding, ScheduleSettings
from common.excerpt import MOST_OF_A_NAME, excerpt
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
    """Entities nobody knows. Whether the schedule fits into the budget is forecast (``daemon/forecast.py``)."""
    findings: list[Finding] = []
    for integration, account in served.items():
        if not scheduled_entities(schedule):
            facts = {"setting": "SYNC_ENTITIES", "problem": "not usable (it names none)"}
            expected = {"expected": ",".join(account.entry.entities)}
            findings.append(Finding("SETTING_INVALID", "error", facts | expected, integration, holds=True))
        unknown = [name for name in scheduled_entities(schedule) if name not in account.entry.entities]
        if unknown:
            facts = {
                "setting": "SYNC_ENTITIES",
                "problem": f"not usable (unknown: {excerpt(', '.join(unknown), MOST_OF_A_NAME)})",
                "expected": ",".join(account.entry.entities),
            }
            findings.append(Finding("SETTING_INVALID", "error", facts, integration, holds=True))
    return tuple(findings)


def scheduled_entities(schedule: ScheduleSettings) -> tuple[str, ...]:
    """The names in SYNC_ENTITIES."""
    return tuple(name.strip() for name in schedule.sync_entities.split(",") if name.strip())
