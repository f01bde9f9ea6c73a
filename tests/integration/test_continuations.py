"""A run that was put off goes on by itself, though daemons die in between."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from common.clock import SystemClock
from common.errors import DatabaseAway, Refused
from common.operator_actions import Gate
from common.store import slots
from common.store.database import Database
from daemon.integrations.doorloop.drill import DrillServer
from daemon.rescue import rescue_silent_runs
from daemon.scheduler import Scheduler
from daemon.sync.run import RunPlan
from tests.children import fails_once
from tests.harness import Engine, engine
from tests.truth import one, rows
from tests.waiting import wait_for


@pytest.fixture
def put_off(database_url: str) -> Iterator[Engine]:
    """An engine of which a run was put off, and is due now."""
    with (
        DrillServer(rows=60, seed=5) as drill,
        engine(drill, database_url, ICC_COMMAND_EXPIRY_SECONDS="1") as house,
    ):
        drill.set_fault("rate_limited", retry_after="3600")
        assert house.run().state == "deferred"
        drill.clear_faults()
        for table, where in (("accounts_synced", ""), ("runs", "WHERE state = 'deferred'")):
            rows(house.database, f"UPDATE control.{table} SET blocked_until = now() {where}")
        rows(
            house.database, "UPDATE control.daemons SET kind = 'service', heartbeat_at = now() WHERE stopped_at IS NULL"
        )
        yield house


PUT_OFF_LATER = """
    WITH later AS (
        INSERT INTO control.runs
            (id, integration, mode, entities, state, trigger, requested_by, finished_at, blocked_until)
        SELECT gen_random_uuid(), integration, mode, '{cats}', state, trigger, requested_by, finished_at,
            blocked_until - interval '1 second'
        FROM control.runs RETURNING id)
    INSERT INTO control.run_entities (run_id, entity, position) SELECT id, 'cats', 0 FROM later
"""


def let_minutes_pass(database: Database, minutes: int = 2) -> None:
    """Whoever took the due time did so a while ago."""
    rows(database, "UPDATE control.schedule_slots SET taken_at = taken_at - make_interval(mins => %s)", minutes)


def let_be_due(house: Engine, kind: str) -> None:
    """A delta (the first is due at once), a nightly run, or what was put off."""
    if kind == "full":
        now = one(house.database, "SELECT date_trunc('hour', now()) AS hour")["hour"]
        with house.database.transaction() as link:
            for taken, due_at in (("delta", now), ("full", now - timedelta(hours=24))):
                assert slots.take(link, "doorloop", "main", taken, due_at, daemon_id=str(uuid.uuid4()), reason="of old")
    if kind != "continuation":
        rows(house.database, "UPDATE control.runs SET blocked_until = now() + interval '1 hour'")


def scheduler(house: Engine, kind: str) -> Scheduler:
    """A scheduler of which only this kind is due: the nightly hour is this one."""
    hour = one(house.database, "SELECT now() AS now")["now"].hour
    services = house.services
    settings = services.configuration.schedule.model_copy(
        update={
            "auto_sync_enabled": kind != "continuation",
            "auto_sync_interval_minutes": 60,
            "auto_sync_full_at_hour_utc": hour,
        }
    )
    return Scheduler(house.database, house.gate, settings, served=("doorloop",), daemon_id=services.daemon_id)


@pytest.mark.parametrize("fails", ["the audit row", "the command"])
@pytest.mark.parametrize("kind", ["continuation", "delta", "full"])
def test_a_due_time_is_not_taken_without_its_command(
    put_off: Engine, database_url: str, database: Database, kind: str, fails: str
) -> None:
    """Issue 3: what is due is started, once, though the database failed in between: a night's run was lost."""
    let_be_due(put_off, kind)
    table = "control.admin_logs" if fails == "the audit row" else "control.commands"
    with fails_once(database_url, table, error="40P01"), pytest.raises(DatabaseAway):
        scheduler(put_off, kind).run_once()
    found = "SELECT kind, command_id::text AS command FROM control.schedule_slots WHERE outcome = 'started'"
    assert rows(database, found) == []
    ((started, command_id),) = scheduler(put_off, kind).run_once()
    assert started == kind
    assert rows(database, found) == [{"kind": kind, "command": command_id}]
    assert scheduler(put_off, kind).run_once() == []
    assert len(rows(database, "SELECT 1 FROM control.commands WHERE state = 'pending'")) == 1


@pytest.mark.parametrize("kind", ["continuation", "delta", "full"])
def test_daemons_that_see_a_due_time_at_once_give_one_command(put_off: Engine, database: Database, kind: str) -> None:
    """Whoever comes second leaves nothing: neither a command nor a refusal in the audit log."""
    let_be_due(put_off, kind)
    with ThreadPoolExecutor(6) as pool:
        turns = [pool.submit(scheduler(put_off, kind).run_once) for _ in range(6)]
        started = [begun for turn in turns for begun in turn.result(20)]
    assert [begun for begun, _ in started] == [kind]
    logged = "SELECT result FROM control.admin_logs WHERE actor = 'scheduler'"
    assert rows(database, logged) == [{"result": "accepted"}]


def test_a_continuation_that_nobody_took_in_time_is_pressed_again(put_off: Engine, database: Database) -> None:
    """The same when every daemon died right after one had pressed."""
    ((_, first),) = put_off.scheduler().run_once()
    let_minutes_pass(database)
    assert put_off.scheduler().run_once() == []
    ((_, again),) = wait_for(lambda: put_off.scheduler().run_once(), "pressed again once it has expired")
    assert again != first
    assert put_off.commands.take(again) is not None


