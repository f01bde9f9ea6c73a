"""Budget, request, classification, retry: the one way a connector asks its vendor anything. Time is virtual."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, cast

import pytest

from common.errors import BreakerHolds, Deferred, EntityRefused, RateLimited, RunFault, StopRequested, TransientFault
from common.http.transport import Answer, Transport
from common.rules.breaker import Outcome
from daemon.guard.ceiling import Ceiling
from daemon.guard.guard import Guard, Patience
from daemon.guard.lanes import Lanes
from daemon.guard.limiter import Limiter, Permit, Tell, Usage
from daemon.guard.quota_headers import Quota
from daemon.guard.rate_note import RateNote
from tests.unit.answer_maker import answer
from tests.unit.no_breaker import NoBreaker, NoCeiling
from tests.unit.virtual_time import START, VirtualClock


class Vendor:
    """Answers in the order given, the last one for ever; counts what it was asked."""

    def __init__(self, *answers: Answer | Exception) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []
        self.redirects: list[Answer | None] = []

    def get(
        self,
        url: str,
        *,
        params: Mapping[str, str],
        headers: Mapping[str, str],
        another: Callable[[Answer | None], None],
    ) -> Answer:
        """What ``Transport.get`` does."""
        for redirect in self.redirects:
            another(redirect)
        self.asked.append(url)
        assert headers == {"Authorization": "bearer k"}
        given = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(given, Exception):
            raise given
        return given


class Permits:
    """A limiter without limits that remembers."""

    def __init__(self) -> None:
        self.out = 0
        self.taken = 0
        self.held: list[float] = []
        self.heeded: list[Quota | None] = []
        self.usage = Usage(used_minute=3, limit_minute=50)

    def take(self, stop: threading.Event, *, for_ping: bool = False, tell: Tell) -> Permit:
        """Give one."""
        tell(5.0, "for this minute's requests")
        self.out += 1
        self.taken += 1
        return Permit("p", 0.0, self.usage)

    def give_back(self, permit: Permit) -> None:
        """Take one back."""
        self.out -= 1

    def hold(self, seconds: float) -> None:
        """Remember."""
        self.held.append(seconds)

    def heed(self, told: Quota | None) -> None:
        """Remember."""
        self.heeded.append(told)


class Notes:
    """A witness that keeps notes."""

    def __init__(self) -> None:
        self.statuses: list[int | None] = []
        self.waits: list[float] = []
        self.notes: list[RateNote] = []
        self.told: list[str] = []
        self.given_up: list[TransientFault] = []

    def waiting(self, *, entity: str, seconds: float, why: str) -> None:
        """Note why."""
        self.told.append(f"{entity}: {seconds:g} s {why}")

    def sent(self, *, entity: str, note: RateNote, answer: Answer | None) -> None:
        """Note the status."""
        self.statuses.append(answer.status if answer else None)
        self.notes.append(note)

    def deferred(self, note: RateNote, signal: Deferred) -> None:
        """Note it."""
        self.notes.append(note)

    def gave_up(self, *, entity: str, error: TransientFault) -> None:
        """Note what failed."""
        assert entity == "owners"
        self.given_up.append(error)

    def breaker(self, level: str, sentence: str) -> None:
        """Not asked here."""

    def retried(self, *, entity: str, attempt: int, wait_seconds: float, error: TransientFault) -> None:
        """Note the wait."""
        assert attempt == len(self.waits) + 1
        self.waits.append(wait_seconds)


class Scene:
    """A guard with everything around it."""

    def __init__(self, *answers: Answer | Exception, attempts: int = 6, seed: int = 1, longest: float = 60) -> None:
        self.vendor, self.permits, self.notes = Vendor(*answers), Permits(), Notes()
        self.clock, self.stop, self.breaker = VirtualClock(), threading.Event(), NoBreaker()
        self.guard = Guard(
            breaker=self.breaker,
            lanes=Lanes(self.clock, cast("Ceiling", NoCeiling()), 4),
            transport=cast("Transport", self.vendor),
            limiter=cast("Limiter", self.permits),
            clock=self.clock,
            stop=self.stop,
            patience=Patience(attempts, longest),
            base_url="https://app.doorloop.com/api/",
            headers={"Authorization": "bearer k"},
            witness=self.notes,
            dice=random.Random(seed),
        )

    def get(self, attempts: int | None = None, *, for_ping: bool = False) -> Any:
        """Ask for the owners."""
        return self.guard.get("/owners", {}, entity="owners", attempts=attempts, for_ping=for_ping).body


def test_a_good_answer_costs_one_request() -> None:
    """One permit, given back; the path is joined without a double slash."""
    scene = Scene(answer(b'{"total": 0}'))
    assert scene.get() == {"total": 0}
    assert scene.vendor.asked == ["https://app.doorloop.com/api/owners"]
    assert (scene.permits.taken, scene.permits.out) == (1, 0)
    assert scene.notes.told == ["owners: 5 s for this minute's requests"]


def test_a_redirect_costs_a_permit_of_its_own() -> None:
    """Issue 3: each request counts against the budget, and each is told with its answer."""
    scene = Scene(answer(b"[]"))
    scene.vendor.redirects = [answer(status=307), answer(status=302)]
    assert scene.get() == []
    assert scene.notes.statuses == [307, 302, 200]
    assert (scene.permits.taken, scene.permits.out) == (3, 0)


def test_a_request_that_crossed_the_closing_of_its_connection_costs_a_permit_and_is_no_failure() -> None:
    """Issue 3: each request counts against the budget; an idle connection's end says nothing of the vendor's health."""
    scene = Scene(answer(b"[]"))
    scene.vendor.redirects = [None]
    assert scene.get() == []
    assert scene.notes.statuses == [None, 200]
    assert (scene.permits.taken, scene.permits.out) == (2, 0)
    assert scene.breaker.outcomes == [Outcome.SUCCESS]


def test_a_redirect_that_names_a_time_is_followed_after_it() -> None:
    """Law 7, RFC 9110 §10.2.3: the least time to wait before what it leads to."""
    scene = Scene(answer(b"[]"))
    scene.vendor.redirects = [answer(status=307, retry_after="7"), answer(status=302)]
    assert scene.get() == []
    assert scene.permits.held == [7]


def test_a_redirect_for_which_no_permit_is_left_puts_the_request_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that it had is given back, once."""
    scene = Scene(answer(b"[]"))
    scene.vendor.redirects = [answer(status=307)]
    take = scene.permits.take

    def once(stop: threading.Event, *, for_ping: bool = False, tell: Tell) -> Permit:
        if scene.permits.taken:
            raise Deferred(START + timedelta(hours=1), "BUDGET_SPENT")
        return take(stop, for_ping=for_ping, tell=tell)

    monkeypatch.setattr(scene.permits, "take", once)
    with pytest.raises(Deferred):
        scene.get()
    assert (scene.notes.statuses, scene.permits.out) == ([307], 0)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("seed", range(5))
