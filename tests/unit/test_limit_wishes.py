"""Wishes about pace: nonsense is refused in words, whoever asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from common.access import Action
from common.errors import Refused
from common.limit_wishes import checked, force_breaker_wish, lower_limits_wish, schedule_wish
from common.wishes import Wish


def test_each_wish_holds_what_it_needs_and_no_more() -> None:
    """The payload is what is sealed, logged and done."""
    forced = force_breaker_wish("doorloop", state="open", minutes=30, reason="  vendor\nis  down ")
    assert (forced.action, forced.payload) == (
        Action.FORCE_BREAKER,
        {"state": "open", "minutes": 30, "reason": "vendor is down"},
    )
    lifted = force_breaker_wish("doorloop", state="none", minutes=30, reason="over")
    assert lifted.payload == {"state": "none", "reason": "over"}
    lowered = lower_limits_wish("doorloop", to={"perMinute": 10, "perHour": None}, minutes=5, reason="r")
    assert (lowered.action, lowered.payload) == (
        Action.LOWER_LIMITS,
        {"to": {"perMinute": 10}, "minutes": 5, "reason": "r"},
    )
    assert lower_limits_wish("doorloop", to={}, reason="r").payload == {"to": {}, "reason": "r"}
    paused = schedule_wish("doorloop", paused=True, reason="r")
    assert (paused.action, paused.payload) == (Action.SCHEDULE, {"paused": True, "reason": "r"})


@pytest.mark.parametrize("reason", [None, "", "  \n ", 7])
def test_without_a_reason_nothing_is_wished(reason: Any) -> None:
    """An admin says why."""
    wishes: list[Callable[[], Wish]] = [
        lambda: force_breaker_wish("doorloop", state="open", minutes=1, reason=reason),
        lambda: lower_limits_wish("doorloop", to={"perHour": 1}, minutes=1, reason=reason),
        lambda: schedule_wish("doorloop", paused=True, reason=reason),
    ]
    for wish in wishes:
        with pytest.raises(Refused) as refusal:
            wish()
        assert refusal.value.code == "REASON_MISSING"


@pytest.mark.parametrize("minutes", [None, 0, -5, 1.5, "10", True, 10_081, 10**400])
def test_a_force_or_a_lowering_has_an_end(minutes: Any) -> None:
    """At least a minute, at most a week: nothing stays lowered because somebody forgot it."""
    with pytest.raises(Refused) as refusal:
        force_breaker_wish("doorloop", state="closed", minutes=minutes, reason="r")
    assert refusal.value.code == "VALUE_UNUSABLE"
    assert "minutes" in refusal.value.cause
    with pytest.raises(Refused):
        lower_limits_wish("doorloop", to={"perHour": 1}, minutes=minutes, reason="r")


@pytest.mark.parametrize(
    "to", [{"perMinute": 0}, {"perMinute": -1}, {"perDay": 5}, {"concurrency": 17}, {"perHour": "x"}, {"perHour": True}]
)
def test_only_numbers_that_mean_something(to: dict[str, Any]) -> None:
    """Zero would be "no limit" in the settings, and no request at all here: it is neither."""
    with pytest.raises(Refused) as refusal:
        lower_limits_wish("doorloop", to=to, minutes=5, reason="r")
    assert refusal.value.code == "VALUE_UNUSABLE"


def test_an_unknown_integration_or_state_is_refused() -> None:
    """With what would be accepted."""
    with pytest.raises(Refused) as refusal:
        schedule_wish("dorloop", paused=True, reason="r")
    assert refusal.value.code == "UNKNOWN_INTEGRATION"
    with pytest.raises(Refused) as refusal:
        force_breaker_wish("doorloop", state="ajar", minutes=1, reason="r")
    assert "open, closed, none" in refusal.value.remedy


@pytest.mark.parametrize("action", [Action.FORCE_BREAKER, Action.LOWER_LIMITS, Action.SCHEDULE])
@pytest.mark.parametrize("payload", [{}, {"to": 5, "reason": "r"}, {"state": ["open"], "reason": None, "paused": 1}])
def test_a_command_with_nonsense_is_refused_by_the_daemon_too(action: Action, payload: dict[str, Any]) -> None:
    """The daemon puts a payload through the same constructor; it never meets a KeyError."""
    with pytest.raises(Refused):
        checked(action, "doorloop", "main", payload)
