"""Old days of events go, whoever reads them and however an earlier try ended; new days are made by one at a time."""

from __future__ import annotations

import threading

import psycopg
import pytest

from common.store import event_log
from common.store.database import Database
from tests.truth import one, rows
from tests.waiting import wait_for

OLD = "events_20200101"
TIMES = "FROM ('2020-01-01 00:00+00') TO ('2020-01-02 00:00+00')"
HURRIED_SECONDS = 0.3


@pytest.fixture(autouse=True)
def old_day(database: Database) -> None:
    """A day long past retention."""
    rows(database, f"CREATE TABLE control.{OLD} PARTITION OF control.events FOR VALUES {TIMES}")


def sweep(database: Database) -> list[str]:
    """What a turn drops."""
    return event_log.drop_old_partitions(database, 30, patience_seconds=HURRIED_SECONDS)


def is_there(database: Database) -> bool:
    """Whether the old day still is a table."""
    return bool(one(database, f"SELECT to_regclass('control.{OLD}') IS NOT NULL AS there")["there"])


def test_only_what_is_past_retention_goes(database: Database) -> None:
    """Design §4: dropped by DETACH CONCURRENTLY; the days that count stay."""
    assert sweep(database) == [OLD]
    assert not is_there(database)
    assert one(database, DAYS)["days"] == 9
    assert sweep(database) == []


def test_a_reader_is_not_waited_for_and_the_day_goes_when_he_has_gone(database: Database, database_url: str) -> None:
    """Law 8: an analyst's long transaction keeps one old day, and no daemon, no schedule, no new day from working."""
    with psycopg.connect(database_url) as analyst:
        analyst.execute("SELECT count(*) FROM control.events")
        assert sweep(database) == []
        assert sweep(database) == []  # what the first try left half done is no error
        analyst.execute("SELECT count(*) FROM control.events")
        with database.transaction() as link:
            event_log.make_partitions(link, 9)
    assert is_there(database)
    assert sweep(database) == [OLD]
    assert not is_there(database)


def test_a_day_that_was_detached_and_not_dropped_goes(database: Database) -> None:
    """A daemon killed between the two left a table that no list of partitions names."""
    rows(database, f"ALTER TABLE control.events DETACH PARTITION control.{OLD}")
    assert sweep(database) == [OLD]
    assert not is_there(database)


def test_two_who_make_the_same_day_do_so_one_after_the_other(database: Database, database_url: str) -> None:
    """A daemon that starts while another makes a day waits for it, and does not end by it."""
    last = one(database, "SELECT max(relname) AS name FROM pg_class WHERE relname ~ '^events_[0-9]{8}$'")["name"]
    rows(database, f"DROP TABLE control.{last}")
    made: list[int] = []

    def make() -> None:
        with database.transaction() as link:
            made.append(event_log.make_partitions(link))

    second = threading.Thread(target=make)
    with psycopg.connect(database_url) as other:
        other.execute("SELECT control.make_event_partitions(7)")
        second.start()
        wait_for(lambda: rows(database, WAITING), "the second one waits")
    second.join()
    assert made == [0]


DAYS = "SELECT count(*) AS days FROM pg_inherits WHERE inhparent = 'control.events'::regclass"
WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
