"""What happens to an account outside of its runs, told where its runs tell: a ping's requests, an admin's acts."""

from __future__ import annotations

from typing import Any

from common.clock import Clock
from common.errors import Deferred, TransientFault
from common.http.transport import Answer
from common.store.event_log import Event, RateSample
from daemon.guard.rate_note import RateNote
from daemon.sync.reporter import Reporter


class AccountVoice:
    """The voice of one account; also the witness of its pings."""

    def __init__(self, reporter: Reporter, clock: Clock, integration: str, account_key: str) -> None:
        self._reporter = reporter
        self._clock = clock
        self.account = (integration, account_key)
        self.put_off: Deferred | None = None
        """What put its last request off."""

    def event(self, level: str, code: str, msg: str, **data: Any) -> None:
        """One line."""
        self._reporter.add(Event(self._clock.now(), *self.account, level, code, msg, data=data or None))

    def sent(self, *, entity: str, note: RateNote, answer: Answer | None) -> None:
        """A ping's request went out."""
        del entity, answer
        self._sample(note)

    def waiting(self, *, entity: str, seconds: float, why: str) -> None:
        """A ping's request begins to wait."""
        self.event("info", "waiting", f"a ping is waiting {seconds:.0f} s {why}", ping_of=entity)

    def deferred(self, note: RateNote, signal: Deferred) -> None:
        """A ping's request is put off."""
        self.put_off = signal
        self._sample(note)

    def retried(self, *, entity: str, attempt: int, wait_seconds: float, error: TransientFault) -> None:
        """A ping is tried again."""
        msg = f"{error.cause} Trying again in {wait_seconds:.1f} s (attempt {attempt})."
        self.event("warn", "request_retried", msg, ping_of=entity)

    def gave_up(self, *, entity: str, error: TransientFault) -> None:
        """A ping's request failed for the last time."""
        self.event("error", error.code, error.cause, ping_of=entity)

    def breaker(self, level: str, sentence: str) -> None:
        """The circuit breaker moved, or held a request back."""
        self.event(level, "breaker", sentence)

    def _sample(self, note: RateNote) -> None:
        integration, account_key = self.account
        self._reporter.sample(RateSample(self._clock.now(), integration, account_key, None, *note))