def test_what_may_pass_is_tried_again(status: int, seed: int) -> None:
    """Two failures, then success: two waits within their bounds, every permit given back."""
    scene = Scene(answer(status=status), answer(status=status), answer(b"[]"), seed=seed)
    assert scene.get() == []
    assert scene.notes.statuses == [status, status, 200]
    assert all(wait <= ceiling for wait, ceiling in zip(scene.clock.waits, (0.5, 0.9), strict=True))
    assert scene.clock.waits == scene.notes.waits
    assert scene.permits.out == 0


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 422])
def test_what_will_not_pass_is_never_tried_again(status: int) -> None:
    """One request, no wait."""
    scene = Scene(answer(status=status))
    with pytest.raises((EntityRefused, RunFault)):
        scene.get()
    assert scene.notes.statuses == [status]
    assert scene.clock.waits == []
    assert scene.permits.out == 0


def test_a_network_fault_is_tried_again_and_counted() -> None:
    """No answer at all: the request still counts against the budget, and the witness hears of it."""
    scene = Scene(TransientFault("VENDOR_TIMEOUT", path="/owners"), answer(b"[]"))
    assert scene.get() == []
    assert scene.notes.statuses == [None, 200]
    assert (scene.permits.taken, scene.permits.out) == (2, 0)


