"""How an integration is: one chip, one sentence, the cause and the cure. Pure: facts and ``now`` come in.

The chip is the first that matches: unknown (nobody watches, or nothing is known) · paused · failing · degraded · ok.
Waiting for a rate limit changes no chip (law 7); it is said beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from common.codes import CODES
from common.rules.wording import clock, count, listing, number_word, plural, span
from common.states import Chip, EntityState

SILENT_AFTER_HEARTBEATS = 3.0
"""A daemon counts as not running then; the gate refuses commands by the same number."""
UNKNOWN_AFTER_HEARTBEATS = 4.5
"""The chip turns unknown then: 45 s with the usual heartbeat of 10 s."""
STALE_AFTER_INTERVALS = 2.0
UNSCHEDULED_INTERVAL_SECONDS = 12 * 3600.0
"""What is expected of an entity while nothing runs by itself: stale once it is a day old."""
SLOWED_CODES = frozenset({"RATE_LIMITED", "RATE_LIMITED_UNTIL", "BUDGET_SPENT"})
"""Being slowed down is not failing."""
_WAITS_FOR = {
    "VENDOR_ASKED_LATER": "The vendor is in trouble and asked to come back later",
    "RATE_LIMITED_UNTIL": "The vendor asked to slow down",
}


class EntityHealth(StrEnum):
    """How an entity's copy is."""

    FRESH = "fresh"
    STALE = "stale"
    NEVER = "never"
    PARTIAL = "partial"
    FAILED = "failed"
    FORBIDDEN = "forbidden"


_TROUBLED = (EntityHealth.FAILED, EntityHealth.FORBIDDEN, EntityHealth.PARTIAL, EntityHealth.STALE)
"""Worst first. Never copied is no trouble by itself: nobody asked for it yet, and the sentence says so."""
_UNREAD = (EntityHealth.FAILED, EntityHealth.FORBIDDEN)


@dataclass(frozen=True)
class EntityFacts:
    """One entity; ``age_seconds`` since its last complete reading, None: never read to its end."""

    name: str
    health: EntityHealth
    age_seconds: float | None


@dataclass(frozen=True)
class Failure:
    """Something that failed and has not succeeded since."""

    code: str | None
    cause: str
    remedy: str | None
    since: datetime


@dataclass(frozen=True)
class Pause:
    """Who stopped the schedule, when and why, and how it goes on."""

    by: str
    reason: str
    since: datetime
    remedy: str = "Resume… in the Scheduler card lets it go on; until then a run by hand is possible."


@dataclass(frozen=True)
class AccountFacts:
    """What the verdict rests on. ``heartbeat_age_seconds`` None: no daemon has ever run here."""

    label: str
    heartbeat_age_seconds: float | None
    heartbeat_seconds: float
    entities: tuple[EntityFacts, ...]
    paused: Pause | None = None
    ping_failure: Failure | None = None
    run_failure: Failure | None = None
    breaker_open_since: datetime | None = None
    breaker_cause: str | None = None
    errors_found: tuple[Failure, ...] = ()
    new_dead_letters: int = 0
    open_dead_letters: int = 0
    open_questions: int = 0
    waiting_until: datetime | None = None
    waiting_code: str | None = None
    last_full_at: datetime | None = None
    rows: int | None = None
    next_due: tuple[str, datetime] | None = None
    running_mode: str | None = None
    was_pinged: bool = False


@dataclass(frozen=True)
class Verdict:
    """``title`` is the one sentence (page, tab, alert); ``details`` are sentences beneath it; ``remedy`` what to do."""

    chip: Chip
    title: str
    details: tuple[str, ...] = ()
    remedy: str | None = None
    since: datetime | None = None
    code: str | None = field(default=None)


def is_silent(heartbeat_age_seconds: float | None, heartbeat_seconds: float) -> bool:
    """Whether a daemon counts as not running."""
    return heartbeat_age_seconds is None or heartbeat_age_seconds > SILENT_AFTER_HEARTBEATS * heartbeat_seconds


def entity_health(
    *,
    last_complete_at: datetime | None,
    last_outcome: EntityState | None,
    last_outcome_at: datetime | None,
    interval_seconds: float | None,
    now: datetime,
) -> EntityHealth:
    """An entity's health. ``interval_seconds`` None: nothing runs by itself, so a day is its limit.

    ``last_outcome`` is what the latest finished run did with it; a complete reading since then outdates it.
    """
    newer = last_complete_at is None or (last_outcome_at is not None and last_outcome_at > last_complete_at)
    if newer and last_outcome in (EntityState.FAILED, EntityState.FORBIDDEN):
        return EntityHealth(last_outcome.value)
    if last_complete_at is None:
        return EntityHealth.PARTIAL if last_outcome is EntityState.PARTIAL else EntityHealth.NEVER
    expected = interval_seconds or UNSCHEDULED_INTERVAL_SECONDS
    if (now - last_complete_at).total_seconds() > STALE_AFTER_INTERVALS * expected:
        return EntityHealth.STALE
    return EntityHealth.PARTIAL if newer and last_outcome is EntityState.PARTIAL else EntityHealth.FRESH


