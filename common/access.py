"""Who may do what: roles × actions. One table, read by the gate; buttons only mirror it. And who may read how much."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What a person or token is allowed."""

    VIEWER = "viewer"
    ADMIN = "admin"


class Sight(StrEnum):
    """How much of what vendors' records hold somebody may read: all of it, or its shape with the values masked."""

    WHOLE = "whole"
    MASKED = "masked"


def sight_of(role: Role | None) -> Sight:
    """What this role may read: only an admin reads payloads, answers' bodies and personal fields."""
    return Sight.WHOLE if role is Role.ADMIN else Sight.MASKED


class Action(StrEnum):
    """What can be asked of the daemon. The words stand in ``control.commands.action`` and in the audit log."""

    RUN = "run"
    STOP = "stop"
    PING = "ping"
    CHECK = "check"
    CONFIRM = "confirm"
    FORGET_DRILL = "forget_drill"
    REQUEUE = "requeue"
    DISCARD = "discard"
    CANCEL_BULK = "cancel_bulk"
    FORCE_BREAKER = "force_breaker"
    LOWER_LIMITS = "lower_limits"
    SCHEDULE = "schedule"
    TEST_ALERT = "test_alert"


_PERMITTED: dict[Action, frozenset[Role]] = {
    Action.RUN: frozenset({Role.ADMIN}),
    Action.STOP: frozenset({Role.ADMIN}),
    Action.PING: frozenset({Role.ADMIN}),
    Action.CHECK: frozenset({Role.ADMIN}),
    Action.CONFIRM: frozenset({Role.ADMIN}),
    Action.FORGET_DRILL: frozenset({Role.ADMIN}),
    Action.REQUEUE: frozenset({Role.ADMIN}),
    Action.DISCARD: frozenset({Role.ADMIN}),
    Action.CANCEL_BULK: frozenset({Role.ADMIN}),
    Action.FORCE_BREAKER: frozenset({Role.ADMIN}),
    Action.LOWER_LIMITS: frozenset({Role.ADMIN}),
    Action.SCHEDULE: frozenset({Role.ADMIN}),
    Action.TEST_ALERT: frozenset({Role.ADMIN}),
}


def may(role: Role | None, action: Action) -> bool:
    """Whether this role may do this. Closed by default: no role, or an action without an entry, may not."""
    return role is not None and role in _PERMITTED.get(action, frozenset())