@pytest.mark.parametrize("attempts", [1, 3, 6])
def test_attempts_are_capped(attempts: int) -> None:
    """Then the last error leaves as it is."""
    scene = Scene(answer(status=500), attempts=attempts)
    with pytest.raises(TransientFault) as caught:
        scene.get()
    assert caught.value.code == "VENDOR_ERROR"
    assert len(scene.vendor.asked) == attempts
    assert len(scene.clock.waits) == attempts - 1


def test_attempts_used_up_while_the_breaker_holds_end_by_the_breaker() -> None:
    """Issue 3: the run ends naming the breaker; what the vendor answered is still told, once, by its own name."""
    scene = Scene(answer(status=500), attempts=2)
    scene.breaker.holds = BreakerHolds("BREAKER_OPEN", last="the last one: so and so")
    with pytest.raises(BreakerHolds) as caught:
        scene.get()
    assert isinstance(caught.value.__cause__, TransientFault)
    assert [fault.code for fault in scene.breaker.faults] == ["VENDOR_ERROR", "VENDOR_ERROR"]
    assert [fault.code for fault in scene.notes.given_up] == ["VENDOR_ERROR"]


def test_a_ping_names_what_the_vendor_answered_whatever_the_breaker_holds() -> None:
    """It goes out while the breaker is open, to learn just that."""
    scene = Scene(answer(status=500))
    scene.breaker.holds = BreakerHolds("BREAKER_OPEN", last="before this run began")
    with pytest.raises(TransientFault) as caught:
        scene.get(attempts=1, for_ping=True)
    assert (caught.value.code, scene.notes.given_up) == ("VENDOR_ERROR", [])


def test_endless_429s_are_deferred_while_the_breaker_holds() -> None:
    """Law 7 comes first: who is asked to slow down is not failing."""
    scene = Scene(answer(status=429), attempts=2)
    scene.breaker.holds = BreakerHolds("BREAKER_OPEN", last="before this run began")
    with pytest.raises(Deferred):
        scene.get()


def test_a_ping_tries_once() -> None:
    """A person waits for it."""
    scene = Scene(answer(status=500))
    with pytest.raises(TransientFault):
        scene.get(attempts=1)
    assert len(scene.vendor.asked) == 1


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("seed", range(5))
def test_a_wait_is_never_below_the_servers(status: int, seed: int) -> None:
    """Retry-After is a floor, with a little on top."""
    scene = Scene(answer(status=status, retry_after="7"), answer(b"[]"), seed=seed)
    scene.get()
    (wait,) = scene.clock.waits
    assert 7 <= wait <= 7.25
    assert scene.permits.held == ([wait] if status == 429 else [7])


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (408, "VENDOR_ASKED_LATER"),
        (429, "RATE_LIMITED_UNTIL"),
        (500, "VENDOR_ASKED_LATER"),
        (503, "VENDOR_ASKED_LATER"),
    ],
)
def test_a_long_retry_after_is_deferred(status: int, code: str) -> None:
    """Over a minute is never slept: the run ends deferred with the moment to come back, and goes on by itself."""
    scene = Scene(answer(status=status, retry_after="3600"))
    with pytest.raises(Deferred) as caught:
        scene.get()
    assert timedelta(seconds=3600) <= caught.value.until - START <= timedelta(seconds=3601)
    assert (caught.value.code, caught.value.fault) == (code, caught.value.__cause__)
    assert scene.clock.waits == []
    assert len(scene.vendor.asked) == 1


def test_a_short_429_to_a_ping_says_for_how_long_everybody_is_held() -> None:
    """Law 8: what a person reads is what happens."""
    scene = Scene(answer(status=429, retry_after="7"))
    with pytest.raises(Deferred) as caught:
        scene.get(attempts=1, for_ping=True)
    (held,) = scene.permits.held
    assert caught.value.until - START == timedelta(seconds=held)


