"""What the screens are told, on a real database: true, limited, and derived where no living daemon could write."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from psycopg.types.json import Jsonb

from common.access import Action, Role
from common.codes import CODES
from common.insights import control, overview, runs, streams
from common.operator_actions import Actor, Gate
from common.rules.verdict import EntityHealth
from common.states import Chip, CommandState, EntityState, RunState
from common.store.database import Database
from common.store.live_rows import EXACT_UP_TO, LiveRowCounter
from common.wishes import Wish
from tests.dashboard import seed
from tests.unguarded import unguarded

CLAIM = "UPDATE control.commands SET state = 'claimed', claimed_by = gen_random_uuid(), claimed_at = now()"
ANA = Actor("ana", Role.ADMIN, "page", "127.0.0.1")


def look(database: Database) -> overview.AccountOverview:
    return overview.overview(database, LiveRowCounter()).accounts[0]


def test_an_empty_database_says_that_nobody_watches(database: Database) -> None:
    """Before any daemon has run there is still one account of the catalogue, unknown, with the cure."""
    account = look(database)
    assert account.verdict.chip is Chip.UNKNOWN
    assert account.verdict.remedy == CODES["NO_DAEMON"].remedy
    assert [row.health for row in account.entities] == [EntityHealth.NEVER] * 5
    assert runs.last_runs(database, "doorloop") == ()
    assert runs.active(database, "doorloop") is None


def test_a_good_day_is_told_from_rows(database: Database) -> None:
    """Fresh entities, their marks, the last full copy and exact rows of small tables."""
    seed.good_day(database)
    whole = overview.overview(database, LiveRowCounter())
    account = whole.accounts[0]
    assert whole.daemon_is_alive
    assert account.verdict.chip is Chip.OK
    assert not account.is_drill
    owners = account.entities[0]
    assert (owners.health, owners.rows and owners.rows.number) == (EntityHealth.FRESH, 1204)
    assert len(owners.marks) == 24
    assert account.entities[3].marks[-3].state is EntityState.PARTIAL
    assert account.schedule.next_full_at is not None


def test_a_bad_day_names_cause_and_start(database: Database) -> None:
    """The refused key, since the first failure after the last success, and what waits for an admin."""
    seed.bad_day(database)
    account = look(database)
    assert account.verdict.chip is Chip.FAILING
    assert account.verdict.code == "KEY_REFUSED"
    assert account.verdict.since is not None
    assert timedelta(hours=4.9) < datetime.now(UTC) - account.verdict.since < timedelta(hours=5.1)
    assert account.questions[0].entity == "tenants"
    assert account.findings[0].holds


def test_a_ping_that_works_outdates_the_failures_before_it(database: Database) -> None:
    """Pinging after the key was mended turns the verdict: the first thing an admin does after a cure."""
    seed.bad_day(database)
    seed.account(database)
    assert look(database).verdict.code == "KEY_REFUSED"
    seed.ping(database, ok=True, seconds_ago=0)
    assert look(database).verdict.code != "KEY_REFUSED"


def test_a_silent_daemon_makes_everything_unknown(database: Database) -> None:
    """A heartbeat older than 45 s: nobody watches, whatever the last ping said."""
    seed.daemon(database, silent_seconds=50)
    seed.account(database)
    seed.ping(database)
    whole = overview.overview(database, LiveRowCounter())
    assert not whole.daemon_is_alive
    assert whole.accounts[0].verdict.chip is Chip.UNKNOWN
    assert whole.daemons[0].age_seconds >= 50


def test_a_daemon_that_said_goodbye_is_gone_at_once(database: Database) -> None:
    """A stopped daemon's young heartbeat fools nobody."""
    seed.daemon(database)
    with database.transaction() as link:
        link.execute("UPDATE control.daemons SET stopped_at = now()")
    whole = overview.overview(database, LiveRowCounter())
    assert not whole.daemon_is_alive
    assert whole.accounts[0].verdict.chip is Chip.UNKNOWN


