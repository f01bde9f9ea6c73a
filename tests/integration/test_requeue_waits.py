"""Issue 3: a requeue that cannot begin says what keeps it back; nothing does that a run by hand passes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from common.clock import SystemClock
from common.insights.letters import BulkAction, bulk_actions
from common.store.bulk_actions import unfinished
from common.store.database import Database
from daemon.integrations.doorloop.drill import DrillServer
from dashboard.components.letters import action_tree
from tests.harness import Engine
from tests.integration.letters import action, ended, press_requeue, serving, vendor_of_bad_units
from tests.truth import one, rows
from tests.waiting import wait_for


@pytest.fixture
def drill() -> Iterator[DrillServer]:
    """A vendor of which two units were bad, until the house has begun."""
    with vendor_of_bad_units(2) as server:
        yield server


@pytest.fixture
def house(drill: DrillServer, database_url: str) -> Iterator[Engine]:
    """A daemon with two letters of records that are good now."""
    with serving(drill, database_url) as running:
        running.run(entities=["units"])
        drill.clear_faults()
        yield running


def told(database: Database) -> BulkAction:
    """The latest action as page and API read it."""
    return bulk_actions(database, "doorloop", limit=1)[0]


def shown(database: Database) -> str:
    """The same as the page says it."""
    return str(action_tree(told(database), SystemClock().now()))


def test_a_paused_schedule_keeps_no_requeue_back(house: Engine, database: Database) -> None:
    """A requeue is somebody's press: it is done while the schedule is paused, as a run by hand is."""
    rows(
        database, "UPDATE control.accounts_synced SET paused_at = now(), paused_by = 'ana', paused_reason = 'month end'"
    )
    assert ended(house, press_requeue(house))["verdict"] == "2 of 2 recovered"


def test_a_held_account_keeps_it_back_and_is_named(house: Engine, database: Database) -> None:
    """Nothing may be sent for a held account; whoever waits reads which finding holds it."""
    finding = (
        '[{"code": "X", "holds": false, "cause": "No."}, {"code": "Y", "holds": true, "cause": "The key is missing."}]'
    )
    before = one(database, "SELECT findings::text FROM control.accounts_synced")["findings"]
    rows(database, "UPDATE control.accounts_synced SET held = true, findings = %s::jsonb", finding)
    bulk_id = press_requeue(house)
    assert action(database, bulk_id)["state"] == "queued"
    assert told(database).why == "the account is held by its settings: The key is missing."
    assert "0 of 2 done; the account is held by its settings: The key is missing." in shown(database)
    rows(database, "UPDATE control.accounts_synced SET held = false, findings = %s::jsonb", before)
    assert told(database).why is None
    assert ended(house, bulk_id)["verdict"] == "2 of 2 recovered"
    assert told(database).why is None


def test_a_turn_goes_by_what_the_action_is_now(house: Engine, database: Database) -> None:
    """Between a turn's look and its lock another daemon has had its turn, a vendor said "wait", somebody cancelled."""
    hold = (
        "UPDATE control.accounts_synced SET blocked_until = now() + %s::interval, blocked_code = 'RATE_LIMITED_UNTIL'"
    )
    rows(database, hold, "1 hour")
    bulk_id = press_requeue(house)
    rows(database, hold, "0")
    with database.transaction() as link:
        (seen,) = unfinished(link, ["doorloop"])
    assert seen["may_start"]
    rows(database, hold, "1 hour")
    assert not house.commands.bulk._forward(seen)
    assert action(database, bulk_id)["state"] == "queued"
    rows(database, "UPDATE control.bulk_actions SET cancel_asked_by = 'ana'")
    assert house.commands.bulk._forward(seen)
    assert action(database, bulk_id)["verdict"] == "Cancelled by ana: 0 of 2 recovered, 2 not read"
    assert rows(database, "SELECT id FROM control.runs WHERE mode = 'requeue'") == []


def test_the_vendors_wish_is_not_told_as_its_share(house: Engine, drill: DrillServer, database: Database) -> None:
    """Put off by a 429 it waits as long as the account does and says so; it goes on when that block ends."""
    drill.set_fault("rate_limited", entity="units", retry_after="900", times=1)
    bulk_id = press_requeue(house)

    def put_off() -> bool:
        house.commands.bulk.run_once()
        return bool(action(database, bulk_id)["state"] == "queued")

    wait_for(put_off, "it is put off", seconds=30)
    blocked = one(database, "SELECT blocked_until, blocked_code FROM control.accounts_synced")
    assert blocked["blocked_code"] == "RATE_LIMITED_UNTIL"
    found = told(database)
    assert (found.why, found.not_before) == ("the vendor asked to slow down", blocked["blocked_until"])
    assert "the vendor asked to slow down, it goes on by itself at" in shown(database)
    rows(database, "UPDATE control.accounts_synced SET blocked_until = NULL, blocked_code = NULL")
    assert ended(house, bulk_id)["verdict"] == "2 of 2 recovered"
