"""DoorLoop's client against the drill server: identity, pages, ping, each fault in its one word."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest

from common.errors import EntityRefused, RunFault, StopRequested, TransientFault, VendorFault
from common.http.transport import Limits, Transport
from common.rules.budget import BudgetLimits
from common.store import budgets
from daemon.guard.ceiling import Ceiling
from daemon.guard.guard import Guard, Patience, Reply
from daemon.guard.lanes import Lanes
from daemon.guard.limiter import Limiter, Permit
from daemon.guard.rate_note import of_request
from daemon.guard.wire import opened
from daemon.integrations.base import PageRequest
from daemon.integrations.doorloop.client import DoorLoop
from daemon.integrations.doorloop.drill import DrillServer
from daemon.integrations.doorloop.entities import ENTITIES
from tests.unit.no_breaker import NoBreaker, NoCeiling, Unwitnessed
from tests.unit.virtual_time import VirtualClock

OWNERS = ENTITIES["owners"]


@pytest.fixture
def drill() -> Iterator[DrillServer]:
    """A fresh drill with 25 records of each entity."""
    with DrillServer(rows=25, seed=3) as server:
        yield server


@pytest.fixture(autouse=True)
def row(monkeypatch: pytest.MonkeyPatch) -> None:
    """The budget's row, of which nothing is remembered."""
    monkeypatch.setattr(budgets, "decide", lambda _database, _integration, _account, rule: rule({}, 0.0)[1])


class Reach:
    """A client of the drill, its transport and its stop."""

    def __init__(self, drill: DrillServer, *, key: str | None = None, limits: Limits | None = None) -> None:
        self.stop = threading.Event()
        self.transport = Transport(limits=limits or Limits(5, 5), connections=2, user_agent="test")
        clock = VirtualClock()  # back-offs pass at once
        ceiling = cast("Ceiling", NoCeiling())
        limiter = Limiter(
            cast("Any", None),
            clock,
            integration="doorloop",
            account_key="main",
            limits=BudgetLimits(),
            ceiling=ceiling,
            flight_seconds=1,
            longest_wait_seconds=60,
        )
        guard = Guard(
            breaker=NoBreaker(),
            lanes=Lanes(clock, ceiling, 2),
            transport=self.transport,
            limiter=limiter,
            clock=clock,
            stop=self.stop,
            patience=Patience(3, 60),
            base_url=drill.base_url,
            headers={"Authorization": f"bearer {key or drill.key}"},
            witness=Unwitnessed(),
            dice=random.Random(1),
        )
        self.client = DoorLoop(guard, clock, base_url=drill.base_url, page_size=10, max_concurrency=2)


@pytest.fixture
def reach(drill: DrillServer) -> Iterator[Reach]:
    """The drill, reached with its key."""
    found = Reach(drill)
    yield found
    found.transport.close()


def request(entity: str = "owners", number: int = 1, *, newest: bool = False) -> PageRequest:
    """A page of ten."""
    return PageRequest(ENTITIES[entity], number, 10, "updatedAt" if newest else "createdAt", descending=newest)


@pytest.mark.parametrize("entity", list(ENTITIES))
def test_every_entity_is_read_whole(drill: DrillServer, reach: Reach, entity: str) -> None:
    """All pages together are the vendor's records, inactive units included, each once, with the total told."""
    pages = [reach.client.page(request(entity, number)) for number in (1, 2, 3)]
    assert [len(page.records) for page in pages] == [10, 10, 5]
    assert {page.total for page in pages} == {25}
    assert not any(page.bare_array for page in pages)
    ids = [opened(record)["id"] for page in pages for record in page.records]
    assert sorted(ids) == sorted(record["id"] for record in drill.records(entity))


def test_the_parameters_are_those_the_vendor_knows(drill: DrillServer, reach: Reach) -> None:
    """Unknown parameters are silently ignored, so each name counts; units ask for inactive ones too."""
    reach.client.page(request("units", 2, newest=True))
    (entry,) = drill.log.entries()
    assert sorted(entry.query.split("&")) == [
        "filter_active=all",
        "page_number=2",
        "page_size=10",
        "sort_by=updatedAt",
        "sort_descending=true",
    ]
    assert entry.key_sent


def test_newest_first_comes_newest_first(reach: Reach) -> None:
    """The order that a delta asks for."""
    stamps = [
        record["updatedAt"]
        for record in map(opened, reach.client.page(request(newest=True)).records)
        if "updatedAt" in record
    ]
    assert stamps == sorted(stamps, reverse=True)


def test_identity_is_told_and_changes_with_the_account(drill: DrillServer, reach: Reach) -> None:
    """Whose account it is: stable scalars only; another account is another identity."""
    before = reach.client.identity()
    assert before
    assert all(isinstance(value, str) for value in before.values())
    assert reach.client.identity() == before
    drill.set_fault("other_account")
    assert reach.client.identity() != before


