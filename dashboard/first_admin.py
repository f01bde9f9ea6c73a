"""The very first sign-in, told once where only the owner of the terminal reads it.

With the embedded database on loopback an account ``admin`` is made with a random password, printed once and kept
nowhere. With an outside database many could read the log, so the command that makes an account is printed instead.
"""

from __future__ import annotations

import sys

from common.access import Role
from common.passwords import hashed, readable
from common.store import commands, people
from dashboard.by_terminal import ACCOUNTS
from dashboard.services import Services
from dashboard.web.requests import HOME

NAME = "admin"
_TITLE = "Integrations Health & Control Center"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def greeting(services: Services, listens_on: str | None) -> str:
    """The block for the terminal; makes the first admin when there is nobody and it may be told here.

    ``listens_on`` is the address the server is bound to; None means every one of the machine.
    """
    address = services.address + HOME
    private = services.settings.database_url is None and listens_on in LOOPBACK
    with services.database.transaction() as link:
        people.lock(link)
        if people.anybody(link):
            forgot = f"Sign in as before (forgot? {ACCOUNTS} passwd NAME)."
            return _framed(_TITLE, address, "", forgot)
        if not private:
            return _framed(_TITLE, address, "", *_how_to_begin(services))
        password = readable()
        people.add(link, NAME, Role.ADMIN, hashed(password))
        commands.log_action(
            link, actor="first start", action="account add", result="done", source="cli", summary={"person": NAME}
        )
    return _framed(
        _TITLE,
        address,
        "",
        f"name      {NAME}",
        f"password  {password}",
        "",
        f"Shown this once. Another one: {ACCOUNTS} passwd {NAME}",
    )


def _how_to_begin(services: Services) -> tuple[str, str]:
    """How the first person comes in where no password may be told."""
    doors = " and ".join(door.provider.shown for door in services.doors.values())
    so_far = f"Sign-in by {doors} is set up; for a local account run:" if doors else "Nobody can sign in yet. Run:"
    return so_far, f"{ACCOUNTS} add NAME --role admin"


def tell(block: str) -> None:
    """On stdout, past every log."""
    sys.stdout.write(f"\n{block}\n\n")
    sys.stdout.flush()


def _framed(*lines: str) -> str:
    width = max(len(line) for line in lines)
    middle = [f"│  {line.ljust(width)}  │" for line in lines]
    return "\n".join([f"╭{'─' * (width + 4)}╮", *middle, f"╰{'─' * (width + 4)}╯"])
