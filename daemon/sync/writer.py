"""Writes a page: rows, dead letters, counters and checkpoint in one transaction, the lease checked last (laws 1–3).

The transaction holds no temporary table and no session lock, so it may run through a transaction-mode pooler.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import structlog

from common.clock import Clock
from common.errors import BadRecord, DatabaseAway, EntityRefused, LeaseLost, StopRequested
from common.redact import mask
from common.store import dead_letters, leases, records
from common.store.database import Database, Link, translated
from common.store.dead_letters import DeadLetter
from common.store.leases import Lease
from common.store.records import Provenance, Target
from common.store.statements import statements
from daemon.integrations.base import Entity, Page
from daemon.sync.convert import LineMaker, Prepared, prepare, usable_id
from daemon.sync.letters import letter_of

RUNS = statements("runs")
log = structlog.get_logger("writer")
ALL_BAD_FROM = 10
TIDY_EVERY_PAGES = 64
RECONNECT_SECONDS = 0.5


@dataclass(frozen=True)
class PageCount:
    """What a page did."""

    received: int
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    dead: int = 0
    dead_new: int = 0
    duplicates: int = 0

    @property
    def changed(self) -> int:
        """Rows written."""
        return self.inserted + self.updated


@dataclass(frozen=True)
class Checkpoint:
    """Where the reading is after this page. ``pass_id`` None in a dry run: nothing of it is stored (law 5)."""

    pass_id: int | None
    page: int
    pages_expected: int | None
    rows_per_page: int | None
    total: int | None
    watermark_candidate: datetime | None
    see_ids: bool
    removable: bool = True
    again: bool = False


@dataclass(frozen=True)
class _Sorted:
    """A page's records, sorted by what can be done with them."""

    good: tuple[Prepared, ...]
    bad: tuple[DeadLetter, ...]
    ids: tuple[str, ...]
    duplicates: int


@dataclass(frozen=True)
class _Work:
    """A page on its way into the database."""

    page: Page
    checkpoint: Checkpoint
    sorted: _Sorted
    lines: list[tuple[Prepared, str]]
    letters: list[DeadLetter]


class _AllRefused(Exception):
    """Postgres refused what conversion had let through, and so the whole page is bad; rolls its transaction back."""

    def __init__(self, letters: list[DeadLetter]) -> None:
        self.letters = letters
        super().__init__()


