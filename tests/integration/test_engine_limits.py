"""Law 7: being rate-limited is not failing. Long waits are stored, not slept; the run goes on by itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest

from common.access import Action
from common.clock import SystemClock
from common.codes import CODES
from common.errors import Deferred, Refused
from common.insights.runs import found_runs
from common.rules.budget import BudgetLimits
from common.store import accounts, commands
from common.store.database import Database
from common.wishes import Wish, check_wish
from daemon.guard.ceiling import Ceiling
from daemon.guard.limiter import Limiter
from daemon.integrations.doorloop.drill import DrillServer
from tests.children import held
from tests.harness import ADMIN, Engine, Outcome, engine
from tests.integration.small_vendor import Answer, SmallVendor, tenant
from tests.truth import assert_tables_equal_truth, one, rows, table
from tests.waiting import wait_for


@pytest.fixture
def drill() -> Iterator[DrillServer]:
    """A vendor with four pages."""
    with DrillServer(rows=70, seed=6) as server:
        yield server


@pytest.fixture
def copier(drill: DrillServer, database_url: str) -> Iterator[Engine]:
    """An engine that gives up after three tries."""
    with engine(drill, database_url, ICC_RETRY_ATTEMPTS="3") as running:
        yield running


def blocked_until(database: Database) -> datetime | None:
    """What the account row says."""
    found: datetime | None = one(database, "SELECT blocked_until FROM control.accounts_synced")["blocked_until"]
    return found


def forget_the_budget(database: Database) -> None:
    """An hour passes."""
    with database.transaction() as link:
        link.execute("UPDATE control.budgets SET windows = '{}'")


@pytest.mark.parametrize(
    ("parameters", "least", "most"),
    [
        ({"retry_after": "1"}, 1.0, 2.5),
        ({"retry_after": "1", "form": "http_date"}, 0.0, 2.5),
        ({"retry_after": "1", "form": "http_date", "skew_seconds": 3600.0}, 0.0, 2.5),
        ({"form": "absent"}, 0.0, 2.5),
        ({"retry_after": "soon"}, 0.0, 2.5),
        ({"retry_after": "0"}, 0.0, 2.5),
    ],
    ids=["seconds", "date", "skewed date", "absent", "nonsense", "zero"],
)
def test_a_short_429_is_waited_for(
    copier: Engine, drill: DrillServer, database: Database, parameters: dict[str, Any], least: float, most: float
) -> None:
    """Issue 3: never below a server-given Retry-After (seconds or date, skewed clocks included); then it goes on."""
    drill.set_fault("rate_limited", **parameters, entity="owners", only_page=2, times=1)
    run = copier.run()
    assert run.state == "succeeded"
    second = [entry for entry in drill.log.entries() if "page_number=2" in entry.query]
    assert [entry.status for entry in second] == [429, 200]
    assert least <= second[1].started - second[0].started < most
    assert_tables_equal_truth(database, drill, ["owners"])


def test_what_the_vendor_asks_to_wait_counts_as_waited(drill: DrillServer, database_url: str) -> None:
    """Nothing silent: a run that slept at the vendor's word says so, though no other request was held meanwhile."""
    drill.set_fault("rate_limited", retry_after="1", entity="owners", only_page=2, times=1)
    with engine(drill, database_url, DOORLOOP_MAX_CONCURRENCY="1") as copier:
        run = copier.run()
    assert run.state == "succeeded"
    assert run.run["waited_seconds"] >= 1


def test_an_hour_of_429_defers_and_goes_on_by_itself(copier: Engine, drill: DrillServer, database: Database) -> None:
    """Law 7: a wait of an hour ends the run `deferred`, keeps what it has, frees the lease, and is continued once."""
    drill.set_fault("rate_limited", retry_after="3600", entity="owners", only_page=3)
    run = copier.run(entities=["owners", "units"])
    assert (run.state, run.run["error"]) == ("deferred", None)
    until = run.run["blocked_until"]
    assert timedelta(minutes=55) < until - run.run["finished_at"] < timedelta(minutes=65)
    assert blocked_until(database) == until
    assert one(database, "SELECT holder FROM control.leases")["holder"] is None
    assert len(table(database, "owners")) == 40
    assert copier.scheduler().run_once() == []
    with pytest.raises(Refused) as refusal:
        copier.run()
    assert refusal.value.code == "BLOCKED_UNTIL"
    drill.clear_faults()
    following = copier.continue_by_schedule()
    assert following is not None
    assert (following.state, following.run["trigger"]) == ("succeeded", "continuation")
    assert str(following.run["continues_run_id"]) == str(run.run["id"])
    assert following.entities["owners"]["resumed_at_page"] == 3
    assert blocked_until(database) is None
    assert_tables_equal_truth(database, drill, ["owners", "units"])
    assert copier.continue_by_schedule() is None


