"""What a complete reading proves: which rows are gone (law 4). Everything here runs in the pass's last transaction."""

from __future__ import annotations

from dataclasses import dataclass

from common.rules.outcome import is_mass_removal
from common.store import accounts, passes, records
from common.store.database import Link
from common.store.leases import Lease
from common.store.records import Target
from daemon.sync.second_look import Met


@dataclass(frozen=True)
class Settled:
    """What was settled. ``drift``: (distinct ids, the vendor's total in words) when they prove nothing; ``asked``:
    (missing, here) when an admin has to decide; ``removed``: rows marked removed; ``unproven``: (rows that are missing,
    why the second look at the list is no proof that they are gone); ``is_doubtful``: nothing was settled yet, since the
    list may have moved under its reader: it is to be looked at once more; ``is_forgotten``: nor was it here, since what
    was seen is not there any more."""

    removed: int = 0
    drift: tuple[int, str] | None = None
    asked: tuple[int, int] | None = None
    unproven: tuple[int, str] | None = None
    is_doubtful: bool = False
    is_forgotten: bool = False


@dataclass(frozen=True)
class Proof:
    """What a reading of the whole list says of itself. ``total``: the vendor's count, None when it was not told;
    ``removable``: it lost nothing meanwhile, as far as its totals tell; ``removes``: its run is one that marks rows
    removed; ``may_have_moved``: a record may have come meanwhile that no total tells of, and another gone for it;
    ``began_empty``: no row was here when its first page was written, so it met whatever is here;
    ``is_sure``: nothing could move under its reader, or a second look at the list met the same; ``unproven``: why that
    look did not."""

    total: int | None
    removable: bool
    removes: bool
    may_have_moved: bool = False
    began_empty: bool = False
    is_sure: bool = False
    unproven: str | None = None


def settle(link: Link, lease: Lease, target: Target, proof: Proof, *, pass_id: int) -> Settled:
    """Mark rows removed that the pass did not meet, if the pass proves it; ask an admin before a mass removal."""
    if proof.total is None:
        return Settled()
    ids = passes.count_distinct_ids(link, pass_id)
    drift = drift_of(ids, proof.total, removable=proof.removable)
    if drift is not None or not proof.removes:
        return Settled(drift=drift or _gained(ids, proof))
    missing = 0 if proof.began_empty else _missing(link, lease, target, pass_id)
    if missing == 0:
        # Whatever was asked of an earlier reading is settled by this one.
        accounts.supersede(link, lease.integration, lease.account_key, "mass_removal", entity=target.table)
        return Settled(drift=_gained(ids, proof))
    return _undecided(proof, missing) or _remove(link, lease, target, pass_id, missing)


def _missing(link: Link, lease: Lease, target: Target, pass_id: int) -> int:
    records.plan_for_bulk(link)
    return records.count_missing(link, target, lease.account_key, pass_id)


def _remove(link: Link, lease: Lease, target: Target, pass_id: int, missing: int) -> Settled:
    # Of the rows that it began with: its own new ones would make a lost list look like a small loss.
    here = records.count_here_before(link, target, lease.account_key, pass_id)
    if is_mass_removal(missing, here):
        details = {
            "entity": target.table,
            "missing": missing,
            "here": here,
            "sample_ids": records.sample_missing(link, target, lease.account_key, pass_id),
        }
        account = (lease.integration, lease.account_key)
        accounts.ask_admin(
            link, *account, "mass_removal", details, entity=target.table, run_id=lease.run_id, pass_id=pass_id
        )
        return Settled(asked=(missing, here))
    accounts.supersede(link, lease.integration, lease.account_key, "mass_removal", entity=target.table)
    return Settled(removed=records.mark_missing_removed(link, target, lease.account_key, pass_id))


def _undecided(proof: Proof, missing: int) -> Settled | None:
    """What keeps missing rows from being taken for gone; None when nothing does."""
    if proof.unproven is not None:
        return Settled(unproven=(missing, proof.unproven))
    return None if proof.is_sure else Settled(is_doubtful=True)


def _moved(ids: int) -> tuple[int, str]:
    return ids, f"{ids}, but not the same on every page"


def _gained(ids: int, proof: Proof) -> tuple[int, str] | None:
    """What is told where nothing is missing; else a second look tells whether a record was hidden."""
    return (ids, f"{ids}, having gained fewer than may have come meanwhile") if proof.may_have_moved else None


def drift_of(ids: int, total: int, *, removable: bool) -> tuple[int, str] | None:
    """Why the pages prove no absence, though all of them came; None when they do."""
    if ids != total:
        return ids, str(total)
    # Rows deleted in mid-pass pull later ones past the reader: as many are missed as are gone, and the numbers agree.
    return None if removable else _moved(ids)


def would_settle(link: Link, lease: Lease, target: Target, proof: Proof, *, met: Met, more: Met) -> Settled:
    """What ``settle`` would do, judged from the hashes of the ids that a dry run met; writes nothing (law 5).

    ``more``: what only a second look met.
    """
    assert proof.total is not None
    drift = drift_of(len(met), proof.total, removable=proof.removable)
    if drift is not None or not proof.removes:
        return Settled(drift=drift or _gained(len(met), proof))
    missing = here = 0
    for id_ in records.stream_ids(link, target, lease.account_key):
        here += 1
        missing += id_ not in met and id_ not in more
    if not missing:
        return Settled(drift=_gained(len(met), proof))
    undecided = _undecided(proof, missing)
    if undecided is not None:
        return undecided
    return Settled(asked=(missing, here)) if is_mass_removal(missing, here) else Settled(removed=missing)
