"""Somebody's lock, or commands that wait for one, keep neither a Stop nor what others know a daemon to live by."""

from __future__ import annotations

from functools import partial

import pytest

from common.access import Action
from common.letter_wishes import Matching, cancel_wish, discard_wish, requeue_wish
from common.store.database import Database
from common.wishes import Wish
from daemon.integrations.doorloop.drill import DrillServer
from tests.children import Yard, held
from tests.faults.test_stop import SIX_LETTERS, assert_stops
from tests.harness import ADMIN
from tests.truth import one, rows
from tests.waiting import wait_for

BEAT = "SELECT heartbeat_at AS moment FROM control.daemons"
LEASE = "SELECT expires_at AS moment FROM control.leases"


def assert_goes_on(database: Database, *moments: str, seconds: float) -> None:
    """Each of these moments moves on by so many seconds from now."""
    since = one(database, "SELECT clock_timestamp() AS now")["now"]
    for moment in moments:
        moved = f"SELECT moment - %s > make_interval(secs => %s) AS has FROM ({moment}) AS m"
        wait_for(partial(rows, database, f"SELECT 1 FROM ({moved}) AS m WHERE has", since, seconds), moment)


@pytest.mark.parametrize("connections", [4, 10])
def test_commands_that_use_up_the_connections_keep_neither_a_stop_nor_the_pulse(
    yard: Yard, drill: DrillServer, database: Database, connections: int
) -> None:
    """Law 6: with all connections before a lock no Stop was claimed, no lease renewed; they are no more than is set."""
    rows(database, SIX_LETTERS)
    yard.service(ICC_DATABASE_CONNECTIONS=str(connections))
    drill.set_fault("hang", entity="owners", only_page=3)
    yard.press_run()
    wait_for(lambda: yard.page() >= 2, "two pages")
    letters = [letter["id"] for letter in rows(database, "SELECT id FROM control.dead_letters")]
    with held(database.url, "LOCK TABLE control.bulk_letters, control.pings IN SHARE MODE"):
        yard.gate().submit(Wish(Action.PING, "doorloop"), ADMIN)
        for letter in letters:
            yard.gate().submit(discard_wish("doorloop", Matching(ids=(letter,)), reason="known"), ADMIN)
        claimed = "SELECT count(*) AS commands FROM control.commands WHERE action <> 'run' AND state = 'claimed'"
        wait_for(lambda: one(database, claimed)["commands"] == len(letters) + 1, "all are claimed")
        assert_goes_on(database, BEAT, LEASE, seconds=2)
        assert_stops(yard)
        pooled = "SELECT count(*) AS links FROM pg_stat_activity WHERE application_name = 'icc:daemon' AND datname = %s"
        name = one(database, "SELECT current_database() AS name")["name"]
        assert one(database, pooled, name)["links"] <= connections


@pytest.mark.parametrize(
    "lock", ["LOCK TABLE control.daemons IN SHARE MODE", "SELECT * FROM control.daemons FOR UPDATE"]
)
@pytest.mark.parametrize("kind", ["service", "once"])
def test_a_lock_on_the_heartbeat_ends_no_run(
    yard: Yard, drill: DrillServer, database: Database, kind: str, lock: str
) -> None:
    """Law 1: a run whose lease is renewed lives, though its daemon cannot say so; it was told to have died."""
    drill.set_fault("hang", entity="owners", only_page=3)
    if kind == "service":
        yard.service()
        yard.press_run()
    else:
        yard.once()
    wait_for(lambda: yard.page() >= 2, "two pages")
    with held(database.url, lock):
        assert_goes_on(database, LEASE, seconds=4)
    drill.clear_faults()
    yard.wait_for_state("succeeded")


def test_a_lock_on_the_lease_stops_no_heartbeat(yard: Yard, drill: DrillServer, database: Database) -> None:
    """A daemon without a heartbeat is refused every command, and loses those it has in hand."""
    drill.set_fault("hang", entity="owners", only_page=3)
    yard.service()
    yard.press_run()
    wait_for(lambda: yard.page() >= 2, "two pages")
    with held(database.url, "SELECT * FROM control.leases FOR UPDATE"):
        assert_goes_on(database, BEAT, seconds=2)


def test_cancels_that_wait_for_a_lock_keep_no_stop_waiting(yard: Yard, drill: DrillServer, database: Database) -> None:
    """Law 6: four of them had every thread that ends something."""
    rows(database, SIX_LETTERS)
    yard.service()
    drill.set_fault("hang", entity="owners", only_page=3)
    yard.press_run()
    wait_for(lambda: yard.page() >= 2, "two pages")
    letters = [letter["id"] for letter in rows(database, "SELECT id FROM control.dead_letters")][:4]
    requeues = [requeue_wish("doorloop", Matching(ids=(letter,))) for letter in letters]
    queued = [yard.gate().submit(wish, ADMIN).command_id for wish in requeues]
    wait_for(lambda: len(rows(database, "SELECT 1 FROM control.bulk_actions")) == len(queued), "they wait for the run")
    with held(database.url, "LOCK TABLE control.bulk_actions IN SHARE MODE"):
        for bulk_id in queued:
            yard.gate().submit(cancel_wish("doorloop", bulk_id), ADMIN)
        claimed = "SELECT 1 FROM control.commands WHERE action = 'cancel_bulk' AND state = 'claimed'"
        wait_for(lambda: len(rows(database, claimed)) == len(queued), "the cancels are claimed")
        assert_stops(yard)
