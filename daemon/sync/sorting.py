"""Takes a page apart as soon as it has come: what can be written, what cannot, which ids stand on it, how old they are.

This needs no database: a thread of its own does it while the one that writes waits for Postgres.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from msgspec import Raw

from common import redact
from common.errors import BadRecord, StopRequested
from common.store.dead_letters import DeadLetter
from daemon.guard.wire import Head, heads_of
from daemon.integrations.base import Page
from daemon.sync.convert import (
    Arrived,
    Stamps,
    arrived,
    created_at,
    digest_of,
    is_plain_id,
    moment_or_none,
    readable,
    updated_at,
    usable_id,
)
from daemon.sync.letters import letter_of
from daemon.sync.lines import LineMaker, Made
from daemon.sync.values import are_written_alike

LOOK_EVERY_RECORDS = 64


@dataclass(frozen=True)
class SortedPage:
    """A page, taken apart.

    ``good`` has each id once, its last record; ``duplicates`` counts what these took the place of; ``ids`` are all
    usable ids, each once, in order, of bad records too; ``stamps_as_sent`` are the records' ``updatedAt``, in order,
    ``births_as_sent`` their ``createdAt``. ``lines`` are the good ones as COPY text, where made beforehand.
    """

    page: Page
    good: tuple[Arrived, ...]
    bad: tuple[DeadLetter, ...]
    ids: tuple[str, ...]
    duplicates: int
    stamps_as_sent: tuple[Any, ...]
    births_as_sent: tuple[Any, ...]
    lines: bytes | None = None

    @property
    def number(self) -> int:
        """Its number in the list."""
        return self.page.number

    @property
    def rows(self) -> int:
        """How many records came."""
        return len(self.page.records)

    @cached_property
    def stamps(self) -> tuple[datetime | None, ...]:
        """The records' ``updatedAt``, in order, None where there is none that can be read."""
        return tuple(map(moment_or_none, self.stamps_as_sent))

    @cached_property
    def newest(self) -> datetime | None:
        """The latest of them."""
        plain = _latest_of_plain(self.stamps_as_sent)
        return plain or max((stamp for stamp in self.stamps if stamp is not None), default=None)

    def may_be_born_after(self, began: datetime, *, without_stamp: bool) -> tuple[int, ...]:
        """The places of records that may have been created since; ``without_stamp``: those too that do not say when."""
        latest = _latest_of_plain(self.births_as_sent)
        if latest is not None and latest < began.replace(microsecond=0):
            return ()
        births = enumerate(map(moment_or_none, self.births_as_sent))
        return tuple(at for at, birth in births if (without_stamp if birth is None else _may_follow(birth, began)))

    def ids_at(self, places: Iterable[int]) -> set[str | None]:
        """Whose records stand there."""
        return {usable_id(readable(self.page.records[place])) for place in places}


def _latest_of_plain(stamps_as_sent: tuple[Any, ...]) -> datetime | None:
    """The latest where all are written alike: the last by the alphabet, the only one parsed; else None."""
    if not stamps_as_sent or not are_written_alike(stamps_as_sent):
        return None
    try:
        return datetime.fromisoformat(max(stamps_as_sent))
    except ValueError:  # no day of the calendar
        return None


def _may_follow(stamp: datetime, began: datetime) -> bool:
    """Whether it may be later; one in whole seconds says nothing of what came within its second."""
    return stamp > began if stamp.microsecond else stamp >= began.replace(microsecond=0)