def test_endless_429s_without_a_time_are_deferred_not_failed() -> None:
    """Law 7: being rate-limited is not failing."""
    scene = Scene(answer(status=429), attempts=3)
    with pytest.raises(Deferred) as caught:
        scene.get()
    assert caught.value.code == "RATE_LIMITED_UNTIL"
    assert isinstance(caught.value.__cause__, RateLimited)
    assert caught.value.until - scene.clock.now() == timedelta(seconds=60)


def test_our_own_back_off_defers_nothing() -> None:
    """Only the vendor's word does; a wait of our own keeps within the longest one allowed."""
    scene = Scene(*[answer(status=500)] * 5, answer(b"[]"), longest=0.2)
    assert scene.get() == []
    assert max(scene.clock.waits) == 0.2


def test_a_stop_sends_nothing_more() -> None:
    """Law 6: before a request, and in a back-off."""
    scene = Scene(answer(status=500))
    scene.stop.set()
    with pytest.raises(StopRequested):
        scene.get()
    assert scene.vendor.asked == []
    assert scene.permits.taken == 0


def test_a_stop_during_the_back_off_ends_it() -> None:
    """The wait hears the stop; no further request goes out."""
    scene = Scene(answer(status=500))

    def stop_while_waiting(event: threading.Event, seconds: float) -> bool:
        return True

    scene.clock.wait = stop_while_waiting  # type: ignore[method-assign]
    with pytest.raises(StopRequested):
        scene.get()
    assert len(scene.vendor.asked) == 1


def test_a_minute_is_not_over_a_minute() -> None:
    """DoorLoop's own Retry-After of 60 s is slept, whatever little is added to it; 61 s end the run deferred."""
    scene = Scene(answer(status=429, retry_after="60"), answer(b"[]"))
    assert scene.get() == []
    assert 60 <= scene.clock.waits[0] <= 60.25
    with pytest.raises(Deferred):
        Scene(answer(status=429, retry_after="61")).get()


def test_after_a_deferral_no_thread_of_the_run_sends_anything() -> None:
    """Told to come back in an hour, the other requests of the run stay at home."""
    scene = Scene(answer(status=503, retry_after="3600"))
    for _ in range(3):
        with pytest.raises(Deferred) as caught:
            scene.get()
        assert caught.value.vendor_failed  # whichever thread is heard says why
        assert caught.value.until - START <= timedelta(seconds=3601)
    assert len(scene.vendor.asked) == 1
    assert [note.decision for note in scene.notes.notes] == ["sent", "deferred"]


def test_each_request_leaves_a_note_of_what_was_said_and_counted() -> None:
    """Issue 3: samples carry the decision taken; the vendor's word is labelled `header`, our own count `counted`."""
    scene = Scene(answer(b"[]", x_ratelimit_limit="100", x_ratelimit_remaining="40"), answer(b"[]"))
    scene.get()
    scene.get()
    first, second = scene.notes.notes
    assert (first.source, first.request_limit, first.remaining, first.used_minute) == ("header", 100, 40, 3)
    assert (second.source, second.request_limit, second.remaining, second.limit_minute) == ("counted", None, None, 50)
    assert second.as_event() == {"source": "counted", "decision": "sent", "usedMinute": 3, "limitMinute": 50}
    assert [one is None for one in scene.permits.heeded] == [False, True]


def test_a_503_with_nothing_left_waits_for_the_reset_and_a_500_does_not() -> None:
    """Fact sheet §4: a reset counts after a 429 or 503 only; another error is no word about a quota."""
    scene = Scene(answer(status=503, x_ratelimit_remaining="0", x_ratelimit_reset="9"), answer(b"[]"))
    scene.get()
    assert scene.clock.waits[0] >= 9
    scene = Scene(answer(status=500, x_ratelimit_remaining="0", x_ratelimit_reset="9"), answer(b"[]"))
    scene.get()
    assert scene.clock.waits[0] <= 0.5


