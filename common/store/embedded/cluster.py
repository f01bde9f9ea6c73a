"""Make the data of an embedded Postgres (once) and write its settings (before each start)."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

from common.store.embedded.binaries import MAJOR, Binaries
from common.store.embedded.errors import EmbeddedPostgresError, from_os_error, from_postgres_words
from common.store.embedded.memory import shared_buffers_megabytes
from common.store.embedded.place import Account, Place

ROLE = "icc"
DATABASE = "icc"
PORT = 5432  # names the socket file only: nothing listens on TCP
LOG_FOLDER = "log"
_FREE_BYTES_FIRST = 300 * 1024 * 1024
_SAY_EVERY_SECONDS = 10.0

# What a program started for Postgres sees: not our environment, which holds keys that are none of its business.
CLEAN_ENVIRONMENT = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C", "TZ": "UTC"}

# The role of the application is no superuser, as with any managed Postgres: what works here works there.
_FIRST_STATEMENTS = f"""CREATE ROLE {ROLE} LOGIN CREATEDB
CREATE DATABASE {DATABASE} OWNER {ROLE}
"""

_SETTINGS = """# Written anew at each start. For changes of your own use ALTER SYSTEM (as role postgres).
max_connections = 60
shared_buffers = {shared_buffers_megabytes}MB
maintenance_work_mem = 64MB
max_wal_size = 1GB
# A first load writes hundreds of MB of WAL: room for a batch in memory, and new segments that are not written twice.
wal_buffers = 16MB
wal_init_zero = off
fsync = on
full_page_writes = on
autovacuum = on
jit = off
# Parallel workers share memory in /dev/shm, of which containers have 64 MB: a big join would fail there.
max_parallel_workers_per_gather = 0
max_parallel_maintenance_workers = 0
# A killed client must not hold its locks until its query ends.
client_connection_check_interval = 5s
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
logging_collector = on
log_filename = 'postgres-%Y%m%d-%H%M%S.log'
log_rotation_size = 10MB
log_rotation_age = 1d
log_file_mode = 0600
log_line_prefix = '%m [%p] %q%a '
log_checkpoints = off
# Statements and the rows in error contexts are business data: they stay out of the log.
log_error_verbosity = terse
log_min_error_statement = panic
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
"""

_KEEP_LOG_FILES = 5


def check_version(place: Place) -> None:
    """Raises EmbeddedPostgresError when the folder is of another major version or no Postgres data."""
    if not place.data.exists():
        return
    version_file = place.data / "PG_VERSION"
    try:
        found = version_file.read_text().strip()
    except FileNotFoundError:
        raise EmbeddedPostgresError(
            f"{place.data} exists and is not a Postgres data folder.", "Move it away and start again."
        ) from None
    except OSError as error:
        raise from_os_error(error, version_file) from error
    if found != str(MAJOR):
        raise EmbeddedPostgresError(
            f"The data in {place.data} is of Postgres {found}, and this program brings Postgres {MAJOR}.",
            f"Dump it with pg_dump of version {found} and load it into a new one, or move the folder away (everything "
            "synced comes back from the vendors), or set DATABASE_URL to a Postgres of your own.",
        )


def create_when_missing(place: Place, binaries: Binaries, on_progress: Callable[[str], None]) -> None:
    """Make the data folder, whole or not at all: it is made aside and renamed. Call behind the gate."""
    if place.data.exists():
        return
    aside = place.home / "data.new"
    try:
        free = shutil.disk_usage(place.home).free
        if free < _FREE_BYTES_FIRST:
            raise EmbeddedPostgresError(
                f"The disk that holds {place.home} has only {free // 2**20} MB left.",
                "Free at least 300 MB, set ICC_DATA_DIR to another disk, or set DATABASE_URL to your own Postgres.",
            )
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(mode=0o700)
        if place.switch:
            os.chown(aside, place.account.uid, place.account.gid)
        on_progress("Making the embedded Postgres database (first start)")
        _run(place, _initdb(binaries, aside), "", "making the database (initdb)", on_progress)
        _run(place, _single_user(binaries, aside), _FIRST_STATEMENTS, "making its role and database", on_progress)
        aside.rename(place.data)
        _flush_folder(place.home)
    except OSError as error:
        raise from_os_error(error, aside) from error


def _initdb(binaries: Binaries, folder: Path) -> list[str]:
    return [
        str(binaries.initdb),
        *("-D", str(folder), "--username=postgres", "--auth-local=peer", "--auth-host=reject", "--data-checksums"),
        *(
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-instructions",
        ),
    ]


def _single_user(binaries: Binaries, folder: Path) -> list[str]:
    return [str(binaries.postgres), "--single", "-D", str(folder), "-c", "exit_on_error=on", "postgres"]


def _run(place: Place, command: list[str], stdin: str, doing: str, on_progress: Callable[[str], None]) -> None:
    """Run one of Postgres' programs to its end, however long that takes; say every few seconds that it still works."""
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as words:
        child = subprocess.Popen(  # noqa: S603  our own words, no shell
            command,
            stdin=subprocess.PIPE,
            stdout=words,
            stderr=words,
            text=True,
            cwd="/",
            env=CLEAN_ENVIRONMENT,
            umask=0o077,
            **identity(place),
        )
        try:
            while True:
                try:
                    child.communicate(stdin, timeout=_SAY_EVERY_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    on_progress(f"Still {doing} ({time.monotonic() - started:.0f} s)")
        except BaseException:
            child.kill()
            child.wait()
            raise
        if child.returncode != 0:
            words.seek(0)
            raise from_postgres_words(words.read(), place.data, doing)


class Identity(TypedDict, total=False):
    """Arguments of subprocess.Popen that say as whom a program runs."""

    user: int
    group: int
    extra_groups: list[int]


def identity(place: Place) -> Identity:
    """Arguments for subprocess that make a program run as the account of `place`."""
    if not place.switch:
        return {}
    return {"user": place.account.uid, "group": place.account.gid, "extra_groups": []}


def write_settings(place: Place) -> None:
    """Write postgresql.conf, pg_hba.conf and pg_ident.conf anew, so that an update reaches old data, too."""
    users = sorted({place.account.name, "root"})
    files = {
        "postgresql.conf": _SETTINGS.format(shared_buffers_megabytes=shared_buffers_megabytes()),
        "pg_hba.conf": f"# Over the unix socket, for those in pg_ident.conf.\nlocal all {ROLE},postgres peer map=icc\n",
        "pg_ident.conf": "".join(f'icc "{user}" {role}\n' for user in users for role in (ROLE, "postgres")),
    }
    for name, text in files.items():
        _replace(place.data / name, text, place.lock_owner)


def _replace(path: Path, text: str, owner: Account | None) -> None:
    try:
        if path.read_text() == text:
            return
    except OSError:
        pass
    aside = path.with_name(f"{path.name}.new")
    try:
        aside.write_text(text)
        aside.chmod(0o600)
        if owner is not None:
            os.chown(aside, owner.uid, owner.gid)
        aside.rename(path)
    except OSError as error:
        raise from_os_error(error, path) from error


def prune_logs(place: Place) -> None:
    """Keep the newest log files only (about 50 MB); the server begins a new one each day and at 10 MB."""
    try:
        logs = sorted((place.data / LOG_FOLDER).glob("postgres-*.log"))
        for old in logs[:-_KEEP_LOG_FILES]:
            old.unlink(missing_ok=True)
    except OSError as error:
        raise from_os_error(error, place.data / LOG_FOLDER) from error


def newest_log_words(place: Place, limit_bytes: int = 4000) -> str:
    """The end of the newest server log, or an empty string."""
    logs = sorted((place.data / LOG_FOLDER).glob("postgres-*.log"))
    if not logs:
        return ""
    try:
        with logs[-1].open("rb") as file:
            file.seek(max(0, logs[-1].stat().st_size - limit_bytes))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def _flush_folder(folder: Path) -> None:
    """Make a rename in this folder survive a power cut."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
