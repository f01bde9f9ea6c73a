"""Stop and a lost lease in odd moments: what a person stopped does not go on, and what others ended stays as it is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from common.store.database import Database
from daemon.rescue import rescue_silent_runs
from daemon.run_desk import STOP_SECONDS
from tests.children import held, waits_for_a_lock
from tests.harness import Engine, engine
from tests.integration.letters import serve
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
