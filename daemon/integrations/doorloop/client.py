"""Reads DoorLoop: identity, pages, ping (DoorLoop fact sheet §2–§5, §11)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from common.clock import Clock
from common.errors import Deferred, EntityRefused, IccError, StopRequested, VendorFault
from common.excerpt import name_in_words
from common.rules.identity import IDENTITY_FIELDS
from daemon.guard.answers import repeated_key
from daemon.guard.guard import Guard
from daemon.guard.wire import Envelope, open_list
from daemon.integrations.base import CheckResult, Entity, Page, PageRequest, PingResult
from daemon.integrations.doorloop.entities import ENTITIES

IDENTITY_PATH = "/users/me"
LARGEST_TOTAL = 1_000_000_000
"""A list that claims more is wrong, and its number would fit no column."""
ATTEMPTS_PER_RECORD = 3
"""A record that the vendor always fails at must not open the breaker for the others (it opens after five failures)."""
MOST_RECORDS = 10_000
"""On one page: ten times the largest that can be asked for. A list that pays no heed to the page size, and is longer,
is too much at once."""
MOST_KEYS = 200
"""Of a record's keys so many are told in a check."""


class DoorLoop:
    """One DoorLoop account behind its guard. ``base_url`` is only for the ping's words."""

    entities: Mapping[str, Entity] = ENTITIES

    def __init__(self, guard: Guard, clock: Clock, *, base_url: str, page_size: int, max_concurrency: int) -> None:
        self.page_size = page_size
        self.max_concurrency = max_concurrency
        self._guard = guard
        self._clock = clock
        self._base_url = base_url

    def identity(self) -> dict[str, str] | None:
        """The user behind the key; None when its role may not ask (unverified whether every role may)."""
        try:
            reply = self._guard.get(IDENTITY_PATH, {}, entity="users")
        except EntityRefused:
            return None
        return _identity_of(reply.body)

    def page(self, request: PageRequest) -> Page:
        """One page of a list."""
        entity = request.entity
        body, answer, rate = self._guard.get(
            entity.path, _params(request), entity=entity.name, parse=open_list, wanted=request.wanted
        )
        records, total = _open_envelope(body, entity.path)
        if len(records) > MOST_RECORDS:
            raise EntityRefused("PAGE_TOO_LONG", path=entity.path, count=len(records), asked=request.size)
        return Page(
            number=request.number,
            records=records,
            total=total,
            answered_at=answer.vendor_now,
            request_seconds=answer.elapsed_seconds,
            bare_array=isinstance(body, list),
            repeated_key=repeated_key(answer.body) if request.number == 1 else None,
            rate=rate,
        )

    def record(self, entity: Entity, record_id: str) -> Any:
        """One record by its id (``GET /{resource}/{id}``, fact sheet §7), tried less often than a page."""
        path = f"{entity.path}/{quote(record_id, safe='')}"
        return self._guard.get(path, {}, entity=entity.name, attempts=ATTEMPTS_PER_RECORD).body

    def ping(self) -> PingResult:
        """``/users/me`` and a one-row list, one try each: a person waits for it."""
        started = self._clock.monotonic()
        authenticated: bool | None = None
        try:
            try:
                self._guard.get(IDENTITY_PATH, {}, entity="users", for_ping=True, attempts=1)
            except EntityRefused as refusal:
                if refusal.code != "ROLE_FORBIDDEN":
                    raise
            authenticated = True
            first = PageRequest(next(iter(ENTITIES.values())), 1, 1, "createdAt", descending=False)
            reply = self._guard.get(first.entity.path, _params(first), entity="owners", for_ping=True, attempts=1)
            records, _total = _open_envelope(reply.body, first.entity.path)
        except (IccError, Deferred, StopRequested) as error:
            return self._failed(error, started, authenticated)
        return PingResult(
            ok=True,
            base_url=self._base_url,
            elapsed_ms=self._elapsed_ms(started),
            authenticated=True,
            sample_count=len(records),
        )

    def check(self, endpoint: str, page_size: int) -> CheckResult:
        """The first page of a list, one try: its status, its first record's keys, how many came."""
        started = self._clock.monotonic()
        first = PageRequest(ENTITIES[endpoint], 1, page_size, "createdAt", descending=False)
        try:
            reply = self._guard.get(first.entity.path, _params(first), entity=endpoint, for_ping=True, attempts=1)
            records, total = _open_envelope(reply.body, first.entity.path)
        except (IccError, Deferred, StopRequested) as error:
            code, reason, remedy = _in_words(error)
            status = error.status if isinstance(error, VendorFault) else None
            elapsed = self._elapsed_ms(started)
            return CheckResult(False, endpoint, elapsed, status, code=code, reason=reason, remedy=remedy)
        found = sorted(records[0], key=str) if records and isinstance(records[0], dict) else []
        keys = tuple(map(name_in_words, found[:MOST_KEYS]))
        return CheckResult(True, endpoint, self._elapsed_ms(started), reply.answer.status, keys, len(records), total)

    def _failed(self, error: Exception, started: float, authenticated: bool | None) -> PingResult:
        code, reason, remedy = _in_words(error)
        if code == "KEY_REFUSED":
            authenticated = False
        return PingResult(
            ok=False,
            base_url=self._base_url,
            elapsed_ms=self._elapsed_ms(started),
            authenticated=authenticated,
            code=code,
            reason=reason,
            remedy=remedy,
        )

    def _elapsed_ms(self, started: float) -> float:
        return round((self._clock.monotonic() - started) * 1000, 1)


def _in_words(error: Exception) -> tuple[str, str, str]:
    """Code, reason and remedy of what kept a ping or check from its answer."""
    if isinstance(error, IccError):
        return error.code, error.cause, error.remedy
    if isinstance(error, Deferred):
        return error.code, str(error), "Nothing to do; ask again then."
    return "STOPPED", "The daemon is stopping.", "Ask again when it is back."


def _params(request: PageRequest) -> dict[str, str]:
    # DoorLoop ignores parameters it does not know: `page`/`limit` would bring the first 50 rows for ever.
    return {
        "page_size": str(request.size),
        "page_number": str(request.number),
        "sort_by": request.sort_by,
        "sort_descending": "true" if request.descending else "false",
        **request.entity.filters,
    }


def _open_envelope(body: Any, path: str) -> tuple[list[Any], int | None]:
    if isinstance(body, Envelope):
        return body.data, _usable_total(body.total)
    if isinstance(body, list):
        return body, None
    if not isinstance(body, dict):
        raise EntityRefused("WRONG_ENVELOPE", path=path, problem=f"a {type(body).__name__} came")
    records = body.get("data")
    if not isinstance(records, list):
        keys = ", ".join(map(name_in_words, sorted(body, key=str)[:8])) or "nothing"
        raise EntityRefused("WRONG_ENVELOPE", path=path, problem=f"no list under `data` (keys: {keys})")
    return records, _usable_total(body.get("total"))


def _usable_total(total: Any) -> int | None:
    """A count; ``60.0`` is one as well."""
    if isinstance(total, float) and total.is_integer():
        total = int(total)
    return total if type(total) is int and 0 <= total <= LARGEST_TOTAL else None


def _identity_of(body: Any) -> dict[str, str] | None:
    """The stable scalars of /users/me; of a nested company or account its id."""
    if not isinstance(body, dict):
        return None
    found: dict[str, str] = {}
    for key in IDENTITY_FIELDS:
        value = body.get(key)
        if isinstance(value, dict):
            value = value.get("id") or value.get("_id")
        if isinstance(value, str | int) and not isinstance(value, bool):
            found[key] = str(value)
    return found or None