def test_endless_429_without_a_hint_defers(copier: Engine, drill: DrillServer) -> None:
    """Law 7: however often the vendor says 429, the run never fails for it."""
    drill.set_fault("rate_limited", form="absent", entity="owners")
    run = copier.run(entities=["owners", "units"])
    assert run.state == "deferred"
    assert run.run["blocked_until"] > run.run["finished_at"] + timedelta(seconds=30)


@pytest.mark.parametrize("status", [500, 503, 408])
def test_a_vendor_in_trouble_that_names_an_hour_defers_and_is_named(
    copier: Engine, drill: DrillServer, database: Database, status: int
) -> None:
    """Issue 3: a wait over a minute is not slept, whatever status asked for it. Law 8: run, entity, event and error
    group say what the vendor answered and until when; so do the page and sync/runs, which read the run."""
    drill.set_fault(f"http_{status}", retry_after="3600", entity="owners", only_page=3)
    run = copier.run()
    assert (run.state, run.code, run.error("owners")) == ("deferred", "VENDOR_ASKED_LATER", "VENDOR_ASKED_LATER")
    until = f"{run.run['blocked_until']:%Y-%m-%d %H:%M:%S} UTC"
    cause = f"DoorLoop answered {status} at /owners and asked to come back later: no run sends anything before {until}."
    assert run.run["error"]["cause"] == cause
    (shown,) = found_runs(database)
    assert shown.error is not None
    assert (shown.error.cause, shown.error.remedy) == (cause, CODES["VENDOR_ASKED_LATER"].remedy)
    (event,) = rows(database, "SELECT level, msg FROM control.events WHERE code = 'VENDOR_ASKED_LATER'")
    assert (event["level"], cause in event["msg"]) == ("warn", True)
    (group,) = rows(database, "SELECT code, status, count FROM control.error_groups")
    assert (group["code"], group["status"], group["count"]) == ("VENDOR_ASKED_LATER", status, 1)
    blocked = one(database, "SELECT blocked_code FROM control.accounts_synced")
    assert blocked["blocked_code"] == "VENDOR_ASKED_LATER"


def test_a_run_put_off_by_a_429_says_so_without_an_error(
    copier: Engine, drill: DrillServer, database: Database
) -> None:
    """Laws 7 and 8: a warning of the run with its own code names what was asked and until when; no error group."""
    drill.set_fault("rate_limited", retry_after="3600", entity="owners", only_page=3)
    run = copier.run()
    until = f"{run.run['blocked_until']:%Y-%m-%d %H:%M:%S} UTC"
    (warning,) = run.run["warnings"]
    assert warning["code"] == "RATE_LIMITED_UNTIL"
    assert warning["cause"] == f"DoorLoop asked us to slow down (429): no run sends anything before {until}."
    (event,) = rows(database, "SELECT level, msg FROM control.events WHERE code = 'RATE_LIMITED_UNTIL'")
    assert (event["level"], warning["cause"] in event["msg"]) == ("warn", True)
    assert rows(database, "SELECT 1 FROM control.error_groups") == []


def parts_until_done(copier: Engine, first: Outcome) -> list[Outcome]:
    """The run and its continuations, with an hour passing before each."""
    parts = [first]
    while parts[-1].state == "deferred":
        assert len(parts) < 20
        forget_the_budget(copier.database)
        following = copier.continue_by_schedule()
        assert following is not None
        parts.append(following)
    return parts


def test_a_backfill_larger_than_the_budget_goes_on_in_parts(
    drill: DrillServer, database_url: str, database: Database
) -> None:
    """Issue 2: a backfill larger than the budget goes on by itself in parts, `deferred` in between."""
    with engine(drill, database_url, DOORLOOP_RATE_LIMIT_PER_HOUR="4") as copier:
        drill.mutate("units", delete=1)
        parts = parts_until_done(copier, copier.run(entities=["owners", "units"]))
        assert [part.state for part in parts[:-1]] == ["deferred"] * (len(parts) - 1)
        assert (len(parts) > 2, parts[-1].state) == (True, "succeeded")
        assert_tables_equal_truth(database, drill, ["owners", "units"])
        received = rows(database, "SELECT entity, sum(received) AS all FROM control.run_entities GROUP BY entity")
        assert {row["entity"]: row["all"] for row in received} == {"owners": 70, "units": 69}
        sent = len(drill.log.entries())
        spent = one(database, "SELECT sum(requests) AS all FROM control.runs")["all"]
        assert sent == spent


