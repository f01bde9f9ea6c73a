"""The integrations this daemon serves. Joining the house takes one line here and one entry in ``common/catalog.py``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from common.config import DaemonSettings
from daemon.integrations.base import Account
from daemon.integrations.doorloop.account import DoorLoopAccount

_MAKERS: dict[str, Callable[[Mapping[str, str], DaemonSettings], Account]] = {"doorloop": DoorLoopAccount}


def accounts_of(values: Mapping[str, str], settings: DaemonSettings) -> dict[str, Account]:
    """Every account by its integration's key, from the environment's values."""
    return {key: make(values, settings) for key, make in _MAKERS.items()}
