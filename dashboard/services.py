"""What the web process works with: made once at start, found by every route, script run and fragment run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from common.config import WebSettings, public_url
from common.errors import DatabaseAway
from common.operator_actions import Gate
from common.signing import secret_key
from common.store.database import Database
from common.store.live_rows import LiveRowCounter
from dashboard.api.hub import Hub
from dashboard.tally import Tally

if TYPE_CHECKING:
    from dashboard.oidc import Door

AWAY_SECONDS = 3.0


@dataclass
class Services:
    """The process's own things. ``address`` is what people open; ``is_ready`` once the schema is up to date.

    ``proxy_is_named``: only some peers are the proxy (FORWARDED_ALLOW_IPS says which), others may come past it.

    ``doors`` are the sign-in providers by their names; ``key`` seals what a browser keeps for us.
    ``stop`` is set when the process is told to end: whoever waits long waits for it, too.
    """

    settings: WebSettings
    database: Database
    gate: Gate
    address: str
    behind_proxy: bool
    proxy_is_named: bool
    logs: Hub
    key: bytes = field(repr=False)
    doors: Mapping[str, Door] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    counter: LiveRowCounter = field(default_factory=LiveRowCounter)
    is_ready: bool = False
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    _away: tuple[float, DatabaseAway] | None = None

    @contextmanager
    def reading(self) -> Iterator[Database]:
        """The database for a read; once it was found away, the next seconds' readers are told so without waiting.

        Raises ``DatabaseAway``. Without this, each tick of each page would hold a thread for the pool's whole patience.
        """
        if self._away and time.monotonic() < self._away[0]:
            raise self._away[1]
        try:
            yield self.database
        except DatabaseAway as away:
            self._away = (time.monotonic() + AWAY_SECONDS, away)
            raise
        self._away = None

    @property
    def contact(self) -> str:
        """Whom to ask for access."""
        return self.settings.icc_access_contact or "whoever runs this program"

    @property
    def secure(self) -> bool:
        """Whether people come by https, so that cookies may be bound to it."""
        return urlsplit(self.address).scheme == "https"


def services_for(
    settings: WebSettings, database: Database, values: Mapping[str, str], doors: Mapping[str, Door] | None = None
) -> Services:
    """The services over an open database; ``values`` is the environment as ``common.config`` read it."""
    key = secret_key(settings)
    gate = Gate(
        database,
        key,
        expiry_seconds=settings.icc_command_expiry_seconds,
        allow_backfill=settings.allow_manual_backfill,
    )
    # FORWARDED_ALLOW_IPS is uvicorn's own switch: whoever sets it says that a proxy stands in front. Heroku's and
    # Replit's routers always do, and nobody reaches the process past them.
    on_platform = any(values.get(name) for name in ("dyno", "replit_domains"))
    is_named = bool(values.get("forwarded_allow_ips")) and not on_platform
    address = public_url(values, settings)
    return Services(
        settings, database, gate, address, on_platform or is_named, is_named, Hub(database), key, doors or {}
    )


_current: Services | None = None


def install(services: Services | None) -> None:
    """Make these the process's services (None: take them away again)."""
    global _current  # noqa: PLW0603 -- routes and scripts run in threads that share nothing else
    _current = services


def current() -> Services:
    """The process's services. Raises ``RuntimeError`` before the start has made them."""
    if _current is None:
        raise RuntimeError("the web process has not started")
    return _current
