"""What can be asked for, put into words that the gate takes: one constructor per kind of wish, which refuses nonsense.

A wish decides nothing: whether it may be had is the gate's business (``common/operator_actions.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from common.access import Action
from common.catalog import CATALOG, CatalogEntry
from common.errors import Refused
from common.excerpt import excerpt

MODES = ("delta", "backfill", "since")
_WHOLE = ("backfill", "since")
"""Modes that read every page of a list, whatever they write of it."""
SHARED = frozenset({Action.PING, Action.CHECK})
"""Questions to the vendor: whoever asks the same again within ``SHARED_SECONDS`` gets the same answer."""
SHARED_SECONDS = 10.0


@dataclass(frozen=True)
class Wish:
    """What is asked for. ``payload`` is the action's own."""

    action: Action
    integration: str
    account_key: str = "main"
    payload: Mapping[str, Any] = field(default_factory=dict)


def run_wish(
    integration: str,
    *,
    mode: str,
    entities: tuple[str, ...] | None = None,
    since: datetime | None = None,
    dry_run: bool = False,
    continues_run_id: str | None = None,
    account_key: str = "main",
) -> Wish:
    """A wish to run. ``entities`` None means all; ``since`` makes it a `since` run. Raises ``Refused`` for nonsense."""
    entry = catalog_entry(integration)
    mode = "since" if since is not None else mode
    if mode not in MODES:
        raise Refused("UNKNOWN_MODE", mode=mode)
    chosen = entities or entry.entities
    for entity in chosen:
        if entity not in entry.entities:
            raise Refused("UNKNOWN_ENTITY", entity=entity, known=", ".join(entry.entities))
    if mode == "since" and since is None:
        raise Refused("SINCE_UNUSABLE", value="nothing")
    payload = {
        "mode": mode,
        "entities": [entity for entity in entry.entities if entity in chosen],
        "since": _in_utc(since) if since else None,
        "dry_run": dry_run,
        "continues_run_id": continues_run_id,
    }
    return Wish(Action.RUN, integration, account_key, payload)


SCHEDULE = "schedule"
"""The source of what a daemon's own scheduler asks for."""


def is_backfill_by_hand(payload: Mapping[str, Any], source: str) -> bool:
    """Whether a run of this payload is what ALLOW_MANUAL_BACKFILL=false refuses: it reads every page, and not because
    the schedule says so."""
    return source != SCHEDULE and payload["mode"] in _WHOLE


def check_wish(integration: str, *, endpoint: str, page_size: int = 1) -> Wish:
    """A wish to read one page of a list. ``endpoint`` is an entity of the catalogue, never a path."""
    entry = catalog_entry(integration)
    if endpoint not in entry.entities:
        raise Refused("UNKNOWN_ENTITY", entity=endpoint, known=", ".join(entry.entities))
    return Wish(Action.CHECK, integration, payload={"endpoint": endpoint, "page_size": page_size})


def _in_utc(since: datetime) -> str:
    try:
        if since.tzinfo is not None:
            return since.astimezone(UTC).isoformat()
    except OverflowError:  # within a day of the year 1 or 9999
        pass
    raise Refused("SINCE_UNUSABLE", value=since.isoformat())


def parse_since(text: str) -> datetime:
    """An ISO moment; without a zone it is UTC. Raises ``Refused`` with an example."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise Refused("SINCE_UNUSABLE", value=excerpt(text)) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def catalog_entry(integration: str) -> CatalogEntry:
    """The integration's entry. Raises ``Refused`` for one that is not there."""
    if integration not in CATALOG:
        raise Refused("UNKNOWN_INTEGRATION", integration=integration, known=", ".join(CATALOG))
    return CATALOG[integration]
