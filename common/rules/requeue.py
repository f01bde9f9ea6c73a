"""How a requeue reads its records again, how many requests it may take for that, and how its end is said. Pure."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from common.rules.wording import count

HOUR = timedelta(hours=1)
LEAST_REQUESTS = 2
"""Whose account it is, and one record: with less a run would bring nothing."""
FEW_LETTERS = 2
"""So many are asked for by id at once; with more it is worth a request to learn how long the list is."""
SOME_LETTERS = 20
"""So many that a list did not show are asked for by id at least: each requeue then closes some that are gone."""
REFUSED_IN_A_ROW = 3
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


def worth_a_look(with_id: int, only_in_list: int, pages: int | None) -> bool:
    """Whether to read page 1 of a list first: it tells how long the list is, and nobody knows yet."""
    return pages is None and not only_in_list and with_id > FEW_LETTERS


def asked_after(unmet: int, pages: int, left: int | None) -> int:
    """How many of the records that a list of so many pages did not show are asked for by their ids.

    All, unless that is more than another pass would cost: then as many as that, or some at least, as far as the hour's
    share lasts (``left``; None: it has no end). One request is kept, to see whether ids lead to records at all.
    """
    if unmet <= pages:
        return unmet
    most = min(unmet, max(pages, SOME_LETTERS))
    return most if left is None else min(most, max(0, left - 1))


def pages_of(total: int | None, page_size: int) -> int | None:
    """How many pages a list has; None where nobody knows its total."""
    return None if total is None else max(1, -(-total // page_size))


@dataclass(frozen=True)
class ListPlace:
    """Where a list pass goes on that was cut short, and what it knew of the list; page 1: at its beginning."""

    next_page: int = 1
    total: int | None = None
    rows_per_page: int | None = None


def place_of(stored: Any, asked: Mapping[str, Any]) -> ListPlace:
    """The place that a requeue kept; the list's beginning where that was asked for otherwise then than now.

    Page 5 of pages of 100 begins far behind page 5 of pages of 20: the letters between would not be met.
    """
    if not isinstance(stored, Mapping):
        return ListPlace()
    next_page, total, rows = (_whole(stored.get(name)) for name in ("next_page", "total", "rows_per_page"))
    if any(stored.get(name) != value for name, value in asked.items()):
        return ListPlace(total=total)
    return ListPlace(next_page or 1, total, rows)


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) else None


class RefusedInARow:
    """Whether so many records in a row were refused alike that it is not about the records."""

    def __init__(self) -> None:
        self._kind: Hashable = None
        self._times = 0

    def by(self, kind: Hashable) -> bool:
        """Another one was refused by this kind of fault (None: it was not refused); true when that is one too many."""
        self._times = self._times + 1 if kind == self._kind else 1
        self._kind = kind
        return kind is not None and self._times >= REFUSED_IN_A_ROW


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
    "refused": "refused by the vendor",
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
