"""One DoorLoop account as the daemon runs it: settings, findings, drill or live, and opening a guarded connector."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.catalog import DOORLOOP
from common.clock import Clock
from common.config import DaemonSettings, DoorLoopSettings, Finding, read
from common.http.transport import Limits, Transport
from common.redact import shape
from common.rules.breaker import BreakerLimits
from common.rules.budget import BudgetLimits
from common.store.database import Database
from daemon.guard.breaker import CircuitBreaker
from daemon.guard.ceiling import Ceiling
from daemon.guard.guard import Guard, Patience, Witness
from daemon.guard.lanes import Lanes
from daemon.guard.limiter import Limiter
from daemon.integrations.base import Opened
from daemon.integrations.doorloop.checks import KEY, check_api_key, check_base_url, check_key_length
from daemon.integrations.doorloop.client import DoorLoop
from daemon.integrations.doorloop.drill_process import DRILL_KEY, DrillProcess

USER_AGENT = "integrations-health-control-center/0.1"


@dataclass(frozen=True)
class _Reach:
    """Where the vendor is and what opens it."""

    base_url: str
    api_key: str


class DoorLoopAccount:
    """DoorLoop's one account. Without a key the drill server stands in, where that is allowed."""

    entry = DOORLOOP

    def __init__(self, values: Mapping[str, str], settings: DaemonSettings) -> None:
        self._settings = settings
        self._doorloop, findings = read(DoorLoopSettings, dict(values), integration=KEY)
        self.is_drill = not self._doorloop.doorloop_api_key
        drill_allowed = settings.database_url is None or settings.icc_drill
        self._drill = DrillProcess(settings, self._doorloop) if self.is_drill and drill_allowed else None
        self.findings = (*findings, *self._own_findings())

    @property
    def source_kind(self) -> str:
        """``live`` or ``drill``: rows of the two never share a database."""
        return "drill" if self.is_drill else "live"

    @property
    def secrets(self) -> tuple[str | None, ...]:
        """What the mask must know."""
        return (self._doorloop.doorloop_api_key,)

    @property
    def limits(self) -> BudgetLimits:
        """The vendor's documented limits; on the drill server only those that were set."""
        chosen = self._doorloop
        names = ("doorloop_rate_limit_rps", "doorloop_rate_limit_per_minute", "doorloop_rate_limit_per_hour")
        rps, minute, hour = (
            getattr(chosen, name) if not self.is_drill or name in chosen.model_fields_set else 0 for name in names
        )
        return BudgetLimits(per_second=rps, per_minute=int(minute), per_hour=int(hour))

    @property
    def page_size(self) -> int:
        """Records asked for per request."""
        return self._doorloop.doorloop_page_size

    def published(self) -> dict[str, Any]:
        """The settings as they run, masked, by variable name; plus ``mode``."""
        shown = {name.upper(): str(value) for name, value in self._doorloop.model_dump().items()}
        limits = self.limits
        shown["DOORLOOP_API_KEY"] = shape(self._doorloop.doorloop_api_key)
        shown["DOORLOOP_RATE_LIMIT_RPS"] = f"{limits.per_second:g}"
        shown["DOORLOOP_RATE_LIMIT_PER_MINUTE"] = str(limits.per_minute)
        shown["DOORLOOP_RATE_LIMIT_PER_HOUR"] = str(limits.per_hour)
        if self._drill is not None:
            shown["DOORLOOP_BASE_URL"] = self._drill.base_url()
        return {**shown, "mode": self.source_kind}

    def open(self, database: Database, clock: Clock, *, stop: threading.Event, witness: Witness) -> Opened:
        """A guarded connector for one run or ping; ``stop`` ends its waits, ``Opened.abort`` its requests."""
        reach, settings, doorloop = self._reach(), self._settings, self._doorloop
        transport = self._transport()
        ceiling = Ceiling(database, clock, integration=KEY, account_key="main")
        limiter = self._limiter(database, clock, ceiling)
        page_size, connections = doorloop.doorloop_page_size, doorloop.doorloop_max_concurrency
        guard = Guard(
            transport=transport,
            lanes=Lanes(clock, ceiling, connections),
            limiter=limiter,
            breaker=self._breaker(database, clock, witness),
            clock=clock,
            stop=stop,
            patience=Patience(settings.icc_retry_attempts, settings.icc_longest_wait_seconds),
            base_url=reach.base_url,
            headers={"Authorization": f"bearer {reach.api_key}"},
            witness=witness,
            dice=random.Random(),  # noqa: S311 -- jitter, not cryptography
        )
        connector = DoorLoop(guard, clock, base_url=reach.base_url, page_size=page_size, max_concurrency=connections)
        return Opened(connector, transport.abort, limiter.settle, transport.close)

    def _transport(self) -> Transport:
        settings = self._settings
        limits = Limits(
            silence_seconds=settings.icc_request_timeout_seconds,
            deadline_seconds=settings.icc_request_deadline_seconds,
            body_bytes=int(settings.icc_max_body_mb * 1024 * 1024),
        )
        connections = self._doorloop.doorloop_max_concurrency + 1
        return Transport(limits=limits, connections=connections, user_agent=USER_AGENT)

    def _limiter(self, database: Database, clock: Clock, ceiling: Ceiling) -> Limiter:
        return Limiter(
            database,
            clock,
            integration=KEY,
            account_key="main",
            limits=self.limits,
            ceiling=ceiling,
            flight_seconds=self._settings.icc_request_deadline_seconds,
            longest_wait_seconds=self._settings.icc_longest_wait_seconds,
        )

    def _breaker(self, database: Database, clock: Clock, witness: Witness) -> CircuitBreaker:
        settings = self._settings
        limits = BreakerLimits(
            failures=settings.icc_breaker_failures,
            share=settings.icc_breaker_failed_share,
            cool_down_seconds=settings.icc_breaker_cool_down_seconds,
            probe_seconds=settings.icc_longest_wait_seconds + settings.icc_request_deadline_seconds,
        )
        return CircuitBreaker(database, clock, limits, integration=KEY, account_key="main", tell=witness.breaker)

    def close(self) -> None:
        """End the drill server, if one was started."""
        if self._drill is not None:
            self._drill.close()

    def _reach(self) -> _Reach:
        if self._drill is not None:
            return _Reach(self._drill.base_url(), DRILL_KEY)
        return _Reach(self._doorloop.doorloop_base_url, self._doorloop.doorloop_api_key or "")

    def _own_findings(self) -> tuple[Finding, ...]:
        if self._drill is not None:
            return (Finding("DRILL_DATA", "info", {}, KEY),)
        if self.is_drill:
            return (Finding("KEY_MISSING", "error", {}, KEY, holds=True),)
        base_url, api_key = self._doorloop.doorloop_base_url, self._doorloop.doorloop_api_key or ""
        found = (check_base_url(base_url), check_api_key(api_key) or check_key_length(api_key, base_url))
        return tuple(finding for finding in found if finding is not None)