@pytest.mark.parametrize("lease", ["ran out", "of another run", "given back"])
def test_a_run_that_its_process_left_is_interrupted(database: Database, lease: str) -> None:
    """Running by its row without a living lease: shown as interrupted, with the page it died at."""
    daemon_id = seed.daemon(database)
    run_id = seed.active_run(database, daemon_id, lease_seconds=-1 if lease == "ran out" else 60)
    with database.transaction() as link:
        if lease == "of another run":
            link.execute("UPDATE control.leases SET run_id = %s", [str(uuid.uuid4())])
        elif lease == "given back":
            link.execute("UPDATE control.leases SET run_id = NULL, holder = NULL, expires_at = NULL")
    row = runs.last_runs(database, "doorloop")[0]
    assert (row.id, row.state) == (run_id, RunState.INTERRUPTED)
    assert row.error is not None
    assert row.error.cause == "The process ended at page 42 of properties."
    assert runs.active(database, "doorloop") is None
    detail = runs.detail(database, run_id)
    assert detail is not None
    assert {part.state for part in detail.parts} <= {EntityState.COMPLETE, EntityState.PARTIAL, EntityState.SKIPPED}
    with database.transaction() as link:
        told = link.execute("SELECT state FROM report.runs WHERE run_id = %s", [run_id]).fetchone()
    assert told is not None
    assert told["state"] == "interrupted"
    marks = look(database).entities[1].marks
    assert marks[-1].interrupted


def test_an_active_run_tells_how_far_it_is(database: Database) -> None:
    """Entity by entity, page of pages, rows a second; the end is unknown as long as a total is."""
    run_id = seed.active_run(database, seed.daemon(database))
    seed.events(database, run_id)
    active = runs.active(database, "doorloop")
    assert active is not None
    with database.transaction() as link:
        told = link.execute("SELECT state FROM report.runs WHERE run_id = %s", [run_id]).fetchone()
    assert told is not None
    assert told["state"] == "running"
    assert active.current is not None
    assert (active.current.entity, active.current.page, active.current.pages_expected) == ("properties", 42, 100)
    assert active.run.totals.received == 28_400
    assert active.rows_per_second is not None
    assert 30 < active.rows_per_second < 45
    assert active.share_done == pytest.approx(0.284)
    assert active.eta_seconds is not None
    with database.transaction() as link:
        link.execute("UPDATE control.run_entities SET total = NULL WHERE state = 'waiting'")
    blind = runs.active(database, "doorloop")
    assert blind is not None
    assert (blind.eta_seconds, blind.share_done, blind.no_eta_reason) == (None, None, "unknown, no total")


@pytest.mark.parametrize(("last_time", "share"), [(18_000, (20_000 + 8_400) / (40_000 + 3 * 18_000)), (500, None)])
def test_what_has_not_begun_is_expected_as_large_as_last_time(
    database: Database, last_time: int, share: float | None
) -> None:
    """A second backfill knows its end from the first one's totals, unless what it has met is of quite another size."""
    seed.run(database, mode="backfill", rows=last_time, minutes_ago=60)
    run_id = seed.active_run(database, seed.daemon(database))
    seed.events(database, run_id)
    with database.transaction() as link:
        link.execute("UPDATE control.run_entities SET total = NULL WHERE state = 'waiting'")
    active = runs.active(database, "doorloop")
    assert active is not None
    assert active.share_done == (None if share is None else pytest.approx(share))


def test_a_stopped_or_deferred_run_troubles_nothing(database: Database) -> None:
    """Read in part because somebody stopped the run: the copy is as fresh as it was."""
    seed.daemon(database)
    seed.account(database)
    seed.run(database, mode="backfill", minutes_ago=8)
    seed.run(database, "stopped", minutes_ago=4, parts={"leases": "partial", "tenants": "skipped"})
    seed.run(database, "deferred", minutes_ago=2, parts={"leases": "partial"})
    account = look(database)
    assert account.verdict.chip is Chip.OK
    assert account.entities[3].health is EntityHealth.FRESH


def test_a_dry_run_and_a_since_run_prove_nothing_about_the_copy(database: Database) -> None:
    """Freshness counts readings that leave no gap."""
    with database.transaction() as link:
        link.execute(
            """INSERT INTO control.passes (integration, entity, mode, state, page_size, sort, finished_at, first_run_id,
                                           last_run_id)
               SELECT 'doorloop', 'owners', 'since', 'complete', 100, '-updatedAt', now(), gen_random_uuid(),
                      gen_random_uuid()"""
        )
    assert look(database).entities[0].health is EntityHealth.NEVER


