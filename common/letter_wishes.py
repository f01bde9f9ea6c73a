"""What can be asked for about dead letters: requeue them, discard them, or cancel such an action.

A wish for all that match a filter carries what was counted when it was shown: how many, and the newest letter's id. It
takes only letters up to that id, and is refused when more match than were counted; so nothing is touched that nobody
was shown. Letters that were recovered meanwhile are simply fewer.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from common.access import Action
from common.errors import Refused
from common.excerpt import excerpt
from common.wishes import Wish, catalog_entry

MOST_IDS = 1000
MOST_REASON_CHARACTERS = 500


@dataclass(frozen=True)
class Matching:
    """Which letters: those of an entity, code and fingerprint (None: any), or those with these ids."""

    entity: str | None = None
    code: str | None = None
    fingerprint: str | None = None
    ids: tuple[int, ...] | None = None


def requeue_wish(
    integration: str,
    which: Matching,
    *,
    counted: int | None = None,
    last_id: int | None = None,
    account_key: str = "main",
) -> Wish:
    """Read these open letters' records again. ``counted`` and ``last_id`` as shown; not needed with ids.

    Raises ``Refused`` for nonsense.
    """
    return Wish(Action.REQUEUE, integration, account_key, _payload(integration, which, counted, last_id))


def discard_wish(
    integration: str,
    which: Matching,
    *,
    reason: str,
    counted: int | None = None,
    last_id: int | None = None,
    account_key: str = "main",
) -> Wish:
    """Close these open letters for good, until their record comes with another content. Raises ``Refused``."""
    payload = _payload(integration, which, counted, last_id)
    if not reason.strip():
        raise Refused("REASON_MISSING")
    payload["reason"] = excerpt(reason.strip(), MOST_REASON_CHARACTERS)
    return Wish(Action.DISCARD, integration, account_key, payload)


def cancel_wish(integration: str, bulk_id: str, *, account_key: str = "main") -> Wish:
    """End a requeue or discard where it is; what it did stays done. Raises ``Refused`` for what is no id."""
    catalog_entry(integration)
    try:
        known = str(uuid.UUID(bulk_id))
    except ValueError:
        raise Refused("UNKNOWN_BULK_ACTION", id=excerpt(bulk_id, 40)) from None
    return Wish(Action.CANCEL_BULK, integration, account_key, {"bulk_id": known})


def _payload(integration: str, which: Matching, counted: int | None, last_id: int | None) -> dict[str, Any]:
    entry = catalog_entry(integration)
    if which.entity is not None and which.entity not in entry.entities:
        raise Refused("UNKNOWN_ENTITY", entity=which.entity, known=", ".join(entry.entities))
    if which.ids is not None:
        counted = _number_of(which.ids)
    if counted is None or counted < 1:
        raise Refused("LETTERS_UNCOUNTED", problem="It was not said how many letters that would be")
    chosen = asdict(which) | {"ids": sorted(set(which.ids)) if which.ids is not None else None}
    return {"filter": chosen, "counted": counted, "last_id": last_id}


def _number_of(ids: Sequence[int]) -> int:
    if not 0 < len(ids) <= MOST_IDS:
        raise Refused("LETTERS_UNCOUNTED", problem=f"{len(ids)} letters were named, and 1 to {MOST_IDS} can be")
    return len(set(ids))
