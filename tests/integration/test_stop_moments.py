"""Stop and a lost lease in odd moments: what a person stopped does not go on, and what others ended stays as it is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from common.store.database import Database
from daemon.rescue import rescue_silent_runs
from daemon.run_desk import STOP_SECONDS
from tests.children import held, waits_for_a_lock
from tests.harness import Engine, engine
from tests.integration.letters import ended, press_requeue, serve
from tests.integration.small_vendor import Answer, SmallVendor, tenant
from tests.truth import one, rows
from tests.waiting import wait_for

TENANTS = ("tenants",)


@pytest.fixture
def vendor() -> Iterator[SmallVendor]:
    """Five pages."""
    with SmallVendor([tenant(number) for number in range(100)]) as server:
        yield server


@pytest.fixture
def house(vendor: SmallVendor, database_url: str) -> Iterator[Engine]:
    """An engine with two connections."""
    with engine(None, database_url, **vendor.reach, DOORLOOP_MAX_CONCURRENCY="2", ICC_RETRY_ATTEMPTS="1") as running:
        yield running


def stop(house: Engine) -> None:
    """As the command does."""
    house.services.desk.stop("doorloop", "main", "ana")


def test_what_is_stopped_while_it_is_put_off_does_not_go_on(
    house: Engine, vendor: SmallVendor, database: Database
) -> None:
    """Law 6: a page ahead was put off while an earlier one was written, and somebody pressed Stop just then: the run
    ended `deferred`, and the scheduler began again what a person had stopped."""
    serve(database)
    vendor.bend_page = lambda number: Answer({}, 429, retry_after="3600") if number == 2 else None
    with ThreadPoolExecutor(2) as pool:
        with held(database.url, "LOCK TABLE doorloop.tenants IN SHARE MODE"):
            running = pool.submit(house.finish, house.begin(entities=TENANTS))
            wait_for(lambda: waits_for_a_lock(database), "a page is being written")
            wait_for(lambda: put_off(house), "one ahead is put off")
            stopping = pool.submit(stop, house)
            wait_for(lambda: rows(database, "SELECT 1 FROM control.runs WHERE state = 'stopping'"), "it is to stop")
        stopping.result(5)
        assert running.result(5).state == "stopped"
    assert one(database, "SELECT blocked_code FROM control.accounts_synced")["blocked_code"] == "RATE_LIMITED_UNTIL"
    vendor.bend_page = lambda _: None
    assert house.continue_by_schedule() is None


def put_off(house: Engine) -> bool:
    """Whether the sample that says so is there."""
    house.services.reporter.flush()
    return bool(rows(house.database, "SELECT 1 FROM control.rate_limit_samples WHERE decision = 'deferred'"))


@pytest.mark.parametrize("status", [200, 404, 405, 500])
def test_a_run_that_others_ended_calls_it_no_error_of_ours(
    house: Engine, vendor: SmallVendor, database: Database, status: int
) -> None:
    """Law 1: frozen past its lease, it wakes with its entity's end to write: refused by the fence, not by a trigger."""

    def bend(number: int) -> Answer | None:
        if number != 5:
            return None
        rows(database, "UPDATE control.leases SET expires_at = now() - interval '1 second'")
        assert rescue_silent_runs(database) == 1
        return Answer({"message": "no"}, status) if status != 200 else None

    vendor.bend_page = bend
    plan = house.begin(entities=TENANTS)
    assert not house.services.desk.execute(plan).written
    house.services.reporter.flush()
    assert one(database, "SELECT state FROM control.runs")["state"] == "interrupted"
    assert one(database, "SELECT state FROM control.run_entities")["state"] == "partial"
    assert rows(database, "SELECT code FROM control.events WHERE code = 'INTERNAL_ERROR'") == []