def test_identity_is_unknown_when_the_role_may_not_ask(drill: DrillServer, reach: Reach) -> None:
    """405 at /users/me is no reason to stop."""
    drill.set_fault("forbidden_role", entity="users")
    assert reach.client.identity() is None
    assert reach.client.page(request()).total == 25


@pytest.mark.parametrize(
    ("fault", "parameters", "kind", "code"),
    [
        ("unauthorized", {}, RunFault, "KEY_REFUSED"),
        ("forbidden_role", {}, EntityRefused, "ROLE_FORBIDDEN"),
        ("forbidden_403", {}, EntityRefused, "ROLE_FORBIDDEN"),
        ("html_docs", {}, RunFault, "HTML_FROM_DOCS_HOST"),
        ("html_app", {}, RunFault, "HTML_FROM_APP"),
        ("html_login", {}, RunFault, "HTML_LOGIN_PAGE"),
        ("http_500", {}, TransientFault, "VENDOR_ERROR"),
        ("http_503", {}, TransientFault, "VENDOR_ERROR"),
        ("http_408", {}, TransientFault, "VENDOR_TIMEOUT"),
        ("http_status", {"status": 400}, EntityRefused, "REQUEST_REFUSED"),
        ("http_status", {"status": 404}, EntityRefused, "NOT_FOUND"),
        ("http_status", {"status": 422}, EntityRefused, "REQUEST_REFUSED"),
        ("redirect_other_host", {}, RunFault, "REDIRECT_REFUSED"),
        ("redirect_same_host", {"loop": True}, RunFault, "REDIRECT_REFUSED"),
        ("reset", {}, TransientFault, "NETWORK_FAULT"),
    ],
)
def test_each_fault_of_the_vendor_has_its_word(
    drill: DrillServer, reach: Reach, fault: str, parameters: dict[str, Any], kind: type[VendorFault], code: str
) -> None:
    """Law 8: one oddity, one code; its sentences have every fact filled in."""
    drill.set_fault(fault, **parameters)
    with pytest.raises(VendorFault) as caught:
        reach.client.page(request())
    assert isinstance(caught.value, kind)
    assert caught.value.code == code
    assert "?" not in caught.value.cause + caught.value.remedy
    sent = len(drill.log.entries())
    assert sent >= 3 if kind is TransientFault else sent <= 5


def test_the_key_never_reaches_another_host(drill: DrillServer, reach: Reach) -> None:
    """A redirect to another host is refused before anything is sent there."""
    drill.set_fault("redirect_other_host")
    with pytest.raises(RunFault):
        reach.client.page(request())
    assert {entry.host.split(":")[0] for entry in drill.log.entries()} == {"127.0.0.1"}


def test_a_redirect_on_the_same_host_is_followed(drill: DrillServer, reach: Reach) -> None:
    """Same origin: the key may go along."""
    drill.set_fault("redirect_same_host", times=1)
    assert reach.client.page(request()).total == 25


@pytest.mark.parametrize("fault", ["http_500", "http_502", "http_408", "reset", "close_early"])
def test_what_passes_is_tried_again(drill: DrillServer, reach: Reach, fault: str) -> None:
    """One bad answer costs one more request and nothing else."""
    drill.set_fault(fault, times=1)
    assert reach.client.page(request()).total == 25


def test_an_oversized_answer_is_refused(drill: DrillServer) -> None:
    """Law 8: bounded in size, said so."""
    small = Reach(drill, limits=Limits(5, 5, body_bytes=500))
    with pytest.raises(EntityRefused) as caught:
        small.client.page(request())
    assert caught.value.code == "BODY_TOO_LARGE"
    small.transport.close()


def test_an_answer_that_hangs_ends_by_its_time(drill: DrillServer) -> None:
    """Silence is bounded."""
    impatient = Reach(drill, limits=Limits(silence_seconds=0.05, deadline_seconds=1))
    drill.set_fault("hang")
    with pytest.raises(TransientFault) as caught:
        impatient.client.page(request())
    assert caught.value.code == "VENDOR_TIMEOUT"
    impatient.transport.close()


def test_an_abort_ends_a_request_under_way(drill: DrillServer, reach: Reach) -> None:
    """Law 6: shutting the sockets ends what closing the session would not."""
    drill.set_fault("hang")
    errors: list[StopRequested] = []

    def ask() -> None:
        try:
            reach.client.page(request())
        except StopRequested as error:
            errors.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    while not drill.log.entries():
        thread.join(0.005)
    reach.transport.abort()
    reach.transport.abort()
    thread.join(2)
    assert not thread.is_alive()
    assert len(errors) == 1
    with pytest.raises(StopRequested):
        reach.client.page(request())


