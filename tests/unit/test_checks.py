"""Findings about settings: the wrong address is named before any request is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import redact
from common.catalog import DOORLOOP
from common.config import ChannelSettings, DaemonSettings, ScheduleSettings
from common.rules.budget import BudgetLimits
from daemon.__main__ import _say
from daemon.checks import check_channels, check_schedule, scheduled_entities
from daemon.forecast import over_budget
from daemon.integrations.base import Account
from daemon.integrations.doorloop.account import DoorLoopAccount
from daemon.integrations.doorloop.checks import check_api_key, check_base_url, is_loopback


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://app.doorloop.com/api", None),
        ("https://app.doorloop.com/api/", None),
        ("https://APP.DOORLOOP.COM/api", None),
        ("http://127.0.0.1:9000/api", None),
        ("http://localhost:9000/api", None),
        ("http://[::1]:9000/api", None),
        ("https://stand-in.example/api", None),
        ("https://notdoorloop.com/v1", None),
        ("https://api.doorloop.com/v1", "BASE_URL_NOT_API"),
        ("https://api.doorloop.com/api", "BASE_URL_NOT_API"),
        ("https://app.doorloop.com", "BASE_URL_NOT_API"),
        ("https://app.doorloop.com/apis", "BASE_URL_NOT_API"),
        ("https://doorloop.com/", "BASE_URL_NOT_API"),
        ("http://stand-in.example/api", "BASE_URL_NOT_ENCRYPTED"),
        ("http://192.168.1.5/api", "BASE_URL_NOT_ENCRYPTED"),
        ("http://app.doorloop.com/api", "BASE_URL_NOT_ENCRYPTED"),
        ("app.doorloop.com/api", "SETTING_INVALID"),
        ("ftp://app.doorloop.com/api", "SETTING_INVALID"),
        ("https://", "SETTING_INVALID"),
        ("https://[::1/api", "SETTING_INVALID"),
        ("https://app.doorloop.com:99999/api", "SETTING_INVALID"),
        ("nonsense", "SETTING_INVALID"),
        ("https://user:word@app.doorloop.com/api", "SETTING_INVALID"),
        ("https://token@app.doorloop.com/api", "SETTING_INVALID"),
        ("https://app.doorloop.com/api#docs", "SETTING_INVALID"),
        ("https://app.doorloop.com/api?key=x", "SETTING_INVALID"),
        ("https://app.doorloop.com/ api", "SETTING_INVALID"),
        ("https://app.doorlo\u043ep.com/api", "SETTING_INVALID"),
    ],
)
def test_an_address_that_cannot_be_right_is_a_finding(url: str, code: str | None) -> None:
    """Docs host, app host without /api, plain http to another machine, no address: each with its cure."""
    finding = check_base_url(url)
    assert (finding.code if finding else None) == code
    if finding:
        assert finding.holds
        assert finding.integration == "doorloop"
        assert "DOORLOOP_BASE_URL" in finding.cause + finding.remedy
        assert "?" not in finding.cause + finding.remedy


@given(st.text(max_size=30) | st.text(max_size=20).map(lambda text: "https://" + text))
def test_any_address_gets_an_answer(url: str) -> None:
    """A wrong vendor setting starts the daemon all the same: no text makes the check itself fail."""
    check_base_url(url)
    check_channels(ChannelSettings(integrations_teams_webhook=url))


@pytest.mark.parametrize(
    ("host", "expected"),
    [("localhost", True), ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("10.0.0.1", False), ("x", False)],
)
def test_loopback_is_this_machine_only(host: str, expected: bool) -> None:
    """Plain http is accepted for loopback only."""
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ("key", "usable"),
    [
        ("eyJhbGci.eyJzdWIi.c2ln", True),
        ("abc-123", True),
        ("two words", False),
        ("line\nbreak", False),
        ("ключ", False),
    ],
)
def test_a_key_that_no_header_can_carry_is_a_finding(key: str, usable: bool) -> None:
    """A key pasted badly is said so at start; the key itself is not told."""
    finding = check_api_key(key)
    assert (finding is None) is usable
    if finding:
        assert finding.holds
        assert key not in str(finding.as_record())


@pytest.mark.parametrize(
    ("webhook", "code"),
    [
        (None, None),
        ("https://prod-1.westeurope.logic.azure.com:443/workflows/x", None),
        ("https://default1.environment.api.powerplatform.com/x", None),
        ("https://firm.webhook.office.com/webhookb2/x", "WEBHOOK_RETIRED"),
        ("https://outlook.office.com/webhook/x", "WEBHOOK_RETIRED"),
        ("https://notoutlook.office.com/webhook/x", "WEBHOOK_UNUSABLE"),
        ("http://prod-1.logic.azure.com/x", "WEBHOOK_UNUSABLE"),
        ("https://example.com/hook", "WEBHOOK_UNUSABLE"),
        ("https://evil-logic.azure.com.example/x", "WEBHOOK_UNUSABLE"),
        ("https://[/x", "WEBHOOK_UNUSABLE"),
        ("nonsense", "WEBHOOK_UNUSABLE"),
    ],
)
def test_the_webhooks_address_is_judged_without_calling_it(webhook: str | None, code: str | None) -> None:
    """Retired connectors and other people's servers are findings; the address itself is in none of them."""
    findings = check_channels(ChannelSettings(integrations_teams_webhook=webhook))
    assert [finding.code for finding in findings] == ([code] if code else [])
    for finding in findings:
        assert str(webhook) not in str(finding.as_record())
        assert not finding.holds


