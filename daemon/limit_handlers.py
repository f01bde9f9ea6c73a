"""What an admin may do about the pace: force the breaker, lower the limits, pause the schedule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from common.access import Action
from common.errors import Refused
from common.limit_wishes import checked
from common.rules.breaker import FORCED, Breaker, force
from common.rules.budget import BudgetLimits
from common.states import BreakerState
from common.store import accounts, breakers, budgets
from common.store.database import Database, Row
from daemon.account_voice import AccountVoice
from daemon.guard.breaker import transitions

ACTIONS = (Action.FORCE_BREAKER, Action.LOWER_LIMITS, Action.SCHEDULE)
_STATES = {"open": BreakerState.FORCED_OPEN, "closed": BreakerState.FORCED_CLOSED}


def act(database: Database, voice: AccountVoice, command: Row, limits: BudgetLimits) -> dict[str, Any]:
    """Do one of ``ACTIONS``; the result says what counts now. ``limits`` are those set. Raises ``Refused``."""
    account = (command["integration"], command["account_key"])
    wish = checked(command["action"], *account, command["payload"])
    if command["action"] == Action.FORCE_BREAKER:
        return _force(database, voice, account, wish, command["actor"])
    if command["action"] == Action.LOWER_LIMITS:
        _refuse_more(wish["to"], limits)
        return _lower(database, voice, account, wish, command["actor"])
    return _schedule(database, voice, account, wish, command["actor"])


def _force(
    database: Database, voice: AccountVoice, account: tuple[str, str], wish: Mapping[str, Any], by: str
) -> dict[str, Any]:
    wanted = _STATES.get(wish["state"])

    def rule(breaker: Breaker, now: float) -> tuple[Breaker, bool]:
        if wanted is None:
            return (Breaker(), True) if breaker.state in FORCED else (breaker, False)
        return force(wanted, until=now + wish["minutes"] * 60, by=by, reason=wish["reason"]), True

    course, done = breakers.decide(database, *account, rule)
    if not done:
        raise Refused("NOTHING_TO_LIFT", what="The circuit breaker is not forced")
    moved = transitions(course)
    for sentence, level in moved:
        lifted = f" (lifted by {by}: {wish['reason']})" if wanted is None else ""
        voice.event(level, "breaker", sentence + lifted)
    if not moved:  # forced again, for longer or shorter
        voice.event("info", "breaker", f"circuit breaker: still {course[-1].state}, by {by}: {wish['reason']}")
    return {"state": course[-1].state.value, "until": course[-1].forced_until}


def _refuse_more(to: Mapping[str, int], limits: BudgetLimits) -> None:
    """More than is set would do nothing but end a lowering that is in force."""
    for name, most in (("perMinute", limits.per_minute), ("perHour", limits.per_hour)):
        if most and to.get(name, 0) > most:
            raise Refused("VALUE_UNUSABLE", what=name, value=str(to[name]), expected=f"at most {most}, which is set")


def _lower(
    database: Database, voice: AccountVoice, account: tuple[str, str], wish: Mapping[str, Any], by: str
) -> dict[str, Any]:
    if wish["to"]:
        with database.transaction() as link:
            until = budgets.lower(link, *account, wish["to"], minutes=wish["minutes"], by=by, reason=wish["reason"])
        what = ", ".join(f"{name} {number}" for name, number in wish["to"].items())
        voice.event(
            "warn", "limits_lowered", f"limits lowered to {what} until {until:%H:%M} UTC by {by}: {wish['reason']}"
        )
        return {"to": dict(wish["to"]), "until": until.isoformat()}
    with database.transaction() as link:
        if not budgets.lift(link, *account):
            raise Refused("NOTHING_TO_LIFT", what="No limit is lowered")
    voice.event("info", "limits_lifted", f"limits count again as they are set, by {by}: {wish['reason']}")
    return {"to": {}}


def _schedule(
    database: Database, voice: AccountVoice, account: tuple[str, str], wish: Mapping[str, Any], by: str
) -> dict[str, Any]:
    paused, reason = wish["paused"], wish["reason"]
    with database.transaction() as link:
        moved = accounts.pause(link, *account, by=by, reason=reason) if paused else accounts.resume(link, *account)
    if not moved:
        raise Refused(
            "NOTHING_TO_LIFT", what="The schedule is paused already" if paused else "The schedule is not paused"
        )
    word = "paused" if paused else "goes on"
    voice.event("info", "schedule", f"the schedule {word}, by {by}: {reason}")
    return {"paused": paused}