def test_a_ping_is_two_requests_and_tells_what_it_found(drill: DrillServer, reach: Reach) -> None:
    """/users/me and a one-row list: is it there, does it know us, does it give data?"""
    result = reach.client.ping()
    assert (result.ok, result.authenticated, result.sample_count, result.code) == (True, True, 1, None)
    assert [entry.path for entry in drill.log.entries()] == ["/api/users/me", "/api/owners"]
    assert result.base_url == drill.base_url


@pytest.mark.parametrize(
    ("fault", "parameters", "code", "authenticated"),
    [
        ("unauthorized", {}, "KEY_REFUSED", False),
        ("html_docs", {}, "HTML_FROM_DOCS_HOST", None),
        ("http_500", {}, "VENDOR_ERROR", None),
        ("rate_limited", {"retry_after": "3600"}, "RATE_LIMITED_UNTIL", None),
        ("rate_limited", {"form": "absent"}, "RATE_LIMITED_UNTIL", None),
        ("http_500", {"entity": "owners"}, "VENDOR_ERROR", True),
        ("forbidden_role", {"entity": "owners"}, "ROLE_FORBIDDEN", True),
    ],
)
def test_a_failed_ping_says_why_and_what_to_do(
    drill: DrillServer, reach: Reach, fault: str, parameters: dict[str, Any], code: str, authenticated: bool | None
) -> None:
    """One try each; a reason and a remedy, never an exception."""
    drill.set_fault(fault, **parameters)
    result = reach.client.ping()
    assert (result.ok, result.code, result.authenticated) == (False, code, authenticated)
    assert result.reason
    assert result.remedy
    assert len(drill.log.entries()) <= 2


def test_a_ping_with_a_wrong_key_is_not_authenticated(drill: DrillServer) -> None:
    """The vendor is there, it does not know us."""
    stranger = Reach(drill, key="wrong-key")
    result = stranger.client.ping()
    assert (result.ok, result.authenticated, result.code) == (False, False, "KEY_REFUSED")
    stranger.transport.close()


def test_a_ping_while_stopping_says_so(reach: Reach) -> None:
    """A stopping daemon answers instead of raising."""
    reach.stop.set()
    assert reach.client.ping().code == "STOPPED"


class Canned:
    """A guard that answers one body."""

    def __init__(self, body: Any) -> None:
        self.body = body

    def get(self, *_: Any, **__: Any) -> Reply:
        """The body and some answer."""
        from tests.unit.answer_maker import answer

        return Reply(self.body, answer(), of_request(Permit(None, 0.0), None))


def page_of(body: Any) -> Any:
    """The page that a body is."""
    client = DoorLoop(cast("Guard", Canned(body)), VirtualClock(), base_url="", page_size=10, max_concurrency=1)
    return client.page(request())


@pytest.mark.parametrize(
    "body", [{}, {"data": None}, {"data": {}}, {"total": 3}, {"error": "x"}, "text", 5, None, True]
)
def test_a_wrong_envelope_fails_the_entity(body: Any) -> None:
    """`data` missing or no list: nothing is written from it, and the reason says what came."""
    with pytest.raises(EntityRefused) as caught:
        page_of(body)
    assert caught.value.code == "WRONG_ENVELOPE"
    assert "?" not in caught.value.cause


def test_a_bare_array_is_accepted_and_told() -> None:
    """Some answers come without their envelope: the total is unknown."""
    page = page_of([{"id": "1"}])
    assert (page.bare_array, page.total, len(page.records)) == (True, None, 1)


@pytest.mark.parametrize("total", [None, "7", 7.5, -1, True, [7]])
def test_a_total_that_is_no_count_is_unknown(total: Any) -> None:
    """Never a guess, never a crash."""
    assert page_of({"data": [], "total": total}).total is None


@pytest.mark.parametrize("total", [60, 60.0])
def test_a_total_is_a_count_however_it_is_written(total: Any) -> None:
    """Some serializers have one kind of number."""
    assert page_of({"data": [], "total": total}).total == 60


@pytest.mark.parametrize(
    ("body", "identity"),
    [
        ({"id": "u1", "email": "a@x", "role": "admin"}, {"id": "u1", "email": "a@x"}),
        ({"company": {"id": "c1", "name": "n"}, "id": 7}, {"company": "c1", "id": "7"}),
        ({"account": {"_id": "a1"}}, {"account": "a1"}),
        ({"active": True, "id": True}, None),
        ({}, None),
        ([], None),
        ("text", None),
        (None, None),
    ],
)
def test_identity_takes_stable_scalars_only(body: Any, identity: dict[str, str] | None) -> None:
    """/users/me is not documented: whichever telling fields are there, of nested ones their id."""
    client = DoorLoop(cast("Guard", Canned(body)), VirtualClock(), base_url="", page_size=10, max_concurrency=1)
    assert client.identity() == identity