def test_a_command_is_followed_to_its_end(database: Database) -> None:
    """Pending, taken, done, refused: each has its sentence; what nobody took in time counts as expired at once."""
    seed.daemon(database)
    gate = Gate(database, b"k" * 32, expiry_seconds=60, allow_backfill=True)
    receipt = gate.submit(Wish(Action.PING, "doorloop"), ANA)

    def view() -> control.CommandView:
        found = control.command_state(database, receipt.command_id)
        assert found is not None
        return found

    def change(sql_text: str, *values: object) -> None:
        with unguarded(database) as link:
            link.execute(sql_text.encode(), values)

    assert (view().state, view().sentence) == (CommandState.PENDING, "Waiting for the daemon to take it.")
    change("UPDATE control.commands SET expires_at = now(), created_at = now() - interval '60 seconds'")
    assert view().state is CommandState.EXPIRED
    assert view().sentence == "No daemon took the command within 60 s: the daemon is down."
    change("UPDATE control.commands SET expires_at = now() + interval '1 hour'")
    change(CLAIM)
    assert not view().is_ended
    change("UPDATE control.commands SET state = 'refused', finished_at = now(), result = %s", Jsonb(seed.KEY_REFUSED))
    assert view().is_ended
    assert view().problem is not None
    assert view().sentence == seed.KEY_REFUSED["cause"]
    assert control.command_state(database, str(uuid.uuid4())) is None


def test_a_failed_ping_is_done_and_says_why(database: Database) -> None:
    """The command did its work; what it found is the problem."""
    seed.daemon(database)
    gate = Gate(database, b"k" * 32, expiry_seconds=60, allow_backfill=True)
    receipt = gate.submit(Wish(Action.PING, "doorloop"), ANA)
    result = {"ok": False, "code": "KEY_REFUSED", "reason": "DoorLoop refused the API key (401).", "remedy": "Set it."}
    with unguarded(database) as link:
        link.execute(
            "UPDATE control.commands SET state = 'claimed', claimed_by = gen_random_uuid(), claimed_at = now()"
        )
        link.execute("UPDATE control.commands SET state = 'done', finished_at = now(), result = %s", [Jsonb(result)])
    view = control.command_state(database, receipt.command_id)
    assert view is not None
    assert view.problem is not None
    assert (view.state, view.problem.code) == (CommandState.DONE, "KEY_REFUSED")


def test_every_list_is_limited(database: Database) -> None:
    """Whatever is asked for, an answer stays small."""
    for _ in range(3):
        seed.run(database)
    seed.rate_samples(database, 30)
    assert len(runs.last_runs(database, "doorloop", limit=2)) == 2
    assert len(runs.last_runs(database, "doorloop", limit=10**9)) == 3
    assert len(streams.rate_samples(database, "doorloop", limit=10)) == 10
    newest = runs.last_runs(database, "doorloop", limit=1)[0]
    assert len(runs.last_runs(database, "doorloop", before=newest.queued_at)) == 2


def test_rows_are_counted_again_only_when_they_changed(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tick counts nothing as long as the table stands still; a large table is estimated, and says so."""
    monkeypatch.setattr("common.store.live_rows.COUNT_AGAIN_SECONDS", 0)
    counter = LiveRowCounter()
    seed.owners(database, 10)

    def count() -> int:
        with database.transaction() as link:
            return counter.count(link, "doorloop", "main", ["owners"])["owners"].number

    assert count() == 10
    with database.transaction() as link:
        link.execute("UPDATE doorloop.owners SET _removed_at = now() WHERE id = '1'")
        link.execute("SELECT pg_stat_force_next_flush()")
    assert count() == 9
    monkeypatch.setattr("common.store.live_rows.EXACT_UP_TO", -1)
    with database.transaction() as link:
        assert LiveRowCounter().count(link, "doorloop", "main", ["owners"])["owners"].is_estimate
    assert EXACT_UP_TO > 0
