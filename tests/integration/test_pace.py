"""Limits lowered and lifted, blocks judged anew, the schedule paused, what is kept of each request, the forecast."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest

from common.errors import Refused
from common.limit_wishes import lower_limits_wish, schedule_wish
from common.store.database import Database
from common.wishes import Wish
from daemon import wiring
from daemon.blocks import Blocks
from daemon.integrations.doorloop.drill import DrillServer, LimitSettings
from tests.harness import ADMIN, Engine, engine
from tests.integration.small_vendor import Answer, SmallVendor, tenant
from tests.truth import Record, assert_tables_equal_truth, one, rows
from tests.waiting import wait_for

CONVENTIONS = ["x-epoch-seconds", "x-delta-seconds", "draft-delta", "draft-structured"]


@pytest.fixture
def drill() -> Iterator[DrillServer]:
    """A vendor with sixteen pages."""
    with DrillServer(rows=320, seed=6) as server:
        yield server


def do(copier: Engine, wish: Wish) -> Record:
    """A wish of an admin, through the gate."""
    receipt = copier.gate.submit(wish, ADMIN, addressed_to=copier.services.daemon_id)
    result = copier.commands.take(receipt.command_id)
    assert isinstance(result, dict)
    copier.services.reporter.flush()
    return result


def lower(copier: Engine, **to: int) -> Record:
    """Lower something for an hour; nothing lifts."""
    return do(copier, lower_limits_wish("doorloop", to=to, minutes=60, reason="their support asked"))


def samples(database: Database) -> list[Record]:
    """What was kept of each request."""
    return rows(database, "SELECT * FROM control.rate_limit_samples ORDER BY id")


def page_notes(database: Database) -> list[dict[str, Any]]:
    """What rides on the page events."""
    found = rows(database, "SELECT data FROM control.events WHERE code = 'page' ORDER BY id")
    return [row["data"]["rateLimit"] for row in found]


def test_concurrency_climbs_to_what_is_set_and_no_further(drill: DrillServer, database_url: str) -> None:
    """Issue 3: ramp-up from 1: the second page is asked for after the first was answered; four are the most at once."""
    drill.set_fault("latency", seconds=0.1, entity="owners")
    with engine(drill, database_url, DOORLOOP_MAX_CONCURRENCY="4") as copier:
        assert copier.run().state == "succeeded"
    pages = [entry for entry in drill.log.entries() if entry.path.endswith("/owners")]
    ends = [entry.ended for entry in pages]
    assert pages[1].started >= (ends[0] or 0)
    open_at = [sum(e.started <= at.started < (e.ended or 0) for e in pages) for at in pages]
    assert open_at[0] == 1
    assert max(open_at) == 4


def one_by_one(drill: DrillServer) -> bool:
    """Whether the last five requests came one after the other."""
    latest = drill.log.entries()[-6:-1]
    return all(before.ended is not None and after.started >= before.ended for before, after in pairwise(latest))


def test_lowered_concurrency_counts_for_a_running_run(
    drill: DrillServer, database_url: str, database: Database
) -> None:
    """Issue 3: an admin may lower concurrency for a while; a run obeys within two seconds, and it is told why."""
    drill.set_fault("latency", seconds=0.15, entity="owners")
    with engine(drill, database_url, DOORLOOP_MAX_CONCURRENCY="8", DOORLOOP_PAGE_SIZE="4") as copier:
        plan = copier.begin()
        running = threading.Thread(target=copier.services.desk.execute, args=(plan,))
        running.start()
        wait_for(lambda: drill.log.summary(0)["open"] >= 3, "it has climbed", seconds=30)
        lower(copier, concurrency=1)
        wait_for(lambda: one_by_one(drill), "five requests one after the other", seconds=30)
        copier.services.desk.stop("doorloop", "main", "tester")
        running.join(20)
    told = rows(database, "SELECT msg FROM control.events WHERE code = 'limits_lowered'")
    assert "limits lowered to concurrency 1 until" in told[0]["msg"]
    assert told[0]["msg"].endswith("by tester: their support asked")


def test_lowered_limits_hold_a_run_and_lifted_ones_let_it_go_on(
    drill: DrillServer, database_url: str, database: Database
) -> None:
    """Issue 3: lowered limits count for a run that is under way, and a lift ends its wait."""
    with engine(drill, database_url, DOORLOOP_RATE_LIMIT_PER_MINUTE="500") as copier:
        lower(copier, perMinute=5)
        plan = copier.begin()
        running = threading.Thread(target=copier.services.desk.execute, args=(plan,))
        running.start()
        wait_for(lambda: len(drill.log.entries()) == 5, "the lowered budget is spent", seconds=30)
        running.join(1.5)
        assert len(drill.log.entries()) == 5
        do(copier, lower_limits_wish("doorloop", to={}, reason="all well"))
        running.join(30)
        assert not running.is_alive()
        copier.services.reporter.flush()
    assert_tables_equal_truth(database, drill, ["owners"])
    limits = {sample["limit_minute"] for sample in samples(database)}
    assert limits == {5, 500}
    assert "waited" in {sample["decision"] for sample in samples(database)}


def test_limits_are_lowered_not_raised(drill: DrillServer, database_url: str, database: Database) -> None:
    """Issue 3: an admin may lower them; more than is set is refused, and what is lowered stays so."""
    with engine(drill, database_url, DOORLOOP_RATE_LIMIT_PER_MINUTE="600") as copier:
        lower(copier, perMinute=10, perHour=5000)  # of an hour no limit is set
        with pytest.raises(Refused) as refusal:
            lower(copier, perMinute=6000)
        assert (refusal.value.code, "at most 600" in refusal.value.remedy) == ("VALUE_UNUSABLE", True)
        (kept,) = rows(database, "SELECT lowered_to FROM control.budgets")
        assert kept["lowered_to"]["perMinute"] == 10


def test_nothing_is_lifted_when_nothing_is_lowered(drill: DrillServer, database_url: str) -> None:
    """Said plainly."""
    with engine(drill, database_url) as copier, pytest.raises(Refused) as refusal:
        do(copier, lower_limits_wish("doorloop", to={}, reason="r"))
    assert refusal.value.code == "NOTHING_TO_LIFT"


def blocked_until(database: Database) -> datetime | None:
    """What the account's row says."""
    found: datetime | None = one(database, "SELECT blocked_until FROM control.accounts_synced")["blocked_until"]
    return found


