"""How a requeue reads its records again, how many requests it may take for that, and how its end is said. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from common.rules.wording import count

HOUR = timedelta(hours=1)
LEAST_REQUESTS = 2
"""Whose account it is, and one record: with less a run would bring nothing."""
# An id that means the same in a path as in a list: no dots, slashes or escapes that a proxy or library would change.
_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


class Way(StrEnum):
    """How the records are read again."""

    BY_ID = "by id"
    BY_LIST = "by list"


def askable(record_id: str | None) -> bool:
    """Whether a record can be asked for by its id; else only the list has it."""
    return record_id is not None and _PLAIN_ID.fullmatch(record_id) is not None


def cheaper_way(with_id: int, only_in_list: int, pages: int | None) -> Way:
    """The way that costs fewer requests: one each, or one list pass of ``pages`` (None: nobody knows how long it is).

    A letter that only the list has needs the pass anyway, and then the pass brings the others, too.
    """
    if only_in_list:
        return Way.BY_LIST
    return Way.BY_LIST if pages is not None and pages < with_id else Way.BY_ID


@dataclass(frozen=True)
class Share:
    """Requests that a requeue may send now (None: as many as it likes); ``free_at``: when there will be some again."""

    requests: int | None
    free_at: datetime | None = None


def share_of_hour(per_hour: int, spent: Iterable[tuple[datetime, int]], now: datetime) -> Share:
    """At most half of the hour's budget. ``spent``: (when it ended, its requests) of each requeue of the last hour.

    A run's requests count until an hour after its end, the earlier ones among them a little too long: never too few.
    """
    if per_hour <= 0:
        return Share(None)
    counted = [(ended_at, requests) for ended_at, requests in spent if ended_at + HOUR > now]
    left = max(per_hour // 2, LEAST_REQUESTS) - sum(requests for _, requests in counted)
    if left >= LEAST_REQUESTS or not counted:
        return Share(left)
    return Share(0, min(ended_at for ended_at, _ in counted) + HOUR)


_WORDS = {
    "same": "the same error",
    "other": "another error",
    "gone": "no longer sent by the vendor",
    "missed": "not met in the list",
}


def verdict(
    action: str,
    counted: int,
    outcomes: Mapping[str, int],
    *,
    cancelled_by: str | None = None,
    why_left: str | None = None,
) -> str:
    """How a requeue or discard ended: "412 of 430 recovered, 18 the same error".

    ``outcomes``: how many letters ended how (`control.bulk_letters.outcome`). ``why_left``: why some were not read.
    """
    main = "discarded" if action == "discard" else "recovered"
    parts = [f"{count(outcomes.get(main, 0))} of {count(counted)} {main}"]
    others = {**_WORDS, ("recovered" if main == "discarded" else "discarded"): "settled otherwise"}
    parts += [f"{count(outcomes[name])} {words}" for name, words in others.items() if outcomes.get(name)]
    left = outcomes.get("left", 0)
    if left:
        untouched = "left open" if action == "discard" else "not read"
        parts.append(f"{count(left)} {untouched}" + (f": {why_left}" if why_left and not cancelled_by else ""))
    said = ", ".join(parts)
    return f"Cancelled by {cancelled_by}: {said}" if cancelled_by else said
