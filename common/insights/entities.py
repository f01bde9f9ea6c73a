"""One row per entity: how fresh its copy is, how many rows, and what the latest runs did with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from common.catalog import CatalogEntry
from common.insights.problems import Problem, problem
from common.rules.verdict import UNSCHEDULED_INTERVAL_SECONDS, EntityFacts, EntityHealth, entity_health
from common.states import ACTIVE_RUN_STATES, EntityState, RunState
from common.store.database import Link, Row
from common.store.live_rows import LiveRowCounter, LiveRows
from common.store.statements import statements

SQL = statements("insights")
MARKS_PER_ENTITY = 24
CUT_SHORT = (RunState.STOPPED, RunState.DEFERRED, RunState.INTERRUPTED)
OUTCOMES = (EntityState.COMPLETE, EntityState.PARTIAL, EntityState.FAILED, EntityState.FORBIDDEN)


@dataclass(frozen=True)
class Mark:
    """What one run did with the entity. ``interrupted``: the run's process died on it."""

    run_id: str
    state: EntityState
    interrupted: bool


@dataclass(frozen=True)
class EntityRow:
    """One entity of an account. ``rows`` None: its table cannot be counted; ``age_seconds`` None: never read whole."""

    name: str
    health: EntityHealth
    rows: LiveRows | None
    age_seconds: float | None
    expected_seconds: float
    last_complete_at: datetime | None
    last_full_at: datetime | None
    marks: tuple[Mark, ...]
    error: Problem | None
    new_dead_letters: int

    @property
    def facts(self) -> EntityFacts:
        """What the verdict needs of it."""
        return EntityFacts(self.name, self.health, self.age_seconds)


@dataclass(frozen=True)
class _Latest:
    """The latest finished outcome among an entity's marks."""

    state: EntityState | None = None
    at: datetime | None = None
    error: Problem | None = None
    dead_new: int = 0


def entity_rows(
    link: Link,
    counter: LiveRowCounter,
    entry: CatalogEntry,
    account_key: str,
    *,
    interval_seconds: float | None,
    active_run_id: str | None,
    now: datetime,
) -> tuple[EntityRow, ...]:
    """Every entity of the catalogue, in its order. ``active_run_id`` is the run that really works now."""
    params = {"integration": entry.key, "account_key": account_key, "entities": list(entry.entities)}
    passes = {row["entity"]: row for row in link.execute(SQL["complete_passes"], params).fetchall()}
    marked = link.execute(SQL["entity_marks"], {**params, "limit": MARKS_PER_ENTITY}).fetchall()
    live = counter.count(link, entry.key, account_key, entry.entities)
    rows = []
    for name in entry.entities:
        own = [row for row in marked if row["entity"] == name]
        latest = _latest(own)
        done_at = passes[name]["last_complete_at"]
        rows.append(
            EntityRow(
                name=name,
                health=entity_health(
                    last_complete_at=done_at,
                    last_outcome=latest.state,
                    last_outcome_at=latest.at,
                    interval_seconds=interval_seconds,
                    now=now,
                ),
                rows=live.get(name),
                age_seconds=(now - done_at).total_seconds() if done_at else None,
                expected_seconds=interval_seconds or UNSCHEDULED_INTERVAL_SECONDS,
                last_complete_at=done_at,
                last_full_at=passes[name]["last_full_at"],
                marks=tuple(_mark(row, active_run_id) for row in own),
                error=latest.error,
                new_dead_letters=latest.dead_new,
            )
        )
    return tuple(rows)


def _mark(row: Row, active_run_id: str | None) -> Mark:
    run_id = str(row["run_id"])
    cut_off = row["state"] == EntityState.RUNNING and run_id != active_run_id
    return Mark(run_id, EntityState(row["state"]), interrupted=cut_off)


def _latest(rows: list[Row]) -> _Latest:
    for row in reversed(rows):
        # Read in part because somebody stopped the run, or the vendor asked to come back later: that is no trouble.
        cut_short = row["state"] == EntityState.PARTIAL and row["run_state"] in CUT_SHORT
        if row["state"] in OUTCOMES and row["run_state"] not in ACTIVE_RUN_STATES and not cut_short:
            return _Latest(EntityState(row["state"]), row["finished_at"], problem(row["error"]), row["dead_new"])
    return _Latest()