def test_a_block_of_ours_ends_with_the_limits_that_made_it(
    drill: DrillServer, database_url: str, database: Database
) -> None:
    """A run deferred by our own budget goes on at once when the daemon starts with a higher limit."""
    with engine(drill, database_url, DOORLOOP_RATE_LIMIT_PER_HOUR="4") as copier:
        assert copier.run().state == "deferred"
        until = blocked_until(database)
        assert Blocks(database, copier.services.configuration.accounts).run_once() == []
        assert blocked_until(database) == until
    with engine(drill, database_url, DOORLOOP_RATE_LIMIT_PER_HOUR="500") as copier:
        now = one(database, "SELECT now() AS now")["now"]
        assert (blocked_until(database) or now) <= now
        rows(database, "UPDATE control.daemons SET kind = 'service', heartbeat_at = now() WHERE stopped_at IS NULL")
        ((kind, _),) = copier.scheduler().run_once()
        assert kind == "continuation"


def test_a_block_of_ours_ends_with_the_lowering_that_made_it(
    drill: DrillServer, database_url: str, database: Database
) -> None:
    """A run deferred by lowered limits goes on when they are lifted, and not a moment sooner."""
    with engine(drill, database_url, DOORLOOP_RATE_LIMIT_PER_HOUR="500") as copier:
        blocks = Blocks(database, copier.services.configuration.accounts)
        lower(copier, perHour=3)
        assert copier.run().state == "deferred"
        assert blocks.run_once() == []
        do(copier, lower_limits_wish("doorloop", to={}, reason="all well"))
        assert blocks.run_once() == ["doorloop"]
        assert blocks.run_once() == []
        following = copier.continue_by_schedule()
        assert following is not None
        assert following.state == "succeeded"
    assert_tables_equal_truth(database, drill, ["owners"])


