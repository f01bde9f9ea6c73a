"""The whole product started as its users start it: page, daemon, embedded database and drill server."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
from playwright.sync_api import Page, expect

from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class House:
    """The running product: its launcher, address and first admin's password."""

    launcher: subprocess.Popen[bytes]
    address: str
    log: Path
    data_dir: Path
    password: str = ""

    @property
    def output(self) -> str:
        """What it wrote so far."""
        return self.log.read_text(errors="replace")

    def daemon(self) -> psutil.Process | None:
        """The process that runs ``python -m daemon`` for this house."""
        for process in psutil.Process(self.launcher.pid).children(recursive=True):
            try:
                words = process.cmdline()
            except psutil.Error:
                continue
            if words[1:] == ["-m", "daemon"]:
                return process
        return None


def start_house(data_dir: Path, log: Path, **settings: str) -> House:
    """Start everything as `make run` does, on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ICC_", "DOORLOOP_"))}
    environment |= {"PORT": str(port), "ICC_DATA_DIR": str(data_dir), **settings}
    with log.open("ab") as file:
        launcher = subprocess.Popen(
            [sys.executable, "-m", "common.launch"], cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT
        )
    house = House(launcher, f"http://127.0.0.1:{port}", log, data_dir)
    found = wait_for(lambda: re.search(r"password\s+(\S+)", house.output), "the password is printed", seconds=60)
    house.password = found.group(1)
    return house


def stop_house(house: House) -> None:
    """Ctrl-C, as a person would."""
    house.launcher.send_signal(signal.SIGINT)
    house.launcher.wait(30)


def sign_in(page: Page, house: House) -> None:
    """Through the form, to the page."""
    page.goto(house.address)
    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password").fill(house.password)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile("/systems/integrations"))
    expect(page.get_by_role("button", name="Run now")).to_be_visible()
