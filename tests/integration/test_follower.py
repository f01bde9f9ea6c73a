"""The log's follower on a real Postgres: woken or deaf, over gaps, and when the server takes lines back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from unittest.mock import patch

import pytest

from common.errors import DatabaseAway
from common.insights import streams
from common.insights.streams import LogLine
from common.store.database import Database
from dashboard.api.follower import Follower
from tests.dashboard.sse import write
from tests.waiting import wait_for


class Notes:
    """An audience that remembers what it was told."""

    def __init__(self) -> None:
        self.beginnings: list[tuple[list[int], int]] = []
        self.heard: list[int] = []
        self.looks = 0

    def begins(self, lines: Sequence[LogLine], position: int) -> None:
        self.beginnings.append(([line.id for line in lines], position))

    def hears(self, lines: Sequence[LogLine], position: int) -> None:
        self.heard += [line.id for line in lines]
        assert position == self.heard[-1]

    def rests(self) -> None:
        self.looks += 1

    def waits(self, away: DatabaseAway | None) -> None:
        assert away is None


@pytest.fixture
def notes(database: Database) -> Iterator[Notes]:
    """What a follower says that began after three lines."""
    write(database, 3)
    told = Notes()
    follower = Follower(database, told).start()
    wait_for(lambda: told.beginnings == [([1, 2, 3], 3)], "it has begun")
    yield told
    follower.close()


def test_new_lines_once_each_over_gaps(notes: Notes, database: Database) -> None:
    """Ids that were given out and never seen, and lines that were pruned, stop nothing and repeat nothing."""
    write(database, 2)
    wait_for(lambda: notes.heard == [4, 5], "two lines")
    with database.transaction() as link:
        link.execute("UPDATE control.event_head SET last_id = last_id + 10")
    write(database, 1)
    wait_for(lambda: notes.heard == [4, 5, 16], "the line after the gap")
    with database.transaction() as link:
        link.execute("DELETE FROM control.events")
    write(database, 1)
    wait_for(lambda: notes.heard == [4, 5, 16, 17], "the line after the pruned ones")
    with patch.object(streams, "log_lines", wraps=streams.log_lines) as asked:
        write(database, 1)
        wait_for(lambda: notes.heard[-1] == 18, "a flush")
    assert asked.call_count <= 2  # one for the wake-up; another when the safety net looked meanwhile
    write(database, 2499)
    wait_for(lambda: notes.heard == [4, 5, 16, *range(17, 2518)], "more than one query brings")
    assert len(notes.beginnings) == 1


@pytest.mark.parametrize("new_lines", [1, 3, 9])
def test_lines_taken_back_by_a_crash(notes: Notes, database: Database, new_lines: int) -> None:
    """Events commit without waiting for the disk: after a crash their ids mean other lines."""
    write(database, 3)
    wait_for(lambda: notes.heard == [4, 5, 6], "three lines")
    with database.transaction() as link:  # the ids go back and are given out again before anybody looks
        link.execute("DELETE FROM control.events WHERE id > 3")
        link.execute("UPDATE control.event_head SET last_id = 3")
        for number in range(4, 4 + new_lines):
            link.execute(
                "INSERT INTO control.events (id, ts, integration, level, code, msg) "
                "VALUES (%s, now(), 'doorloop', 'info', 'page', 'another')",
                [number],
            )
        link.execute("UPDATE control.event_head SET last_id = last_id + %s", [new_lines])
        link.execute("NOTIFY icc_events, '1'")
    last_id = 3 + new_lines
    wait_for(lambda: len(notes.beginnings) == 2, "it begins anew")
    assert notes.beginnings[1] == (list(range(1, last_id + 1)), last_id)
    write(database, 1)
    wait_for(lambda: notes.heard[-1] == last_id + 1, "and goes on")


def test_deaf_it_looks_often(database: Database) -> None:
    """LISTEN never works (a pooler swallows it, the direct address is wrong): lines come all the same."""
    with Database(database.url, direct_url="postgresql://127.0.0.1:1/nowhere", name="icc:test") as deaf:
        notes = Notes()
        follower = Follower(deaf, notes).start()
        wait_for(lambda: notes.beginnings == [([], 0)], "it has begun")
        write(database, 2)
        wait_for(lambda: notes.heard == [1, 2], "the lines")
        follower.close()


def test_a_cut_listen_connection_loses_nothing(notes: Notes, database: Database) -> None:
    """Cut from outside: what is written meanwhile comes by looking, later lines by listening again."""
    with database.transaction() as link:
        link.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'icc:listen'")
    for number in range(4, 9):
        write(database, 1)
        wait_for(lambda number=number: notes.heard[-1:] == [number], "the line")  # type: ignore[misc]  # bound early
    assert notes.heard == [4, 5, 6, 7, 8]
