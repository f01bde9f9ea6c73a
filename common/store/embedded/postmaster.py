"""Who is the postmaster, and does it answer? Questions only; nothing here changes anything."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
from psycopg.pq import PGconn, Ping

from common.store.embedded.cluster import DATABASE, PORT, ROLE
from common.store.embedded.place import Place


@dataclass(frozen=True)
class Postmaster:
    """A process that the kernel confirms to be the postmaster of our data folder."""

    pid: int
    socket_folder: Path
    ready: bool


def url_for(socket_folder: Path, *, role: str = ROLE, database: str = DATABASE) -> str:
    """A libpq URL; everything is named, so that PGHOST and PGPORT of this process' environment change nothing."""
    return f"postgresql://{role}@/{database}?host={quote(str(socket_folder), safe='')}&port={PORT}"


def find_postmaster(place: Place) -> Postmaster | None:
    """The living postmaster named in postmaster.pid, or None when that process is dead or somebody else."""
    lines = read_lines(place.data / "postmaster.pid")
    pid = leading_pid(lines)
    if pid is None or not is_postmaster_of(pid, place.data):
        return None
    folder = lines[4].strip() if len(lines) > 4 else ""
    ready = len(lines) > 7 and lines[7].strip() == "ready"
    return Postmaster(pid, Path(folder) if folder else Path("/nonexistent"), ready)


def answers(socket_folder: Path) -> bool:
    """True when a real connection succeeds (also when all seats are taken: that server is alive)."""
    try:
        with psycopg.connect(url_for(socket_folder), connect_timeout=5, autocommit=True) as connection:
            connection.execute("SELECT 1")
    except psycopg.OperationalError as error:
        return "too many clients" in str(error) or "connection slots are reserved" in str(error)
    return True


def ping(socket_folder: Path) -> Ping:
    """A cheap question without signing in: OK, REJECT (starting, recovering or stopping), NO_RESPONSE."""
    return Ping(PGconn.ping(f"{url_for(socket_folder)}&connect_timeout=5".encode()))


def read_lines(path: Path) -> list[str]:
    """The file's lines; none when it cannot be read."""
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []


def leading_pid(lines: list[str]) -> int | None:
    """The process id in the first line; None when there is no possible one."""
    text = lines[0].strip() if lines else ""
    return int(text) if text.isdigit() and 0 < int(text) < 2**31 else None


def is_alive(pid: int) -> bool:
    """False for the dead and for zombies (an init that does not reap leaves those behind in containers)."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # when we are process 1 of a container, its orphans are our children
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def is_postmaster_of(pid: int, data: Path) -> bool:
    """Ask the kernel who this is: called postgres, not a child of a server, and at work on `data`.

    In containers root may not read another user's working folder; the command line, which all may read, says it, too.
    """
    if not is_alive(pid):
        return False
    try:
        process = psutil.Process(pid)
        command = process.cmdline()
        if process.name() != "postgres" or not command or command[0].startswith("postgres:"):
            return False
        return str(data) in command or Path(process.cwd()) == data
    except (psutil.Error, OSError):
        return False
