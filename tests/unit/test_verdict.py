"""The verdict: twenty histories and the one sentence each deserves."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from common.rules.verdict import (
    AccountFacts,
    EntityFacts,
    EntityHealth,
    Failure,
    Pause,
    entity_health,
    is_silent,
    judge,
)
from common.states import Chip, EntityState

NOW = datetime(2026, 11, 22, 14, 32, tzinfo=UTC)
NAMES = ("owners", "properties", "units", "leases", "tenants")
REFUSED = Failure(
    "KEY_REFUSED", "DoorLoop refused the API key (401).", "Set DOORLOOP_API_KEY.", NOW - timedelta(hours=5)
)


def entities(health: EntityHealth = EntityHealth.FRESH, **other: EntityHealth) -> tuple[EntityFacts, ...]:
    ages = {EntityHealth.FRESH: 240.0, EntityHealth.NEVER: None}
    chosen = {name: other.get(name, health) for name in NAMES}
    return tuple(EntityFacts(name, state, ages.get(state, 18_600.0)) for name, state in chosen.items())


WELL = AccountFacts(
    label="DoorLoop",
    heartbeat_age_seconds=4,
    heartbeat_seconds=10,
    entities=entities(),
    last_full_at=NOW.replace(hour=5, minute=0),
    rows=48_210,
    next_due=("delta", NOW + timedelta(minutes=6)),
    was_pinged=True,
)


def test_a_good_day_is_one_sentence_with_its_evidence() -> None:
    """All fresh: ok, with the last full copy, its rows, and what comes next."""
    verdict = judge(WELL, NOW)
    assert verdict.chip is Chip.OK
    assert verdict.title.replace("\xa0", " ") == (
        "DoorLoop is well. All five entities fresh; last full copy 05:00 UTC, 48 210 rows; next delta in 6 min."
    )


@pytest.mark.parametrize(
    ("change", "chip", "words"),
    [
        ({"heartbeat_age_seconds": None}, Chip.UNKNOWN, "no daemon has run yet"),
        ({"heartbeat_age_seconds": 46.0}, Chip.UNKNOWN, "silent for 46 s"),
        ({"heartbeat_age_seconds": 44.0}, Chip.OK, "is well"),
        (
            {"entities": entities(EntityHealth.NEVER), "was_pinged": False, "last_full_at": None, "rows": None},
            Chip.UNKNOWN,
            "Nothing is known",
        ),
        (
            {"entities": entities(EntityHealth.NEVER), "was_pinged": False, "running_mode": "backfill"},
            Chip.UNKNOWN,
            "first copy of DoorLoop is running",
        ),
        (
            {"entities": entities(EntityHealth.NEVER), "last_full_at": None},
            Chip.OK,
            "answers. Nothing is copied whole yet",
        ),
        ({"paused": Pause("ana", "moving house", NOW)}, Chip.PAUSED, "paused by ana since 14:32 UTC: moving house"),
        ({"ping_failure": REFUSED}, Chip.FAILING, "DoorLoop refused the API key (401)"),
        ({"run_failure": REFUSED}, Chip.FAILING, "DoorLoop refused the API key (401)"),
        ({"breaker_open_since": NOW}, Chip.FAILING, "too many requests failed (see the last run)"),
        ({"breaker_open_since": NOW, "breaker_cause": "Too many (500)."}, Chip.FAILING, "failing: too many (500)."),
        ({"entities": entities(EntityHealth.FAILED)}, Chip.FAILING, "none of its five entities could be read"),
        ({"entities": entities(tenants=EntityHealth.STALE)}, Chip.DEGRADED, "tenants are 5 h 10 min old"),
        ({"entities": entities(leases=EntityHealth.FAILED)}, Chip.DEGRADED, "leases could not be read"),
        ({"entities": entities(leases=EntityHealth.FORBIDDEN)}, Chip.DEGRADED, "this key may not read leases"),
        ({"entities": entities(units=EntityHealth.PARTIAL)}, Chip.DEGRADED, "units were read only in part"),
        ({"new_dead_letters": 3}, Chip.DEGRADED, "3 new dead letters"),
        ({"open_dead_letters": 60}, Chip.OK, "48 210 rows; 60 known dead letters open"),
        ({"open_questions": 1}, Chip.DEGRADED, "1 question waits for an admin"),
        ({"errors_found": (REFUSED,)}, Chip.DEGRADED, "DoorLoop refused the API key"),
        ({"entities": entities(EntityHealth.STALE)}, Chip.DEGRADED, "all five entities are 5 h 10 min old"),
        (
            {"ping_failure": replace(REFUSED, code="RATE_LIMITED"), "waiting_until": NOW + timedelta(minutes=20)},
            Chip.OK,
            "work goes on by itself at 14:52 UTC",
        ),
        (
            {"waiting_code": "VENDOR_ASKED_LATER", "waiting_until": NOW + timedelta(minutes=20)},
            Chip.OK,
            "asked to come back later; work goes on by itself at 14:52 UTC",
        ),
    ],
)
def test_the_first_match_decides(change: dict[str, object], chip: Chip, words: str) -> None:
    """Unknown before paused before failing before degraded before ok; a rate limit changes no chip (law 7)."""
    verdict = judge(replace(WELL, **change), NOW)  # type: ignore[arg-type]
    assert verdict.chip is chip
    assert words.replace(" ", "") in verdict.title.replace(" ", "").replace("\xa0", "")


def test_failing_says_since_when_and_what_to_do() -> None:
    """The cause comes with its time, what is not fresh, and the remedy."""
    facts = replace(
        WELL, ping_failure=REFUSED, entities=entities(tenants=EntityHealth.STALE, leases=EntityHealth.STALE)
    )
    verdict = judge(facts, NOW)
    assert verdict.details == (
        "Since 09:32 UTC (5 h). Leases and tenants are not fresh; rows already here stay readable.",
    )
    assert verdict.remedy == "Set DOORLOOP_API_KEY."
    assert verdict.code == "KEY_REFUSED"


def test_the_closer_cause_names_a_failure() -> None:
    """ "None of the entities could be read" is an effect: a ping that knows why is named in its place."""
    effect = Failure("ENTITIES_FAILED", "None of the entities could be read.", "See.", NOW - timedelta(hours=6))
    verdict = judge(replace(WELL, run_failure=effect, ping_failure=REFUSED), NOW)
    assert verdict.code == "KEY_REFUSED"
    assert verdict.since == effect.since


def test_a_silent_daemon_hides_every_other_verdict() -> None:
    """What nobody watches is unknown, whatever it was last; the rows' age and the cure are said."""
    verdict = judge(replace(WELL, ping_failure=REFUSED, heartbeat_age_seconds=600), NOW)
    assert verdict.chip is Chip.UNKNOWN
    assert "newest are 4 min old" in verdict.details[0]
    assert verdict.remedy is not None
    assert "make run" in verdict.remedy


