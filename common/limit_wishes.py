"""Wishes about pace: force the circuit breaker, lower the limits, pause the schedule. Each gives its reason.

The daemon puts a command's payload through the same constructors, so that nonsense is refused wherever it comes from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from common.access import Action
from common.errors import Refused
from common.excerpt import excerpt
from common.wishes import Wish, catalog_entry

FORCES = ("open", "closed", "none")
MOST_MINUTES = 7 * 24 * 60
MOST_REQUESTS = 1_000_000
MOST_CONNECTIONS = 16
MOST_REASON_CHARACTERS = 500
LOWERABLE = {"perMinute": MOST_REQUESTS, "perHour": MOST_REQUESTS, "concurrency": MOST_CONNECTIONS}
"""What may be lowered, by its name in the payload, and the most that makes sense."""


def force_breaker_wish(
    integration: str, *, state: str, minutes: int | None = None, reason: str | None, account_key: str = "main"
) -> Wish:
    """Hold every run back (``open``), let every request through (``closed``), or lift a force (``none``, no minutes).

    Raises ``Refused`` for nonsense.
    """
    if state not in FORCES:
        raise Refused("VALUE_UNUSABLE", what="state", value=_shown(state), expected=f"one of {', '.join(FORCES)}")
    payload: dict[str, Any] = {"state": state, "reason": _reason(reason)}
    if state != "none":
        payload["minutes"] = _whole("minutes", minutes, MOST_MINUTES)
    return _wish(Action.FORCE_BREAKER, integration, account_key, payload)


def lower_limits_wish(
    integration: str,
    *,
    to: Mapping[str, Any],
    minutes: int | None = None,
    reason: str | None,
    account_key: str = "main",
) -> Wish:
    """Allow less than is set, for so long: ``to`` holds some of ``LOWERABLE``. An empty one lifts what was lowered.

    Raises ``Refused`` for nonsense.
    """
    wanted = {name: value for name, value in to.items() if value is not None}
    unknown = [name for name in wanted if name not in LOWERABLE]
    if unknown:
        raise Refused(
            "VALUE_UNUSABLE", what="limit", value=_shown(unknown[0]), expected=f"one of {', '.join(LOWERABLE)}"
        )
    lowered = {name: _whole(name, value, LOWERABLE[name]) for name, value in wanted.items()}
    payload: dict[str, Any] = {"to": lowered, "reason": _reason(reason)}
    if lowered:
        payload["minutes"] = _whole("minutes", minutes, MOST_MINUTES)
    return _wish(Action.LOWER_LIMITS, integration, account_key, payload)


def schedule_wish(integration: str, *, paused: bool, reason: str | None, account_key: str = "main") -> Wish:
    """Pause what starts by itself, or let it go on. Raises ``Refused`` for nonsense."""
    if not isinstance(paused, bool):  # whoever leaves it out must not let the schedule go on by that
        raise Refused("VALUE_UNUSABLE", what="paused", value=_shown(paused), expected="true or false")
    return _wish(Action.SCHEDULE, integration, account_key, {"paused": paused, "reason": _reason(reason)})


def checked(action: str, integration: str, account_key: str, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """A command's payload, put through its constructor. Raises ``Refused``."""
    reason = payload.get("reason")
    if action == Action.FORCE_BREAKER:
        wish = force_breaker_wish(
            integration,
            state=payload.get("state", ""),
            minutes=payload.get("minutes"),
            reason=reason,
            account_key=account_key,
        )
    elif action == Action.LOWER_LIMITS:
        to = payload.get("to")
        wish = lower_limits_wish(
            integration,
            to=to if isinstance(to, Mapping) else {"to": to},
            minutes=payload.get("minutes"),
            reason=reason,
            account_key=account_key,
        )
    else:
        paused: Any = payload.get("paused")
        wish = schedule_wish(integration, paused=paused, reason=reason, account_key=account_key)
    return wish.payload


def _wish(action: Action, integration: str, account_key: str, payload: Mapping[str, Any]) -> Wish:
    catalog_entry(integration)
    return Wish(action, integration, account_key, payload)


def _reason(reason: Any) -> str:
    text = " ".join(reason.split()) if isinstance(reason, str) else ""
    if not text:
        raise Refused("REASON_MISSING")
    return excerpt(text, MOST_REASON_CHARACTERS)


def _whole(what: str, value: Any, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise Refused("VALUE_UNUSABLE", what=what, value=_shown(value), expected=f"a whole number from 1 to {most}")
    return value


def _shown(value: Any) -> str:
    return "nothing" if value is None else excerpt(str(value))
