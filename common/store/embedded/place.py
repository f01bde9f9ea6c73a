"""Where the embedded Postgres of one data folder lives, and as whom it runs.

An ordinary user: everything in `<data dir>/postgres`, run as that user. Root: Postgres refuses to run as root, and the
clone may lie in a home that no one else may enter, so it runs as another user, in `/var/lib/icc/<name>`. No mode of any
folder above ours is ever changed.
"""

import hashlib
import os
import pwd
import re
import shutil
import stat
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from common.store.embedded.errors import EmbeddedPostgresError, from_os_error

ROOT_BASE = Path("/var/lib/icc")
POINTER = "database-is-elsewhere.txt"
_SYSTEM_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"
_SOCKET_BASE = Path("/tmp")  # noqa: S108  a socket path holds 107 bytes at most; the folder in it is checked below


@dataclass(frozen=True)
class Account:
    """An operating system user."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True)
class Place:
    """All paths of one embedded Postgres. It runs as `account`; `switch`: we are root and must change to it."""

    home: Path
    account: Account
    switch: bool
    binaries_base: Path | None

    @property
    def data(self) -> Path:
        """The folder that Postgres keeps its files in."""
        return self.home / "data"

    @property
    def lock_owner(self) -> Account | None:
        """Who must own the lock file; None: whoever we are."""
        return self.account if self.switch else None


def locate(data_dir: Path, *, root_base: Path = ROOT_BASE) -> Place:
    """Find or make the home of the embedded Postgres of `data_dir`.

    Raises EmbeddedPostgresError when the folder cannot be made or belongs to somebody else's database.
    """
    data_dir = data_dir.expanduser().resolve()
    inside = data_dir / "postgres"
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        if os.geteuid() != 0:
            return _as_ordinary_user(data_dir, inside)
        return _as_root(data_dir, inside, root_base)
    except OSError as error:
        raise from_os_error(error, data_dir) from error


def _as_ordinary_user(data_dir: Path, inside: Path) -> Place:
    pointer = data_dir / POINTER
    if pointer.exists() and not (inside / "data").exists():
        raise EmbeddedPostgresError(
            f"The database of {data_dir} was made by root and lies in {_pointed_at(pointer)}.",
            f"Start as root as before, set ICC_DATA_DIR to another folder, or delete {pointer} to begin anew.",
        )
    inside.mkdir(mode=0o700, exist_ok=True)
    owner = inside.stat().st_uid
    if owner != os.geteuid():
        raise EmbeddedPostgresError(
            f"{inside} belongs to {_name_of(owner)}, and this process runs as {_name_of(os.geteuid())}.",
            "Start as that user, or set ICC_DATA_DIR to a folder of your own.",
        )
    return Place(home=inside, account=_account_of(os.geteuid()), switch=False, binaries_base=None)


def _as_root(data_dir: Path, inside: Path, root_base: Path) -> Place:
    if (inside / "data").is_dir() and (owner := (inside / "data").stat().st_uid) != 0:
        # An ordinary user made this database; root (sudo make run) goes on with it, as that user.
        return Place(home=inside, account=_account_of(owner), switch=True, binaries_base=root_base / "bin")
    make_folder_for_all(root_base)
    home = _home_for_root(data_dir, root_base)
    make_folder_for_all(home, mode=0o711)
    data = home / "data"
    account = _account_of(data.stat().st_uid) if data.is_dir() else _service_account()
    (home / "data-dir.txt").write_text(f"{data_dir}\n")
    (data_dir / POINTER).write_text(f"{home}\n")
    return Place(home=home, account=account, switch=True, binaries_base=root_base / "bin")


def _home_for_root(data_dir: Path, root_base: Path) -> Path:
    """The home named after the data folder; a folder that was moved keeps its home, a copied one gets a new one."""
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    word = re.sub(r"[^A-Za-z0-9]+", "-", data_dir.parent.name).strip("-")[:24] or "data"
    named = root_base / f"{word}-{digest}"
    pointer = data_dir / POINTER
    if named.exists() or not pointer.exists():
        return named
    earlier = _pointed_at(pointer)
    note = earlier / "data-dir.txt"
    if earlier.parent != root_base or not note.exists():
        return named
    original = Path(note.read_text().strip())
    return named if original != data_dir and (original / POINTER).exists() else earlier


def make_folder_for_all(folder: Path, *, mode: int = 0o755) -> None:
    """Make a folder of ours that others may enter, whatever our umask; an existing one is left as it is."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        return
    folder.chmod(mode)


def _pointed_at(pointer: Path) -> Path:
    return Path(pointer.read_text().strip() or "/nowhere")


def _account_of(uid: int) -> Account:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        raise EmbeddedPostgresError(
            f"User id {uid} has no name on this machine, and Postgres insists on one.",
            "Give it an entry in /etc/passwd, or set DATABASE_URL to a Postgres of your own.",
        ) from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _service_account() -> Account:
    """Who Postgres runs as under root: our own system user if it can be made, else `postgres`, else `nobody`."""
    for _ in range(5):
        if entry := _find_user("icc"):
            return entry
        useradd = shutil.which("useradd", path=_SYSTEM_PATH)
        if useradd is None:
            break
        done = subprocess.run(  # noqa: S603  fixed words
            [
                useradd,
                "--system",
                "--no-create-home",
                "--home-dir",
                str(ROOT_BASE),
                "--shell",
                "/usr/sbin/nologin",
                "icc",
            ],
            capture_output=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode != 0:
            time.sleep(0.2)  # another process edits the user list: it locks for a moment
    for name in ("icc", "postgres", "nobody"):
        if entry := _find_user(name):
            return entry
    raise EmbeddedPostgresError(
        "Postgres does not run as root, and this machine has no user `icc`, `postgres` or `nobody` to run it as.",
        "Create one (useradd --system icc), start as an ordinary user, or set DATABASE_URL.",
    )


def _find_user(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid) if entry.pw_uid != 0 else None


def socket_folder(place: Place) -> Path:
    """Make and return the folder of the unix socket: short, mode 0700, ours.

    The name follows from the home, so that the URL stays the same after a restart. In a shared /tmp another user may
    have taken the name before us: then the next name is used, never a folder that is not ours.
    """
    digest = hashlib.sha256(os.fsencode(place.home)).hexdigest()[:12]
    for attempt in range(20):
        folder = _SOCKET_BASE / (f"icc-{digest}" if attempt == 0 else f"icc-{digest}-{attempt}")
        try:
            folder.mkdir(mode=0o700)
            if place.switch:
                os.chown(folder, place.account.uid, place.account.gid)
        except FileExistsError:
            pass
        except OSError as error:
            raise from_os_error(error, folder) from error
        if _is_ours(folder, place):
            return folder
    raise EmbeddedPostgresError(
        f"Other users hold every name for the socket folder in {_SOCKET_BASE} (icc-{digest}…).",
        "Remove those folders, or set DATABASE_URL to a Postgres of your own.",
    )


def _is_ours(folder: Path, place: Place) -> bool:
    """True for a real folder (no link) of the right owner that nobody else may enter."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        return False
    if found.st_uid == 0 and place.switch and stat.S_IMODE(found.st_mode) == 0o700:
        # Root was killed between mkdir and chown.
        os.chown(folder, place.account.uid, place.account.gid, follow_symlinks=False)
        return True
    return found.st_uid == place.account.uid and stat.S_IMODE(found.st_mode) == 0o700
