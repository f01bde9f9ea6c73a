"""What the routes take: queries and bodies, with their limits."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from common.letter_wishes import MOST_IDS
from common.limit_wishes import LOWERABLE, MOST_MINUTES
from common.states import DeadLetterState, RunState
from dashboard.api.shapes import LARGEST_ID, EntityName, IntegrationKey, Moment, PlainText, Wanted

Limit = Annotated[int, Field(ge=1, le=200, description="how many at most")]
_ONLY = "only this integration's"
_WHY = "why; kept in the audit log"
_THE_ONLY_ONE = "the integration; not needed while there is only one"


class OfIntegration(Wanted):
    """What is asked of one integration."""

    integration: IntegrationKey | None = Field(None, description=_THE_ONLY_ONE)


class StatusQuery(Wanted):
    """Filter of the status."""

    integration: IntegrationKey | None = Field(None, description=_ONLY)


class CheckQuery(Wanted):
    """Which list to read, and how many records of it."""

    endpoint: EntityName = Field(description="an entity of the catalogue, never a path")
    page_size: int = Field(1, ge=1, le=100, alias="page_size", description="records to ask for")


class RunsQuery(Wanted):
    """Filters of the list of runs."""

    limit: Limit = 50
    before: Moment | None = Field(None, description="only runs asked for before this; `nextBefore` of the last answer")
    state: RunState | None = Field(None, description="only runs in this state")
    mode: Literal["delta", "backfill", "since", "requeue"] | None = Field(None, description="only runs of this mode")
    entity: EntityName | None = Field(None, description="only runs over this entity")
    integration: IntegrationKey | None = Field(None, description=_ONLY)


class LettersQuery(OfIntegration):
    """Filters of the list of records put aside."""

    limit: Limit = 50
    before: int | None = Field(
        None, ge=1, le=LARGEST_ID, description="only older ones; `nextBefore` of the last answer"
    )
    entity: EntityName | None = Field(None, description="only this entity's")
    state: DeadLetterState = Field(DeadLetterState.OPEN, description="those in this state")
    code: PlainText | None = Field(None, description="only those put aside for this reason, such as RECORD_TYPE")
    fingerprint: PlainText | None = Field(None, description="only those of this group")


class GroupsQuery(OfIntegration):
    """Which groups of records put aside."""

    limit: int = Field(20, ge=1, le=100, description="how many at most")
    state: DeadLetterState = Field(DeadLetterState.OPEN, description="of those in this state")


class BulkQuery(OfIntegration):
    """Which requeues and discards."""

    limit: int = Field(20, ge=1, le=100, description="how many at most")
    before: Moment | None = Field(None, description="only those asked for before this; `nextBefore` of the last answer")
    id: UUID | None = Field(None, description="only this one")


class ErrorsQuery(OfIntegration):
    """Which alike errors."""

    limit: Limit = 50
    hours: int = Field(24 * 7, ge=1, le=24 * 31, description="seen in the last so many hours")


class LogQuery(Wanted):
    """Which lines of the log, and where to begin."""

    level: Literal["debug", "info", "warn", "error"] = Field("debug", description="this level and above")
    entity: EntityName | None = Field(None, description="only this entity's")
    run_id: UUID | None = Field(None, description="only this run's")
    last_event_id: int | None = Field(
        None, ge=0, le=LARGEST_ID, description="go on strictly after this line; the header `Last-Event-ID` counts more"
    )
    tail: int = Field(0, ge=0, le=1000, description="begin with the last so many lines")


class RunBody(OfIntegration):
    """A run to start."""

    mode: Literal["delta", "backfill"] = Field(description="what changed, or every page and then what is gone")
    entities: tuple[EntityName, ...] | None = Field(None, min_length=1, max_length=50, description="none: all of them")
    since: Moment | None = Field(
        None, description="apply only what was created or updated since; saves writes, not requests"
    )
    dry_run: bool = Field(False, description="write no row, count what a run would do")


class WhichBody(OfIntegration):
    """Which integration is meant."""


class AnswerBody(Wanted):
    """An admin's answer to a question."""

    answer: Literal["confirm", "reject"] = Field(description="whether it shall be done")
    reason: PlainText = Field(description="why; kept with the answer and in the audit log")


class BreakerBody(Wanted):
    """How the circuit breaker shall be."""

    state: Literal["open", "closed", "none"] = Field(description="held open, held closed, or left to itself again")
    minutes: int | None = Field(None, ge=1, le=MOST_MINUTES, description="for how long; needed unless `none`")
    reason: PlainText = Field(description=_WHY)


class LowerTo(Wanted):
    """What is allowed instead of what is set."""

    per_minute: int | None = Field(None, ge=1, le=LOWERABLE["perMinute"], description="requests a minute")
    per_hour: int | None = Field(None, ge=1, le=LOWERABLE["perHour"], description="requests an hour")
    concurrency: int | None = Field(None, ge=1, le=LOWERABLE["concurrency"], description="requests at a time")


class LimitsBody(Wanted):
    """Limits to lower for a while."""

    to: LowerTo = Field(description="what is allowed instead; an empty object lifts what was lowered")
    minutes: int | None = Field(None, ge=1, le=MOST_MINUTES, description="for how long; needed to lower")
    reason: PlainText = Field(description=_WHY)


class ScheduleBody(OfIntegration):
    """Whether runs start by themselves."""

    paused: bool = Field(description="true: nothing starts by itself; false: it goes on")
    reason: PlainText = Field(description=_WHY)


class Alike(Wanted):
    """Which open letters; an empty object is all of them."""

    entity: EntityName | None = Field(None, description="only this entity's")
    code: PlainText | None = Field(None, description="only those put aside for this reason")
    fingerprint: PlainText | None = Field(None, description="only those of this group")


LetterId = Annotated[int, Field(ge=1, le=LARGEST_ID)]


class LettersBody(OfIntegration):
    """Open letters: exactly one of `id`, `ids` and `filter`."""

    id: LetterId | None = Field(None, description="one letter")
    ids: tuple[LetterId, ...] | None = Field(None, min_length=1, max_length=MOST_IDS, description="these letters")
    filter: Alike | None = Field(None, description="all that match")
    counted: int | None = Field(
        None, ge=1, le=LARGEST_ID, description="how many match by `GET sync/dlq`; if more do by now, it is refused"
    )
    last_id: LetterId | None = Field(None, description="the newest of them by the same answer; goes with `counted`")

    @model_validator(mode="after")
    def _says_which(self) -> Self:
        if sum(one is not None for one in (self.id, self.ids, self.filter)) != 1:
            raise ValueError("name exactly one of `id`, `ids` and `filter`")
        if (self.counted is None) != (self.last_id is None):
            raise ValueError("`counted` and `lastId` go together")
        if self.counted is not None and self.filter is None:
            raise ValueError("`counted` and `lastId` are for a `filter`")
        return self


class DiscardBody(LettersBody):
    """Open letters, exactly one of `id`, `ids` and `filter`, and why they are closed."""

    reason: PlainText = Field(description="why; kept with each letter and in the audit log")
