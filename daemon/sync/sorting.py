"""Takes a page apart as soon as it has come: what can be written, what cannot, which ids stand on it, how old they are.

This needs no database: a thread of its own does it while the one that writes waits for Postgres.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from msgspec import Raw

from common import redact
from common.errors import BadRecord
from common.store.dead_letters import DeadLetter
from daemon.guard.wire import Head, heads_of
from daemon.integrations.base import Page
from daemon.sync.convert import (
    HASH_BYTES,
    Arrived,
    LineMaker,
    Stamps,
    arrived,
    created_at,
    moment_or_none,
    readable,
    updated_at,
    usable_id,
)
from daemon.sync.letters import letter_of

# Compared in a translation: a third of what a regular expression took for a page (measured).
_DIGITS = bytes.maketrans(b"123456789", b"0" * 9)
_PLAIN = b"0000-00-00T00:00:00.000Z"


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

    def may_be_born_after(self, began: datetime, *, without_stamp: bool) -> int:
        """How many records may have been created since; ``without_stamp``: those count that do not say when."""
        latest = _latest_of_plain(self.births_as_sent)
        if latest is not None and latest < began.replace(microsecond=0):
            return 0
        births = map(moment_or_none, self.births_as_sent)
        return sum(without_stamp if birth is None else _may_follow(birth, began) for birth in births)


def _latest_of_plain(stamps_as_sent: tuple[Any, ...]) -> datetime | None:
    """The latest where all are written alike: the last by the alphabet, the only one parsed; else None."""
    try:
        if "".join(stamps_as_sent).encode("ascii").translate(_DIGITS) == _PLAIN * len(stamps_as_sent):
            return datetime.fromisoformat(max(stamps_as_sent))
    except (TypeError, ValueError):  # one is no text, or the last one no day of the calendar
        pass
    return None


def _may_follow(stamp: datetime, began: datetime) -> bool:
    """Whether it may be later; one in whole seconds says nothing of what came within its second."""
    return stamp > began if stamp.microsecond else stamp >= began.replace(microsecond=0)


class Sorter:
    """Takes an entity's pages apart. ``since``: only what was created or updated since is to be applied.

    ``expects_changes`` may be set while pages come: their records are then opened and converted at once, while the
    writing thread waits for Postgres; else only those whose bytes are new, by that thread.
    """

    def __init__(self, maker: LineMaker, same: Callable[[], str], since: datetime | None = None) -> None:
        self._maker = maker
        self._same = same
        self._since = since
        self.expects_changes = False

    @property
    def met_credential(self) -> bool:
        """Whether a record quoted the key that it was asked with."""
        return self._maker.met_credential

    def sort(self, page: Page) -> SortedPage:
        """The page, taken apart."""
        if not self.expects_changes and self._since is None:
            alike = _arrived_alike(page.records)
            if alike is not None:
                return _sorted_alike(page, *alike)
        return self._one_by_one(page)

    def _one_by_one(self, page: Page) -> SortedPage:
        good: dict[str, Arrived] = {}
        lines: dict[str, str] = {}
        bad: list[DeadLetter] = []
        ids: dict[str, None] = {}
        stamps: list[Stamps] = []
        duplicates = 0
        makes_lines = self.expects_changes
        same = self._same() if makes_lines else ""
        for record in page.records:
            record_id: str | None
            made = self._maker.at_once(record, same) if makes_lines else None
            try:
                one, found = arrived(record) if made is None else made[:2]
                record_id = one.id
                if self._since is None or is_wanted(one.record, self._since):
                    if makes_lines:
                        lines[record_id] = self._maker.line(one.prepared(), same) if made is None else made[2]
                    duplicates += (record_id in good) + (_take_out(bad, record_id) if bad else 0)
                    good[record_id] = one
            except BadRecord as error:
                bad.append(letter_of(record, error))
                record_id, found = usable_id(readable(record)), Stamps()
            if record_id is not None:
                ids[record_id] = None
            stamps.append(found)
        copied = "".join(lines.values()).encode() if makes_lines else None
        updated, created = zip(*stamps, strict=True) if stamps else ((), ())
        return SortedPage(page, tuple(good.values()), tuple(bad), tuple(ids), duplicates, updated, created, copied)


def _arrived_alike(records: Sequence[Any]) -> tuple[list[Arrived], list[Head]] | None:
    """A page's records by their heads, where nothing in them is unusual and no id comes twice; None for any other.

    Most pages are so, and a quarter less work (measured).
    """
    if set(map(type, records)) != {Raw}:
        return None
    heads = heads_of(records)
    ids = [found.id for found in heads or ()]
    if heads is None or not all(value.__class__ is str and len(value) < 100 and value.isalnum() for value in ids):
        return None
    if len(set(ids)) < len(ids) or redact.is_in_data(" ".join(ids)):
        return None
    digests = [hashlib.blake2b(record, digest_size=HASH_BYTES).digest() for record in records]
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
