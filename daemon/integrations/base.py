"""What an integration is: entities with columns, a client that lists pages, a ping.

Each vendor's folder provides these; ``tests/contract`` holds every one to the same behaviours.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from common.catalog import CatalogEntry
from common.clock import Clock
from common.config import Finding
from common.rules.budget import BudgetLimits
from common.store.database import Database
from daemon.guard.guard import Witness
from daemon.guard.rate_note import RateNote

Kind = Literal["text", "boolean", "integer", "numeric", "date", "timestamp", "texts"]

POSTGRES_TYPES: Mapping[Kind, str] = {
    "text": "text",
    "boolean": "boolean",
    "integer": "bigint",
    "numeric": "numeric",
    "date": "date",
    "timestamp": "timestamp with time zone",
    "texts": "text[]",
}


@dataclass(frozen=True)
class Column:
    """A typed column and where its value stands in the vendor's record.

    ``sources`` are dotted paths, the first one present wins (a vendor's two spellings of one field). In a path a number
    picks from a list and ``*`` takes a field of every element. ``sensitive`` values are masked in samples and reports.
    """

    name: str
    kind: Kind
    sources: tuple[str, ...]
    sensitive: bool = False


@dataclass(frozen=True)
class Entity:
    """One list of a vendor and the table it goes to (``<integration>.<name>``)."""

    name: str
    path: str
    columns: tuple[Column, ...]
    filters: Mapping[str, str] = field(default_factory=dict)
    volatile: frozenset[str] = frozenset()
    """Top-level fields left out of the hash: they change without meaning anything."""


@dataclass(frozen=True)
class Page:
    """One page of a list. ``records`` may still be unopened (``daemon/guard/wire.py``).

    ``total`` is the vendor's count of the whole list, None when it was not told (bare array).
    """

    number: int
    records: list[Any]
    total: int | None
    answered_at: datetime
    """The vendor's own ``Date`` when it sent one, else our clock."""
    request_seconds: float
    bare_array: bool = False
    repeated_key: str | None = None
    """A key that a record names twice, where a sample showed one."""
    rate: RateNote | None = None
    """Where its request stood in the vendor's quota and our budget."""


@dataclass(frozen=True)
class PageRequest:
    """What to ask for: page ``number`` (from 1) of ``size`` records, sorted as named."""

    entity: Entity
    number: int
    size: int
    sort_by: str
    descending: bool
    wanted: Callable[[], bool] | None = None
    """Tells whether it still is: what is not wanted any more is not tried again. None: it always is."""


@dataclass(frozen=True)
class PingResult:
    """What a ping found; ``ok`` false carries a code with its reason and remedy."""

    ok: bool
    base_url: str
    elapsed_ms: float
    authenticated: bool | None = None
    sample_count: int | None = None
    code: str | None = None
    reason: str | None = None
    remedy: str | None = None


@dataclass(frozen=True)
class CheckResult:
    """What one page of a list answered. ``status`` None: no answer came; ``keys`` are the first record's."""

    ok: bool
    endpoint: str
    elapsed_ms: float
    status: int | None = None
    keys: tuple[str, ...] = ()
    count: int | None = None
    total: int | None = None
    code: str | None = None
    reason: str | None = None
    remedy: str | None = None


class Connector(Protocol):
    """One vendor account, ready to be read."""

    entities: Mapping[str, Entity]
    page_size: int
    max_concurrency: int

    def identity(self) -> dict[str, str] | None:
        """Whose account the key belongs to (stable fields only); None when the key's role may not ask."""
        ...

    def page(self, request: PageRequest) -> Page:
        """One page. Raises a ``VendorFault``, ``Deferred`` or ``StopRequested``."""
        ...

    def record(self, entity: Entity, record_id: str) -> Any:
        """One record by its id, as the list would hold it. Raises as ``page``; for one that the vendor does not have
        ``EntityRefused`` with the status 404 or 410."""
        ...

    def ping(self) -> PingResult:
        """At most two requests: is the vendor there, does it know us, does it give data?"""
        ...

    def check(self, endpoint: str, page_size: int) -> CheckResult:
        """One request for the first page of an entity's list, and what came of it."""
        ...


@dataclass(frozen=True)
class Opened:
    """A connector in use, and how to end it: ``abort`` from any thread at once, ``settle`` and ``close`` in order."""

    connector: Connector
    abort: Callable[[], None]
    settle: Callable[[], None]
    close: Callable[[], None]


class Account(Protocol):
    """One vendor account as the daemon runs it."""

    entry: CatalogEntry
    is_drill: bool
    findings: tuple[Finding, ...]

    @property
    def source_kind(self) -> str:
        """``live`` or ``drill``."""
        ...

    @property
    def secrets(self) -> tuple[str | None, ...]:
        """What the mask must know."""
        ...

    @property
    def limits(self) -> BudgetLimits:
        """Requests allowed per window."""
        ...

    @property
    def page_size(self) -> int:
        """Records asked for per request."""
        ...

    def published(self) -> dict[str, Any]:
        """Settings as they run, masked, for the page."""
        ...

    def open(self, database: Database, clock: Clock, *, stop: threading.Event, witness: Witness) -> Opened:
        """A guarded connector for one run or ping."""
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...
