"""The lease's term is checked as the last statement of every page transaction (law 1)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from common.clock import SystemClock
from common.errors import LeaseLost
from common.store import leases, runs
from common.store.database import Database, Link
from common.store.leases import Lease
from daemon.integrations.base import Page
from daemon.integrations.doorloop.drill import DrillServer
from daemon.integrations.doorloop.entities import OWNERS
from daemon.sync.lines import LineMaker
from daemon.sync.sorting import Sorter
from daemon.sync.work import Checkpoint, Work
from daemon.sync.writer import PageWriter
from tests.children import held, waits_for_a_lock
from tests.harness import Engine, engine
from tests.truth import rows
from tests.waiting import wait_for

NOW = datetime(2026, 11, 23, tzinfo=UTC)
PAGE = Page(1, [{"id": "a", "name": "Ann"}], total=1, answered_at=NOW, request_seconds=0.0)
WHERE = Checkpoint(
    pass_id=None, page=1, pages_expected=1, rows_per_page=1, total=1, watermark_candidate=None, see_ids=False
)
MAKER = LineMaker(OWNERS)
WORK = Work(Sorter(MAKER, str, threading.Event()).sort(PAGE), WHERE)


@pytest.fixture
def copier(database_url: str) -> Iterator[Engine]:
    """An engine on an empty vendor."""
    with DrillServer(rows=1, seed=1) as drill, engine(drill, database_url) as started:
        yield started


def writer_of(database: Database, lease: Lease) -> PageWriter:
    """A writer of owners under this lease."""
    return PageWriter(database, SystemClock(), lease, OWNERS, MAKER, stop=threading.Event(), dry_run=False)


def raise_the_term(database: Database, lease: Lease) -> None:
    """As a successor does."""
    with database.transaction() as link:
        assert leases.revoke(link, lease)


def test_a_writer_whose_term_is_over_writes_nothing(copier: Engine, database: Database) -> None:
    """Law 1: under an old term a page is rolled back as a whole."""
    lease = copier.begin().lease
    writer = writer_of(database, lease)
    raise_the_term(database, lease)
    with pytest.raises(LeaseLost):
        list(writer.write([WORK]))
    writer.close()
    assert rows(database, "SELECT id FROM doorloop.owners") == []


def test_a_term_that_ends_in_the_middle_of_a_page_ends_the_page(copier: Engine, database: Database) -> None:
    """Law 1: the check is the last statement; checked first, a frozen writer would commit after its successor began."""
    lease = copier.begin().lease
    writer = writer_of(database, lease)
    counters = "SELECT 1 FROM control.run_entities WHERE run_id = %s FOR UPDATE"
    with ThreadPoolExecutor(1) as pool:
        with held(database.url, counters, lease.run_id):
            writing = pool.submit(lambda: list(writer.write([WORK])))
            wait_for(lambda: waits_for_a_lock(database), "the page's rows are in, its counters wait")
            raise_the_term(database, lease)
        with pytest.raises(LeaseLost):
            writing.result(20)
    writer.close()
    assert rows(database, "SELECT id FROM doorloop.owners") == []


def test_a_successor_waits_for_a_page_that_is_being_committed(copier: Engine, database: Database) -> None:
    """Law 1: the check locks the lease row, so the term cannot rise between it and the commit."""
    lease = copier.begin().lease
    with ThreadPoolExecutor(1) as pool:
        with database.transaction() as link:
            leases.fence(link, lease)
            raising = pool.submit(raise_the_term, database, lease)
            wait_for(lambda: waits_for_a_lock(database), "the successor waits")
            assert not raising.done()
        raising.result(20)


def test_a_term_that_ends_with_the_run_ends_it_quietly(
    copier: Engine, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law 1: somebody else ended the run while it wrote its end: it writes nothing, and no thread dies of it."""
    finish = runs.finish

    def late(link: Link, lease: Lease, **facts: Any) -> bool:
        raise_the_term(database, lease)
        return finish(link, lease, **facts)

    monkeypatch.setattr(runs, "finish", late)
    plan = copier.begin()
    assert not copier.services.desk.execute(plan).written
    assert rows(database, "SELECT state FROM control.runs") == [{"state": "running"}]
