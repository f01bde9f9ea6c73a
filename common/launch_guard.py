"""The guard beside one process of `make run`: it ends the process when the launcher says so, or is no more.

Run by common/launch.py as a plain script, with nothing but the standard library. Its stdin is a pipe that only the
launcher holds open: closed, by will or by kill -9, it means "stop". Then the process gets SIGTERM, time to store where
it was, and SIGKILL at last, with everything in its process group. SIGTERM to the guard means "no more time: kill now".

    launch_guard.py GRACE_SECONDS COMMAND      exit code: that of the command, 128 + n when signal n ended it
"""

import ctypes
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from types import FrameType

_PR_SET_PDEATHSIG = 1
_LOOK_AGAIN_SECONDS = 0.05


class Guard:
    """One command in a session and process group of its own."""

    def __init__(self, command: str, grace_seconds: float) -> None:
        self._grace_seconds = grace_seconds
        self._hurry = False
        # A signal (the end of the child is one) writes a byte here, so that select wakes up for it without polling.
        self._woken, waker = os.pipe()
        os.set_blocking(waker, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._on_term)
        self._child = subprocess.Popen(  # noqa: S603  the Procfile's own command
            ["/bin/sh", "-c", without_shell_between(command)],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509  this process has one thread
        )

    def run(self) -> int:
        """Until the command has ended or must; nothing of it is left then. Returns its exit code."""
        self._wait_for_an_end()
        deadline = time.monotonic() + self._grace_seconds
        self._signal_all(signal.SIGTERM)
        while self._anybody_left() and time.monotonic() < deadline and not self._hurry:
            time.sleep(_LOOK_AGAIN_SECONDS)
        self._signal_all(signal.SIGKILL)
        code = self._child.wait()
        return code if code >= 0 else 128 - code

    def _wait_for_an_end(self) -> None:
        """Returns when the command has ended, the launcher has closed our stdin, or we shall hurry."""
        while self._child.poll() is None and not self._hurry:
            ready, _, _ = select.select([self._woken, sys.stdin.fileno()], [], [])
            if sys.stdin.fileno() in ready and not os.read(sys.stdin.fileno(), 1):
                return
            if self._woken in ready:
                os.read(self._woken, 4096)

    def _on_term(self, number: int, frame: FrameType | None) -> None:
        self._hurry = True

    def _anybody_left(self) -> bool:
        """The command, or what it started and left behind: that must not hold ports and leases either."""
        self._child.poll()
        try:
            os.killpg(self._child.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return True

    def _signal_all(self, sign: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, sign)


def without_shell_between(command: str) -> str:
    """Let the shell become the command where that is one program, so that signals and exit codes are its own."""
    is_one_program = not re.search(r"[;&|<>()`\n]", command) and shutil.which(command.split(maxsplit=1)[0]) is not None
    return f"exec {command}" if is_one_program else command


def _die_with_parent() -> None:
    """In the child, on Linux: when the guard itself is killed -9, the kernel sends SIGTERM in its place."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(Guard(sys.argv[2], float(sys.argv[1])).run())
