"""Where a reading goes on: the open pass of an entity, if the list is still the one it was reading (design §4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from common.store import leases, passes
from common.store.database import Database, Link, Row
from common.store.leases import Lease
from daemon.integrations.base import Entity
from daemon.sync.sorting import SortedPage

CREATED, UPDATED = "createdAt", "updatedAt"
"""How a list is sorted: the whole list, whose ids are remembered, or newest first until what is known begins."""


@dataclass(frozen=True)
class Order:
    """What a run was asked to do with each entity. ``pass_seconds``: an older unfinished reading starts again.

    ``continues``: it goes on with a run that was put off.
    """

    mode: str
    since: datetime | None
    dry_run: bool
    pass_seconds: float
    continues: bool = False


@dataclass(frozen=True)
class Place:
    """Where to begin: a pass (None in a dry run) and the first page to read; ``restarted`` says why not later.

    ``has_all``: every page has come, and the list is to be looked at once more. ``before``: the page before it.
    """

    pass_: Row | None
    page: int
    restarted: str | None = None
    has_all: bool = False
    before: SortedPage | None = None


class Bookmark:
    """Finds, checks and replaces the open pass of one entity in one mode."""

    def __init__(self, database: Database, lease: Lease, entity: Entity, order: Order, *, page_size: int) -> None:
        self._database = database
        self._lease = lease
        self._entity = entity
        self._order = order
        self._page_size = page_size

    def find(self, sort_by: str, fetch: Callable[[int], SortedPage]) -> Place:
        """The place to read from, in a pass that exists from now on.

        The page before the next one is read again; if its ids differ from those stored, or anything else changed, the
        reading starts again at page 1.
        """
        if self._order.dry_run:
            return Place(None, 1)
        pass_ = self._open(sort_by)
        why = self._why_not(pass_, sort_by)
        if why is None and pass_["looks"]:
            if self._order.continues:
                return Place(pass_, pass_["next_page"], has_all=True)
            return self._afresh(pass_, sort_by)
        before = None
        if why is None and pass_["next_page"] > 1:
            before = fetch(pass_["next_page"] - 1)
            same = passes.digest_of(before.ids) == pass_["last_page_digest"]
            why = None if same else "the page before it has changed"
        if why is None:
            return Place(pass_, pass_["next_page"], before=before)
        return self._afresh(pass_, sort_by, why=why if pass_["next_page"] > 1 else None)

    def _afresh(self, pass_: Row, sort_by: str, *, why: str | None = None) -> Place:
        """The place to begin at in another pass; ``why``: what an earlier run read is read again."""
        with self._database.transaction(self._lease.writer_name) as link:
            passes.end(link, pass_["id"], "abandoned")
            fresh = self._insert(link, sort_by)
        return Place(fresh, 1, restarted=why)

    def is_in_whole_list(self, sort_by: str) -> bool:
        """Whether the open pass is in the middle of a list sorted so; it then goes on instead of starting another."""
        if self._order.dry_run:
            return False
        with self._database.transaction(self._lease.writer_name) as link:
            found = self._found(link)
        return found is not None and found["next_page"] > 1 and self._why_not(found, sort_by) is None

    def drop(self) -> None:
        """Abandon the open pass."""
        if self._order.dry_run:
            return
        with self._database.transaction(self._lease.writer_name) as link:
            found = self._found(link)
            if found is not None:
                passes.end(link, found["id"], "abandoned")
            leases.fence(link, self._lease)

    def _open(self, sort_by: str) -> Row:
        with self._database.transaction(self._lease.writer_name) as link:
            found = self._found(link)
            if found is None:
                return self._insert(link, sort_by)
            begun = passes.go_on(link, self._lease, found["id"])
            leases.fence(link, self._lease)
            return found | begun

    def _found(self, link: Link) -> Row | None:
        return passes.open_one(link, self._lease, self._entity.name, self._order.mode, self._order.pass_seconds)

    def _insert(self, link: Link, sort_by: str) -> Row:
        row = passes.insert(
            link,
            self._lease,
            self._entity.name,
            self._order.mode,
            page_size=self._page_size,
            sort=sort_by,
            filters=self._filters(),
        )
        leases.fence(link, self._lease)
        return row | {"young": True, "pages_seen": 0}

    def _filters(self) -> dict[str, str]:
        since = {"since": self._order.since.isoformat()} if self._order.since else {}
        return {**self._entity.filters, **since}

    def _why_not(self, pass_: Row, sort_by: str) -> str | None:
        """Why the pass cannot be continued; None when it can."""
        if not pass_["young"]:
            return "it is too old"
        if pass_["page_size"] != self._page_size:
            return "the page size has changed"
        if pass_["sort"] != sort_by or pass_["filter"] != self._filters():
            return "order or filter have changed"
        if pass_["sort"] == CREATED and pass_["pages_seen"] != pass_["next_page"] - 1:
            return "the database crashed and forgot which records were seen"
        return None
