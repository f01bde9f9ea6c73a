"""Locks that the kernel frees when their holder dies: flock on small files."""

import fcntl
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from common.store.embedded.errors import EmbeddedPostgresError, from_os_error
from common.store.embedded.place import Account

_FIRST_PAUSE_SECONDS = 0.01
_LONGEST_PAUSE_SECONDS = 0.2
_SAY_AFTER_SECONDS = 2.0


class Lock:
    """One open descriptor on a lock file; each instance counts by itself, also within one process.

    The descriptor is not inherited by programs we start. A process made by bare fork() shares it, which is why
    `release` unlocks explicitly: that frees it for all copies.
    """

    def __init__(self, path: Path, owner: Account | None) -> None:
        """`owner` gets the file when root opens it first, so that this user can take the lock later without root."""
        self.path = path
        self._owner = owner
        self._fd = self._open()

    def _open(self) -> int:
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            if self._owner is not None and os.fstat(fd).st_uid != self._owner.uid:
                os.fchown(fd, self._owner.uid, self._owner.gid)
        except OSError as error:
            raise from_os_error(error, self.path) from error
        return fd

    @property
    def fd(self) -> int:
        """The descriptor, for handing to the one program that shall hold this lock on (the server)."""
        return self._fd

    def try_exclusive(self) -> bool:
        """True when nobody else holds the lock in any way; it is then ours."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def wait_exclusive(self) -> None:
        """Wait for it as long as it takes; for holders that are known to be quick."""
        fcntl.flock(self._fd, fcntl.LOCK_EX)

    def share(self) -> None:
        """Hold it together with others. Call only behind the gate, where nobody takes it exclusively for long."""
        fcntl.flock(self._fd, fcntl.LOCK_SH)

    def release(self) -> None:
        """Unlock and close; harmless when done twice."""
        if self._fd >= 0:
            fcntl.flock(self._fd, fcntl.LOCK_UN)
            self.close()

    def close(self) -> None:
        """Close our descriptor only; another process that inherited it keeps the lock."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def reopen_if_replaced(self) -> bool:
        """True when the file at the path is another one by now (the folder was deleted and made again)."""
        with suppress(FileNotFoundError):
            if os.path.samestat(os.stat(self.path), os.fstat(self._fd)):
                return False
        self.release()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = self._open()
        return True

    def note_holder(self, text: str) -> None:
        """Write who holds it, for the words of those who wait; never used to decide anything."""
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, text.encode(), 0)

    def read_holder(self) -> str:
        """What the holder noted, or an empty string."""
        return os.pread(self._fd, 200, 0).decode(errors="replace").strip()


class Gate:
    """The gate before starting and stopping: one process at a time, whoever else waits says so."""

    def __init__(
        self,
        path: Path,
        owner: Account | None,
        *,
        doing: str,
        patience_seconds: float,
        on_progress: Callable[[str], None],
    ) -> None:
        self._lock = Lock(path, owner)
        self._doing = doing
        self._patience_seconds = patience_seconds
        self._on_progress = on_progress

    def __enter__(self) -> Self:
        try:
            self._pass()
        except BaseException:
            self._lock.close()
            raise
        self._lock.note_holder(f"pid {os.getpid()}, {self._doing}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    def _pass(self) -> None:
        started = time.monotonic()
        said = False
        pause_seconds = _FIRST_PAUSE_SECONDS
        while not (self._lock.try_exclusive() and not self._lock.reopen_if_replaced()):
            waited = time.monotonic() - started
            holder = self._lock.read_holder() or "another process"
            if waited > self._patience_seconds:
                raise EmbeddedPostgresError(
                    f"{holder} has held the embedded Postgres for {waited:.0f} s and does not finish.",
                    "Look at that process; end it if it hangs, then start again.",
                )
            if not said and waited > _SAY_AFTER_SECONDS:
                self._on_progress(f"Waiting for another process ({holder}) to finish with the embedded Postgres")
                said = True
            time.sleep(pause_seconds)
            pause_seconds = min(pause_seconds * 1.5, _LONGEST_PAUSE_SECONDS)
