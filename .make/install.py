"""Bring .venv up to date: `python .make/install.py run|test`. Standard library only; quiet when nothing is to be done.

A stamp in .venv, written last, holds the hash of the requirement files and the Python version. A marker stands while
pip works: an interrupted install may have left half a package that pip takes for whole, so .venv is then made anew.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
MARKER = VENV / ".installing"
REQUIREMENTS = {"run": ("requirements.txt",), "test": ("requirements.txt", "tests/requirements.txt")}
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# pip says this for each folder of wheels in its configuration that does not exist: up to a hundred times.
NOISE = re.compile(r"Location '.*' is ignored|\[notice\]|Looking in (links|indexes)")


class InstallError(Exception):
    """Why it cannot go on: cause and remedy."""


def main() -> int:
    """0, or 1 with words on stderr."""
    kind = sys.argv[1]
    try:
        with (ROOT / "requirements.txt").open() as lock:
            wait_for(lock)
            install(kind)
            if kind == "test":
                install_browser()
                install_pooler()
    except InstallError as reason:
        sys.stderr.write(f"{reason}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted; the next `make` does it again from the start.\n")
        return 130
    return 0


def say(text: str) -> None:
    """A calm line."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def wait_for(lock: IO[str]) -> None:
    """One install at a time in this clone."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("Waiting for another `make` that installs here")
        fcntl.flock(lock, fcntl.LOCK_EX)


def install(kind: str) -> None:
    """Make .venv when it is missing or broken, and install what the requirement files say."""
    stamp = VENV / f".installed-{kind}"
    if not MARKER.exists() and stamp.exists() and stamp.read_text() == key_of(kind):
        return
    if MARKER.exists() or not venv_works():
        make_venv()
    started = time.monotonic()
    say(f"Installing {REQUIREMENTS[kind][-1]} (the first time this takes a minute or two)")
    MARKER.touch()
    pip_install(ROOT / REQUIREMENTS[kind][-1])
    for old in VENV.glob(".installed-*"):
        old.unlink()  # what one kind installs may have changed the versions of the other
    for done in ("run", "test") if kind == "test" else ("run",):
        (VENV / f".installed-{done}").write_text(key_of(done))
    MARKER.unlink()
    say(f"Installed in {time.monotonic() - started:.0f} s")


def key_of(kind: str) -> str:
    """Changes with the requirement files and the Python."""
    content = b"".join((ROOT / name).read_bytes() for name in REQUIREMENTS[kind])
    return f"{hashlib.sha256(content).hexdigest()} {venv_version()}\n"


def venv_python() -> str:
    """Path of the interpreter in .venv."""
    return str(VENV / "bin" / "python")


def venv_version() -> str:
    """Version of the Python in .venv, or an empty string when it does not run (its base was removed or upgraded)."""
    try:
        asked = subprocess.run(  # noqa: S603  our own words
            [venv_python(), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""


def venv_works() -> bool:
    """A Python that suits us, with pip."""
    if venv_version() not in ("3.11", "3.12", "3.13"):
        return False
    asked = subprocess.run([venv_python(), "-m", "pip", "--version"], capture_output=True, check=False)  # noqa: S603
    return asked.returncode == 0


def make_venv() -> None:
    """From nothing, with the Python that runs this script."""
    say(f"Making .venv with Python {sys.version_info[0]}.{sys.version_info[1]}")
    try:
        shutil.rmtree(VENV, ignore_errors=False) if VENV.exists() else None
    except OSError as error:
        raise InstallError(f"Cannot delete {error.filename}: {error.strerror}.\nDelete .venv by hand.") from error
    made = subprocess.run(  # noqa: S603  our own words
        [sys.executable, "-m", "venv", str(VENV)], capture_output=True, text=True, check=False
    )
    if made.returncode == 0:
        return
    shutil.rmtree(VENV, ignore_errors=True)
    words = (made.stdout + made.stderr).strip()
    if "ensurepip" in words or "No module named venv" in words:
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        raise InstallError(
            f"Python {version} at {sys.executable} lacks its venv module.\n"
            f"Install it (Debian: apt-get install python{version}-venv), then start again."
        )
    raise InstallError(f"Making .venv failed:\n{words[-1500:]}\nSet right what it names (often a full disk).")


def pip_install(requirements: Path) -> None:
    """Run pip, showing what it fetches on a terminal, and everything it said when it fails."""
    command = [
        venv_python(),
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-input",
        "-r",
        str(requirements),
    ]
    pip = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)  # noqa: S603
    said: list[str] = []
    listener = threading.Thread(target=hear_errors, args=(pip.stderr, said))
    listener.start()
    try:
        assert pip.stdout is not None
        show_progress(pip.stdout, said)
        code = pip.wait()
    finally:
        if pip.poll() is None:
            pip.terminate()
        listener.join()
    if code != 0:
        raise InstallError(
            "".join(said[-30:]) + "\nInstalling failed; pip's last words are above.\n"
            "Look for a missing network or a full disk, then start again: it begins anew."
        )


def show_progress(stream: IO[str], said: list[str]) -> None:
    """One line that changes on a terminal; a line for each step elsewhere."""
    on_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns - 1
    collected = 0
    for line in stream:
        said.append(line)
        if line.startswith("Collecting "):
            collected += 1
            if on_terminal:
                sys.stdout.write(f"\r\033[K  {collected} packages: {line.split()[1]}"[: width + 6])
                sys.stdout.flush()
        elif line.startswith("Installing collected packages"):
            say(f"{chr(13) + chr(27) + '[K' if on_terminal else ''}  {collected} packages fetched; unpacking them")


def hear_errors(stream: IO[str], said: list[str]) -> None:
    """Pass pip's warnings on, but for the noise."""
    for line in stream:
        if not NOISE.search(line):
            said.append(line)
            sys.stderr.write(line)


def install_browser() -> None:
    """A Chromium for the browser tests, by the system's packages where we may, else Playwright's own."""
    if any(shutil.which(name) for name in BROWSERS):
        return
    if may_use_apt():
        apt_install("chromium", "fonts-liberation", what_for="the browser tests")
    else:
        run_step("chromium", "the browser tests", [venv_python(), "-m", "playwright", "install", "chromium"])


def install_pooler() -> None:
    """A pgbouncer for the fault tests, where we may; elsewhere those tests fail and say what to install."""
    if not shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin") and may_use_apt():
        apt_install("pgbouncer", what_for="the fault tests")


def may_use_apt() -> bool:
    """Root on Debian or one of its children."""
    return os.geteuid() == 0 and Path("/etc/debian_version").exists()


def apt_install(*packages: str, what_for: str) -> None:
    """Debian's own packages."""
    say(f"Installing Debian's {packages[0]} for {what_for}")
    install_them = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    for step in (["apt-get", "update", "-qq"], install_them):
        run_step(packages[0], what_for, ["env", "DEBIAN_FRONTEND=noninteractive", *step])


def run_step(package: str, what_for: str, step: list[str]) -> None:
    """One command of a package manager; its last words when it fails."""
    done = subprocess.run(step, capture_output=True, text=True, check=False)  # noqa: S603  our own words
    if done.returncode != 0:
        raise InstallError(
            f"{(done.stdout + done.stderr)[-1500:]}\nNo {package} for {what_for}: `{' '.join(step)}` failed.\n"
            f"Install {package} by hand, then start again."
        )


if __name__ == "__main__":
    sys.exit(main())