def judge(facts: AccountFacts, now: datetime) -> Verdict:
    """The verdict: the first that matches."""
    return (
        _unwatched(facts) or _paused(facts, now) or _failing(facts, now) or _degraded(facts, now) or _well(facts, now)
    )


def _unwatched(facts: AccountFacts) -> Verdict | None:
    age = facts.heartbeat_age_seconds
    if age is None:
        title = f"Nobody is watching {facts.label}: no daemon has run yet."
    elif age > UNKNOWN_AFTER_HEARTBEATS * facts.heartbeat_seconds:
        title = f"Nobody is watching {facts.label}: the daemon has been silent for {span(age)}."
    elif not facts.was_pinged and facts.run_failure is None and _all_never(facts):
        return _nothing_yet(facts)
    else:
        return None
    details = _kept_rows(facts)
    return Verdict(Chip.UNKNOWN, title, details, CODES["NO_DAEMON"].remedy, code="NO_DAEMON")


def _all_never(facts: AccountFacts) -> bool:
    return all(entity.health is EntityHealth.NEVER for entity in facts.entities)


def _nothing_yet(facts: AccountFacts) -> Verdict:
    if facts.running_mode:
        return Verdict(Chip.UNKNOWN, f"The first copy of {facts.label} is running.")
    return Verdict(
        Chip.UNKNOWN,
        f"Nothing is known of {facts.label} yet.",
        remedy="Press Ping to see whether the connection works, then run a backfill to copy everything once.",
    )


def _kept_rows(facts: AccountFacts) -> tuple[str, ...]:
    ages = [entity.age_seconds for entity in facts.entities if entity.age_seconds is not None]
    if not ages:
        return ()
    return (f"Rows already here stay readable; the newest are {span(min(ages))} old.",)


def _paused(facts: AccountFacts, now: datetime) -> Verdict | None:
    pause = facts.paused
    if pause is None:
        return None
    title = f"{facts.label} is paused by {pause.by} since {clock(pause.since, now)}: {pause.reason.rstrip('.')}."
    # A pause must not hide what would be told without it: whoever resumes wants to know first.
    hidden = _failing(facts, now) or _degraded(facts, now)
    besides = (f"Besides: {hidden.title}",) if hidden else ()
    return Verdict(Chip.PAUSED, title, (*besides, *_kept_rows(facts)), pause.remedy, pause.since)


def _failing(facts: AccountFacts, now: datetime) -> Verdict | None:
    failures = [failure for failure in (facts.ping_failure, facts.run_failure) if failure is not None]
    counted = [failure for failure in failures if failure.code not in SLOWED_CODES]
    if counted:
        # A ping names the cause more closely than the run that met it; the older of the two says since when.
        named = next((failure for failure in counted if failure.code != "ENTITIES_FAILED"), counted[0])
        since = min(failure.since for failure in counted)
        title = f"{facts.label} is failing: {_inside(named.cause)}."
        return Verdict(Chip.FAILING, title, _since_and_stale(facts, since, now), named.remedy, since, named.code)
    if facts.breaker_open_since is not None:
        code = CODES["BREAKER_OPEN"]
        details = _since_and_stale(facts, facts.breaker_open_since, now)
        cause = facts.breaker_cause or code.cause_with({"last": "see the last run"})
        title = f"{facts.label} is failing: {_inside(cause)}."
        return Verdict(Chip.FAILING, title, details, code.remedy, facts.breaker_open_since, code.key)
    if facts.entities and all(
        entity.health in (EntityHealth.FAILED, EntityHealth.FORBIDDEN) for entity in facts.entities
    ):
        return Verdict(
            Chip.FAILING,
            f"{facts.label} is failing: none of its {number_word(len(facts.entities))} entities could be read.",
            remedy=CODES["ENTITIES_FAILED"].remedy,
            code="ENTITIES_FAILED",
        )
    return None


def _inside(sentence: str) -> str:
    """A sentence of ours to stand after a colon."""
    first, rest = sentence[:1], sentence[1:].rstrip(".")
    # Names keep their capital: DoorLoop, DOORLOOP_BASE_URL, "A" does not.
    keeps = sentence.split(" ", 1)[0] not in {"The", "A", "An", "Too", "This", "No", "None", "All", "Whose", "Page"}
    return (first if keeps else first.lower()) + rest


