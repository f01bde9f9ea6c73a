"""One entity's records as they stand now: the closed-form world plus an overlay of what was changed since."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from random import Random
from threading import RLock
from typing import Literal

import orjson

from .draft import Draft, Record
from .leases import lease
from .order import CreatedOrder, UpdatedOrder
from .people import owner, tenant
from .places import property_, unit
from .world import World

TimeKey = Literal["createdAt", "updatedAt"]

BUILDERS: dict[str, Callable[[Draft], Record]] = {
    "owners": owner,
    "properties": property_,
    "units": unit,
    "leases": lease,
    "tenants": tenant,
}


@dataclass(slots=True)
class Overlay:
    """What differs from the closed form for one touched record."""

    created_ms: int
    updated_ms: int
    revision: int
    active: bool


@dataclass(frozen=True, slots=True)
class Mutation:
    """The ids a mutation touched, in index order."""

    entity: str
    changed: list[str]
    added: list[str]
    deleted: list[str]
    deactivated: list[str]
    restored: list[str]


class Population:
    """All records of one entity. Thread-safe: pages and mutations take the same lock.

    `now_ms` gives mutations their time; it must never go back. `cached` keeps every served record as bytes.
    """

    def __init__(self, world: World, entity: str, *, now_ms: Callable[[], int], cached: bool) -> None:
        self.world = world
        self.entity = entity
        self.lock = RLock()
        self.version = 0
        self._now_ms = now_ms
        self._cache: dict[int, bytes] | None = {} if cached else None
        self._overlay: dict[int, Overlay] = {}
        self._deleted: set[int] = set()
        self._next_index = world.rows[entity]
        self._created = CreatedOrder(self._next_index)
        self._updated = UpdatedOrder(world.ranks[entity])
        self._active_orders: tuple[CreatedOrder, UpdatedOrder] | None = None

    def __len__(self) -> int:
        return len(self._created)

    # Reading

    def order(self, key: TimeKey, *, active_only: bool = False) -> CreatedOrder | UpdatedOrder:
        """Return an ascending order by one of the two times; hold `lock` while reading it."""
        created, updated = self._orders_of_active() if active_only else (self._created, self._updated)
        return created if key == "createdAt" else updated

    def bytes_of(self, index: int) -> bytes:
        """Return a record as served."""
        cache = self._cache
        if cache is None:
            return orjson.dumps(self.record(index))
        found = cache.get(index)
        if found is None:
            # A copy: what orjson returns keeps its grown buffer, up to eight times the record's size.
            found = cache[index] = bytes(memoryview(orjson.dumps(self.record(index))))
        return found

    def many_bytes(self, indexes: Iterable[int]) -> list[bytes]:
        """Return records as served, in the order asked for."""
        return [self.bytes_of(index) for index in indexes]

    def record(self, index: int) -> Record:
        """Return a record as a dictionary."""
        over = self._overlay.get(index) or self._untouched(index)
        return BUILDERS[self.entity](
            Draft(
                self.world,
                self.entity,
                index,
                created_ms=over.created_ms,
                updated_ms=over.updated_ms,
                revision=over.revision,
                active=over.active,
            )
        )

    def is_active(self, index: int) -> bool:
        """Return whether a record is active now."""
        over = self._overlay.get(index)
        return over.active if over else self.world.is_active(self.entity, index)

    def created_ms(self, index: int) -> int:
        """Return when a record was made, in epoch milliseconds."""
        over = self._overlay.get(index)
        return over.created_ms if over else self.world.created_ms(self.entity, index)

    def id_of(self, index: int) -> str:
        """Return the id of a record that exists or existed."""
        return self.world.id_at(self.entity, index, self.created_ms(index))

    def find(self, record_id: str) -> int | None:
        """Return the index behind an id, None when no such record exists now."""
        index = self._index_in(record_id)
        return None if index is None or index in self._deleted else index

    def stream(self, batch: int = 1000) -> Iterator[bytes]:
        """Yield every current record as served, oldest first; a mutation in between may shift the rest."""
        start = 0
        while True:
            with self.lock:
                found = self.many_bytes(self._created.slice(start, start + batch))
            if not found:
                return
            yield from found
            start += batch

    def warm(self) -> None:
        """Fill the cache, so that the first reading is as quick as the second."""
        if self._cache is not None:
            for _ in self.stream():
                pass

    # Changing

    def mutate(
        self,
        *,
        change: int = 0,
        add: int = 0,
        delete: int = 0,
        deactivate: int = 0,
        change_ids: Iterable[str] = (),
        delete_ids: Iterable[str] = (),
        restore_ids: Iterable[str] = (),
    ) -> Mutation:
        """Change, add, delete, deactivate or restore records; counts pick victims by seed and mutation number.

        Raises:
            ValueError: an id that does not exist, or a count above the number of records.
        """
        with self.lock:
            self.version += 1
            picks = self._pick(change + delete + deactivate)
            changed = [*picks[:change], *map(self._existing, change_ids)]
            deleted = [*picks[change : change + delete], *map(self._existing, delete_ids)]
            deactivated = picks[change + delete :]
            restored = [self._gone(record_id) for record_id in restore_ids]
            now_ms = self._now_ms()
            for index in (*changed, *restored):
                self._touch(index, now_ms)
            for index in deactivated:
                self._touch(index, now_ms, active=False)
            added = [self._add(now_ms) for _ in range(add)]
            for index in deleted:
                self._delete(index)
            return Mutation(self.entity, *map(self._ids, (changed, added, deleted, deactivated, restored)))

    def _pick(self, count: int) -> list[int]:
        if count > len(self):
            raise ValueError(f"{self.entity} has {len(self)} records; {count} cannot be picked from them.")
        # Seeded on purpose: a drill must play out the same way twice.
        dice = Random(f"{self.world.seed}:{self.entity}:{self.version}")  # noqa: S311 -- a drill must be repeatable
        places = dice.sample(range(len(self)), count)
        return [self._created.slice(place, place + 1)[0] for place in places]

    def _touch(self, index: int, now_ms: int, *, active: bool | None = None) -> None:
        over = self._overlay.setdefault(index, self._untouched(index))
        over.updated_ms, over.revision = now_ms, over.revision + 1
        over.active = over.active if active is None else active
        self._place(index, over)

    def _add(self, now_ms: int) -> int:
        index = self._next_index
        self._next_index += 1
        over = self._overlay[index] = Overlay(now_ms, now_ms, 0, active=True)
        self._place(index, over)
        return index

    def _place(self, index: int, over: Overlay) -> None:
        """Put a touched record at the end of the orders it belongs to, and out of those it left."""
        self._deleted.discard(index)
        self._forget(index)
        self._created.append(index)
        self._updated.append(index, over.updated_ms)
        if self._active_orders is None:
            return
        if over.active:
            self._active_orders[0].append(index)
            self._active_orders[1].append(index, over.updated_ms)
        else:
            for order in self._active_orders:
                order.discard(index)

    def _delete(self, index: int) -> None:
        self._deleted.add(index)
        self._forget(index)
        for order in (self._created, self._updated, *(self._active_orders or ())):
            order.discard(index)

    def _forget(self, index: int) -> None:
        if self._cache is not None:
            self._cache.pop(index, None)

    def _untouched(self, index: int) -> Overlay:
        world, entity = self.world, self.entity
        return Overlay(
            world.created_ms(entity, index), world.updated_ms(entity, index), 0, world.is_active(entity, index)
        )

    def _orders_of_active(self) -> tuple[CreatedOrder, UpdatedOrder]:
        """Return the orders without inactive records, built on first use: only units are listed that way by default."""
        if self._active_orders is None:
            size = self.world.rows[self.entity]
            out = [index for index in range(size) if index in self._deleted or not self.is_active(index)]
            created, updated = CreatedOrder(size, out), UpdatedOrder(self.world.ranks[self.entity], out)
            for index, over in sorted(self._overlay.items()):
                if over.active and index not in self._deleted:
                    created.append(index)
                    updated.append(index, over.updated_ms)
            self._active_orders = (created, updated)
        return self._active_orders

    def _index_in(self, record_id: str) -> int | None:
        try:
            index = int(record_id[18:], 16)
        except ValueError:
            return None
        return index if index < self._next_index and self.id_of(index) == record_id else None

    def _existing(self, record_id: str) -> int:
        index = self.find(record_id)
        if index is None:
            raise ValueError(f"{self.entity} has no record {record_id}.")
        return index

    def _gone(self, record_id: str) -> int:
        index = self._index_in(record_id)
        if index is None or index not in self._deleted:
            raise ValueError(f"{self.entity} has no deleted record {record_id}.")
        return index

    def _ids(self, indexes: Iterable[int]) -> list[str]:
        return [self.id_of(index) for index in sorted(indexes)]