class PageWriter:
    """Writes one entity's pages on a connection of the run's own. One thread uses it."""

    def __init__(
        self, database: Database, clock: Clock, lease: Lease, entity: Entity, *, stop: threading.Event, dry_run: bool
    ) -> None:
        self._database = database
        self._clock = clock
        self._lease = lease
        self._entity = entity
        self._stop = stop
        self._dry_run = dry_run
        self._maker = LineMaker(entity)
        self.target = Target(lease.integration, entity.name, self._maker.columns)
        self._link: Link | None = None
        self._letters_open: bool | None = None
        self._pages_with_changes = 0

    def close(self) -> None:
        """Give the connection back."""
        if self._link is not None:
            self._link.close()
            self._link = None

    @contextmanager
    def transaction(self) -> Iterator[Link]:
        """A transaction on the run's own connection, which a successor or a forced stop can cut."""
        link = self._connected()
        with translated(), link.transaction():
            yield link

    def write(self, page: Page, checkpoint: Checkpoint, wanted: Callable[[Any], bool] = lambda _: True) -> PageCount:
        """Write a page, or in a dry run only count it. ``wanted`` picks the records to apply (a `since` run).

        A record Postgres refuses is put aside and the rest written. While the database is away it waits and tries
        again: the transaction is atomic and repeatable. Raises ``LeaseLost``, ``StopRequested`` or, for a page of bad
        records only, ``EntityRefused`` (its letters are stored, its checkpoint is not).
        """
        sorted_ = self._sort(page, wanted)
        while True:
            try:
                return self._in_transaction(page, checkpoint, sorted_)
            except _AllRefused as refused:
                sorted_ = replace(sorted_, good=(), bad=tuple(refused.letters))
            except LeaseLost:
                raise
            except DatabaseAway as error:
                log.warning("a page waits for the database", why=error.cause, run=self._lease.run_id)
                self.close()
                if self._clock.wait(self._stop, RECONNECT_SECONDS):
                    raise StopRequested from None

    def _sort(self, page: Page, wanted: Callable[[Any], bool]) -> _Sorted:
        good: dict[str, Prepared] = {}
        bad: list[DeadLetter] = []
        ids: dict[str, None] = {}
        duplicates = 0
        for record in page.records:
            record_id = usable_id(record)
            if record_id is not None:
                duplicates += record_id in ids
                ids[record_id] = None
            if not wanted(record):
                continue
            try:
                prepared = prepare(record, self._entity.volatile)
                good[prepared.id] = prepared
            except BadRecord as error:
                bad.append(letter_of(record, error))
        return _Sorted(tuple(good.values()), tuple(bad), tuple(ids), duplicates)

    def _in_transaction(self, page: Page, checkpoint: Checkpoint, sorted_: _Sorted) -> PageCount:
        link = self._connected()
        with translated(), link.transaction():
            known = records.known_hashes(link, self.target, self._lease.account_key, [p.id for p in sorted_.good])
            lines, letters = self._lines(sorted_, known)
            work = _Work(page, checkpoint, sorted_, lines, letters)
            all_bad = _all_bad(page, letters)
            count = self._expected(work, known)
            if self._dry_run:
                self._count(link, checkpoint, count)
            elif all_bad:
                self._count(link, checkpoint, replace(count, dead_new=self._put_aside(link, work)))
            elif self._advances(link, checkpoint, count):
                count = self._store(link, work, count)
                if _all_bad(page, letters):
                    raise _AllRefused(letters)
            else:
                count = PageCount(0)  # committed before; the answer to that COMMIT was lost with its connection
            leases.fence(link, self._lease)
        if all_bad:
            raise EntityRefused("ALL_RECORDS_BAD", count=len(page.records), page=page.number)
        self._tidy(link, count)
        return count

    def _lines(self, sorted_: _Sorted, known: dict[str, bytes]) -> tuple[list[tuple[Prepared, str]], list[DeadLetter]]:
        """COPY lines of what changed, and letters for what cannot be converted."""
        lines: list[tuple[Prepared, str]] = []
        letters = list(sorted_.bad)
        for prepared in sorted_.good:
            if known.get(prepared.id) == prepared.payload_hash:
                continue
            try:
                lines.append((prepared, self._maker.line(prepared)))
            except BadRecord as error:
                letters.append(letter_of(prepared.record, error))
        return lines, letters

    @staticmethod
    def _expected(work: _Work, known: dict[str, bytes]) -> PageCount:
        """What will be written, judged by the hashes; in a dry run this is the answer."""
        inserted = sum(prepared.id not in known for prepared, _ in work.lines)
        unconvertible = len(work.letters) - len(work.sorted.bad)
        return PageCount(
            received=len(work.page.records),
            inserted=inserted,
            updated=len(work.lines) - inserted,
            unchanged=len(work.sorted.good) - len(work.lines) - unconvertible,
            dead=len(work.letters),
            duplicates=work.sorted.duplicates,
        )

    def _advances(self, link: Link, checkpoint: Checkpoint, count: PageCount) -> bool:
        if checkpoint.pass_id is None:
            return True
        received = 0 if checkpoint.again else count.received
        return link.execute(RUNS["checkpoint"], {**vars(checkpoint), "received": received}).fetchone() is not None

    def _store(self, link: Link, work: _Work, expected: PageCount) -> PageCount:
        inserted, updated = self._upsert(link, work.lines, work.letters)
        dead_new = self._put_aside(link, work)
        if self._has_open_letters(link):
            aside = {letter.record_id for letter in work.letters}
            good_ids = [prepared.id for prepared in work.sorted.good if prepared.id not in aside]
            dead_letters.recover(link, self._lease, self._entity.name, good_ids)
        count = replace(expected, inserted=inserted, updated=updated, dead=len(work.letters), dead_new=dead_new)
        if work.checkpoint.again:  # its records were counted when the page was read first
            count = PageCount(0, inserted=inserted, updated=updated, dead_new=dead_new)
        self._remember(link, work.checkpoint, work.sorted.ids)
        self._count(link, work.checkpoint, count)
        return count

    def _put_aside(self, link: Link, work: _Work) -> int:
        if not work.letters:
            return 0
        self._letters_open = True
        return dead_letters.put_aside(link, self._lease, self._entity.name, work.page.number, work.letters)

    def _upsert(self, link: Link, lines: Sequence[tuple[Prepared, str]], letters: list[DeadLetter]) -> tuple[int, int]:
        """Write the lines; what Postgres refuses is found by halving and becomes a letter."""
        if not lines:
            return 0, 0
        fetched_at = self._clock.now()
        provenance = Provenance(self._lease.account_key, self._lease.integration, self._lease.run_id, fetched_at)
        try:
            with link.transaction():
                return records.write(link, self.target, provenance, [line for _, line in lines])
        except records.REFUSED_BY_POSTGRES as error:
            if len(lines) == 1:
                detail = mask(str(error).strip().splitlines()[0])[:200]
                letters.append(letter_of(lines[0][0].record, BadRecord("RECORD_REFUSED", detail=detail)))
                return 0, 0
        middle = len(lines) // 2
        first, second = self._upsert(link, lines[:middle], letters), self._upsert(link, lines[middle:], letters)
        return first[0] + second[0], first[1] + second[1]

    def _has_open_letters(self, link: Link) -> bool:
        if self._letters_open is None:
            self._letters_open = dead_letters.any_open(link, self._lease, self._entity.name)
        return self._letters_open

    @staticmethod
    def _remember(link: Link, checkpoint: Checkpoint, ids: tuple[str, ...]) -> None:
        if checkpoint.pass_id is None:
            return
        link.execute(RUNS["page_ids"], {"pass_id": checkpoint.pass_id, "ids": list(ids)})
        if checkpoint.see_ids:
            link.execute(RUNS["see_ids"], {"pass_id": checkpoint.pass_id, "page": checkpoint.page, "ids": list(ids)})

    def _count(self, link: Link, checkpoint: Checkpoint, count: PageCount) -> None:
        link.execute(
            RUNS["count_page"],
            {**vars(checkpoint), **vars(count), "run_id": self._lease.run_id, "entity": self._entity.name},
        )

    def _connected(self) -> Link:
        if self._link is None or self._link.closed:
            self._link = self._database.connect(self._lease.writer_name)
        return self._link

    def _tidy(self, link: Link, count: PageCount) -> None:
        """Now and then give staging its space back; outside the page's transaction."""
        self._pages_with_changes += bool(count.changed)
        if self._pages_with_changes >= TIDY_EVERY_PAGES:
            self._pages_with_changes = 0
            with translated():
                records.tidy_staging(link, self.target)


def _all_bad(page: Page, letters: list[DeadLetter]) -> bool:
    return len(letters) >= ALL_BAD_FROM and len(letters) == len(page.records)
