"""`python -m common.store.embedded psql|status|stop`: a person's way to the embedded Postgres."""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from common.config import environment
from common.store.embedded import EmbeddedPostgresError, binaries, join, status, stop_now
from common.store.embedded.cluster import CLEAN_ENVIRONMENT


def main(arguments: list[str] | None = None) -> int:
    """Run one of the three; the exit code is psql's own, or 1 with cause and remedy on stderr."""
    parser = argparse.ArgumentParser(prog="python -m common.store.embedded", description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=Path(environment().get("icc_data_dir", ".data")))
    parser.add_argument("action", choices=("psql", "status", "stop"))
    parser.add_argument("rest", nargs=argparse.REMAINDER, help="further arguments for psql")
    given = parser.parse_args(arguments)
    try:
        if given.action == "psql":
            return _psql(given.data_dir, given.rest)
        return _stop(given.data_dir) if given.action == "stop" else _status(given.data_dir)
    except EmbeddedPostgresError as error:
        sys.stderr.write(f"{error.cause}\n{error.remedy}\n")
        return 1


def _psql(data_dir: Path, rest: list[str]) -> int:
    """Open psql as a user of the server like any other: it is started if need be, and stays up meanwhile."""
    if environment().get("database_url"):
        sys.stderr.write(
            'DATABASE_URL is set, so the embedded Postgres is not in use.\nOpen yours: psql "$DATABASE_URL"\n'
        )
        return 1
    program = _find_psql()
    if program is None:
        sys.stderr.write("No psql that runs was found.\nInstall one (Debian: apt-get install postgresql-client).\n")
        return 1
    with join(data_dir, on_progress=_say) as postgres:
        try:
            command = [program, "-d", postgres.url, *rest]
            return subprocess.run(command, check=False).returncode  # noqa: S603  the person's own words
        except KeyboardInterrupt:
            return 130


def _find_psql() -> str | None:
    """The one beside the server if it runs on this machine (it needs libraries of its own), else one on PATH."""
    shipped = binaries.find().bin / "psql"
    for candidate in (str(shipped), shutil.which("psql")):
        if candidate is None or not Path(candidate).exists():
            continue
        command = [candidate, "--version"]
        probe = subprocess.run(command, check=False, capture_output=True, env=CLEAN_ENVIRONMENT)  # noqa: S603  fixed words
        if probe.returncode == 0:
            return candidate
    return None


def _status(data_dir: Path) -> int:
    """Say what is so; exit code 0 when the server answers, 3 when it does not (as `systemctl status`)."""
    found = status(data_dir)
    state = "answers" if found.answers else "does not answer" if found.pid else "is not running"
    lines = [
        f"The embedded Postgres {state}.",
        f"data:    {found.data}{'' if found.exists else ' (not made yet)'}",
        f"runs as: {found.runs_as}",
    ]
    lines += [f"pid:     {found.pid}", f"url:     {found.url}"] if found.pid else []
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if found.answers else 3


def _stop(data_dir: Path) -> int:
    stopped = stop_now(data_dir, on_progress=_say)
    sys.stdout.write("Stopped.\n" if stopped else "It was not running.\n")
    return 0


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