def test_a_block_of_the_vendors_stands(drill: DrillServer, database_url: str, database: Database) -> None:
    """What DoorLoop asked for is not ours to shorten."""
    drill.set_fault("rate_limited", retry_after="3600", entity="owners", only_page=2)
    with engine(drill, database_url, DOORLOOP_RATE_LIMIT_PER_HOUR="500") as copier:
        assert copier.run().state == "deferred"
        until = blocked_until(database)
        assert Blocks(database, copier.services.configuration.accounts).run_once() == []
        assert blocked_until(database) == until
    decisions = [sample["decision"] for sample in samples(database)]
    assert "deferred" in decisions


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_what_the_vendor_says_is_kept_and_rides_on_page_events(
    drill: DrillServer, database_url: str, database: Database, convention: str
) -> None:
    """Issue 3: samples carry source and decision; the same note rides on every page event."""
    drill.set_limits(LimitSettings(per_minute=400, convention=convention))
    with engine(drill, database_url, DOORLOOP_RATE_LIMIT_PER_MINUTE="300", DOORLOOP_PAGE_SIZE="90") as copier:
        assert copier.run().state == "succeeded"
    kept = samples(database)
    assert {(sample["source"], sample["request_limit"], sample["limit_minute"]) for sample in kept} == {
        ("header", 400, 300)
    }
    assert sorted(sample["remaining"] for sample in kept) == [395, 396, 397, 398, 399]
    assert all(sample["reset_at"] is not None for sample in kept)
    notes = page_notes(database)
    assert len(notes) == 4
    assert all(set(note) >= {"source", "decision", "limit", "remaining", "resetAt", "usedMinute"} for note in notes)


def test_without_headers_our_own_count_is_kept_and_labelled(
    drill: DrillServer, database_url: str, database: Database
) -> None:
    """Issue 3: absent means unknown; our own count is stored and labelled as such."""
    with engine(drill, database_url, DOORLOOP_RATE_LIMIT_PER_HOUR="300", DOORLOOP_PAGE_SIZE="170") as copier:
        copier.run()
    kept = samples(database)
    assert {(s["source"], s["request_limit"], s["remaining"], s["used_minute"]) for s in kept} == {
        ("counted", None, None, None)
    }
    assert [sample["used_hour"] for sample in kept] == [1, 2, 3]
    assert page_notes(database)[0]["usedHour"] >= 2
    assert "remaining" not in page_notes(database)[0]


def test_a_low_quota_slows_the_run_down(drill: DrillServer, database_url: str, database: Database) -> None:
    """With a tenth left the rest is spread until the reset, the samples say `slowed`; it does not end the run."""
    drill.set_limits(LimitSettings(per_minute=30, minute_seconds=2.0, convention="draft-structured"))
    with engine(drill, database_url, DOORLOOP_PAGE_SIZE="10") as copier:
        assert copier.run().state == "succeeded"
    decisions = [sample["decision"] for sample in samples(database)]
    assert "slowed" in decisions
    assert_tables_equal_truth(database, drill, ["owners"])


def test_a_paused_schedule_starts_nothing_and_catches_up(
    drill: DrillServer, database_url: str, database: Database
) -> None:
    """Issue 3: paused with a reason; a run by hand stays possible; when it goes on, what is due is caught up once."""
    with engine(drill, database_url, AUTO_SYNC_ENABLED="true") as copier:
        rows(database, "UPDATE control.daemons SET kind = 'service', heartbeat_at = now() WHERE stopped_at IS NULL")
        assert do(copier, schedule_wish("doorloop", paused=True, reason="month's end")) == {"paused": True}
        account = one(database, "SELECT paused_by, paused_reason FROM control.accounts_synced")
        assert (account["paused_by"], account["paused_reason"]) == ("tester", "month's end")
        assert copier.scheduler().run_once() == []
        assert copier.run(entities=["units"]).state == "succeeded"
        with pytest.raises(Refused) as refusal:
            do(copier, schedule_wish("doorloop", paused=True, reason="again"))
        assert refusal.value.code == "NOTHING_TO_LIFT"
        do(copier, schedule_wish("doorloop", paused=False, reason="done"))
        assert [kind for kind, _ in copier.scheduler().run_once()] == ["delta"]


