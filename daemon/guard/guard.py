"""Lanes, breaker, budget, request, classification, retry: the one way a connector asks its vendor anything.

Law 7: being rate-limited is not failing. A wait longer than ``longest_wait_seconds`` is never slept: it leaves as
``Deferred`` and the run goes on by itself later.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple, NoReturn, Protocol

from common.clock import Clock
from common.errors import BreakerHolds, Deferred, RateLimited, StopRequested, TransientFault
from common.http.transport import Answer, Transport
from common.rules.breaker import Outcome
from common.rules.retry import at_least, waits
from daemon.guard.answers import loads, parsed
from daemon.guard.lanes import LOOK_SECONDS, Lanes
from daemon.guard.limiter import Limiter, Permit
from daemon.guard.quota_headers import Quota, quota
from daemon.guard.rate_headers import retry_after_seconds
from daemon.guard.rate_note import RateNote, of_deferral, of_request

WITHOUT_HINT_SECONDS = 60.0
"""How long to stay away after repeated 429s that name no time."""


class Reply(NamedTuple):
    """What a request brought: its JSON, its answer, and its place in the vendor's quota and our budget."""

    body: Any
    answer: Answer
    rate: RateNote


class Witness(Protocol):
    """Who is told of requests, waits and retries (the run's reporter)."""

    def sent(self, *, entity: str, note: RateNote, answer: Answer | None) -> None:
        """A request went out; ``answer`` None when none came back."""
        ...

    def waiting(self, *, entity: str, seconds: float, why: str) -> None:
        """A request begins to wait before it goes out."""
        ...

    def deferred(self, note: RateNote, signal: Deferred) -> None:
        """A request is put off, and the run with it, or at least whatever comes after the run."""
        ...

    def retried(self, *, entity: str, attempt: int, wait_seconds: float, error: TransientFault) -> None:
        """A request failed and is tried again after ``wait_seconds``."""
        ...

    def gave_up(self, *, entity: str, error: TransientFault) -> None:
        """A request failed for the last time, and what ends the run by it has another name."""
        ...

    def breaker(self, level: str, sentence: str) -> None:
        """The circuit breaker moved, or held a request back."""
        ...


class Breaker(Protocol):
    """What the guard needs of a circuit breaker."""

    def enter(self, stop: threading.Event, *, for_ping: bool) -> str:
        """Before a request; returns the token to leave with, or raises ``BreakerHolds``."""
        ...

    def leave(self, token: str, outcome: Outcome, fault: TransientFault | None = None) -> None:
        """After it; ``fault`` is what failed, so that the breaker can name it."""
        ...

    def held(self) -> BreakerHolds | None:
        """What ends a request whose attempts are used up while further ones are held back; None: they are not."""
        ...


@dataclass(frozen=True)
class Patience:
    """How hard to try."""

    attempts: int = 6
    longest_wait_seconds: float = 60.0


