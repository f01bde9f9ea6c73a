"""Answers that are not what was asked for: which are tried again, which end an entity, which the run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from common.store.database import Database
from daemon.integrations.doorloop.drill import DrillServer
from tests.harness import Engine, engine
from tests.integration.small_vendor import Answer, SmallVendor, tenant
from tests.truth import assert_tables_equal_truth, rows, table


@pytest.fixture
def drill() -> Iterator[DrillServer]:
    """A vendor with three pages."""
    with DrillServer(rows=50, seed=2) as server:
        yield server


@pytest.fixture
def copier(drill: DrillServer, database_url: str) -> Iterator[Engine]:
    """An engine that gives up after three tries."""
    with engine(drill, database_url, ICC_RETRY_ATTEMPTS="3") as running:
        yield running


@pytest.mark.parametrize(
    ("fault", "parameters", "code"),
    [
        ("html_docs", {}, "HTML_FROM_DOCS_HOST"),
        ("html_app", {}, "HTML_FROM_APP"),
        ("html_login", {}, "HTML_LOGIN_PAGE"),
        ("unauthorized", {}, "KEY_REFUSED"),
        ("redirect_other_host", {}, "REDIRECT_REFUSED"),
        ("redirect_same_host", {"loop": True}, "REDIRECT_REFUSED"),
    ],
)
@pytest.mark.parametrize("where", ["all", "owners"])
def test_what_concerns_the_whole_account_ends_the_run(
    copier: Engine, drill: DrillServer, fault: str, parameters: dict[str, Any], code: str, where: str
) -> None:
    """Law 8: a wrong host, a refused key: one code with its remedy, tried once, at the first request or later."""
    drill.set_fault(fault, **parameters, entity=where)
    run = copier.run(entities=["owners", "units"])
    assert (run.state, run.code) == ("failed", code)
    assert run.run["error"]["remedy"]
    assert run.run["retries"] == 0
    assert rows(copier.database, "SELECT 1 FROM doorloop.units") == []


@pytest.mark.parametrize(
    ("fault", "code"),
    [("unauthorized", "KEY_REFUSED"), ("redirect_other_host", "REDIRECT_REFUSED"), ("html_app", "HTML_FROM_APP")],
)
def test_an_entity_cut_by_what_ends_the_run_says_why(copier: Engine, drill: DrillServer, fault: str, code: str) -> None:
    """Law 8: `partial` alone says nothing to who looks at the entity; one that was not come to has no error."""
    drill.set_fault(fault, entity="owners", only_page=3)
    run = copier.run(entities=["owners", "units"])
    assert (run.state, run.code) == ("failed", code)
    assert (run.entities["owners"]["state"], run.entities["owners"]["page"]) == ("partial", 2)
    assert run.entities["owners"]["error"] == run.run["error"]
    assert (run.entities["units"]["state"], run.error("units")) == ("skipped", None)


def test_an_entity_of_which_nothing_came_has_failed_with_its_run(copier: Engine, drill: DrillServer) -> None:
    """Law 8: `partial` would say that a part of it is here."""
    drill.set_fault("html_app", entity="owners")
    run = copier.run(entities=["owners", "units"])
    assert (run.state, run.code) == ("failed", "HTML_FROM_APP")
    assert (run.entities["owners"]["state"], run.entities["owners"]["page"]) == ("failed", 0)
    assert run.entities["owners"]["error"] == run.run["error"]
    assert (run.entities["units"]["state"], run.error("units")) == ("skipped", None)


@pytest.mark.parametrize(
    ("fault", "parameters", "code", "state"),
    [
        ("forbidden_role", {}, "ROLE_FORBIDDEN", "forbidden"),
        ("forbidden_403", {}, "ROLE_FORBIDDEN", "forbidden"),
        ("http_status", {"status": 404}, "NOT_FOUND", "failed"),
        ("http_status", {"status": 400}, "REQUEST_REFUSED", "failed"),
        ("http_status", {"status": 422, "body": "html"}, "REQUEST_REFUSED", "failed"),
    ],
)
def test_what_concerns_one_entity_leaves_the_others(
    copier: Engine,
    drill: DrillServer,
    database: Database,
    fault: str,
    parameters: dict[str, Any],
    code: str,
    state: str,
) -> None:
    """Issue 3: 400, 403, 404, 405 and 422 are never retried and fail that entity only."""
    drill.set_fault(fault, **parameters, entity="owners")
    run = copier.run(entities=["owners", "units"])
    assert (run.state, run.code) == ("incomplete", code)
    assert (run.entities["owners"]["state"], run.error("owners")) == (state, code)
    assert run.run["retries"] == 0
    assert_tables_equal_truth(database, drill, ["units"])


def test_a_key_that_may_read_nothing_fails(copier: Engine, drill: DrillServer) -> None:
    """Law 8: when no entity could be read the run is failed, and the vendor was asked once for each."""
    drill.set_fault("forbidden_role")
    run = copier.run(entities=["owners", "units"])
    assert (run.state, run.code) == ("failed", "ROLE_FORBIDDEN")


@pytest.mark.parametrize(
    ("fault", "parameters"),
    [
        ("http_500", {}),
        ("http_502", {}),
        ("http_503", {"retry_after": "0"}),
        ("http_408", {}),
        ("http_status", {"status": 504, "body": "empty"}),
        ("truncated_json", {}),
        ("invalid_json", {}),
        ("empty_body", {}),
        ("reset", {"where": "headers", "times": 2}),  # the first meets a connection that has served, and is no trouble
        ("reset", {"where": "body"}),
        ("close_early", {}),
    ],
)
def test_a_passing_trouble_is_tried_again(
    copier: Engine, drill: DrillServer, database: Database, fault: str, parameters: dict[str, Any]
) -> None:
    """Issue 3: 5xx, 408, resets and torn answers are retried, and the run succeeds as if nothing had been."""
    drill.set_fault(fault, **{"times": 1, **parameters}, entity="owners")
    run = copier.run()
    assert run.state == "succeeded"
    assert run.run["retries"] >= 1
    assert_tables_equal_truth(database, drill, ["owners"])


def test_a_connection_that_has_served_and_ends_costs_a_request_and_no_retry(
    copier: Engine, drill: DrillServer, database: Database
) -> None:
    """Issue 3: each request that goes out is counted; a vendor that closes idle connections is in no trouble."""
    drill.log.clear()
    drill.set_fault("reset", where="headers", entity="owners", times=1)
    run = copier.run()
    assert (run.state, run.run["retries"]) == ("succeeded", 0)
    assert run.run["requests"] == len(drill.log.entries())
    assert_tables_equal_truth(database, drill, ["owners"])


@pytest.mark.parametrize(
    ("fault", "code"), [("http_500", "VENDOR_ERROR"), ("truncated_json", "INVALID_JSON"), ("reset", "NETWORK_FAULT")]
)
def test_a_lasting_trouble_is_named(
    copier: Engine, drill: DrillServer, database: Database, fault: str, code: str
) -> None:
    """Law 8: after the last try the entity ends with the cause; what came before it stays, the next run goes on."""
    drill.set_fault(fault, entity="owners", only_page=3)
    run = copier.run(entities=["owners", "units"])
    assert (run.state, run.error("owners")) == ("incomplete", code)
    assert (run.entities["owners"]["state"], run.entities["owners"]["page"]) == ("partial", 2)
    assert len(table(database, "owners")) == 40
    drill.clear_faults()
    second = copier.run()
    assert second.entities["owners"]["resumed_at_page"] == 3
    assert_tables_equal_truth(database, drill, ["owners", "units"])


@pytest.mark.parametrize(
    ("fault", "code"),
    [("http_500", "VENDOR_ERROR"), ("invalid_json", "INVALID_JSON"), ("close_early", "TRUNCATED_BODY")],
)
def test_a_vendor_in_trouble_from_the_first_request_on_is_named(
    copier: Engine, drill: DrillServer, fault: str, code: str
) -> None:
    """Law 8: trouble at /users/me is the vendor's, not an error of ours."""
    drill.set_fault(fault)
    run = copier.run(entities=["owners", "units"])
    assert (run.state, run.code) == ("failed", code)


