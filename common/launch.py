"""`make run`: starts what the Procfile names, keeps it running, and stops it as a whole.

honcho reads the Procfile and paints the output. Its Manager is not used: it takes everything down when one process
ends, while here the page must stay up to say that the daemon is gone.

    python -m common.launch [--root FOLDER]    exit code 0 after Ctrl-C or SIGTERM, 1 with cause and remedy
"""

import argparse
import errno
import fcntl
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from honcho.colour import get_colours
from honcho.environ import parse_procfile
from honcho.printer import Message, Printer

from common import logs, redact
from common.config import SharedSettings, environment, read_process
from common.errors import SettingsError
from common.launch_child import KeptChild

ROOT = Path(__file__).resolve().parents[1]
GRACE_SECONDS = 12.0
"""A daemon may take 10 s to store where it was; killed after this."""
NOT_STARTED_HERE = frozenset({"release"})
"""Heroku runs it before a new version; here the daemon migrates by itself."""


class CannotRunError(Exception):
    """Why `make run` does nothing, in a sentence of cause and one of remedy."""


@dataclass(frozen=True)
class LaunchSettings:
    """The few settings the launcher itself needs."""

    port: int
    bind_address: str
    data_dir: Path
    path: str

    @classmethod
    def from_environment(cls, values: Mapping[str, str], root: Path) -> "LaunchSettings":
        """From the mapping of common.config.environment (lower case keys). Raises CannotRunError for a bad PORT."""
        port = values.get("port", "8501")
        if not port.isdigit() or not 0 < int(port) < 65536:
            raise CannotRunError("PORT is not a number from 1 to 65535.\nSet it right, e.g. `PORT=8502 make run`.")
        return cls(
            port=int(port),
            bind_address=values.get("icc_bind_address", "127.0.0.1"),
            data_dir=root / Path(values.get("icc_data_dir", ".data")).expanduser(),
            path=values.get("path", "/usr/local/bin:/usr/bin:/bin"),
        )

    @property
    def url(self) -> str:
        """Where a person on this machine opens the page."""
        host = "127.0.0.1" if self.bind_address in ("0.0.0.0", "::", "") else self.bind_address  # noqa: S104  compared only
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


class RunLock:
    """One `make run` per data folder, by a lock the kernel frees; the file tells the second one about the first."""

    def __init__(self, settings: LaunchSettings) -> None:
        """Raises CannotRunError when another one holds it or the folder cannot be used."""
        path = settings.data_dir / "run.lock"
        try:
            settings.data_dir.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise CannotRunError(
                f"{error.filename}: {error.strerror}.\nSet ICC_DATA_DIR to a folder this user may write to."
            ) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            first = self._read_first()
            os.close(self._fd)
            raise CannotRunError(first) from None
        note = {"pid": os.getpid(), "since": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC", "url": settings.url}
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, json.dumps(note).encode(), 0)

    def _read_first(self) -> str:
        try:
            note = json.loads(os.pread(self._fd, 1000, 0))
            return (
                f"Already running since {note['since']}, at {note['url']} (pid {note['pid']}).\n"
                "Open that page; to start anew, stop it there with Ctrl-C (or `kill` that pid) first."
            )
        except (ValueError, KeyError):
            return "Already starting in another terminal.\nLook there."

    def release(self) -> None:
        """Let the next one run."""
        os.close(self._fd)


