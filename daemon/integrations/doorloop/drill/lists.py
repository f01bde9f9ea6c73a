"""Lists: page rules, sorting and the envelope (DoorLoop fact sheet §5, §11.4 and §11.5)."""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Literal, Protocol

from .catalogue.population import Population, TimeKey
from .filters import Criteria, criteria_of, matching

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000
KEPT_VIEWS = 24

PageSizePolicy = Literal["clamp", "reject"]


class BadParameterError(ValueError):
    """A parameter the vendor would refuse; only under the `reject` policy."""


@dataclass(frozen=True, slots=True)
class ListQuery:
    """One list request, read. `sort_by` is a field's name; an unknown one means the default, createdAt."""

    entity: str
    page_size: int = DEFAULT_PAGE_SIZE
    page_number: int = 1
    sort_by: str = "createdAt"
    descending: bool = False
    criteria: Criteria = ()

    @property
    def start(self) -> int:
        """Return how many rows stand before this page."""
        return (self.page_number - 1) * self.page_size


@dataclass(slots=True)
class Page:
    """What a list shows: the claimed total, and the indexes of the rows on this page."""

    total: int
    indexes: list[int]


def read_query(entity: str, params: Mapping[str, str], policy: PageSizePolicy) -> ListQuery:
    """Return the list that query parameters ask for; unknown parameters are ignored, as the vendor does.

    Whether the vendor refuses or clamps a page size outside 1 to 1000 is not verified: `policy` decides. Clamping takes
    1000 for more, and the default for anything that is no positive number.

    Raises:
        BadParameterError: under `reject`, a page size or number that is out of range.
    """
    return ListQuery(
        entity,
        _number(params, "page_size", DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, policy),
        _number(params, "page_number", 1, 1_000_000_000, policy),
        params.get("sort_by") or "createdAt",
        params.get("sort_descending", "").lower() in ("true", "1"),
        criteria_of(entity, params),
    )


def _number(params: Mapping[str, str], name: str, default: int, most: int, policy: PageSizePolicy) -> int:
    text = params.get(name)
    if text is None:
        return default
    number = int(text) if text.isascii() and text.isdecimal() else 0
    if 1 <= number <= most:
        return number
    if policy == "reject":
        raise BadParameterError(f"{name} must be a number from 1 to {most}.")
    return most if number > most else default


class Lists:
    """Answers list queries. Only sorts by other fields and filters cost a scan, and that is kept until a mutation."""

    def __init__(self, populations: Mapping[str, Population]) -> None:
        self.populations = populations
        self._views: OrderedDict[tuple[object, ...], array[int]] = OrderedDict()
        self._lock = Lock()

    def page(self, query: ListQuery) -> Page:
        """Return one page; a page beyond the end is empty and shows the same total."""
        population = self.populations[query.entity]
        with population.lock:
            size, rows = self._rows(query, population)
            if query.descending:
                last = size - query.start
                return Page(size, rows.slice(max(0, last - query.page_size), max(0, last))[::-1])
            return Page(size, rows.slice(query.start, query.start + query.page_size))

    def _rows(self, query: ListQuery, population: Population) -> tuple[int, Sliceable]:
        active_only = query.criteria == (("filter_active", "true"),) and query.entity == "units"
        if query.sort_by in ("createdAt", "updatedAt", "id") and (active_only or not query.criteria):
            key: TimeKey = "updatedAt" if query.sort_by == "updatedAt" else "createdAt"
            order = population.order(key, active_only=active_only)
            return len(order), order
        view = self._view(query, population)
        return len(view), View(view)

    def _view(self, query: ListQuery, population: Population) -> array[int]:
        key = (query.entity, query.sort_by, query.criteria, population.version)
        with self._lock:
            if key in self._views:
                self._views.move_to_end(key)
                return self._views[key]
        built = _build_view(query, population)
        with self._lock:
            self._views[key] = built
            while len(self._views) > KEPT_VIEWS:
                self._views.popitem(last=False)
        return built


class Sliceable(Protocol):
    """What a page is cut from."""

    def slice(self, start: int, stop: int) -> list[int]:
        """Return the indexes at places start..stop-1."""
        ...


class View:
    """A scanned and kept order."""

    def __init__(self, indexes: Sequence[int]) -> None:
        self._indexes = indexes

    def slice(self, start: int, stop: int) -> list[int]:
        """Return the indexes at places start..stop-1."""
        return list(self._indexes[start:stop])


def _build_view(query: ListQuery, population: Population) -> array[int]:
    """Scan an entity once: the cheap criteria first, then whole records where a filter or a sort needs them."""
    key: TimeKey = "updatedAt" if query.sort_by == "updatedAt" else "createdAt"
    order = population.order(key)
    indexes: Sequence[int] = order.slice(0, len(order))
    for criterion in query.criteria:
        indexes = matching(population, indexes, *criterion)
    if query.sort_by not in ("createdAt", "updatedAt", "id"):
        ranked = [(sort_rank(population.record(index).get(query.sort_by)), index) for index in indexes]
        ranked.sort()
        indexes = [index for _, index in ranked]
    return array("I", indexes)


def sort_rank(value: Any) -> tuple[int, float, str]:
    """Return what mixed values are sorted by: nothing first, then booleans and numbers, then text."""
    if value is None:
        return (0, 0.0, "")
    if isinstance(value, int | float):
        return (1, float(value), "")
    return (2, 0.0, value if isinstance(value, str) else repr(value))