def findings(database: Database) -> list[dict[str, Any]]:
    """What the page shows about the schedule."""
    published = one(database, "SELECT findings FROM control.accounts_synced")["findings"]
    return [finding for finding in published if finding["code"] == "SCHEDULE_OVER_BUDGET"]


def test_the_forecast_follows_the_totals(drill: DrillServer, database_url: str, database: Database) -> None:
    """Issue 3: the daemon forecasts the requests per hour from the vendor's totals, and names the remedy that fits."""
    scheduled = {"AUTO_SYNC_ENABLED": "true", "AUTO_SYNC_INTERVAL_MINUTES": "1", "SYNC_ENTITIES": "owners,units"}
    with engine(drill, database_url, DOORLOOP_RATE_LIMIT_PER_HOUR="300", **scheduled) as copier:
        assert findings(database) == []
        copier.run(entities=["owners", "units"])
        configuration = copier.services.configuration
        wiring.publish(copier.services, wiring.forecast(configuration, database))
        (finding,) = findings(database)
        # Sixteen pages each: 33 for the full copy, 59 deltas of three pages each and an identity.
        assert "446 requests" in finding["cause"]
        assert finding["remedy"] == "Set DOORLOOP_PAGE_SIZE=1000, or AUTO_SYNC_INTERVAL_MINUTES=2."
        assert wiring.findings_if_known(configuration)[0].facts["needed"] == 446


def test_check_finds_rows_of_the_other_kind(drill: DrillServer, database_url: str, database: Database) -> None:
    """Issue 2: `python -m daemon check` shows what the daemon publishes, though it starts nothing."""
    with engine(drill, database_url) as copier:
        copier.run(entities=["owners"])
        configuration = copier.services.configuration
        assert wiring.findings_if_known(configuration) == ()
        rows(database, "UPDATE control.accounts_synced SET source_kind = 'drill'")
        (finding,) = wiring.findings_if_known(configuration)
        assert (finding.code, finding.severity) == ("DRILL_AND_REAL_ROWS", "error")


def test_a_list_that_does_not_come_in_order_costs_more(
    drill: DrillServer, database_url: str, database: Database
) -> None:
    """The forecast knows which lists a delta must read whole, by what the last delta met."""
    scheduled = {"AUTO_SYNC_ENABLED": "true", "AUTO_SYNC_INTERVAL_MINUTES": "30", "SYNC_ENTITIES": "owners"}
    with engine(drill, database_url, DOORLOOP_RATE_LIMIT_PER_HOUR="30", **scheduled) as copier:
        rows(database, "UPDATE control.budgets SET windows = '{}'")
        copier.run()
        configuration = copier.services.configuration
        assert wiring.forecast(configuration, database) == ()
        drill.set_fault("ignore_sort")
        rows(database, "UPDATE control.budgets SET windows = '{}'")
        assert copier.run("delta").warnings("owners") == ["ORDER_NOT_PROVEN"]
        (finding,) = wiring.forecast(configuration, database)
        assert finding.facts["needed"] == 17 + 18


@pytest.mark.parametrize("connections", ["1", "4"])
def test_a_page_event_carries_the_note_of_its_own_request(
    database_url: str, database: Database, connections: str
) -> None:
    """Issue 3: samples ride on every page event: not the latest one, which is of a page fetched ahead."""
    with SmallVendor([tenant(number) for number in range(300)]) as vendor:

        def told(number: int) -> Answer:
            page = vendor.records[(number - 1) * 20 : number * 20]
            return Answer(
                {"total": 300, "data": page}, X_RateLimit_Limit="1000", X_RateLimit_Remaining=f"{900 - number}"
            )

        vendor.bend_page = told
        with engine(None, database_url, **vendor.reach, DOORLOOP_MAX_CONCURRENCY=connections) as copier:
            copier.run(entities=["tenants"])
            copier.services.reporter.flush()
    assert [note["remaining"] for note in page_notes(database)] == [900 - number for number in range(1, 16)]