@dataclass
class Served:
    """As much of an account as the schedule's checks look at."""

    limits: BudgetLimits
    page_size: int = 100
    entry: Any = DOORLOOP


def schedule_findings(per_hour: int, **settings: Any) -> list[tuple[str, dict[str, Any]]]:
    """What is found about a schedule."""
    account = cast("Account", Served(BudgetLimits(per_hour=per_hour)))
    found = check_schedule(ScheduleSettings(**settings), {"doorloop": account})
    return [(finding.code, finding.facts) for finding in found]


def forecast(limits: BudgetLimits, page_size: int = 100, **settings: Any) -> list[tuple[str, dict[str, Any]]]:
    """What is forecast without a database."""
    account = cast("Account", Served(limits, page_size=page_size))
    found = over_budget(ScheduleSettings(**settings), "doorloop", account, None)
    return [(finding.code, finding.facts) for finding in found]


def test_a_schedule_that_fits_is_not_mentioned() -> None:
    """Ten minutes, five entities: 36 requests an hour of 500. No limit, or no schedule: nothing to say."""
    assert forecast(BudgetLimits(per_hour=500), auto_sync_enabled=True) == []
    assert forecast(BudgetLimits(), auto_sync_enabled=True, auto_sync_interval_minutes=1) == []
    assert forecast(BudgetLimits(per_hour=5), auto_sync_enabled=False) == []


def test_with_no_totals_known_only_what_is_certain_is_said() -> None:
    """A request per entity and one for whose account it is, each minute: that many it needs in any case."""
    ((code, facts),) = forecast(BudgetLimits(per_hour=100), auto_sync_enabled=True, auto_sync_interval_minutes=1)
    assert code == "SCHEDULE_OVER_BUDGET"
    assert facts == {"needed": 360, "allowed": 100, "remedy": "Set AUTO_SYNC_INTERVAL_MINUTES=4."}
    ((_, facts),) = forecast(BudgetLimits(per_minute=1), auto_sync_enabled=True, auto_sync_interval_minutes=1)
    assert facts["allowed"] == 60


def test_an_unknown_entity_holds_the_schedule() -> None:
    """SYNC_ENTITIES with a typo: named, with what is known."""
    ((code, facts),) = schedule_findings(500, sync_entities="owners, tennants ,,units")
    assert code == "SETTING_INVALID"
    assert "tennants" in facts["problem"]
    assert scheduled_entities(ScheduleSettings(sync_entities="owners, units ,,")) == ("owners", "units")


