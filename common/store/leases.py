"""The lease of an account: who may write it, under which term (law 1). The caller commits unless said otherwise."""

from __future__ import annotations

from dataclasses import dataclass

from common.errors import LeaseLost
from common.store.database import Database, Link, Row
from common.store.statements import statements

SQL = statements("runs")
AT_ONCE_SECONDS = 0.5
"""Waited for a connection where one is asked for only to see whether there is any."""


@dataclass(frozen=True)
class Lease:
    """The right of one run to write one account, for as long as its term is the highest."""

    integration: str
    account_key: str
    run_id: str
    term: int

    @property
    def writer_name(self) -> str:
        """What the run's own connections call themselves, so that a successor can end them."""
        return f"icc:{self.run_id}:{self.term}"

    @property
    def params(self) -> Row:
        """For the statements that name the lease."""
        return {
            "integration": self.integration,
            "account_key": self.account_key,
            "run_id": self.run_id,
            "term": self.term,
        }


def read(link: Link, integration: str, account_key: str) -> Row:
    """The lease row with its holder's facts, by the database's clock."""
    account = {"integration": integration, "account_key": account_key}
    row = link.execute(SQL["read_lease"], account).fetchone()
    if row is None:  # the account's very first time
        link.execute(SQL["ensure_lease"], account)
        row = link.execute(SQL["read_lease"], account).fetchone()
    assert row is not None
    return row


def renew(database: Database, lease: Lease, lease_seconds: float) -> None:
    """Keep the lease for another while; commits. Raises ``LeaseLost`` when the term moved on."""
    with database.statement() as link:
        if link.execute(SQL["renew_lease"], {**lease.params, "lease_seconds": lease_seconds}).fetchone() is None:
            raise LeaseLost


def fence(link: Link, lease: Lease, *, waits: bool = True) -> None:
    """The last statement of a writing transaction. Raises ``LeaseLost``, which rolls it back.

    ``waits`` False: its commit does not wait for the disk. A crash of the server may then take back the last pages,
    rows and checkpoint together: they are read again. The transaction that ends the reading waits, and everything
    before it is on the disk by then.
    """
    if link.execute(SQL["fence" if waits else "fence_without_waiting"], lease.params).fetchone() is None:
        raise LeaseLost


def check(database: Database, lease: Lease) -> None:
    """Whether the database answers now, and lets the run write. Raises ``DatabaseAway``, ``LeaseLost``."""
    with database.transaction(wait_seconds=AT_ONCE_SECONDS) as link:
        fence(link, lease)


def free(link: Link, lease: Lease) -> bool:
    """Give the account back at the run's end; false when the term had moved on."""
    return link.execute(SQL["free_lease"], lease.params).fetchone() is not None


def revoke(link: Link, lease: Lease) -> bool:
    """Take the right to write away from a run that does not answer; false when it was gone already."""
    return link.execute(SQL["revoke_lease"], lease.params).fetchone() is not None


def free_forgotten(link: Link) -> int:
    """Free leases that have run out and whose run is over; returns how many."""
    return link.execute(SQL["free_forgotten"]).rowcount


def end_writers(database: Database, lease: Lease) -> int:
    """Terminate the database connections of a lease whose term is over; commits. Returns how many there were."""
    with database.transaction() as link:
        row = link.execute(SQL["terminate_backends"], {"name": lease.writer_name}).fetchone()
        return int(row["ended"]) if row else 0
