"""What others know us to live by: renewed leases, and a heartbeat.

Each has a thread and a connection of its own: while somebody's lock keeps the one, the other goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from common.errors import DatabaseAway
from common.store import heartbeats
from common.store.embedded import EmbeddedPostgresError
from daemon.wiring import Services

log = structlog.get_logger("daemon")
AGAIN_SECONDS = 0.5
"""After an outage leases may be about to run out."""


class Pulse:
    """Beats from ``start`` to ``close``. ``listening``: whether notifications are heard, for the heartbeat to say."""

    def __init__(self, services: Services, listening: Callable[[], bool] = lambda: False) -> None:
        self._services = services
        self._listening = listening
        self._closing = threading.Event()
        self._threads = [
            threading.Thread(target=self._keep_leases, name="leases", daemon=True),
            threading.Thread(target=self._beat, name="heartbeat", daemon=True),
        ]

    def start(self) -> Pulse:
        """Begin, at once."""
        for thread in self._threads:
            thread.start()
        return self

    def close(self, wait_seconds: float) -> None:
        """End; what stands before a lock is waited for no longer than that."""
        services = self._services
        until = services.clock.monotonic() + wait_seconds
        self._closing.set()
        services.desk.changed.set()
        for thread in self._threads:
            thread.join(max(0.0, until - services.clock.monotonic()))

    def _keep_leases(self) -> None:
        services = self._services
        while True:
            pause_seconds = services.configuration.settings.icc_heartbeat_seconds
            try:
                if not services.desk.keep_leases():
                    pause_seconds = AGAIN_SECONDS
            except Exception:  # whatever it was: leases that nobody renews end every run
                log.exception("renewing the leases failed")
            if services.clock.wait(self._closing, pause_seconds):
                return

    def _beat(self) -> None:
        services = self._services
        while not self._closing.is_set():
            try:
                with services.pulse.statement() as link:
                    heartbeats.beat(link, services.daemon_id, services.desk.doing(), listening=self._listening())
                services.desk.look_again()
            except DatabaseAway as error:
                log.warning("the database is away", why=error.cause)
                self._revive()
            except Exception:
                log.exception("a heartbeat failed")
            services.clock.wait(services.desk.changed, services.configuration.settings.icc_heartbeat_seconds)
            services.desk.changed.clear()

    def _revive(self) -> None:
        """An embedded server that was killed is started again; one that cannot be says why, and we keep trying."""
        try:
            self._services.database.revive()
        except EmbeddedPostgresError as error:
            log.error("the embedded database does not start", why=str(error))
