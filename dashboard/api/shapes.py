"""What bodies, queries and answers are made of: camelCase on the wire, nothing unknown let in, times in UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, StringConstraints, WithJsonSchema
from pydantic.alias_generators import to_camel

from common.catalog import CATALOG

ENTITIES = tuple(dict.fromkeys(entity for entry in CATALOG.values() for entity in entry.entities))
LARGEST_ID = 2**63 - 1


class Wanted(BaseModel):
    """A query or a body. A key that it does not know is refused by name."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, allow_inf_nan=False)


class Told(BaseModel):
    """An answer, filled from the insights' frozen answers by the same names."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        from_attributes=True,
        extra="forbid",
        frozen=True,
        json_schema_serialization_defaults_required=True,
    )


class Nothing(Wanted):
    """No parameters."""


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("within the years 1 to 9999 in UTC") from None


def _entity(name: str) -> str:
    if name not in ENTITIES:
        raise ValueError(f"one of: {', '.join(ENTITIES)}")
    return name


Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""A time with its zone."""
EntityName = Annotated[str, AfterValidator(_entity), WithJsonSchema({"type": "string", "enum": list(ENTITIES)})]
"""An entity of the catalogue."""
IntegrationKey = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
"""The key of an integration."""
# Printable only: a NUL would be refused by Postgres, and a line break could forge a line of a log.
PlainText = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""A line of text."""