def _since_and_stale(facts: AccountFacts, since: datetime, now: datetime) -> tuple[str, ...]:
    stale = [entity.name for entity in facts.entities if entity.health is not EntityHealth.FRESH]
    text = f"Since {clock(since, now)} ({span((now - since).total_seconds())})."
    if not stale:
        return (f"{text} All rows are still fresh and stay readable.",)
    if len(stale) == len(facts.entities):
        return (f"{text} None of the {number_word(len(stale))} entities is fresh; rows already here stay readable.",)
    return (f"{text} {_capital(listing(stale))} are not fresh; rows already here stay readable.",)


def _degraded(facts: AccountFacts, now: datetime) -> Verdict | None:
    reasons = [_entity_reason(facts, health) for health in _TROUBLED if _named(facts, health)]
    if facts.open_questions:
        waits = "waits" if facts.open_questions == 1 else "wait"
        reasons.append(f"{plural(facts.open_questions, 'question')} {waits} for an admin")
    if facts.new_dead_letters:
        reasons.append(f"{plural(facts.new_dead_letters, 'new dead letter')}")
    if facts.errors_found:
        reasons.append(_inside(facts.errors_found[0].cause))
    if not reasons:
        return None
    remedy = facts.errors_found[0].remedy if facts.errors_found else None
    if remedy is None and facts.new_dead_letters:
        remedy = CODES["NEW_DEAD_LETTERS"].remedy
    details = (_waiting(facts, now),) if facts.waiting_until else ()
    return Verdict(Chip.DEGRADED, f"{facts.label} is degraded: {'; '.join(reasons)}.", details, remedy)


def _named(facts: AccountFacts, health: EntityHealth) -> list[EntityFacts]:
    return [entity for entity in facts.entities if entity.health is health]


def _entity_reason(facts: AccountFacts, health: EntityHealth) -> str:
    entities = _named(facts, health)
    everyone = len(entities) == len(facts.entities) and len(entities) > 1
    who = f"all {number_word(len(entities))} entities" if everyone else listing([entity.name for entity in entities])
    # Entities are called by plural names (tenants, leases), so even one of them "are".
    if health is EntityHealth.STALE:
        oldest = max(entity.age_seconds or 0 for entity in entities)
        return f"{who} are {span(oldest)} old"
    return {
        EntityHealth.FAILED: f"{who} could not be read",
        EntityHealth.FORBIDDEN: f"this key may not read {who}",
        EntityHealth.PARTIAL: f"{who} were read only in part",
    }[health]


def _well(facts: AccountFacts, now: datetime) -> Verdict:
    missing = _named(facts, EntityHealth.NEVER)
    if len(missing) == len(facts.entities):
        return _answers_only(facts)
    number = len(facts.entities) - len(missing)
    if missing:
        fresh = [entity.name for entity in facts.entities if entity not in missing]
        parts = [f"{listing(fresh)} fresh, {listing([entity.name for entity in missing])} not copied yet"]
    else:
        parts = [f"all {number_word(number)} entities fresh" if number > 1 else "its entity is fresh"]
    if facts.last_full_at:
        rows = f", {count(facts.rows)} rows" if facts.rows is not None else ""
        parts.append(f"last full copy {clock(facts.last_full_at, now)}{rows}")
    if facts.open_dead_letters:
        parts.append(f"{plural(facts.open_dead_letters, 'known dead letter')} open")
    if facts.waiting_until and facts.waiting_until > now:
        parts.append(_inside(_waiting(facts, now)).rstrip("."))
    elif facts.next_due:
        kind, due_at = facts.next_due
        parts.append(f"next {kind} in {span((due_at - now).total_seconds())}")
    return Verdict(Chip.OK, f"{facts.label} is well. {_capital('; '.join(parts))}.")


def _answers_only(facts: AccountFacts) -> Verdict:
    if facts.running_mode:
        return Verdict(Chip.OK, f"{facts.label} answers; its first copy is running.")
    return Verdict(
        Chip.OK,
        f"{facts.label} answers. Nothing is copied whole yet.",
        remedy="Run a backfill to copy every record once.",
    )


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _waiting(facts: AccountFacts, now: datetime) -> str:
    assert facts.waiting_until is not None
    why = _WAITS_FOR.get(facts.waiting_code or "", "The vendor's budget is used up")
    return f"{why}; work goes on by itself at {clock(facts.waiting_until, now)}."