def test_nothing_is_sent_for_a_run_that_was_stopped_before_it_was_ready(
    house: Engine, vendor: SmallVendor, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law 6: no request after `stopped`, also where making ready took longer than Stop waits."""
    sent: list[str] = []
    answer = vendor._answer

    def noted(target: str) -> Answer:
        sent.append(target)
        return answer(target)

    monkeypatch.setattr(vendor, "_answer", noted)
    account = house.services.configuration.accounts["doorloop"]
    usual, stopped = account.open, threading.Event()

    def slow(_account: object, *args: Any, **kinds: Any) -> Any:
        assert stopped.wait(10 * STOP_SECONDS)
        return usual(*args, **kinds)

    monkeypatch.setattr(type(account), "open", slow)
    plan = house.begin(entities=TENANTS)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(house.services.desk.execute, plan)
        stop(house)
        stopped.set()
        assert not running.result(10).written
    assert one(database, "SELECT state FROM control.runs")["state"] == "stopped"
    assert sent == []


def second_look(house: Engine, vendor: SmallVendor, silent: Callable[[], None]) -> Callable[[], object]:
    """A backfill that misses rows reads the list once more, and page 1 does not come."""
    house.run(entities=TENANTS)
    del vendor.records[40:43]

    def bend(_: int) -> None:
        if vendor.pages_asked.count(1) == 3:
            silent()

    vendor.bend_page = bend
    return partial(house.run, entities=TENANTS)


def order_proof(house: Engine, vendor: SmallVendor, silent: Callable[[], None]) -> Callable[[], object]:
    """A delta of a vendor that sorts by another key asks for a record by its id, which does not come."""
    vendor.records[2] = tenant(2, name="changed", updatedAt="2025-01-02T00:00:00.000Z")
    house.run(entities=TENANTS)
    vendor.bend_page = lambda number: Answer(
        {"total": 100, "data": vendor.records[::-1][20 * number - 20 : 20 * number]}
    )
    vendor.bend_record = lambda _: silent()
    return partial(house.run, "delta", TENANTS)


def requeue(house: Engine, vendor: SmallVendor, silent: Callable[[], None]) -> Callable[[], object]:
    """A requeue asks for records by id, which do not come."""
    vendor.records[5] = tenant(5, active="perhaps")
    house.run(entities=TENANTS)
    vendor.bend_record = lambda _: silent()
    serve(house.database)
    bulk_id = press_requeue(house)
    return partial(ended, house, bulk_id)


@pytest.mark.parametrize("moment", [second_look, order_proof, requeue])
def test_a_stop_ends_whatever_the_run_asks_for(
    house: Engine,
    vendor: SmallVendor,
    database: Database,
    moment: Callable[[Engine, SmallVendor, Callable[[], None]], Callable[[], object]],
) -> None:
    """Law 6: within a second, in the requests behind a list's end as in those of its pages."""
    asked, over = threading.Event(), threading.Event()

    def silent() -> None:
        asked.set()
        over.wait(30)

    act = moment(house, vendor, silent)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(act)
        assert asked.wait(15)
        began = time.monotonic()
        stop(house)
        wait_for(lambda: rows(database, "SELECT 1 FROM control.runs WHERE state = 'stopped'"), "it is stopped")
        assert time.monotonic() - began < 1.0
        over.set()
        running.result(15)
    assert rows(database, "SELECT 1 FROM control.runs WHERE state IN ('running', 'stopping')") == []
    assert rows(database, "SELECT 1 FROM doorloop.tenants WHERE _removed_at IS NOT NULL") == []


def test_a_lease_that_ran_out_while_its_run_lives_is_renewed(
    house: Engine, vendor: SmallVendor, database: Database
) -> None:
    """Law 1: after an outage of the database the janitor may come before the lease is renewed: nobody has died."""
    asked, over = threading.Event(), threading.Event()

    def bend(number: int) -> None:
        if number == 3:
            asked.set()
            over.wait(30)

    vendor.bend_page = bend
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(house.run, entities=TENANTS)
        assert asked.wait(15)
        rows(database, "UPDATE control.leases SET expires_at = now() - interval '1 second'")
        assert rescue_silent_runs(database, house.services.desk.keeps) == 0
        assert one(database, "SELECT expires_at > now() AS lives FROM control.leases")["lives"]
        over.set()
        assert running.result(30).state == "succeeded"