class Guard:
    """The guarded way to one vendor account; threads share it."""

    def __init__(
        self,
        *,
        transport: Transport,
        lanes: Lanes,
        limiter: Limiter,
        breaker: Breaker,
        clock: Clock,
        stop: threading.Event,
        patience: Patience,
        base_url: str,
        headers: Mapping[str, str],
        witness: Witness,
        dice: random.Random,
    ) -> None:
        self._transport = transport
        self._lanes = lanes
        self._limiter = limiter
        self._breaker = breaker
        self._clock = clock
        self._stop = stop
        self._patience = patience
        self._base_url = base_url.rstrip("/")
        self._headers = dict(headers)
        self._witness = witness
        self._dice = dice
        self._told: Quota | None = None
        self._put_off: Deferred | None = None

    def get(
        self,
        path: str,
        params: Mapping[str, str],
        *,
        entity: str,
        for_ping: bool = False,
        attempts: int | None = None,
        parse: Callable[[bytes], Any] = loads,
        wanted: Callable[[], bool] | None = None,
    ) -> Reply:
        """What ``path`` brings, its JSON made by ``parse``; tried again while trying again may help and it is wanted.

        Raises a ``VendorFault`` (when attempts are used up the last one, or ``BreakerHolds``), ``Deferred`` or
        ``StopRequested``.
        """
        pauses = waits(self._dice)
        most = min(attempts or self._patience.attempts, self._patience.attempts)
        attempt = 0
        while True:
            attempt += 1
            try:
                return self._try(path, params, entity, for_ping=for_ping, parse=parse)
            except TransientFault as fault:
                pause = self._pause(fault, next(pauses))
                self._defer_if_long(fault, pause)
                self._hold(fault, pause)
                if attempt >= most:
                    self._give_up(fault, entity, pause, for_ping=for_ping)
                self._prepare_another(fault, entity, attempt, pause, wanted)

    def _try(
        self, path: str, params: Mapping[str, str], entity: str, *, for_ping: bool, parse: Callable[[bytes], Any]
    ) -> Reply:
        """One attempt in a lane of its own."""
        lane = self._lanes.enter(self._stop, for_ping=for_ping)
        try:
            found = self._admitted(path, params, entity, for_ping=for_ping, parse=parse)
        except RateLimited:
            self._lanes.limited(lane)
            raise
        except TransientFault:
            self._lanes.badly(lane)
            raise
        else:
            self._lanes.well(lane)
            return found
        finally:
            self._lanes.leave(lane)

    def _admitted(
        self, path: str, params: Mapping[str, str], entity: str, *, for_ping: bool, parse: Callable[[bytes], Any]
    ) -> Reply:
        """One attempt between breaker and breaker."""
        token = self._breaker.enter(self._stop, for_ping=for_ping)
        outcome, failed = Outcome.NEUTRAL, None
        try:
            answer, rate = self._send(path, params, entity, for_ping=for_ping)
            body = parsed(answer, path=path, entity=entity, parse=parse)
            outcome = Outcome.SUCCESS
            return Reply(body, answer, rate)
        except RateLimited:
            raise
        except TransientFault as fault:
            failed = fault
            if not 400 <= (fault.status or 0) < 500:  # a 408 or 425 is an answer to this request, not a vendor down
                outcome = Outcome.FAILURE
            raise
        finally:
            self._breaker.leave(token, outcome, failed)

    def _send(self, path: str, params: Mapping[str, str], entity: str, *, for_ping: bool) -> tuple[Answer, RateNote]:
        if self._stop.is_set():
            raise StopRequested
        self._heed_put_off()
        permits = [self._permit(entity, for_ping=for_ping)]

        def another(answer: Answer | None) -> None:
            """Where a redirect leads, or what crossed the closing of its connection, is one more of our budget."""
            self._used(permits.pop(), entity, answer)
            asked = answer and retry_after_seconds(answer.headers, answer.received_at)
            if asked:
                self._limiter.hold(asked)
            permits.append(self._permit(entity, for_ping=for_ping))

        try:
            url = self._base_url + path
            answer = self._transport.get(url, params=params, headers=self._headers, another=another)
        except BaseException:
            if permits:  # else the next one was not to be had
                self._used(permits.pop(), entity, None)
            raise
        return answer, self._used(permits.pop(), entity, answer)

    def _heed_put_off(self) -> None:
        """Another thread of this run was told to come back later: so were we."""
        if self._put_off is not None:
            raise Deferred(self._put_off.until, self._put_off.code, self._put_off.fault)

    def _permit(self, entity: str, *, for_ping: bool) -> Permit:
        try:
            permit = self._limiter.take(
                self._stop,
                for_ping=for_ping,
                tell=lambda seconds, why: self._witness.waiting(entity=entity, seconds=seconds, why=why),
            )
        except Deferred as deferral:
            raise self._deferral(deferral) from None
        try:
            self._heed_put_off()  # while it waited
        except Deferred:
            self._limiter.give_back(permit)
            raise
        return permit

    def _used(self, permit: Permit, entity: str, answer: Answer | None) -> RateNote:
        """A request is over; ``answer`` None when none came."""
        told = None
        try:
            if answer is not None:
                told = self._told = quota(answer.headers, answer.received_at)
                self._limiter.heed(told)
        finally:
            self._limiter.give_back(permit)
            note = of_request(permit, told)
            self._witness.sent(entity=entity, note=note, answer=answer)
        return note

    def _pause(self, fault: TransientFault, drawn_seconds: float) -> float:
        # Only what the vendor asks for may be long enough to defer the run.
        own = min(drawn_seconds, self._patience.longest_wait_seconds)
        return at_least(own, fault.retry_after_seconds, self._dice)

    def _prepare_another(
        self, fault: TransientFault, entity: str, attempt: int, pause: float, wanted: Callable[[], bool] | None
    ) -> None:
        """Tell of it and wait for it. Raises the fault as soon as nobody wants the answer any more."""
        if wanted is not None and not wanted():
            raise fault
        self._witness.retried(entity=entity, attempt=attempt, wait_seconds=pause, error=fault)
        while pause > 0:
            part = pause if wanted is None else min(pause, LOOK_SECONDS)
            if self._clock.wait(self._stop, part):
                raise StopRequested
            if wanted is not None and not wanted():
                raise fault
            pause -= part

    def _hold(self, fault: TransientFault, pause: float) -> None:
        """A vendor that names a time means all of our requests, whoever was told; so does a 429 that names none."""
        if isinstance(fault, RateLimited):
            self._limiter.hold(pause)
        elif fault.retry_after_seconds is not None:
            self._limiter.hold(fault.retry_after_seconds)  # not our own back-off, which is this request's

    def _defer_if_long(self, fault: TransientFault, pause: float) -> None:
        # What the vendor asks for is judged without the little that we add to it: a minute is not "over a minute".
        if min(pause, fault.retry_after_seconds or pause) > self._patience.longest_wait_seconds:
            raise self._deferral(self._later(fault, pause)) from fault

    def _give_up(self, fault: TransientFault, entity: str, pause: float, *, for_ping: bool) -> NoReturn:
        """The attempts are used up: a vendor that is down ends the run by the breaker, any other by its fault."""
        if isinstance(fault, RateLimited) and for_ping:  # one try; everybody is held so long, and nobody put off
            raise self._later(fault, pause) from fault
        if isinstance(fault, RateLimited):
            raise self._deferral(self._later(fault, WITHOUT_HINT_SECONDS)) from fault
        held = None if for_ping else self._breaker.held()  # a person who pings wants to know what the vendor answered
        if held is None:
            raise fault
        self._witness.gave_up(entity=entity, error=fault)
        raise held from fault

    def _later(self, fault: TransientFault, seconds: float) -> Deferred:
        code = "RATE_LIMITED_UNTIL" if isinstance(fault, RateLimited) else "VENDOR_ASKED_LATER"
        return Deferred(self._clock.now() + timedelta(seconds=seconds), code, fault)

    def _deferral(self, deferral: Deferred) -> Deferred:
        self._put_off = deferral
        self._witness.deferred(of_deferral(self._limiter.usage, self._told), deferral)
        return deferral
