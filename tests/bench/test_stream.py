"""Two hundred readers of the live stream while two daemons write five hundred lines a second. `make bench`."""

from __future__ import annotations

import statistics
import threading
from bisect import bisect_left

import psutil
import pytest

from common.access import Role
from common.store import people
from common.store.database import Database
from dashboard.api.hub import MOST_PER_CALLER
from tests.dashboard import seed
from tests.dashboard.conftest import Web, house, shared_database, shared_web
from tests.dashboard.sse import StreamReader, Writer, read_all
from tests.waiting import wait_for

__all__ = ["house", "shared_database", "shared_web"]
READERS = 200
SECONDS = 15
FLUSHES_PER_SECOND = 10
LINES_PER_FLUSH = 25
WRITERS = 2


def open_readers(database: Database, web: Web, number: int, query: str = "") -> list[StreamReader]:
    """So many streams, opened by as many people as it takes."""
    tokens = []
    for person in range(-(-number // MOST_PER_CALLER)):
        person_id = seed.person(database, f"reader{person}", Role.VIEWER)
        with database.transaction() as link:
            tokens.append(people.start_session(link, person_id, seconds=600, address=None))
    return [StreamReader(web.port, tokens[index // MOST_PER_CALLER], query) for index in range(number)]


@pytest.mark.bench
@pytest.mark.timeout(300)
def test_two_hundred_readers(house: Web, shared_database: Database) -> None:
    """Issue "How it will be checked": every reader has every line once, p95 from commit to reader < 300 ms."""
    readers = open_readers(shared_database, house, READERS)
    stop = threading.Event()
    threads = [threading.Thread(target=read_all, args=(readers, stop))]
    for thread in threads:
        thread.start()
    wait_for(lambda: all(reader.arrived for reader in readers), "every stream is open", seconds=60)
    writers = [
        Writer(
            shared_database, size=LINES_PER_FLUSH, per_second=FLUSHES_PER_SECOND, flushes=SECONDS * FLUSHES_PER_SECOND
        )
        for _ in range(WRITERS)
    ]
    process = psutil.Process(house.process.pid)
    before = sum(process.cpu_times()[:2])
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    used_seconds = sum(process.cpu_times()[:2]) - before
    threading.Event().wait(2)
    stop.set()
    for thread in threads:
        thread.join()
    report(readers, writers, used_seconds, process.memory_info().rss)
    for reader in readers:
        reader.close()


def report(readers: list[StreamReader], writers: list[Writer], used_seconds: float, rss: int) -> None:
    """Say what was measured, and hold it to the issue."""
    commits = sorted(commit for writer in writers for commit in writer.commits)
    last_ids = [last_id for last_id, _ in commits]
    every = list(range(last_ids[0] - LINES_PER_FLUSH + 1, last_ids[-1] + 1))
    lags = []
    for reader in readers:
        timed = [(said.id, moment) for said, moment in reader.timed() if said.name == "message" and said.id is not None]
        assert [event_id for event_id, _ in timed] == every
        lags += [moment - commits[bisect_left(last_ids, event_id)][1] for event_id, moment in timed]
    cuts = statistics.quantiles(lags, n=100)
    print(
        f"{len(readers)} readers, {len(every)} lines each: commit to reader p50 {cuts[49] * 1000:.0f} ms, "
        f"p95 {cuts[94] * 1000:.0f} ms, max {max(lags) * 1000:.0f} ms; "
        f"web process {used_seconds / SECONDS:.0%} of a core, {rss / 1e6:.0f} MB"
    )
    assert cuts[94] < 0.3
