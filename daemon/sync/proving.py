"""The end of a reading: what its pages prove is settled, and its pass closed, in one transaction."""

from __future__ import annotations

from array import array
from itertools import chain

from common.store import leases, passes, runs
from common.store.database import Link
from common.store.leases import Lease
from daemon.integrations.base import Entity
from daemon.sync.reading import Reading
from daemon.sync.reconcile import Proof, Settled, settle, would_settle
from daemon.sync.second_look import Met, SecondLook, SecondReader
from daemon.sync.writer import PageWriter


class Proving:
    """Settles readings of one entity. ``removes``: what a reading proves to be gone is marked removed."""

    def __init__(self, writer: PageWriter, lease: Lease, entity: Entity, *, removes: bool) -> None:
        self._writer = writer
        self._lease = lease
        self._entity = entity
        self._removes = removes
        self.has_watermark = False
        """Whether it is known up to when the entity's changes are known."""
        self.was_complete_before = False
        """Whether an earlier reading came to its end."""
        self._tried: tuple[str, Settled] | None = None
        """The last try's transaction and what it settled: the answer, when only that of its COMMIT was lost."""

    def of(self, reading: Reading, *, may_read_again: bool, second: SecondLook | None = None) -> Settled | None:
        """What the pages prove, written unless it is a dry run; None when the last page is due again.

        Nothing is written of what is doubtful: it wants a ``second`` look at the list.
        """
        if reading.pass_id is not None:
            return self._end_pass(reading, reading.pass_id, may_read_again=may_read_again, second=second)
        met, total = reading.met_in_dry_run, reading.paging.total
        if met is None or total is None:
            return Settled()
        more = Met(second.more if second else ())
        with self._writer.transaction() as link:
            proof = self._proof(reading, second)
            settled = would_settle(link, self._lease, self._writer.target, proof, met=Met(hashes=met), more=more)
        return None if settled.drift is not None and may_read_again else settled

    def begin_second_look(self, reading: Reading) -> tuple[SecondReader, int]:
        """Knowing whom the reading met; and for which time. It is noted: a continuation of the run begins with that."""
        if reading.pass_id is None:
            return SecondReader(Met(hashes=reading.met_in_dry_run or ())), 1
        with self._writer.transaction() as link:
            looks = passes.begin_second_look(link, reading.pass_id)
            hashes = array("q", map(hash, chain.from_iterable(passes.stream_seen(link, reading.pass_id))))
            leases.fence(link, self._lease)
        return SecondReader(Met(hashes=hashes)), looks

    def _end_pass(
        self, reading: Reading, pass_id: int, *, may_read_again: bool, second: SecondLook | None
    ) -> Settled | None:
        """Settle and close the pass in one transaction; nothing is written when the list is to be looked at again."""
        with self._writer.transaction() as link:
            if self._tried is not None and runs.is_committed(link, self._tried[0]):
                return self._tried[1]
            settled, proof = Settled(), self._proof(reading, second)
            if reading.sees_ids:
                if not passes.remembers_all(link, pass_id):
                    return Settled(is_forgotten=True)
                if second is not None and second.more:
                    passes.see_more(link, pass_id, second.more)
                settled = settle(link, self._lease, self._writer.target, proof, pass_id=pass_id)
                if settled.is_doubtful:
                    return settled
                if settled.drift is not None and may_read_again:
                    return None
                self._forget_seen(link, reading, pass_id)
            keeps = not reading.sees_ids or self._leads_on(reading, settled)
            total = reading.paging.total
            transaction = passes.end(link, pass_id, "complete", total, keep_watermark=keeps, deep=reading.is_deep)
            if transaction is not None:
                self._tried = (transaction, settled)
            leases.fence(link, self._lease)
        return settled

    def _leads_on(self, reading: Reading, settled: Settled) -> bool:
        """Whether the next delta may begin where this reading of the whole list did.

        Such a list may have hidden a changed record, so it moves no watermark that is there: the deltas lead on from
        one to the next, and what changed since the last is read again at the cost of some pages. Where there is none
        yet it gives one, unless it is known to have moved, or others came than it counts: the next delta then reads the
        whole list again. Where it miscounts time and again it is its count that is wrong.
        """
        if self.has_watermark or not reading.is_proof or settled.unproven is not None:
            return False
        return settled.drift is None or self.was_complete_before

    def _proof(self, reading: Reading, second: SecondLook | None) -> Proof:
        return Proof(
            reading.paging.total,
            reading.removable,
            removes=self._removes,
            may_have_moved=reading.may_have_moved,
            began_empty=self._writer.began_empty,
            is_sure=reading.came_at_once or second is not None,
            unproven=second.unproven if second else None,
        )

    def _forget_seen(self, link: Link, reading: Reading, pass_id: int) -> None:
        """Of a backfill its ids are kept, by which an admin's yes to a mass removal is carried out.

        So are those of any later reading, while the question is open: what it met is not gone.
        """
        if self._removes:
            passes.forget_seen(link, self._lease, self._entity.name, keep_pass_id=pass_id)
        elif not reading.is_asked:
            passes.forget_pass(link, pass_id)
