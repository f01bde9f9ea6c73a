"""Who may do what: roles × actions. One table, read by the gate; buttons only mirror it."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What a person or token is allowed."""

    VIEWER = "viewer"
    ADMIN = "admin"


class Action(StrEnum):
    """What can be asked of the daemon. The words stand in ``control.commands.action`` and in the audit log."""

    RUN = "run"
    STOP = "stop"
    PING = "ping"
    CHECK = "check"
    CONFIRM = "confirm"
    FORGET_DRILL = "forget_drill"
    TEST_ALERT = "test_alert"


_PERMITTED: dict[Action, frozenset[Role]] = {
    Action.RUN: frozenset({Role.ADMIN}),
    Action.STOP: frozenset({Role.ADMIN}),
    Action.PING: frozenset({Role.ADMIN}),
    Action.CHECK: frozenset({Role.ADMIN}),
    Action.CONFIRM: frozenset({Role.ADMIN}),
    Action.FORGET_DRILL: frozenset({Role.ADMIN}),
    Action.TEST_ALERT: frozenset({Role.ADMIN}),
}


def may(role: Role | None, action: Action) -> bool:
    """Whether this role may do this. Closed by default: no role, or an action without an entry, may not."""
    return role is not None and role in _PERMITTED.get(action, frozenset())