def test_a_removal_waits_for_the_last_part(drill: DrillServer, database_url: str, database: Database) -> None:
    """Law 4 holds for a pass in parts: removed rows are marked when the last one has come, and no sooner.

    The second look at the list needs an hour whose requests are enough for all of it.
    """
    with engine(drill, database_url) as copier:
        copier.run()
        gone = drill.mutate("owners", delete=3).deleted
    with engine(drill, database_url, DOORLOOP_RATE_LIMIT_PER_HOUR="5") as copier:
        parts = parts_until_done(copier, copier.run())
        assert len(parts) > 1
        assert [part.counts("owners")[3] for part in parts] == [0] * (len(parts) - 1) + [3]
        assert_tables_equal_truth(database, drill, ["owners"], gone=gone)


def test_a_second_look_waits_for_an_hour_of_its_own(drill: DrillServer, database_url: str, database: Database) -> None:
    """Law 4: a rolling hour gives its requests back in parts, too few for the list; others need not wait."""
    with engine(drill, database_url) as copier:
        copier.run()
        drill.mutate("owners", delete=3)
    with engine(drill, database_url, DOORLOOP_RATE_LIMIT_PER_HOUR="5") as copier:
        run = copier.run()
        assert run.state == "deferred"
        blocked = one(database, "SELECT blocked_until FROM control.accounts_synced")["blocked_until"]
        assert run.run["blocked_until"] - blocked == timedelta(hours=1)


def test_another_run_in_between_does_not_end_the_continuation(
    copier: Engine, drill: DrillServer, database: Database
) -> None:
    """Issue 2: the deferred backfill still goes on by itself when something else ran at its moment."""
    drill.set_fault("rate_limited", retry_after="3600", entity="owners", only_page=3)
    run = copier.run()
    assert run.state == "deferred"
    drill.clear_faults()
    with database.transaction() as link:
        link.execute("UPDATE control.accounts_synced SET blocked_until = NULL, blocked_code = NULL")
    other = copier.begin("delta", ["tenants"])
    assert copier.continue_by_schedule() is None
    copier.finish(other)
    following = copier.continue_by_schedule()
    assert following is not None
    assert (following.state, following.run["mode"]) == ("succeeded", "backfill")
    assert_tables_equal_truth(database, drill, ["owners"])


def test_a_rate_limit_leaves_no_failure_behind(copier: Engine, drill: DrillServer, database: Database) -> None:
    """Law 7: a deferred run has no error, no failed entity and no dead letter."""
    drill.set_fault("rate_limited", retry_after="3600", entity="owners")
    run = copier.run(entities=["owners", "units"])
    assert run.state == "deferred"
    assert {row["state"] for row in run.entities.values()} <= {"partial", "skipped"}
    assert [row["error"] for row in run.entities.values()] == [None, None]
    assert rows(database, "SELECT 1 FROM control.dead_letters") == []
    assert rows(database, "SELECT 1 FROM control.events WHERE level = 'error'") == []


@pytest.mark.parametrize("shown", [slice(20, 40), slice(10, 30)], ids=["repeated_page", "no_new_ids"])
def test_come_back_later_is_heeded_whatever_else_ended_the_run(
    database: Database, database_url: str, shown: slice
) -> None:
    """Law 7: a page fetched ahead was told to come back in an hour, and an earlier one then ended the entity: no run
    starts before."""
    third_is_asked = threading.Event()
    with SmallVendor([tenant(number) for number in range(70)]) as vendor:

        def bend(number: int) -> Answer | None:
            if number == 4:
                third_is_asked.wait()
                return Answer({"message": "slow down"}, 429, Retry_After="3600")
            if number != 3:
                return None
            third_is_asked.set()
            put_off = "SELECT 1 FROM control.rate_limit_samples WHERE decision = 'deferred'"
            wait_for(lambda: rows(database, put_off), "page 4 is put off")
            return Answer({"total": 70, "data": vendor.records[shown]})

        vendor.bend_page = bend
        with engine(None, database_url, **vendor.reach) as copier:
            run = copier.run(entities=["tenants"])
            assert (run.state, run.entities["tenants"]["state"]) == ("incomplete", "partial")
            until = blocked_until(database)
            assert until is not None
            assert until > run.run["finished_at"] + timedelta(minutes=50)
            with pytest.raises(Refused) as refusal:
                copier.run(entities=["tenants"])
    assert refusal.value.code == "BLOCKED_UNTIL"


