"""Who may do what: closed by default."""

from __future__ import annotations

import pytest

from common import access
from common.access import Action, Role, may

ALLOWED = {(Role.ADMIN, action) for action in Action}


@pytest.mark.parametrize("action", list(Action))
@pytest.mark.parametrize("role", [*Role, None])
def test_every_action_for_every_role(role: Role | None, action: Action) -> None:
    """Viewers look; admins act; nobody without a role does anything."""
    assert may(role, action) is ((role, action) in ALLOWED)


def test_an_action_nobody_thought_of_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new action without an entry is refused to everyone, admins included."""
    monkeypatch.setattr(access, "_PERMITTED", {})
    assert not any(may(role, action) for role in Role for action in Action)
