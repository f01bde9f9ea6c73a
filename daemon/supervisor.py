"""The service: owns its threads, signals, pulse, and the order of shutting down. Everything else does one turn."""

from __future__ import annotations

import signal
import threading
from types import FrameType

import structlog

from common.config import Finding
from common.errors import DatabaseAway, StopRequested
from common.store.listener import Listener
from daemon import wiring
from daemon.blocks import Blocks
from daemon.commands import CommandDesk
from daemon.janitor import Janitor
from daemon.pulse import Pulse
from daemon.scheduler import Metronome, Scheduler
from daemon.wiring import Services

log = structlog.get_logger("daemon")

LISTENING_POLL_SECONDS = 5.0
POLL_SECONDS = 0.3
SCHEDULE_SECONDS = 1.0
RESCUE_SECONDS = 5.0
BULK_SECONDS = 1.0
SWEEP_SECONDS = 3600.0
FORECAST_SECONDS = 5.0
SOON_SECONDS = 0.05
RETRY_SECONDS = 1.0
LEAVE_SECONDS = 5.5
"""How long the end of our threads is waited for; telemetry and farewell come after, and all within ten seconds."""


class Supervisor:
    """Runs until SIGTERM or SIGINT. ``stop`` may be set from outside, too."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.stop = threading.Event()
        self._wake = threading.Event()
        self._listener = Listener(services.database, ("icc_commands", "icc_runs"), self._note, self._look_again)
        configuration = services.configuration
        self._commands = CommandDesk(
            services.database,
            services.clock,
            services.desk,
            dict(configuration.accounts),
            configuration.settings,
            daemon_id=services.daemon_id,
            key=services.key,
            ending=services.ending,
            webhook=configuration.channels.integrations_teams_webhook,
            closing=self.stop,
        )
        self._janitor = Janitor(services.database, configuration.settings, self._commands, services.desk.keeps)
        self._blocks = Blocks(services.database, configuration.accounts)
        self._forecasts: tuple[Finding, ...] | None = None
        self._scheduler = Scheduler(
            services.database,
            services.gate,
            configuration.schedule,
            served=tuple(configuration.accounts),
            daemon_id=services.daemon_id,
        )

    def run(self) -> None:
        """Serve until told to stop; then store where every run was, and leave.

        The thread that hears the signals does nothing else: whatever asks the database may wait for it without end.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        self._listener.start()
        pulse = Pulse(self._services, lambda: self._listener.working).start()
        threads = [
            threading.Thread(target=self._take_commands, name="commands", daemon=True),
            threading.Thread(target=self._keep_time, name="metronome", daemon=True),
            threading.Thread(target=self._settle_bulk, name="bulk", daemon=True),
            threading.Thread(target=self._sweep, name="janitor", daemon=True),
        ]
        for thread in threads:
            thread.start()
        log.info("the daemon serves", integrations=", ".join(self._services.configuration.accounts))
        self.stop.wait()
        log.info("stopping")
        until = self._services.clock.monotonic() + LEAVE_SECONDS
        self._commands.close()
        self._services.desk.close()
        self._listener.close(max(0.0, until - self._services.clock.monotonic()))
        for thread in threads:
            thread.join(max(0.0, until - self._services.clock.monotonic()))
        pulse.close(max(0.0, until - self._services.clock.monotonic()))

    def _take_commands(self) -> None:
        pause_seconds = SOON_SECONDS
        while not self.stop.is_set():
            try:
                self._commands.run_once()
            except DatabaseAway as error:
                log.warning("waiting for the database", why=error.cause)
            except StopRequested:  # while it was in doubt whether a claim went through
                return
            except Exception:
                log.exception("taking a command failed")
            else:
                pause_seconds = SOON_SECONDS
                self._wake.wait(LISTENING_POLL_SECONDS if self._listener.working else POLL_SECONDS)
                self._wake.clear()
                continue
            # What woke us is still waiting, and may be a Stop.
            self.stop.wait(pause_seconds)
            pause_seconds = min(2 * pause_seconds, RETRY_SECONDS)

    def _keep_time(self) -> None:
        metronome = Metronome(self._services.clock)
        metronome.every(RESCUE_SECONDS, self._janitor.rescue, "janitor rescue")
        metronome.every(SCHEDULE_SECONDS, self._blocks.run_once, "blocks")
        metronome.every(SCHEDULE_SECONDS, self._scheduler.run_once, "scheduler")
        metronome.every(FORECAST_SECONDS, self._forecast, "forecast")
        metronome.run(self.stop)

    def _settle_bulk(self) -> None:
        """In time of its own: a discard of very many letters holds up neither a rescue nor the schedule."""
        metronome = Metronome(self._services.clock)
        metronome.every(BULK_SECONDS, self._commands.bulk.run_once, "requeues and discards")
        metronome.run(self.stop)

    def _sweep(self) -> None:
        """So has this: it waits for whoever reads what is to go."""
        metronome = Metronome(self._services.clock)
        metronome.every(SWEEP_SECONDS, self._janitor.sweep, "janitor sweep")
        metronome.run(self.stop)

    def _forecast(self) -> None:
        """Totals change as runs end; what follows from them is published when it changes."""
        found = wiring.forecast(self._services.configuration, self._services.database)
        if found != self._forecasts:
            wiring.publish(self._services, found)
            self._forecasts = found

    def _note(self, channel: str, payload: str) -> None:
        if channel == "icc_runs":
            self._services.desk.look_at(payload)
        else:
            self._wake.set()

    def _look_again(self) -> None:
        """LISTEN works, or works no more: look for commands now and as often as it takes, and say so."""
        self._wake.set()
        self._services.desk.changed.set()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        # In a thread of its own: the interrupted one may hold the very lock inside the events, and would wait for ever.
        threading.Thread(target=self._end, name="signal", daemon=True).start()

    def _end(self) -> None:
        self._services.database.hurry()
        self.stop.set()
        self._wake.set()
        self._services.desk.changed.set()
