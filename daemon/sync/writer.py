"""Writes pages: rows, dead letters, counters and checkpoint in one transaction, the lease checked last (laws 1–3).

Pages that are there together are written together, one transaction for all of them; whatever is odd about one of them,
they are written one by one. The transaction holds no temporary table and no session lock, so it may run through a
transaction-mode pooler.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TypeVar

from common.clock import Clock
from common.errors import BadRecord, DatabaseAway, EntityRefused, LeaseLost
from common.store import dead_letters, leases, passes, records, runs
from common.store.database import Database, Link, sound, translated
from common.store.dead_letters import DeadLetter
from common.store.leases import Lease
from common.store.records import Change, Provenance, Target
from daemon.integrations.base import Entity
from daemon.sync.convert import Arrived
from daemon.sync.letters import letter_of
from daemon.sync.lines import LineMaker
from daemon.sync.patient import Patient, TakenBack
from daemon.sync.sorting import SortedPage
from daemon.sync.work import Checkpoint, PageCount, Work, all_new, are_all_new, count_each, is_all_bad, sum_of

T = TypeVar("T")
TIDY_EVERY_PAGES = 64


class _OneByOne(Exception):
    """Something is odd about one of the pages; rolls their common transaction back."""


class _AllRefused(Exception):
    """Postgres refused what conversion had let through, and so the whole page is bad; rolls its transaction back."""

    def __init__(self, letters: list[DeadLetter]) -> None:
        self.letters = letters
        super().__init__()


class _CommittedBefore(Exception):
    """The answer to an earlier COMMIT was lost with its connection; rolls this one back."""


class PageWriter:
    """Writes one entity's pages on a connection of the run's own. One thread uses it."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        lease: Lease,
        entity: Entity,
        maker: LineMaker,
        *,
        stop: threading.Event,
        dry_run: bool,
    ) -> None:
        self._database = database
        self._clock = clock
        self._lease = lease
        self._entity = entity
        answers = partial(leases.check, database, lease)
        self._patient = Patient(clock, stop, answers=answers, lets_pass=(LeaseLost, TakenBack))
        self._dry_run = dry_run
        self._maker = maker
        self.target = Target(lease.integration, entity.name, maker.columns)
        self._link: Link | None = None
        self._letters_open: bool | None = None
        self._pages_with_updates = 0
        self._expects_new = False
        self.began_empty = False
        """Whether no row was here when page 1 was written: then this run wrote whatever is here."""
        self._counted: tuple[Checkpoint, str] | None = None
        self._attempted: dict[int, PageCount] = {}
        """What the last try did, by page: it is the answer when only that of its COMMIT was lost."""

    def close(self) -> None:
        """Give the connection back."""
        if self._link is not None:
            self._link.close()
            self._link = None

    @property
    def waits_because(self) -> str | None:
        """What Postgres said last, while a page waits for it to take it."""
        return self._patient.why

    @contextmanager
    def transaction(self) -> Iterator[Link]:
        """A transaction on the run's own connection, which a successor or a forced stop can cut."""
        link = self._connected()
        with translated(), sound(link), link.transaction():
            yield link

    def write(self, works: Sequence[Work]) -> Iterator[tuple[Work, PageCount]]:
        """Write pages, or in a dry run only count them; yields each with what it did as soon as it is committed.

        A record Postgres refuses is put aside and the rest written. While the database is away it waits and tries
        again: the transaction is atomic and repeatable. Raises ``LeaseLost``, ``StopRequested``, ``TakenBack``,
        ``DatabaseRefuses``, or ``EntityRefused`` after a page of bad records only (its letters are stored, its
        checkpoint is not).
        """
        if not works:
            return
        try:
            counts = self._patiently(lambda: self._together(works))
        except _OneByOne:
            for work in works:
                count = self._alone(work)
                yield work, count
                if is_all_bad(work.page.rows, count.dead):
                    raise EntityRefused("ALL_RECORDS_BAD", count=count.dead, page=work.page.number) from None
        else:
            yield from zip(works, counts, strict=True)

    def _patiently(self, act: Callable[[], T]) -> T:
        return self._patient(act, afterwards=self.close)

    # --- pages with nothing odd about them

    def _together(self, works: Sequence[Work]) -> list[PageCount]:
        """All of them in one transaction. Raises ``_OneByOne``, having written nothing."""
        good = [arrived for work in works for arrived in work.page.good]
        if any(work.page.bad for work in works) or len({arrived.id for arrived in good}) < len(good):
            raise _OneByOne
        try:
            with self.transaction() as link:
                self._look_whether_empty(link, works[0])
                counts = self._save(link, works, good)
                if self._dry_run:
                    self._count(link, works[-1].checkpoint, sum_of(counts))
                else:
                    self._recover(link, [arrived.id for arrived in good])
                    self._advance(link, works, counts)
                leases.fence(link, self._lease, waits=False)
        except _CommittedBefore:
            return [self._attempted.get(work.page.number, PageCount(0)) for work in works]
        except records.REFUSED_BY_POSTGRES:
            self._expects_new = False
            raise _OneByOne from None
        self._tidy(sum_of(counts))
        return counts

    def _save(self, link: Link, works: Sequence[Work], good: Sequence[Arrived]) -> list[PageCount]:
        """Write what differs, unless it is a dry run; what each page did. Raises ``_OneByOne``.

        After pages of new records only, the next ones are taken for new without a look: should one be there after all,
        its key is refused and the pages are written one by one. A look at each was a tenth of a first load's time.
        """
        made = [work.page.lines for work in works if work.page.lines is not None]
        are_made = len(made) == len(works)
        differing = [] if self._expects_new and are_made else self._differing(link, good)
        if are_made and (self._expects_new or are_all_new(differing, good)):
            self._expects_new = not self._dry_run
            if good:
                (records.try_out if self._dry_run else records.insert)(link, self.target, made)
            return [all_new(work) for work in works]
        self._expects_new = False
        changes, letters = self._changes(link, good, differing)
        if letters or works[-1].checkpoint.again:
            raise _OneByOne
        if changes:
            self._write(link, changes)
        return count_each(works, changes)

    # --- one page, whatever is in it

    def _alone(self, work: Work) -> PageCount:
        while True:
            try:
                return self._patiently(lambda work=work: self._in_transaction(work))  # type: ignore[misc]  # default
            except _AllRefused as refused:
                work = replace(work, page=replace(work.page, good=(), bad=tuple(refused.letters)))

    def _in_transaction(self, work: Work) -> PageCount:
        page = work.page
        try:
            with self.transaction() as link:
                self._look_whether_empty(link, work)
                changes, unconvertible = self._changes(link, page.good, self._differing(link, page.good))
                letters = [*page.bad, *unconvertible]
                count = replace(count_each([work], changes)[0], dead=len(letters))
                count = replace(count, unchanged=count.unchanged - len(unconvertible))
                if is_all_bad(page.rows, len(letters)) and not self._dry_run:
                    count = replace(count, dead_new=self._put_aside(link, page, letters))
                    self._count(link, work.checkpoint, count)
                else:
                    count = self._store(link, work, changes, letters, count)
                    if is_all_bad(page.rows, len(letters)) and not self._dry_run:
                        raise _AllRefused(letters)
                leases.fence(link, self._lease)
        except _CommittedBefore:
            return self._attempted.get(page.number, PageCount(0))
        self._tidy(count)
        return count

    def _store(
        self, link: Link, work: Work, changes: list[Change], letters: list[DeadLetter], count: PageCount
    ) -> PageCount:
        """Rows, letters and checkpoint, in a dry run counters; ``letters`` grows by what Postgres refuses."""
        written = self._upsert(link, work.page, changes, letters)
        done = replace(count_each([work], written)[0], unchanged=count.unchanged, dead=len(letters))
        if self._dry_run:
            self._count(link, work.checkpoint, done)
            return done
        dead_new = self._put_aside(link, work.page, letters)
        aside = {letter.record_id for letter in letters}
        self._recover(link, [arrived.id for arrived in work.page.good if arrived.id not in aside])
        done = replace(done, dead_new=dead_new)
        if work.checkpoint.again:  # its records were counted when the page was read first, but for those that are new
            news = done.changed + dead_new
            done = replace(done, received=news, unchanged=0, dead=dead_new, duplicates=0)
        self._advance(link, [work], [done])
        return done

    def _upsert(
        self, link: Link, page: SortedPage, changes: Sequence[Change], letters: list[DeadLetter]
    ) -> list[Change]:
        """Write the changes and return those that Postgres took; what it refuses is found by halving."""
        if not changes:
            return []
        try:
            with link.transaction():
                self._write(link, changes)
                return list(changes)
        except records.REFUSED_BY_POSTGRES as error:
            if len(changes) == 1 and changes[0].is_new:
                # Perhaps somebody inserted it by hand meanwhile: as a change of a known row it goes through the upsert.
                return self._upsert(link, page, [changes[0]._replace(is_new=False)], letters)
            if len(changes) == 1:
                letters.append(letter_of(page.good[changes[0].position].came, records.refusal_of(error)))
                return []
        middle = len(changes) // 2
        first, second = changes[:middle], changes[middle:]
        return [*self._upsert(link, page, first, letters), *self._upsert(link, page, second, letters)]

    def _write(self, link: Link, changes: Sequence[Change]) -> None:
        """Write them, or in a dry run only see whether Postgres would take them."""
        if self._dry_run:
            records.try_out(link, self.target, [change.line.encode() for change in changes])
        else:
            records.write(link, self.target, self._lease.run_id, changes)

    def _put_aside(self, link: Link, page: SortedPage, letters: list[DeadLetter]) -> int:
        if not letters:
            return 0
        self._letters_open = True
        return dead_letters.put_aside(link, self._lease, self._entity.name, page.number, letters)

    # --- both

    def _look_whether_empty(self, link: Link, work: Work) -> None:
        if work.page.number == 1:
            self.began_empty = records.is_empty(link, self.target, self._lease.account_key)

    def _differing(self, link: Link, good: Sequence[Arrived]) -> list[tuple[int, bool | None]]:
        ids = [arrived.id for arrived in good]
        hashes = b"".join([arrived.payload_hash for arrived in good])
        return records.differing(link, self.target, self._lease.account_key, ids, hashes)

    def _changes(
        self, link: Link, good: Sequence[Arrived], differing: Sequence[tuple[int, bool | None]]
    ) -> tuple[list[Change], list[DeadLetter]]:
        """What differs from the stored rows, as COPY lines, and letters for what cannot be converted."""
        changes: list[Change] = []
        letters: list[DeadLetter] = []
        other_bytes: dict[str, tuple[str, bool]] = {}
        same = Provenance(self._lease.account_key, self._lease.integration, self._lease.run_id, self._clock.now()).cells
        for position, is_here in differing:
            try:
                prepared = good[position].prepared()
                changes.append(Change(position, is_here is None, self._maker.line(prepared, same)))
                if is_here:
                    other_bytes[prepared.id] = (prepared.text, prepared.escaped)
            except BadRecord as error:
                letters.append(letter_of(good[position].came, error))
        unchanged = self._same_payload(link, other_bytes)
        return [change for change in changes if good[change.position].id not in unchanged], letters

    def _same_payload(self, link: Link, texts: dict[str, tuple[str, bool]]) -> set[str]:
        if not texts:  # most pages: a savepoint for nothing would be an eighth of the time of an unchanged run
            return set()
        try:
            with link.transaction():
                key = self._lease.account_key
                return records.same_payload(link, self.target, key, texts, self._maker.volatile)
        except records.REFUSED_BY_POSTGRES:
            return set()  # one of them cannot be stored at all, which is found out when it is written

    def _recover(self, link: Link, ids: list[str]) -> None:
        if self._letters_open is None:
            self._letters_open = dead_letters.any_open(link, self._lease, self._entity.name)
        if self._letters_open:
            dead_letters.recover(link, self._lease, self._entity.name, ids)

    def _advance(self, link: Link, works: Sequence[Work], counts: Sequence[PageCount]) -> None:
        """Counters, seen ids and checkpoint, in one statement. Raises ``_CommittedBefore`` or ``TakenBack``."""
        where, count = works[-1].checkpoint, sum_of(counts)
        if where.pass_id is None:
            self._count(link, where, count)
            return
        pages = [(work.page.number, work.page.ids) for work in works]
        params = {**vars(where), **vars(count), "run_id": self._lease.run_id, "entity": self._entity.name}
        if not passes.advance(link, params, pages):
            if passes.next_page(link, where.pass_id) < pages[0][0]:
                raise TakenBack("it crashed, and gave back the last pages")
            raise _CommittedBefore
        self._attempted = {work.page.number: count for work, count in zip(works, counts, strict=True)}

    def _count(self, link: Link, checkpoint: Checkpoint, count: PageCount) -> None:
        """Counters alone; not twice, when only the answer to the COMMIT of an earlier try was lost."""
        if self._counted and self._counted[0] is checkpoint and runs.is_committed(link, self._counted[1]):
            return
        facts = {**vars(checkpoint), **vars(count)}
        self._counted = (checkpoint, runs.count_page(link, self._lease.run_id, self._entity.name, facts))

    def _connected(self) -> Link:
        if self._link is None or self._link.closed:
            self._link = self._database.connect(self._lease.writer_name)
            records.make_room(self._link)
        return self._link

    def _tidy(self, count: PageCount) -> None:
        """Now and then give staging its space back; outside the pages' transaction."""
        self._pages_with_updates += bool(count.changed if self._dry_run else count.updated)
        if self._pages_with_updates >= TIDY_EVERY_PAGES:
            self._pages_with_updates = 0
            with translated():
                records.tidy_staging(self._connected(), self.target)

    def settle_new_rows(self) -> None:
        """After many new rows. It is a courtesy to the next reading: with the database away, it is left."""
        with suppress(DatabaseAway), translated():
            records.settle_new_rows(self._connected(), self.target)