@pytest.mark.parametrize(
    ("age_minutes", "outcome", "outcome_minutes", "interval", "expected"),
    [
        (4, EntityState.COMPLETE, 4, 600, EntityHealth.FRESH),
        (19, EntityState.COMPLETE, 19, 600, EntityHealth.FRESH),
        (21, EntityState.COMPLETE, 21, 600, EntityHealth.STALE),
        (60 * 23, None, None, None, EntityHealth.FRESH),
        (60 * 25, None, None, None, EntityHealth.STALE),
        (None, None, None, 600, EntityHealth.NEVER),
        (None, EntityState.FAILED, 5, 600, EntityHealth.FAILED),
        (None, EntityState.PARTIAL, 5, 600, EntityHealth.PARTIAL),
        (4, EntityState.FAILED, 9, 600, EntityHealth.FRESH),
        (9, EntityState.FAILED, 4, 600, EntityHealth.FAILED),
        (9, EntityState.FORBIDDEN, 4, 600, EntityHealth.FORBIDDEN),
        (9, EntityState.PARTIAL, 4, 600, EntityHealth.PARTIAL),
        (60, EntityState.PARTIAL, 4, 600, EntityHealth.STALE),
    ],
)
def test_an_entity_is_as_its_latest_reading(
    age_minutes: float | None,
    outcome: EntityState | None,
    outcome_minutes: float | None,
    interval: float | None,
    expected: EntityHealth,
) -> None:
    """Two intervals make it stale; a failure counts until a complete reading outdates it."""

    def ago(minutes: float | None) -> datetime | None:
        return None if minutes is None else NOW - timedelta(minutes=minutes)

    assert (
        entity_health(
            last_complete_at=ago(age_minutes),
            last_outcome=outcome,
            last_outcome_at=ago(outcome_minutes),
            interval_seconds=interval,
            now=NOW,
        )
        is expected
    )


def test_silence_is_counted_in_heartbeats() -> None:
    """Three missed heartbeats make a daemon not running, however long its heartbeat is."""
    assert not is_silent(29, 10)
    assert is_silent(31, 10)
    assert is_silent(0.7, 0.2)
    assert is_silent(None, 10)


def test_a_pause_hides_nothing_and_says_how_it_ends() -> None:
    """Whoever resumes reads first what will be waiting, and always how to resume."""
    verdict = judge(replace(WELL, paused=Pause("ana", "moving house", NOW), ping_failure=REFUSED), NOW)
    assert verdict.details[0] == "Besides: DoorLoop is failing: DoorLoop refused the API key (401)."
    assert verdict.remedy is not None
    assert "Resume…" in verdict.remedy


def test_new_dead_letters_come_with_what_to_do() -> None:
    """A count alone helps nobody at night."""
    verdict = judge(replace(WELL, new_dead_letters=3, open_dead_letters=3), NOW)
    assert verdict.remedy is not None
    assert "Requeue" in verdict.remedy
