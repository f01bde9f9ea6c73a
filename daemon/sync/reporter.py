"""Collects what happens and writes it in small flushes, so that no page waits for its telemetry.

A flush is one transaction of its own, at most four a second; readers are woken once per flush.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import Any

import structlog

from common.clock import Clock
from common.codes import CODES
from common.errors import DatabaseAway, Deferred, IccError, RateLimited, TransientFault
from common.excerpt import excerpt
from common.http.transport import Answer
from common.redact import mask
from common.rules.fingerprint import LOOKED_AT
from common.store import event_log
from common.store.database import Database
from common.store.event_log import Event, Flush, GroupedError, RateSample, Tally
from common.store.leases import Lease
from daemon.guard.rate_note import RateNote

FLUSH_SECONDS = 0.25
MOST_WAITING = 20_000
"""Lines kept while the database is away; older ones are counted and dropped, so memory stays bounded."""
MOST_CUT_OFF = 5
"""After so many flushes in a row that lost their connection it is asked whether the database is away at all."""

log = structlog.get_logger("events")


class Reporter:
    """The flushing thread of one process. ``start`` it once, ``close`` it last: closing writes what is left."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._events: list[Event] = []
        self._samples: list[RateSample] = []
        self._errors: list[GroupedError] = []
        self._tallies: dict[tuple[str, str, str], Tally] = defaultdict(Tally)
        self._dropped = 0
        self._cut_off = 0
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="reporter", daemon=True)

    def start(self) -> Reporter:
        """Begin to flush."""
        self._thread.start()
        return self

    def close(self, wait_seconds: float = 3.0) -> None:
        """Write what is left and end."""
        self._closing.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(wait_seconds)

    def add(self, event: Event) -> None:
        """One line; also to the process's own log, pages excepted: a log line would cost as much as a page's rows."""
        if event.code != "page":
            words = {"entity": event.entity, "page": event.page, "run": event.run_id}
            at = {"warn": log.warning, "error": log.error, "debug": log.debug}.get(event.level, log.info)
            at(mask(event.msg), code=event.code, **{key: value for key, value in words.items() if value is not None})
        with self._lock:
            if len(self._events) >= MOST_WAITING:
                self._dropped += 1
                return
            self._events.append(event)
        self._rouse()

    def sample(self, sample: RateSample, entity: str | None = None, *, failures: int = 0) -> None:
        """One rate-limit sample; ``entity``: of a request that was sent for it, which the five-minute series counts."""
        with self._lock:
            if len(self._samples) < MOST_WAITING:
                self._samples.append(sample)
            if entity is not None:
                tally = self._tallies[sample.integration, sample.account_key, entity]
                tally.requests += 1
                tally.failures += failures
        self._rouse()

    def group(self, error: GroupedError) -> None:
        """One error for its group."""
        with self._lock:
            if len(self._errors) < MOST_WAITING:
                self._errors.append(error)
        self._rouse()

    def tally(self, account: tuple[str, str], entity: str, *, rows: int, dead: int) -> None:
        """Add a page to the five-minute series of an account (integration, key)."""
        with self._lock:
            tally = self._tallies[(*account, entity)]
            tally.rows += rows
            tally.dead += dead

    def _rouse(self) -> None:
        if not self._wake.is_set():  # nearly always it is: setting it takes ten times as long as asking
            self._wake.set()

    def flush(self) -> None:
        """Write what has gathered, what another thread is writing included. When the database is away it stays."""
        with self._writing:
            self._flush()

    def _flush(self) -> None:
        with self._lock:
            batch = Flush(tuple(self._events), tuple(self._samples), dict(self._tallies), tuple(self._errors))
            self._events, self._samples, self._errors = [], [], []
            self._tallies = defaultdict(Tally)
        if not (batch.events or batch.samples or batch.tallies or batch.errors):
            return
        try:
            event_log.write(self._database, batch, self._clock.now())
        except DatabaseAway:
            self._cut_off += 1
            if self._cut_off < MOST_CUT_OFF or not self._database_answers():
                self._keep(batch)
                raise
            log.exception("a flush of events was cut off again and again; each kind is written by itself")
            self._write_singly(batch)
        except Exception:
            log.exception("a flush of events failed; each kind is written by itself")
            self._write_singly(batch)
        self._cut_off = 0

    def _database_answers(self) -> bool:
        """Whether it is there after all: then it is this flush that it, or something on the way, does not take."""
        try:
            with self._database.statement() as link:
                link.execute("SELECT 1")
        except DatabaseAway:
            return False
        return True

    def _keep(self, batch: Flush) -> None:
        """For the next flush, before what has gathered since."""
        with self._lock:
            self._events = [*batch.events, *self._events][-MOST_WAITING:]
            self._errors = [*batch.errors, *self._errors][-MOST_WAITING:]
            self._samples = [*batch.samples, *self._samples][-MOST_WAITING:]
            for key, tally in batch.tallies.items():
                self._tallies[key].add(tally)

    def _write_singly(self, batch: Flush) -> None:
        for part in batch.parts:
            try:
                event_log.write(self._database, part, self._clock.now())
            except Exception:
                log.exception("a part of a flush failed; its lines are lost")

    def _loop(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            closing = self._closing.is_set()
            try:
                self.flush()
            except DatabaseAway:
                self._wake.set()
                if self._closing.wait(1.0):
                    return
            if closing:
                return
            self._closing.wait(FLUSH_SECONDS)


class RunReporter:
    """One run's voice: its events, samples and own counters. Threads share it."""

    def __init__(self, reporter: Reporter, clock: Clock, lease: Lease) -> None:
        self._reporter = reporter
        self._clock = clock
        self._lease = lease
        self._account = (lease.integration, lease.account_key)
        self._lock = threading.Lock()
        self.requests = 0
        self.retries = 0
        self.waited_seconds = 0.0
        self.put_off: Deferred | None = None
        """What told this run to come back later, whether it ended by that or by something else."""

    def event(
        self,
        level: str,
        code: str,
        msg: str,
        *,
        entity: str | None = None,
        page: int | None = None,
        rows: int | None = None,
        **data: Any,
    ) -> None:
        """One line of this run."""
        self._reporter.add(
            Event(
                ts=self._clock.now(),
                integration=self._lease.integration,
                account_key=self._lease.account_key,
                run_id=self._lease.run_id,
                level=level,
                code=code,
                msg=msg,
                entity=entity,
                page=page,
                rows=rows,
                data=data or None,
            )
        )

    def trouble(self, error: IccError, *, level: str = "error", entity: str | None = None) -> None:
        """An error with its remedy, as one line."""
        facts = _scalars(error.facts)
        cause = error.cause if error.cause.endswith((".", "!", "?")) else f"{error.cause}."
        self.event(level, error.code, f"{cause} {error.remedy}", **{**facts, "entity": entity})
        self._group(error)

    def _group(self, error: IccError) -> None:
        status = error.facts.get("status")
        self._reporter.group(
            GroupedError(
                integration=self._lease.integration,
                account_key=self._lease.account_key,
                run_id=self._lease.run_id,
                code=error.code,
                status=status if isinstance(status, int) else None,
                path=str(error.facts.get("path", "")),
                snippet=str(error.facts.get("snippet") or excerpt(error.cause, LOOKED_AT)),
            )
        )

    def warn(self, code: str, *, entity: str | None = None, **facts: Any) -> dict[str, Any]:
        """A warning of the catalogue; returns it as it is stored with the run."""
        entry = CODES[code]
        words = {**facts, "entity": entity}
        record = {"code": code, "cause": entry.cause_with(words), "remedy": entry.remedy_with(words), "entity": entity}
        self.event("warn", code, f"{record['cause']} {record['remedy']}", entity=entity, **_scalars(facts))
        return record

    def page(
        self,
        entity: str,
        page: int,
        pages: int | None,
        *,
        rows: int,
        changed: int,
        dead: int,
        again: bool,
        rate: RateNote | None,
    ) -> None:
        """A page was committed; ``rows`` are those that count: of one that is read ``again`` what is new.

        ``rate`` is of the request that brought it.
        """
        of = f"/{pages}" if pages else ""
        changes = f"{changed} changed" if changed else "unchanged"
        put_aside = f", {dead} put aside" if dead else ""
        brought = "read again" if again else f"{rows} rows"
        msg = f"{entity} page {page}{of}: {brought}, {changes}{put_aside}"
        told: dict[str, Any] = {"rateLimit": rate.as_event()} if rate else {}
        self.event("info", "page", msg, entity=entity, page=page, rows=rows, requests=self.requests, **told)
        self._reporter.tally(self._account, entity, rows=rows, dead=dead)

    def sent(self, *, entity: str, note: RateNote, answer: Answer | None) -> None:
        """A request went out (called by the guard)."""
        failed = answer is None or answer.status >= 400
        with self._lock:
            self.requests += 1
            self.waited_seconds += note.waited_seconds
        self._sample(note, entity, failures=int(failed))

    def waiting(self, *, entity: str, seconds: float, why: str) -> None:
        """A request begins to wait (called by the guard)."""
        self.event("info", "waiting", f"waiting {seconds:.0f} s {why}", entity=entity)

    def waits_for_database(self, entity: str, seconds: float, why: str | None) -> None:
        """A page is not written yet; ``why`` as Postgres said, None when it has not."""
        reason = why or "it has not answered (somebody's lock, perhaps)"
        msg = f"{entity}: a page has waited {seconds:.0f} s for Postgres: {reason}"
        self.event("warn", "database_waited", msg, entity=entity)

    def deferred(self, note: RateNote, signal: Deferred) -> None:
        """A request is put off (called by the guard). It may be of a page that the run never comes to."""
        self.put_off = signal
        self._sample(note)

    def _sample(self, note: RateNote, entity: str | None = None, *, failures: int = 0) -> None:
        integration, account_key = self._account
        sample = RateSample(self._clock.now(), integration, account_key, self._lease.run_id, *note)
        self._reporter.sample(sample, entity, failures=failures)

    def gave_up(self, *, entity: str, error: TransientFault) -> None:
        """A request failed for the last time, and the breaker ends the run (called by the guard)."""
        self.trouble(error, entity=entity)

    def breaker(self, level: str, sentence: str) -> None:
        """The circuit breaker moved, or held a request back (called by the guard)."""
        self.event(level, "breaker", sentence)

    def retried(self, *, entity: str, attempt: int, wait_seconds: float, error: TransientFault) -> None:
        """A request is tried again (called by the guard)."""
        with self._lock:
            self.retries += 1
            self.waited_seconds += wait_seconds
        if not isinstance(error, RateLimited):  # law 7: being rate-limited is not failing
            self._group(error)
        msg = f"{error.cause} Trying again in {wait_seconds:.1f} s (attempt {attempt})."
        self.event("warn", "request_retried", msg, entity=entity, cause=error.code, **_scalars(error.facts))


def _scalars(facts: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in facts.items() if isinstance(value, str | int | float | bool)}