def test_the_key_never_leaves_for_another_host(copier: Engine, drill: DrillServer) -> None:
    """Issue 3: a redirect to another host is refused before anything is asked there."""
    drill.set_fault("redirect_other_host")
    copier.run()
    assert drill.log.entries()
    assert [entry for entry in drill.log.entries() if entry.host.startswith("localhost")] == []


def test_a_redirect_on_the_same_host_is_followed(copier: Engine, drill: DrillServer, database: Database) -> None:
    """A vendor may move a path on its own host; each request of it is one of the run, and of the budget (issue 3)."""
    drill.set_fault("redirect_same_host")
    drill.log.clear()
    run = copier.run()
    assert run.state == "succeeded"
    assert run.run["requests"] == len(drill.log.entries())
    assert_tables_equal_truth(database, drill, ["owners"])


@pytest.mark.parametrize(
    ("fault", "parameters"),
    [("oversized_body", {}), ("oversized_body", {"announced": False}), ("gzip_bomb", {"bytes": 30_000_000})],
)
def test_an_oversized_body_is_not_swallowed(
    drill: DrillServer, database_url: str, fault: str, parameters: dict[str, Any]
) -> None:
    """Issue 3: an answer larger than the limit is dropped at the limit, unpacked or not; the entity says so."""
    with engine(drill, database_url, ICC_MAX_BODY_MB="1") as copier:
        drill.set_fault(fault, **parameters, entity="owners")
        run = copier.run(entities=["owners", "units"])
        assert (run.state, run.error("owners")) == ("incomplete", "BODY_TOO_LARGE")
        assert run.entities["units"]["state"] == "complete"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"data": [%s{}]}' % (b'{"id": "a"}, ' * 10_000), "PAGE_TOO_LONG"),
        (b'{"data": [%s0]}' % (b"0, " * 2_000_000), "TOO_MANY_VALUES"),
        (b'{"data": [%s]}' % (b"[" * 2_000_000), "TOO_MANY_VALUES"),
    ],
    ids=["records", "values", "depth"],
)
def test_a_page_of_far_more_than_was_asked_for_is_refused(database_url: str, body: bytes, code: str) -> None:
    """Laws 3 and 6: some megabytes of nothing would take gigabytes, and minutes that no stop ends; one code says so."""
    with SmallVendor([tenant(1)]) as vendor, engine(None, database_url, **vendor.reach) as copier:
        vendor.bend_page = lambda _: Answer(body)
        run = copier.run(entities=["tenants"])
        assert (run.state, run.error("tenants")) == ("failed", code)
        assert rows(copier.database, "SELECT 1 FROM control.dead_letters") == []
        vendor.bend_page = lambda _: None
        assert copier.run(entities=["tenants"]).state == "succeeded"