def refuse_busy_port(settings: LaunchSettings) -> None:
    """Raises CannotRunError when another program listens on our port, or the address cannot be used at all."""
    family = socket.AF_INET6 if ":" in settings.bind_address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # else our own last run blocks us for a minute
        try:
            probe.bind((settings.bind_address, settings.port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise CannotRunError(
                    f"Port {settings.port} is taken by another program.\n"
                    f"Stop that one, or choose another port: `PORT={_free_port_near(settings)} make run`."
                ) from None
            raise CannotRunError(
                f"Cannot listen on {settings.bind_address} port {settings.port}: {error.strerror}.\n"
                "Set ICC_BIND_ADDRESS to an address of this machine and PORT to a number above 1023."
            ) from None


def _free_port_near(settings: LaunchSettings) -> int:
    for port in range(settings.port + 1, min(settings.port + 50, 65536)):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    return 8502


class Screen:
    """The one writer to stdout. A terminal that went away is no reason to stop."""

    def __init__(self, names: list[str]) -> None:
        self._printer = Printer(
            sys.stdout, time_format="%H:%M:%SZ", width=max(len(name) for name in [*names, "system"])
        )
        self._colours = dict(zip(names, get_colours(), strict=False))
        self._lock = threading.Lock()

    def say(self, name: str, line: bytes | str) -> None:
        """One line under the name of who says it; any thread may."""
        message = Message("line", line, datetime.now(UTC), name, self._colours.get(name))
        with self._lock:
            try:
                self._printer.write(message)
            except (OSError, ValueError):
                sys.stdout = open(os.devnull, "w")  # noqa: SIM115  for the rest of this process
                self._printer.output = sys.stdout


class Launcher:
    """All processes of one `make run`."""

    def __init__(self, settings: LaunchSettings, root: Path) -> None:
        """Raises CannotRunError when there is no usable Procfile."""
        try:
            processes = parse_procfile((root / "Procfile").read_text()).processes
        except OSError as error:
            raise CannotRunError(f"{root / 'Procfile'}: {error.strerror}.\nRun it from a complete clone.") from error
        named = {name: command for name, command in processes.items() if name not in NOT_STARTED_HERE}
        if not named:
            raise CannotRunError(f"{root / 'Procfile'} names nothing to start.\nRun it from a complete clone.")
        self._settings = settings
        self._screen = Screen(list(named))
        self._signals = 0
        self._wake = threading.Event()
        overlay = {
            "PATH": f"{Path(sys.executable).parent}:{settings.path}",
            "PYTHONUNBUFFERED": "1",
            "PORT": str(settings.port),
            "ICC_BIND_ADDRESS": settings.bind_address,
            "ICC_DATA_DIR": str(settings.data_dir),
        }
        self._children = [
            KeptChild(name, command, cwd=root, overlay=overlay, grace_seconds=GRACE_SECONDS, say=self._screen.say)
            for name, command in named.items()
        ]

    def run(self) -> None:
        """Start everything and return when it has been told to stop and all is gone."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup asked to ignore it
                signal.signal(number, self._on_signal)
        for child in self._children:
            child.start()
        threading.Thread(target=self._say_when_open, name="say-when-open", daemon=True).start()
        while not self._wake.wait(1.0):  # a wait without end would keep Python from running the signal handler
            pass
        self._stop()

    def _on_signal(self, number: int, frame: object) -> None:
        self._signals += 1
        self._wake.set()

    def _stop(self) -> None:
        self._screen.say("system", f"Stopping; this takes up to {GRACE_SECONDS:.0f} s. Ctrl-C again kills at once.")
        for child in self._children:
            child.stop()
        hurry_at = time.monotonic() + GRACE_SECONDS + 3.0  # the guards kill at GRACE_SECONDS; this is for a stuck guard
        while living := [child for child in self._children if not child.wait(0.05)]:
            if self._signals > 1 or time.monotonic() > hurry_at:
                for child in living:
                    child.kill()
            if time.monotonic() > hurry_at + 5.0:
                self._screen.say("system", f"Given up on {', '.join(child.name for child in living)}: look with `ps`.")
                return
        self._screen.say("system", "Stopped.")

    def _say_when_open(self) -> None:
        """Say the address as soon as it answers."""
        host = self._settings.url.removeprefix("http://").rpartition(":")[0].strip("[]")
        while not self._wake.is_set():
            try:
                with socket.create_connection((host, self._settings.port), timeout=1.0):
                    break
            except OSError:
                time.sleep(0.1)
        else:
            return
        self._screen.say("system", f"Open {self._settings.url}/systems/integrations  (Ctrl-C here stops everything)")


def refuse_unlivable_settings(values: Mapping[str, str]) -> None:
    """Raises CannotRunError for what page and daemon could not live without: they would only end again and again."""
    try:
        settings, _ = read_process(SharedSettings, dict(values))
    except SettingsError as error:
        raise CannotRunError(f"{error.cause}\n{error.remedy}") from None
    redact.register(*settings.secrets)


def main(arguments: list[str] | None = None) -> int:
    """Run until told to stop; see the module for exit codes."""
    parser = argparse.ArgumentParser(prog="python -m common.launch")
    parser.add_argument("--root", type=Path, default=ROOT, help="the folder with the Procfile (default: this clone)")
    root = parser.parse_args(arguments).root.resolve()
    try:
        values = environment(root)
        settings = LaunchSettings.from_environment(values, root)
        refuse_unlivable_settings(values)
        lock = RunLock(settings)
        refuse_busy_port(settings)
        launcher = Launcher(settings, root)
    except CannotRunError as reason:
        sys.stderr.write(f"{reason}\n")
        return 1
    launcher.run()
    lock.release()
    return 0


if __name__ == "__main__":
    logs.mask_tracebacks()
    sys.exit(main())