class Sorter:
    """Takes an entity's pages apart, until ``stop``. ``since``: only what was created or updated since is applied.

    ``expects_changes`` may be set while pages come: their records are then opened and converted at once, while the
    writing thread waits for Postgres; else only those whose bytes are new, by that thread.
    """

    def __init__(
        self, maker: LineMaker, same: Callable[[], str], stop: threading.Event, since: datetime | None = None
    ) -> None:
        self._maker = maker
        self._same = same
        self._stop = stop
        self._since = since
        self.expects_changes = False

    @property
    def met_credential(self) -> bool:
        """Whether a record quoted the key that it was asked with."""
        return self._maker.met_credential

    def sort(self, page: Page) -> SortedPage:
        """The page, taken apart. Raises ``StopRequested``."""
        if self.expects_changes:
            same = self._same()
            made = self._maker.at_once(page.records, same)
            alike = None if self._since is not None else _made_alike(page, made)
            return alike or self._one_by_one(page, same, made)
        heads = None if self._since is not None else _arrived_alike(page.records)
        return _sorted_alike(page, *heads) if heads else self._one_by_one(page, None, None)

    def _one_by_one(self, page: Page, same: str | None, made: Made | None) -> SortedPage:
        """With lines where ``same``, the cells that all of them have, is given; some are ``made`` already."""
        good: dict[str, Arrived] = {}
        lines: dict[str, str] = {}
        bad: list[DeadLetter] = []
        ids: dict[str, None] = {}
        stamps: list[Stamps] = []
        duplicates = 0
        by_position = made.by_position() if made else {}
        for position, record in self._until_stop(page.records):
            record_id, found = None, Stamps()
            ready = by_position.get(position)
            try:
                one, found = ready[:2] if ready else arrived(record)
                record_id = one.id
                if self._since is None or is_wanted(one.record, self._since):
                    if same is not None:
                        lines[record_id] = ready[2] if ready else self._maker.line(one.prepared(), same)
                    duplicates += (record_id in good) + (_take_out(bad, record_id) if bad else 0)
                    good[record_id] = one
            except BadRecord as error:
                bad.append(letter_of(record, error))
                record_id = record_id or usable_id(readable(record))
            if record_id is not None:
                ids[record_id] = None
            stamps.append(found)
        copied = None if same is None else "".join(lines.values()).encode()
        updated, created = zip(*stamps, strict=True) if stamps else ((), ())
        return SortedPage(page, tuple(good.values()), tuple(bad), tuple(ids), duplicates, updated, created, copied)

    def _until_stop(self, records: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """Each with its position: ten thousand bad ones take seconds."""
        for position, record in enumerate(records):
            if position % LOOK_EVERY_RECORDS == 0 and self._stop.is_set():
                raise StopRequested
            yield position, record


def _made_alike(page: Page, made: Made) -> SortedPage | None:
    """A page of which every record was made together with the others, and no id comes twice; None for any other."""
    ids = tuple([one.id for one in made.good])
    if not ids or len(ids) < len(page.records) or len(set(ids)) < len(ids):
        return None
    lines = "".join(made.lines).encode()
    return SortedPage(page, tuple(made.good), (), ids, 0, tuple(made.updated_at), tuple(made.created_at), lines)


def _arrived_alike(records: Sequence[Any]) -> tuple[list[Arrived], list[Head]] | None:
    """A page's records by their heads, where nothing in them is unusual and no id comes twice; None for any other.

    Most pages are so, and a quarter less work (measured).
    """
    if set(map(type, records)) != {Raw}:
        return None
    heads = heads_of(records)
    ids = [found.id for found in heads or ()]
    if heads is None or not all(map(is_plain_id, ids)):
        return None
    if len(set(ids)) < len(ids) or redact.is_in_data(" ".join(ids)):
        return None
    digests = list(map(digest_of, records))
    return list(map(Arrived, records, ids, digests)), heads


def _sorted_alike(page: Page, good: list[Arrived], heads: list[Head]) -> SortedPage:
    ids = tuple(one.id for one in good)
    updated, created = tuple(found.updated_at for found in heads), tuple(found.created_at for found in heads)
    return SortedPage(page, tuple(good), (), ids, 0, updated, created)


def _take_out(bad: list[DeadLetter], record_id: str) -> int:
    """A record that comes good after it came bad on the same page is no dead letter; returns how many it was."""
    before = len(bad)
    bad[:] = [letter for letter in bad if letter.record_id != record_id]
    return before - len(bad)


def is_wanted(record: Any, since: datetime) -> bool:
    """Whether the record was created or updated since, as far as it says."""
    stamps = [stamp for stamp in (updated_at(record), created_at(record)) if stamp is not None]
    return not stamps or max(stamps) >= since