@pytest.mark.parametrize("limits", [BudgetLimits(), BudgetLimits(per_minute=1000)], ids=["without limits", "with one"])
def test_whoever_asks_heeds_what_another_was_told(database: Database, limits: BudgetLimits) -> None:
    """Law 7: "not before" means all of our requests, those of another daemon and of one that came after a crash, too,
    whatever limits are set."""
    never, clock, account = threading.Event(), SystemClock(), {"integration": "doorloop", "account_key": "main"}

    def limiter() -> Limiter:
        ceiling = Ceiling(database, clock, **account)
        return Limiter(
            database, clock, **account, limits=limits, ceiling=ceiling, flight_seconds=10, longest_wait_seconds=60
        )

    limiter().take(never)
    limiter().hold(900)
    with pytest.raises(Deferred):
        limiter().take(never)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("asked", ["ping", "check"])
def test_come_back_later_is_heeded_whoever_was_told(
    copier: Engine, drill: DrillServer, database: Database, asked: str, status: int
) -> None:
    """Law 7: what a ping or a check was told binds the runs as well; they went out at once."""
    fault = "rate_limited" if status == 429 else "http_503"
    drill.set_fault(fault, entity="owners" if asked == "check" else None, retry_after="3600")
    wish = Wish(Action.PING, "doorloop") if asked == "ping" else check_wish("doorloop", endpoint="owners")
    rows(database, "UPDATE control.daemons SET kind = 'service'")  # someone who will do it
    command_id = copier.gate.submit(wish, ADMIN).command_id
    copier.commands.take(command_id)
    until = blocked_until(database)
    assert until is not None
    assert until - one(database, "SELECT clock_timestamp() AS now")["now"] > timedelta(minutes=50)
    drill.clear_faults()
    with pytest.raises(Refused) as refusal:
        copier.run()
    assert refusal.value.code == "BLOCKED_UNTIL"
    rows(database, "UPDATE control.accounts_synced SET blocked_until = now()")
    assert copier.run().state == "succeeded"


@pytest.mark.parametrize("asked", [{"retry_after": "1"}, {"form": "absent"}], ids=["a second", "no time"])
def test_a_moment_told_to_a_ping_blocks_nobody(
    copier: Engine, drill: DrillServer, database: Database, asked: dict[str, str]
) -> None:
    """Law 7: only a time over a minute blocks the account; a second named to one try kept runs away for a minute."""
    drill.set_fault("rate_limited", **asked, times=1)
    rows(database, "UPDATE control.daemons SET kind = 'service'")  # someone who will do it
    command_id = copier.gate.submit(Wish(Action.PING, "doorloop"), ADMIN).command_id
    copier.commands.take(command_id)
    assert blocked_until(database) is None
    assert one(database, "SELECT code FROM control.pings")["code"] == "RATE_LIMITED_UNTIL"
    assert copier.run().state == "succeeded"


def tell_a_ping(database: Database) -> datetime:
    """A ping is told to come back in an hour; returns when."""
    with database.transaction() as link:
        until = commands.database_now(link) + timedelta(hours=1)
        accounts.put_off(link, "doorloop", "main", until=until, code="RATE_LIMITED_UNTIL")
    return until


def test_what_a_ping_was_told_puts_off_the_run_under_way(
    copier: Engine, drill: DrillServer, database: Database
) -> None:
    """Law 7: "come back in an hour" means the requests of a run that has begun as well; those of a person's next ping
    go out, since that is how one learns that the vendor is back."""
    plan = copier.begin()
    until = tell_a_ping(database)
    run = copier.finish(plan)
    assert (run.state, len(drill.log.entries())) == ("deferred", 0)
    assert abs(run.run["blocked_until"] - until) < timedelta(seconds=5)
    rows(database, "UPDATE control.daemons SET kind = 'service'")  # someone who will do it
    assert copier.commands.take(copier.gate.submit(Wish(Action.PING, "doorloop"), ADMIN).command_id)
    assert drill.log.entries()


def test_a_run_that_ends_well_lifts_no_block_that_a_ping_was_told_meanwhile(
    copier: Engine, drill: DrillServer, database: Database
) -> None:
    """Law 7: no run begins before, however the one under way ends."""
    plan = copier.begin()
    with ThreadPoolExecutor(1) as pool:
        with held(database.url, "LOCK TABLE doorloop.owners"):
            running = pool.submit(copier.finish, plan)
            wait_for(lambda: sum(entry.status == 200 for entry in drill.log.entries()) > 4, "every page has come")
            until = tell_a_ping(database)
        running.result(60)
    left = blocked_until(database)
    assert left is not None
    assert left >= until
    with pytest.raises(Refused) as refusal:
        copier.run()
    assert refusal.value.code == "BLOCKED_UNTIL"
