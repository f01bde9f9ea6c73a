"""Which daemons live, and what they are doing. The caller commits."""

from __future__ import annotations

from common.store.database import Link, Row
from common.store.statements import statements

SQL = statements("accounts")


def enlist(link: Link, daemon: Row) -> None:
    """A daemon starts (keys as in ``control.daemons``)."""
    link.execute(SQL["enlist_daemon"], daemon)


def beat(link: Link, daemon_id: str, doing: str, *, listening: bool) -> None:
    """It lives, and this is what it is doing."""
    link.execute(SQL["beat"], {"id": daemon_id, "doing": doing, "listening": listening})


def discharge(link: Link, daemon_id: str, *, died: bool = False) -> None:
    """It ended in order, which must not wait long for a lock, or it is known to be dead."""
    if not died:
        link.execute(SQL["wait_a_second"])
    link.execute(SQL["discharge_dead" if died else "discharge_daemon"], {"id": daemon_id})


def of_host(link: Link, hostname: str, boot_id: str, except_id: str) -> list[Row]:
    """Daemons that should live on this machine; the kernel knows whether they do."""
    return link.execute(SQL["daemons_of_host"], {"hostname": hostname, "boot_id": boot_id, "id": except_id}).fetchall()
