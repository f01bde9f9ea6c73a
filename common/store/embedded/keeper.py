"""Join, leave, stop: sharing one embedded Postgres between the processes of one data folder."""

import atexit
import logging
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from common.store.embedded import binaries as binaries_module
from common.store.embedded import cluster, server
from common.store.embedded.errors import disk_is_wiped as disk_is_wiped_error
from common.store.embedded.errors import from_os_error
from common.store.embedded.locks import Gate, Lock
from common.store.embedded.place import POINTER, ROOT_BASE, Place, locate, socket_folder
from common.store.embedded.postmaster import answers, find_postmaster, url_for

_log = logging.getLogger(__name__)

PATIENCE_SECONDS = 900.0  # crash recovery after hours of heavy writing takes minutes on a slow disk
STOP_SECONDS = 60.0


def _to_log(text: str) -> None:
    _log.info(text)


class Embedded:
    """One user's share in the running server. Leave it when done; a killed process leaves by the kernel's hand.

    `url` stays the same over restarts of the server, so pools that hold it find it again.
    """

    def __init__(self, place: Place, users: Lock, url: str, on_progress: Callable[[str], None]) -> None:
        self.url = url
        self._place = place
        self._users = users
        self._on_progress = on_progress
        self._owner_pid = os.getpid()
        self._lock = threading.Lock()
        self._left = False
        atexit.register(self.leave)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    @property
    def data(self) -> Path:
        """The Postgres data folder."""
        return self._place.data

    def revive(self, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        """Start the server again if it died (killed, out of memory). Does nothing when it answers.

        Raises EmbeddedPostgresError as join does.
        """
        with _gate(self._place, "starting it again", patience_seconds, self._on_progress):
            _ensure_running(self._place, self._on_progress, patience_seconds)

    def tidy(self) -> None:
        """Delete old server logs; for a janitor. The server writes a new file each day and at 10 MB."""
        cluster.prune_logs(self._place)

    def leave(self, *, wait_seconds: float = STOP_SECONDS) -> None:
        """Give the share back; the last to leave stops the server and waits for that up to `wait_seconds`.

        Doing it twice is harmless. In a child made by fork it does nothing: the share is the parent's.
        """
        with self._lock:
            if self._left or os.getpid() != self._owner_pid:
                return
            self._left = True
        atexit.unregister(self.leave)
        if not self._place.home.exists():  # somebody deleted it; the server notices within a minute and ends, too
            self._users.release()
            return
        with _gate(self._place, "leaving", PATIENCE_SECONDS, self._on_progress):
            self._users.release()
            if _nobody_uses(self._place):
                server.stop(self._place, wait_seconds=wait_seconds, on_progress=self._on_progress, then_hard=False)


def join(
    data_dir: Path,
    *,
    on_progress: Callable[[str], None] = _to_log,
    disk_is_wiped: bool = False,
    patience_seconds: float = PATIENCE_SECONDS,
    root_base: Path = ROOT_BASE,
) -> Embedded:
    """Use the embedded Postgres of `data_dir`; makes and starts it when needed. Safe from many processes at once.

    `disk_is_wiped` is true where DYNO is set; the answer is then a refusal. `on_progress` gets a sentence now and
    then while it takes long. `root_base` is where root keeps data and binaries (tests use another).

    Raises EmbeddedPostgresError.
    """
    if disk_is_wiped:
        raise disk_is_wiped_error()
    place = locate(data_dir, root_base=root_base)
    with _gate(place, "starting", patience_seconds, on_progress):
        users = Lock(place.home / "users.lock", place.lock_owner)
        users.share()
        try:
            url = _ensure_running(place, on_progress, patience_seconds)
            cluster.prune_logs(place)
        except BaseException:
            users.release()
            if _nobody_uses(place):
                server.stop(place, wait_seconds=5.0, on_progress=on_progress, then_hard=False)
            raise
    return Embedded(place, users, url, on_progress)


def stop_now(data_dir: Path, *, on_progress: Callable[[str], None] = _to_log, root_base: Path = ROOT_BASE) -> bool:
    """Stop the server whoever uses it. Returns False when none ran.

    Raises EmbeddedPostgresError when it will not stop.
    """
    place = locate(data_dir, root_base=root_base)
    with _gate(place, "stopping", PATIENCE_SECONDS, on_progress):
        if find_postmaster(place) is None:
            return False
        return server.stop(place, wait_seconds=STOP_SECONDS, on_progress=on_progress)


def delete(data_dir: Path, *, on_progress: Callable[[str], None] = _to_log, root_base: Path = ROOT_BASE) -> None:
    """Stop the server and delete its data for good, wherever it lies. For tests and throw-away copies.

    Raises EmbeddedPostgresError when the server will not stop or the files cannot be deleted.
    """
    place = locate(data_dir, root_base=root_base)
    with _gate(place, "deleting", PATIENCE_SECONDS, on_progress):
        server.stop(place, wait_seconds=STOP_SECONDS, on_progress=on_progress)
        try:
            shutil.rmtree(socket_folder(place))
            shutil.rmtree(place.home)
            (data_dir / POINTER).unlink(missing_ok=True)
        except OSError as error:
            raise from_os_error(error, place.home) from error


@dataclass(frozen=True)
class Status:
    """What is known about the server of a data folder without changing anything but making its folder."""

    data: Path
    exists: bool
    pid: int | None
    answers: bool
    url: str | None
    runs_as: str


def status(data_dir: Path, *, root_base: Path = ROOT_BASE) -> Status:
    """Look, without waiting and without the gate. Raises EmbeddedPostgresError when the folder cannot be used."""
    place = locate(data_dir, root_base=root_base)
    found = find_postmaster(place)
    return Status(
        data=place.data,
        exists=place.data.exists(),
        pid=found.pid if found else None,
        answers=found is not None and answers(found.socket_folder),
        url=url_for(found.socket_folder) if found else None,
        runs_as=place.account.name,
    )


def _ensure_running(place: Place, on_progress: Callable[[str], None], patience_seconds: float) -> str:
    """The URL of a server that answers. Call behind the gate."""
    cluster.check_version(place)
    running = server.settle(place, on_progress, patience_seconds)
    if running is None:
        installed = (
            binaries_module.copy_for_others(place.binaries_base) if place.binaries_base else binaries_module.find()
        )
        cluster.create_when_missing(place, installed, on_progress)
        cluster.write_settings(place)
        running = server.start(place, installed, socket_folder(place), on_progress, patience_seconds)
    return url_for(running.socket_folder)


def _nobody_uses(place: Place) -> bool:
    """True when no process holds a share. Call behind the gate, so that none can come in between."""
    probe = Lock(place.home / "users.lock", place.lock_owner)
    try:
        return probe.try_exclusive()
    finally:
        probe.release()


def _gate(place: Place, doing: str, patience_seconds: float, on_progress: Callable[[str], None]) -> Gate:
    return Gate(
        place.home / "gate.lock",
        place.lock_owner,
        doing=doing,
        patience_seconds=patience_seconds,
        on_progress=on_progress,
    )
