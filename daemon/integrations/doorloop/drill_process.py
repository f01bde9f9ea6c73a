"""Runs the drill server as a child that ends with its parent, however the parent ends."""

from __future__ import annotations

import subprocess
import sys
import threading

from common.config import DaemonSettings, DoorLoopSettings

DRILL_KEY = "drill-key"
START_SECONDS = 20.0
_FIRST_LINE = "drill server listening on "


class DrillProcess:
    """The child; started by the first ``base_url``, ended by ``close`` or by its parent's death (its stdin closes)."""

    def __init__(self, settings: DaemonSettings, doorloop: DoorLoopSettings) -> None:
        limits = ("doorloop_rate_limit_per_minute", "doorloop_rate_limit_per_hour")
        chosen = [getattr(doorloop, name) if name in doorloop.model_fields_set else 0 for name in limits]
        self._command = [
            *(sys.executable, "-m", "daemon.integrations.doorloop.drill", "--port", "0", "--exit-with-parent"),
            *("--rows", str(settings.icc_drill_rows), "--seed", str(settings.icc_drill_seed), "--key", DRILL_KEY),
            *("--limit-per-minute", str(chosen[0]), "--limit-per-hour", str(chosen[1])),
        ]
        self._lock = threading.Lock()
        self._child: subprocess.Popen[str] | None = None
        self._base_url = ""

    def base_url(self) -> str:
        """Its address; starts it (again) when it does not run."""
        with self._lock:
            if self._child is None or self._child.poll() is not None:
                self._start()
            return self._base_url

    def close(self) -> None:
        """End it."""
        with self._lock:
            if self._child is not None:
                assert self._child.stdin is not None
                assert self._child.stdout is not None
                self._child.stdin.close()
                self._child.stdout.close()
                try:
                    self._child.wait(3)
                except subprocess.TimeoutExpired:
                    self._child.kill()
                    self._child.wait(3)
                self._child = None

    def _start(self) -> None:
        self._child = subprocess.Popen(  # noqa: S603 -- our own module, arguments from checked settings
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self._child.stdout is not None
        line = self._child.stdout.readline().strip()
        if not line.startswith(_FIRST_LINE):
            raise RuntimeError(f"the drill server did not start: {line or 'it ended at once'}")
        self._base_url = line.removeprefix(_FIRST_LINE)
