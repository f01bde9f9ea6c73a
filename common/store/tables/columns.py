"""Columns as Postgres spells them. SQLModel alone would make text a VARCHAR and forget a moment's zone."""

from __future__ import annotations

from typing import Any

from pydantic_core import PydanticUndefined
from sqlalchemy import (
    BigInteger,
    Boolean,
    DateTime,
    Double,
    FetchedValue,
    Integer,
    LargeBinary,
    SmallInteger,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field

IN_CONTROL = {"schema": "control"}


def column(kind: Any, *, key: bool = False, null: bool = False, made: bool = False) -> Any:
    """A column: part of the primary ``key``, may be ``null``, ``made`` by the database when it is not given."""
    absent: Any = None if null or made else PydanticUndefined
    settings = {"server_default": FetchedValue()} if made else {}
    return Field(absent, sa_type=kind, primary_key=key, nullable=null, sa_column_kwargs=settings)


def text(**how: bool) -> Any:
    """``text``."""
    return column(Text, **how)


def flag(**how: bool) -> Any:
    """``boolean``."""
    return column(Boolean, **how)


def small(**how: bool) -> Any:
    """``smallint``."""
    return column(SmallInteger, **how)


def whole(**how: bool) -> Any:
    """``integer``."""
    return column(Integer, **how)


def big(**how: bool) -> Any:
    """``bigint``."""
    return column(BigInteger, **how)


def real(**how: bool) -> Any:
    """``double precision``."""
    return column(Double, **how)


def moment(**how: bool) -> Any:
    """``timestamptz``."""
    return column(DateTime(timezone=True), **how)


def document(**how: bool) -> Any:
    """``jsonb``."""
    return column(JSONB(none_as_null=True), **how)


def octets(**how: bool) -> Any:
    """``bytea``."""
    return column(LargeBinary, **how)


def unique(**how: bool) -> Any:
    """``uuid``."""
    return column(Uuid, **how)


def texts(**how: bool) -> Any:
    """``text[]``."""
    return column(ARRAY(Text), **how)


def uuids(**how: bool) -> Any:
    """``uuid[]``."""
    return column(ARRAY(Uuid), **how)
