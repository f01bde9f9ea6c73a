"""One process of `make run`, kept alive: started, listened to, started again with a growing pause, and stopped."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

GUARD = Path(__file__).with_name("launch_guard.py")
PAUSES_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
STEADY_SECONDS = 60.0
"""After running this long, an end counts as the first one again."""


class KeptChild:
    """A command that runs until `stop`. All output goes to `say(name, line)`, called from threads.

    `overlay` are variables on top of our own environment; they show on a command line, so nothing secret.
    """

    def __init__(
        self,
        name: str,
        command: str,
        *,
        cwd: Path,
        overlay: dict[str, str],
        grace_seconds: float,
        say: Callable[[str, bytes], None],
        pauses_seconds: tuple[float, ...] = PAUSES_SECONDS,
    ) -> None:
        self.name = name
        self._arguments = [
            *("/usr/bin/env", *(f"{key}={value}" for key, value in overlay.items())),
            *(sys.executable, "-I", str(GUARD), str(grace_seconds), command),
        ]
        self._cwd = cwd
        self._say = say
        self._pauses_seconds = pauses_seconds
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._guard: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, name=f"keep-{name}", daemon=True)

    def start(self) -> None:
        """Start it; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end and never start it again; returns at once. Closing the guard's stdin is the request."""
        self._stopping.set()
        with self._lock:
            if self._guard is not None and self._guard.stdin is not None:
                self._guard.stdin.close()

    def kill(self) -> None:
        """End it without further patience."""
        self.stop()
        with self._lock:
            if self._guard is not None:
                self._guard.terminate()

    def wait(self, seconds: float) -> bool:
        """True when it has ended for good."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _keep(self) -> None:
        ends = 0
        while not self._stopping.is_set():
            started = time.monotonic()
            code = self._run_once()
            ran_seconds = time.monotonic() - started
            if self._stopping.is_set():
                return
            ends = 0 if ran_seconds > STEADY_SECONDS else ends
            pause_seconds = self._pauses_seconds[min(ends, len(self._pauses_seconds) - 1)]
            ends += 1
            self._note(f"ended by itself after {ran_seconds:.0f} s ({_meaning(code)}); again in {pause_seconds:g} s")
            self._stopping.wait(pause_seconds)

    def _run_once(self) -> int:
        """Start it, pass its words on until it has ended, and return its exit code (127 when it cannot be started)."""
        with self._lock:
            if self._stopping.is_set():
                return 0
            try:
                self._guard = subprocess.Popen(  # noqa: S603  the Procfile's own command
                    self._arguments,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    cwd=self._cwd,
                    start_new_session=True,
                )
            except OSError as error:
                self._note(f"cannot be started: {error}")
                return 127
            guard = self._guard
        assert guard.stdout is not None
        assert guard.stdin is not None
        # A thread of its own: something that the command left running may hold the output open for ever.
        listener = threading.Thread(target=self._listen, args=(guard.stdout,), name=f"hear-{self.name}", daemon=True)
        listener.start()
        code = guard.wait()
        listener.join(1.0)
        with self._lock:
            self._guard = None
            guard.stdin.close()
        return code

    def _listen(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                self._say(self.name, line)

    def _note(self, text: str) -> None:
        self._say("system", f"{self.name} {text}".encode())


def _meaning(code: int) -> str:
    return f"killed by signal {code - 128}" if code > 128 else f"exit code {code}"
