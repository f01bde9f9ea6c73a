"""What can go wrong with the embedded Postgres, each as one cause and one remedy a tired person can act on."""

import errno
import re
from pathlib import Path

from common.excerpt import excerpt
from common.redact import mask

USE_YOUR_OWN = "or set DATABASE_URL to a Postgres of your own"


class EmbeddedPostgresError(Exception):
    """The embedded Postgres cannot do what was asked.

    `cause` says what is so, `remedy` what to do about it; both are whole sentences without secrets.
    """

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(f"{cause} {remedy}")
        self.cause = cause
        self.remedy = remedy


def disk_is_wiped() -> EmbeddedPostgresError:
    """The refusal on hosts that throw their disk away at every restart (Heroku sets DYNO)."""
    return EmbeddedPostgresError(
        "This host wipes its disk at every restart (DYNO is set), so an embedded Postgres would lose everything.",
        "Set DATABASE_URL to a Postgres service, e.g. with `heroku addons:create heroku-postgresql`.",
    )


def from_os_error(error: OSError, path: Path) -> EmbeddedPostgresError:
    """Translate a refusal of the operating system about `path`."""
    where = str(error.filename or path)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return EmbeddedPostgresError(f"The disk that holds {where} is full.", f"Free at least 300 MB, {USE_YOUR_OWN}.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return EmbeddedPostgresError(
            f"This user may not write to {where} ({error.strerror}).",
            f"Give this user the folder (chown), set ICC_DATA_DIR to one it owns, {USE_YOUR_OWN}.",
        )
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return EmbeddedPostgresError(f"{where} is in the way: it is not a folder.", "Move it, or set ICC_DATA_DIR.")
    return EmbeddedPostgresError(
        f"The operating system refused {where}: {error.strerror or error}.",
        f"Set right what it names, set ICC_DATA_DIR to another folder, {USE_YOUR_OWN}.",
    )


# What Postgres writes when it gives up (its messages are English, since lc_messages is C), most telling first.
_SAYINGS: tuple[tuple[str, str, str], ...] = (
    (
        r"No space left on device|Disk quota exceeded",
        "The disk that holds {data} is full.",
        f"Free at least 300 MB and start again (nothing is lost), {USE_YOUR_OWN}.",
    ),
    (
        r"database files are incompatible|was initialized by PostgreSQL version",
        "The data in {data} is of another Postgres version.",
        f"Start it with the version that made it, or move the folder away to begin anew, {USE_YOUR_OWN}.",
    ),
    (
        r"pre-existing shared memory block|lock file \"postmaster.pid\" already exists",
        "Processes of an earlier Postgres still work on {data}.",
        "Wait a minute and start again; if it stays so, end the processes called `postgres` of this user.",
    ),
    (
        r"could not create shared memory segment|Cannot allocate memory|could not map anonymous shared memory",
        "The machine has no memory left for Postgres (it asks for about 150 MB).",
        f"Close other programs or allow this container more memory, {USE_YOUR_OWN}.",
    ),
    (
        r"could not create semaphores",
        "The machine allows no more semaphores.",
        f"Raise kernel.sem, close other databases, {USE_YOUR_OWN}.",
    ),
    (
        r"could not locate a valid checkpoint record|invalid (primary )?checkpoint|PANIC|invalid data in file",
        "The data in {data} is damaged and Postgres cannot recover it.",
        "Move the folder away and start again: what was synced comes back from the vendors. Keep the old one.",
    ),
    (
        r"error while loading shared libraries|cannot open shared object|not found \(required by",
        "The Postgres that came with the Python packages does not run on this machine: a system library is missing.",
        "Install what it names (Debian: zlib1g), or set DATABASE_URL to a Postgres of your own.",
    ),
    (
        r"could not look up effective user ID|user does not exist",
        "The user of this process has no name on this machine, and Postgres insists on one.",
        f"Give it an entry in /etc/passwd, {USE_YOUR_OWN}.",
    ),
    (
        r"Permission denied|has wrong ownership|has invalid permissions",
        "Postgres may not use {data}.",
        f"Give the folder back to the user that made it, with mode 0700, {USE_YOUR_OWN}.",
    ),
)


def from_postgres_words(words: str, data: Path, doing: str) -> EmbeddedPostgresError:
    """Translate what Postgres wrote before giving up; unknown words are shown as they are (the last 600 characters)."""
    for pattern, cause, remedy in _SAYINGS:
        if found := re.search(pattern, words):
            return EmbeddedPostgresError(f"{cause.format(data=data)} Postgres says: {_line(words, found)}", remedy)
    tail = mask(words.strip())[-600:] or "nothing at all"
    return EmbeddedPostgresError(
        f"Postgres gave up while {doing}. It says: {tail}", f"Set right what it names, {USE_YOUR_OWN}."
    )


def _line(words: str, found: re.Match[str]) -> str:
    start = words.rfind("\n", 0, found.start()) + 1
    end = words.find("\n", found.end())
    return excerpt(words[start : end if end >= 0 else None].strip(), 300)