@pytest.mark.parametrize("fault", ["gzip", "bom", "wrong_content_type", "latency"])
def test_oddities_that_harm_nobody_are_taken(
    copier: Engine, drill: DrillServer, database: Database, fault: str
) -> None:
    """Issue 3: packed answers, a byte order mark, a wrong content type around good JSON: the records are kept."""
    drill.set_fault(fault)
    assert copier.run().state == "succeeded"
    assert_tables_equal_truth(database, drill, ["owners"])


def test_a_silent_vendor_is_not_waited_for(drill: DrillServer, database_url: str) -> None:
    """Issue 3: timeouts are retried and then named."""
    with engine(drill, database_url, ICC_REQUEST_TIMEOUT_SECONDS="0.3", ICC_RETRY_ATTEMPTS="2") as copier:
        drill.set_fault("hang", entity="owners")
        run = copier.run(entities=["owners", "units"])
        assert (run.state, run.error("owners")) == ("incomplete", "VENDOR_TIMEOUT")


def test_a_dripping_answer_ends_at_its_deadline(drill: DrillServer, database_url: str) -> None:
    """Issue 3: an answer that drips for ever is cut at the deadline, although it is never silent."""
    settings = {"ICC_REQUEST_DEADLINE_SECONDS": "0.5", "ICC_RETRY_ATTEMPTS": "1"}
    with engine(drill, database_url, **settings) as copier:
        drill.set_fault("slow_body", entity="owners", seconds=30.0, pieces=300)
        run = copier.run(entities=["owners", "units"])
        assert (run.state, run.error("owners")) == ("incomplete", "VENDOR_TIMEOUT")
        took = run.run["finished_at"] - run.run["started_at"]
        assert took.total_seconds() < 5


def test_a_long_answer_does_not_hide_its_status(database_url: str, database: Database) -> None:
    """Issue 3: a 500 is tried again however much it says; it is no page that is too large."""
    failed: list[int] = []
    with SmallVendor([tenant(number) for number in range(45)]) as vendor:

        def page(number: int) -> Answer | None:
            failed.append(number)
            return Answer(b"oops " * 600_000, 500) if len(failed) == 1 else None

        vendor.bend_page = page
        with engine(None, database_url, **vendor.reach, ICC_MAX_BODY_MB="1") as copier:
            run = copier.run(entities=["tenants"])
    assert run.state == "succeeded", run.run["error"]
    assert run.run["retries"] == 1


def test_an_account_that_quotes_the_key_is_the_same_account(database_url: str, database: Database) -> None:
    """It is stored masked, and would look like another one at every run to come."""
    with SmallVendor([tenant(number) for number in range(5)]) as vendor:
        vendor.me = {"id": None, "company": f"owner of {'k' * 24}"}
        with engine(None, database_url, **vendor.reach) as copier:
            states = [copier.run(entities=["tenants"]).state for _ in range(2)]
    assert states == ["succeeded", "succeeded"]
