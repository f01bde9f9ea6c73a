"""Breaker, budget, request, classification, retry: the one way a connector asks its vendor anything.

Law 7: being rate-limited is not failing. A wait longer than ``longest_wait_seconds`` is never slept: it leaves as
``Deferred`` and the run goes on by itself later.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from common.clock import Clock
from common.errors import Deferred, RateLimited, StopRequested, TransientFault
from common.http.transport import Answer, Transport
from common.rules.breaker import Outcome
from common.rules.retry import at_least, waits
from daemon.guard.answers import loads, parsed
from daemon.guard.limiter import Limiter, Permit

WITHOUT_HINT_SECONDS = 60.0
"""How long to stay away after repeated 429s that name no time."""


class Witness(Protocol):
    """Who is told of requests, waits and retries (the run's reporter)."""

    def sent(self, *, entity: str, permit: Permit, answer: Answer | None) -> None:
        """A request went out; ``answer`` None when none came back."""
        ...

    def retried(self, *, entity: str, attempt: int, wait_seconds: float, error: TransientFault) -> None:
        """A request failed and is tried again after ``wait_seconds``."""
        ...

    def breaker(self, level: str, sentence: str) -> None:
        """The circuit breaker moved, or held a request back."""
        ...


class Unwitnessed:
    """Nobody is told."""

    def sent(self, *, entity: str, permit: Permit, answer: Answer | None) -> None:
        """Nothing."""

    def retried(self, *, entity: str, attempt: int, wait_seconds: float, error: TransientFault) -> None:
        """Nothing."""

    def breaker(self, level: str, sentence: str) -> None:
        """Nothing."""


class Breaker(Protocol):
    """What the guard needs of a circuit breaker."""

    def enter(self, stop: threading.Event, *, for_ping: bool) -> str:
        """Before a request; returns the token to leave with, or raises ``BreakerHolds``."""
        ...

    def leave(self, token: str, outcome: Outcome) -> None:
        """After it."""
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
        self._limiter = limiter
        self._breaker = breaker
        self._clock = clock
        self._stop = stop
        self._patience = patience
        self._base_url = base_url.rstrip("/")
        self._headers = dict(headers)
        self._witness = witness
        self._dice = dice

    def get(
        self,
        path: str,
        params: Mapping[str, str],
        *,
        entity: str,
        for_ping: bool = False,
        attempts: int | None = None,
        parse: Callable[[bytes], Any] = loads,
    ) -> tuple[Any, Answer]:
        """The JSON of ``path``, by ``parse``, and its answer; tried again while trying again may help.

        Raises a ``VendorFault`` (the last one, when attempts are used up), ``Deferred`` or ``StopRequested``.
        """
        pauses = waits(self._dice)
        most = attempts or self._patience.attempts
        attempt = 0
        while True:
            attempt += 1
            try:
                return self._try(path, params, entity, for_ping=for_ping, parse=parse)
            except TransientFault as fault:
                pause = at_least(next(pauses), fault.retry_after_seconds, self._dice)
                self._give_up_or_defer(fault, attempt, most, pause)
                self._witness.retried(entity=entity, attempt=attempt, wait_seconds=pause, error=fault)
            if self._clock.wait(self._stop, pause):
                raise StopRequested

    def _try(
        self, path: str, params: Mapping[str, str], entity: str, *, for_ping: bool, parse: Callable[[bytes], Any]
    ) -> tuple[Any, Answer]:
        """One attempt between breaker and breaker."""
        token = self._breaker.enter(self._stop, for_ping=for_ping)
        outcome = Outcome.NEUTRAL
        try:
            answer = self._send(path, params, entity, for_ping=for_ping)
            body = parsed(answer, path=path, entity=entity, parse=parse)
            outcome = Outcome.SUCCESS
            return body, answer
        except RateLimited:
            raise
        except TransientFault:
            outcome = Outcome.FAILURE
            raise
        finally:
            self._breaker.leave(token, outcome)

    def _send(self, path: str, params: Mapping[str, str], entity: str, *, for_ping: bool) -> Answer:
        if self._stop.is_set():
            raise StopRequested
        permit = self._limiter.take(self._stop, for_ping=for_ping)
        answer = None
        try:
            answer = self._transport.get(self._base_url + path, params=params, headers=self._headers)
            return answer
        finally:
            self._limiter.give_back(permit)
            self._witness.sent(entity=entity, permit=permit, answer=answer)

    def _give_up_or_defer(self, fault: TransientFault, attempt: int, most: int, pause: float) -> None:
        limited = isinstance(fault, RateLimited)
        if pause > self._patience.longest_wait_seconds:
            raise Deferred(self._clock.now() + timedelta(seconds=pause), fault.code) from fault
        if attempt >= most:
            if limited:
                raise Deferred(self._clock.now() + timedelta(seconds=WITHOUT_HINT_SECONDS), fault.code) from fault
            raise fault
        if limited:
            self._limiter.hold(pause)
