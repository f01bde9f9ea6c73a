"""What the routes take: queries and bodies, with their limits."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from common.states import DeadLetterState, RunState
from dashboard.api.shapes import LARGEST_ID, EntityName, IntegrationKey, Moment, PlainText, Wanted

Limit = Annotated[int, Field(ge=1, le=200, description="how many at most")]
_ONLY = "only this integration's"
_THE_ONLY_ONE = "the integration; not needed while there is only one"


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


class DeadLettersQuery(Wanted):
    """Filters of the list of records put aside."""

    limit: Limit = 50
    before: int | None = Field(
        None, ge=1, le=LARGEST_ID, description="only older ones; `nextBefore` of the last answer"
    )
    entity: EntityName | None = Field(None, description="only this entity's")
    state: DeadLetterState | None = Field(None, description="only those in this state")
    code: PlainText | None = Field(None, description="only those put aside for this reason, such as RECORD_TYPE")
    fingerprint: PlainText | None = Field(None, description="only those of this group")
    integration: IntegrationKey | None = Field(None, description=_ONLY)


class RunBody(Wanted):
    """A run to start."""

    mode: Literal["delta", "backfill"] = Field(description="what changed, or every page and then what is gone")
    entities: tuple[EntityName, ...] | None = Field(None, min_length=1, max_length=50, description="none: all of them")
    since: Moment | None = Field(
        None, description="apply only what was created or updated since; saves writes, not requests"
    )
    dry_run: bool = Field(False, description="write no row, count what a run would do")
    integration: IntegrationKey | None = Field(None, description=_THE_ONLY_ONE)


class WhichBody(Wanted):
    """Which integration is meant."""

    integration: IntegrationKey | None = Field(None, description=_THE_ONLY_ONE)


class AnswerBody(Wanted):
    """An admin's answer to a question."""

    answer: Literal["confirm", "reject"] = Field(description="whether it shall be done")
    reason: PlainText = Field(description="why; kept with the answer and in the audit log")
