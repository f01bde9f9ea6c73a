"""The end of a reading: what its pages prove is settled, and its pass closed, in one transaction."""

from __future__ import annotations

from common.store import leases, passes
from common.store.database import Link
from common.store.leases import Lease
from daemon.integrations.base import Entity
from daemon.sync.reading import Reading
from daemon.sync.reconcile import Proof, Settled, settle, would_settle
from daemon.sync.writer import PageWriter


class Proving:
    """Settles readings of one entity. ``removes``: what a reading proves to be gone is marked removed."""

    def __init__(self, writer: PageWriter, lease: Lease, entity: Entity, *, removes: bool) -> None:
        self._writer = writer
        self._lease = lease
        self._entity = entity
        self._removes = removes

    def of(self, reading: Reading, *, may_read_again: bool) -> Settled | None:
        """What the pages prove, written unless it is a dry run; None when the last page is due again."""
        if reading.pass_id is not None:
            return self._end_pass(reading, reading.pass_id, may_read_again=may_read_again)
        met, total = reading.met_in_dry_run, reading.paging.total
        if met is None or total is None:
            return Settled()
        with self._writer.transaction() as link:
            settled = would_settle(link, self._lease, self._writer.target, self._proof(reading), met=met)
        return None if settled.drift is not None and may_read_again else settled

    def _end_pass(self, reading: Reading, pass_id: int, *, may_read_again: bool) -> Settled | None:
        """Settle and close the pass in one transaction; None (and nothing written) when the last page is due again."""
        with self._writer.transaction() as link:
            settled = Settled()
            if reading.sees_ids:
                settled = settle(link, self._lease, self._writer.target, self._proof(reading), pass_id=pass_id)
                if settled.drift is not None and may_read_again:
                    return None
                self._forget_seen(link, pass_id)
            moved = reading.sees_ids and not reading.is_proof
            passes.end(link, pass_id, "complete", reading.paging.total, keep_watermark=not moved)
            leases.fence(link, self._lease)
        return settled

    def _proof(self, reading: Reading) -> Proof:
        return Proof(reading.paging.total, reading.is_proof, removes=self._removes)

    def _forget_seen(self, link: Link, pass_id: int) -> None:
        """Of a backfill its ids are kept, by which an admin's yes to a mass removal is carried out."""
        if self._removes:
            passes.forget_seen(link, self._lease, self._entity.name, keep_pass_id=pass_id)
        else:
            passes.forget_pass(link, pass_id)