def test_what_is_told_of_a_pasted_setting_is_short_and_stays_in_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever stands in SYNC_ENTITIES: no page of text, and nothing that turns or forges a line of the terminal."""
    account = cast("Account", Served(BudgetLimits()))
    pasted = ScheduleSettings(sync_entities="a\u202eb\x1b[2Jc\nerror   FORGED," + "x" * 5_000)
    (finding,) = check_schedule(pasted, {"doorloop": account})
    assert len(finding.cause) < 200
    _say(finding)
    said = capsys.readouterr().out
    assert said.count("\n") == 2
    assert not set(said) & set("\u202e\x1b")


def test_a_schedule_of_nothing_holds_itself() -> None:
    """Commas alone name no entity, and none named used to mean all."""
    ((code, facts),) = schedule_findings(500, sync_entities=" , ,")
    assert (code, facts["setting"]) == ("SETTING_INVALID", "SYNC_ENTITIES")


def account_of(database_url: str | None = None, **values: str) -> DoorLoopAccount:
    """A DoorLoop account from the environment's values."""
    settings = DaemonSettings(database_url=database_url, icc_drill=values.pop("icc_drill", "0") == "1")
    return DoorLoopAccount(values, settings)


def test_without_a_key_the_drill_stands_in_where_it_may() -> None:
    """On the embedded database or with ICC_DRILL=1; elsewhere a missing key holds the schedule."""
    outside = "postgresql://h/db"
    assert [finding.code for finding in account_of().findings] == ["DRILL_DATA"]
    assert [finding.code for finding in account_of(outside, icc_drill="1").findings] == ["DRILL_DATA"]
    (missing,) = account_of(outside).findings
    assert (missing.code, missing.holds) == ("KEY_MISSING", True)
    assert account_of().source_kind == "drill"
    assert account_of(doorloop_api_key="k" * 20).source_kind == "live"


def test_the_drill_has_no_limits_but_those_that_were_set() -> None:
    """A demo is quick; an operator's rehearsal with limits is possible; the real vendor's limits always hold."""
    assert account_of().limits.unlimited
    assert account_of(doorloop_rate_limit_per_minute="7").limits == BudgetLimits(per_minute=7)
    assert account_of(doorloop_api_key="k" * 20).limits == BudgetLimits(per_second=4, per_minute=50, per_hour=500)
    assert account_of(doorloop_api_key="k" * 20, doorloop_rate_limit_rps="0").limits.per_second == 0


def test_what_is_published_shows_no_key() -> None:
    """The Config card gets every setting by its variable name, the key as its shape only."""
    account = account_of(doorloop_api_key="dl-live-0123456789")
    shown = account.published()
    assert "dl-live-0123456789" not in str(shown)
    assert shown["DOORLOOP_API_KEY"] == "set (18 characters, …89)"
    assert shown["DOORLOOP_BASE_URL"] == "https://app.doorloop.com/api"
    assert shown["mode"] == "live"
    assert account.secrets == ("dl-live-0123456789",)


@pytest.mark.parametrize(("length", "told"), [(1, True), (15, True), (16, False)])
def test_a_key_that_could_not_be_hidden_is_told(length: int, told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Law 10: a key as short as a word is in records by chance, so it is let stand there; that is said aloud."""
    monkeypatch.setattr(redact, "_credentials", redact._Held(str.lower))
    monkeypatch.setattr(redact, "_telling", redact._Held(str.lower))
    key = "kQ7zkQ7zkQ7zkQ7z"[:length]
    found = account_of(doorloop_api_key=key).findings
    assert [(one.code, one.severity, one.holds) for one in found] == [("SETTING_INVALID", "warning", False)] * told
    redact.keep_out_of_data(key)
    assert redact.is_in_data(f"a {key}") is not told
    assert account_of(doorloop_api_key=key, doorloop_base_url="http://127.0.0.1:9000/api").findings == ()


def test_a_wrong_address_and_a_wrong_key_are_both_found() -> None:
    """One finding does not hide another."""
    found = account_of(doorloop_api_key="two words", doorloop_base_url="https://api.doorloop.com").findings
    assert [finding.code for finding in found] == ["BASE_URL_NOT_API", "SETTING_INVALID"]