@pytest.mark.parametrize(("status", "said", "held"), [(503, "3", 1), (500, "3", 1), (429, "3", 1), (503, "", 0)])
def test_a_time_that_the_vendor_names_holds_every_request(status: int, said: str, held: int) -> None:
    """Issue 3, Retry: never below a server-given `Retry-After`, in any lane; our own back-off is one request's."""
    scene = Scene(answer(b"", status, **({"retry_after": said} if said else {})), answer(b"{}"))
    assert scene.get() == {}
    assert len(scene.permits.held) == held
    assert all(seconds >= 3 for seconds in scene.permits.held)


@pytest.mark.parametrize(
    ("status", "outcome"), [(408, Outcome.NEUTRAL), (425, Outcome.NEUTRAL), (500, Outcome.FAILURE)]
)
def test_only_a_vendor_in_trouble_is_a_failure_to_the_breaker(status: int, outcome: Outcome) -> None:
    """Issue 3, breaker: hard failures count; 429 and every other 4xx are neutral."""
    scene = Scene(answer(b"", status), answer(b"{}"))
    scene.get()
    assert scene.breaker.outcomes == [outcome, Outcome.SUCCESS]


@pytest.mark.parametrize("asked_before", [1, 2])
def test_what_nobody_wants_any_more_is_not_tried_again(asked_before: int) -> None:
    """An entity that has ended asks its vendor, in trouble, no more."""
    scene = Scene(answer(b"", 500))
    with pytest.raises(TransientFault):
        scene.guard.get("/owners", {}, entity="owners", wanted=lambda: len(scene.vendor.asked) < asked_before)
    assert len(scene.vendor.asked) == asked_before
    assert len(scene.notes.waits) == asked_before - 1, "nothing is said to be tried again that is not"


def test_a_pause_ends_when_nobody_wants_the_answer_any_more() -> None:
    """The next entity needs the thread that would wait here."""
    scene = Scene(answer(b"", 503, retry_after="50"))
    with pytest.raises(TransientFault):
        scene.guard.get("/owners", {}, entity="owners", wanted=lambda: scene.clock.seconds < 1)
    assert len(scene.vendor.asked) == 1
    assert 1 <= scene.clock.seconds < 2


@pytest.mark.parametrize("status", [429, 503])
def test_a_time_that_is_named_holds_whoever_wants_the_answer(status: int) -> None:
    """A page behind one that failed is not wanted any more; what its answer asks for counts for the next entity."""
    scene = Scene(answer(b"", status, retry_after="5"))
    with pytest.raises(TransientFault):
        scene.guard.get("/owners", {}, entity="owners", wanted=lambda: False)
    assert [int(seconds) for seconds in scene.permits.held] == [5]


def test_a_time_named_to_the_last_attempt_holds_the_next_request() -> None:
    """The next record of a requeue, or the next entity, is a request of the same account."""
    scene = Scene(answer(b"", 503, retry_after="5"))
    with pytest.raises(TransientFault):
        scene.get(attempts=1)
    assert scene.permits.held == [5]


def test_a_request_that_waited_for_its_permit_heeds_what_another_was_told_meanwhile() -> None:
    """Law 7: after "come back in an hour" nothing of the run goes out; its permit is given back."""
    scene = Scene(answer(status=429, retry_after="3600"), answer(b"[]"))
    take = scene.permits.take

    def slowly(stop: threading.Event, *, for_ping: bool = False, tell: Tell) -> Permit:
        scene.permits.take = take  # type: ignore[method-assign]
        permit = take(stop, for_ping=for_ping, tell=tell)
        with pytest.raises(Deferred):
            scene.get(for_ping=True)  # in a lane of its own
        return permit

    scene.permits.take = slowly  # type: ignore[method-assign]
    with pytest.raises(Deferred):
        scene.get()
    assert (len(scene.vendor.asked), scene.permits.out) == (1, 0)
