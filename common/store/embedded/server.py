"""Start and stop the postmaster, and clear away what a dead one left. Call everything here behind the gate."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
from psycopg.pq import Ping

from common.excerpt import excerpt
from common.store.embedded.binaries import Binaries
from common.store.embedded.cluster import CLEAN_ENVIRONMENT, PORT, identity, newest_log_words
from common.store.embedded.errors import EmbeddedPostgresError, from_os_error, from_postgres_words
from common.store.embedded.locks import Lock
from common.store.embedded.place import Place
from common.store.embedded.postmaster import (
    Postmaster,
    answers,
    find_postmaster,
    is_alive,
    is_postmaster_of,
    leading_pid,
    ping,
    read_lines,
)

_POLL_SECONDS = 0.02
_LONGEST_POLL_SECONDS = 0.25
_SAY_EVERY_SECONDS = 5.0
_DEAF_AFTER_SECONDS = 5.0
_SOCKET_LOCK = f".s.PGSQL.{PORT}.lock"


def settle(place: Place, on_progress: Callable[[str], None], patience_seconds: float) -> Postmaster | None:
    """Wait until a running postmaster either answers or is gone; a deaf one (its socket file was deleted) is stopped.

    Returns the postmaster that answers, or None when there is none.
    """
    started = said = time.monotonic()
    deaf_since: float | None = None
    while (found := find_postmaster(place)) is not None:
        now = time.monotonic()
        # Asked before it is ready, the server writes a complaint into its log each time, which buries its own progress.
        reply = ping(found.socket_folder) if found.ready else Ping.REJECT
        if reply == Ping.OK and answers(found.socket_folder):
            return found
        deaf_since = (deaf_since or now) if reply == Ping.NO_RESPONSE else None
        if deaf_since is not None and now - deaf_since > _DEAF_AFTER_SECONDS:
            on_progress("The running Postgres cannot be reached any more (its socket is gone): starting it again")
            stop(place, wait_seconds=patience_seconds, on_progress=on_progress)
            continue
        if now - started > patience_seconds:
            raise EmbeddedPostgresError(
                f"The embedded Postgres (pid {found.pid}) runs but has not answered for {now - started:.0f} s.",
                "It may still be recovering: look at its log, or run `python -m common.store.embedded stop`.",
            )
        if now - said > _SAY_EVERY_SECONDS:
            on_progress(_still(place, now - started))
            said = now
        time.sleep(_LONGEST_POLL_SECONDS / 2)
    return None


def start(
    place: Place, binaries: Binaries, socket_folder: Path, on_progress: Callable[[str], None], patience_seconds: float
) -> Postmaster:
    """Start the server and wait until it answers, through minutes of crash recovery if need be.

    Raises EmbeddedPostgresError when it gives up, with its own words, or when patience ends (it then goes on alone).
    """
    held = _take_server_lock(place, on_progress)
    try:
        _clear_the_way(place, socket_folder, on_progress)
        with tempfile.TemporaryFile("w+") as words:
            pid = _spawn(place, binaries, socket_folder, words.fileno(), held)
            return _await_answer(place, pid, words.fileno(), on_progress, patience_seconds)
    finally:
        held.close()  # ours only: the server holds its inherited copy until its last process is gone


def _spawn(place: Place, binaries: Binaries, socket_folder: Path, words_fd: int, held: Lock) -> int:
    """Start postgres as an orphan in a session of its own: Ctrl-C in our terminal and our death do not reach it.

    The shell between puts it into the background and ends at once, so nobody has to reap it. No other descriptor
    of ours stays open in it.
    """
    command = [str(binaries.postgres), "-D", str(place.data)]
    for name, value in {
        "listen_addresses": "",
        "port": str(PORT),
        "unix_socket_directories": str(socket_folder),
        "unix_socket_permissions": "0700",
    }.items():
        command += ["-c", f"{name}={value}"]
    try:
        shell = subprocess.Popen(  # noqa: S603  the words are handed over as arguments, not as text
            ["/bin/sh", "-c", '"$@" >&2 & echo $!', "sh", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=words_fd,
            start_new_session=True,
            pass_fds=(held.fd,),
            cwd="/",
            env=CLEAN_ENVIRONMENT,
            umask=0o077,
            **identity(place),
        )
    except OSError as error:
        raise from_os_error(error, binaries.postgres) from error
    output, _ = shell.communicate()
    return int(output)


def _await_answer(
    place: Place, pid: int, words_fd: int, on_progress: Callable[[str], None], patience_seconds: float
) -> Postmaster:
    started = said = time.monotonic()
    pause_seconds = _POLL_SECONDS
    while True:
        found = find_postmaster(place)
        if found is not None and found.pid == pid and found.ready and answers(found.socket_folder):
            return found
        if not is_alive(pid):
            said_at_start = os.pread(words_fd, 4000, 0).decode(errors="replace")
            raise from_postgres_words(f"{said_at_start}\n{newest_log_words(place)}", place.data, "starting")
        now = time.monotonic()
        if now - started > patience_seconds:
            raise EmbeddedPostgresError(
                f"The embedded Postgres has not become ready in {now - started:.0f} s; it goes on starting by itself.",
                f"Start again in a while; its log is in {place.data / 'log'}.",
            )
        if now - said > _SAY_EVERY_SECONDS:
            on_progress(_still(place, now - started))
            said = now
        time.sleep(pause_seconds)
        pause_seconds = min(pause_seconds * 1.3, _LONGEST_POLL_SECONDS)


def stop(place: Place, *, wait_seconds: float, on_progress: Callable[[str], None], then_hard: bool = True) -> bool:
    """Fast shutdown; after `wait_seconds` an immediate one (nothing is lost, the next start recovers).

    Returns True when the server is gone, False when `then_hard` is off and it is still writing: it ends by itself then.
    """
    found = find_postmaster(place)
    try:
        return _signal_until_gone(place, found, wait_seconds, on_progress, then_hard)
    finally:
        if found is not None and found.socket_folder.name.startswith("icc-"):
            with suppress(OSError):  # still in use, or gone already
                found.socket_folder.rmdir()


def _signal_until_gone(
    place: Place, found: Postmaster | None, wait_seconds: float, on_progress: Callable[[str], None], then_hard: bool
) -> bool:
    for sign in (signal.SIGINT, signal.SIGQUIT):
        if found is None:
            return True
        with suppress(ProcessLookupError):
            os.kill(found.pid, sign)
        if _wait_gone(found.pid, wait_seconds if sign == signal.SIGINT else 30.0, on_progress):
            return True
        if not then_hard:
            return False
        found = find_postmaster(place)
    if found is None:
        return True
    raise EmbeddedPostgresError(
        f"The embedded Postgres (pid {found.pid}) does not stop.", "Look at that process; the disk may not answer."
    )


def _wait_gone(pid: int, wait_seconds: float, on_progress: Callable[[str], None]) -> bool:
    started = said = time.monotonic()
    while is_alive(pid):
        now = time.monotonic()
        if now - started > wait_seconds:
            return False
        if now - said > _SAY_EVERY_SECONDS:
            on_progress(f"Waiting for the embedded Postgres to write everything and stop ({now - started:.0f} s)")
            said = now
        time.sleep(_POLL_SECONDS)
    return True


def _take_server_lock(place: Place, on_progress: Callable[[str], None]) -> Lock:
    """The lock that every process of a server holds; waits for those that a killed postmaster left behind."""
    lock = Lock(place.home / "server.lock", place.lock_owner)
    started = time.monotonic()
    signals = [(3.0, signal.SIGQUIT), (8.0, signal.SIGKILL)]
    while not lock.try_exclusive():
        waited = time.monotonic() - started
        if signals and waited > signals[0][0]:
            on_progress("Ending what an earlier, killed Postgres left behind")
            _signal_orphans(place, signals.pop(0)[1])
        if waited > 30.0:
            lock.close()
            raise EmbeddedPostgresError(
                f"Another Postgres works on {place.data}, in a place this process cannot see (another container?).",
                "Stop it there, or set ICC_DATA_DIR to another folder: two servers on one folder would destroy it.",
            )
        time.sleep(_POLL_SECONDS)
    return lock


def _signal_orphans(place: Place, sign: signal.Signals) -> None:
    for process in psutil.process_iter(["name"]):
        with suppress(psutil.Error, ProcessLookupError):
            if process.info["name"] == "postgres" and Path(process.cwd()) == place.data:
                os.kill(process.pid, sign)


def _clear_the_way(place: Place, socket_folder: Path, on_progress: Callable[[str], None]) -> None:
    """Remove lock files that would make Postgres refuse: torn ones, and those whose process is somebody else by now.

    One that names a dead process stays: Postgres removes it itself, after a check of its shared memory that must not
    be skipped.
    """
    _end_server_of_deleted_data(place, socket_folder / _SOCKET_LOCK, on_progress)
    for path in (place.data / "postmaster.pid", socket_folder / _SOCKET_LOCK):
        if not path.exists():
            continue
        pid = leading_pid(read_lines(path))
        if pid is None or (psutil.pid_exists(pid) and not is_postmaster_of(pid, place.data)):
            on_progress(f"Removing a stale {path.name} (process {pid} is not our Postgres)")
            path.unlink(missing_ok=True)


def _end_server_of_deleted_data(place: Place, socket_lock: Path, on_progress: Callable[[str], None]) -> None:
    """Somebody deleted the data folder under a running server: it still sits on our socket, for up to a minute."""
    pid = leading_pid(read_lines(socket_lock))
    if pid is not None and is_postmaster_of(pid, place.data):
        on_progress("Ending the Postgres whose data folder was deleted")
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGQUIT)
        _wait_gone(pid, 30.0, on_progress)


def _still(place: Place, seconds: float) -> str:
    last = newest_log_words(place).strip().rpartition("\n")[2]
    note = f"; it says: {excerpt(last, 160)}" if last else ""
    return f"The embedded Postgres is starting ({seconds:.0f} s){note}"