def test_a_continuation_that_met_another_run_comes_again(put_off: Engine, database: Database) -> None:
    """The same when somebody's run began just before it did."""
    ((_, first),) = put_off.scheduler().run_once()
    held = "holder = gen_random_uuid(), run_id = gen_random_uuid(), expires_at = now() + interval '1 hour'"
    rows(database, f"UPDATE control.leases SET {held}")
    with pytest.raises(Refused):
        put_off.commands.take(first)
    rows(database, "UPDATE control.leases SET holder = NULL, run_id = NULL, expires_at = NULL")
    let_minutes_pass(database)
    assert put_off.scheduler().run_once() == []
    let_minutes_pass(database, 15)
    ((_, again),) = put_off.scheduler().run_once()
    assert put_off.commands.take(again) is not None


def test_a_continuation_that_the_gate_refused_comes_again(
    put_off: Engine, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same when the gate refused it: somebody's command was there first."""

    def refuse(*_: object) -> None:
        raise Refused("ALREADY_RUNNING", since="12:00", by="ana")

    with monkeypatch.context() as patch:
        patch.setattr(Gate, "_check_account", refuse)
        assert put_off.scheduler().run_once() == []
    assert one(database, "SELECT outcome FROM control.schedule_slots")["outcome"] == "skipped"
    let_minutes_pass(database)
    assert put_off.scheduler().run_once() == []
    let_minutes_pass(database, 15)
    ((_, again),) = put_off.scheduler().run_once()
    assert put_off.commands.take(again) is not None


def test_a_due_time_is_taken_though_no_heartbeat_was_written_for_long(put_off: Engine, database: Database) -> None:
    """After an outage of the database, or under a lock, the scheduler may come before the heartbeat of its own daemon:
    a night's run was skipped then, as if no daemon lived."""
    rows(database, "UPDATE control.daemons SET heartbeat_at = now() - interval '1 hour'")
    ((_, pressed),) = put_off.scheduler().run_once()
    assert put_off.commands.take(pressed) is not None


def test_a_continuation_that_makes_no_sense_any_more_holds_up_no_other(put_off: Engine, database: Database) -> None:
    """A run that was put off before an update of ours may name an entity of old; the one before it goes on."""
    (good,) = rows(database, "SELECT id FROM control.runs")
    rows(database, PUT_OFF_LATER)
    assert put_off.scheduler().run_once() == []
    skipped = one(database, "SELECT reason FROM control.schedule_slots")["reason"]
    assert "cats" in skipped
    ((_, pressed),) = put_off.scheduler().run_once()
    payload = one(database, "SELECT payload FROM control.commands WHERE id = %s", pressed)["payload"]
    assert payload["continues_run_id"] == str(good["id"])


@pytest.mark.parametrize(("day", "goes_on"), [(20, True), (1, False)])
def test_a_run_since_later_overtakes_none_since_earlier(
    put_off: Engine, database: Database, day: int, goes_on: bool
) -> None:
    """What a run since 1 November was put off from is not read by one since the 20th."""
    rows(database, "UPDATE control.runs SET mode = 'since', since = '2025-11-01'")
    assert put_off.run("since", since=datetime(2025, 11, day, tzinfo=UTC)).state == "succeeded"
    assert [kind for kind, _ in put_off.scheduler().run_once()] == ["continuation"] * goes_on


def test_a_run_that_died_at_once_overtakes_none(put_off: Engine, database: Database) -> None:
    """Issue 3: what was put off is continued, though a later run of the same began and its process died."""
    put_off.begin()
    rows(database, "UPDATE control.leases SET expires_at = now() - interval '1 second'")
    assert rescue_silent_runs(database) == 1
    assert [kind for kind, _ in put_off.scheduler().run_once()] == ["continuation"]


@pytest.mark.parametrize("minutes", [-10, 10])
def test_a_skewed_clock_waits_as_long_as_the_vendor_asked(
    database_url: str, database: Database, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    """Law 7: due is what is due by the database's clock; ten minutes behind, "in five minutes" was at once."""
    usual = SystemClock.now
    monkeypatch.setattr(SystemClock, "now", lambda clock: usual(clock) + timedelta(minutes=minutes))
    with DrillServer(rows=60, seed=5) as drill, engine(drill, database_url) as house:
        drill.set_fault("rate_limited", retry_after="300")
        assert house.run().state == "deferred"
    waits = "SELECT extract(epoch FROM blocked_until - now())::int AS seconds FROM control."
    for table in ("runs", "accounts_synced"):
        assert 280 < one(database, waits + table)["seconds"] <= 303, table


def test_a_due_time_that_was_taken_ahead_of_time_comes_again(database_url: str, database: Database) -> None:
    """A machine's clock does not count; where the database's was ahead for a moment, its slots are taken anew."""
    with DrillServer(rows=20, seed=5) as drill, engine(drill, database_url, AUTO_SYNC_ENABLED="true") as house:
        rows(database, "UPDATE control.daemons SET kind = 'service', heartbeat_at = now() WHERE stopped_at IS NULL")
        ((_, first),) = house.scheduler().run_once()
        plan = house.commands.take(first)
        assert isinstance(plan, RunPlan)
        house.finish(plan)
        assert house.scheduler().run_once() == []
        rows(database, "UPDATE control.schedule_slots SET taken_at = now() + interval '8 hours'")
        assert [kind for kind, _ in house.scheduler().run_once()] == ["delta"]
        assert house.scheduler().run_once() == []
