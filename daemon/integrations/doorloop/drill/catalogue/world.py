"""The drill's world: which records exist, their ids, times and references, all in closed form.

Sources: DoorLoop fact sheet §8 (ids of 24 hexadecimal digits, ISO time stamps, plain id references).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from time import gmtime

from .dice import key_of
from .order import UpdateRanks

ENTITIES = ("owners", "properties", "units", "leases", "tenants")
MAX_ROWS = 16_000_000  # the last six hexadecimal digits of an id carry the index

CREATED_FROM_MS = 1_546_300_800_000  # 2019-01-01
UPDATED_FROM_MS = 1_735_689_600_000  # 2025-01-01: every record was touched after the last one was made
CREATED_SPAN_MS = UPDATED_FROM_MS - CREATED_FROM_MS
UPDATED_SPAN_MS = 270 * 86_400_000

INACTIVE_PERCENT = {"owners": 5, "properties": 3, "units": 8}
GROUPS = 8


@dataclass(frozen=True)
class World:
    """What (seed, rows) determine. `rows` is the number of records per entity before any mutation."""

    seed: int
    rows: Mapping[str, int]
    _keys: dict[str, bytes] = field(init=False, repr=False, compare=False)
    _salts: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for entity, count in self.rows.items():
            if entity not in ENTITIES or not 0 <= count <= MAX_ROWS:
                raise ValueError(
                    f"{entity}: rows must be 0 to {MAX_ROWS} of one of {', '.join(ENTITIES)}, not {count}."
                )
        keys = {entity: key_of(self.seed, entity) for entity in (*ENTITIES, "other")}
        object.__setattr__(self, "_keys", keys)
        object.__setattr__(self, "_salts", {entity: int.from_bytes(key[8:12], "big") for entity, key in keys.items()})

    @cached_property
    def ranks(self) -> dict[str, UpdateRanks]:
        """Return each entity's fixed order of last updates."""
        return {entity: UpdateRanks(self.rows[entity], self._salts[entity]) for entity in ENTITIES}

    def dice_key(self, entity: str) -> bytes:
        """Return the key of an entity's dice."""
        return self._keys[entity]

    def created_ms(self, entity: str, index: int) -> int:
        """Return when a record was made, in epoch milliseconds; every third shares the time of the one before."""
        tied = index - 1 if index % 3 == 2 else index
        return CREATED_FROM_MS + CREATED_SPAN_MS * tied // max(1, self.rows[entity])

    def updated_ms(self, entity: str, index: int) -> int:
        """Return when a record was last updated before any mutation, in epoch milliseconds."""
        ranks = self.ranks[entity]
        return UPDATED_FROM_MS + UPDATED_SPAN_MS * ranks.tie_start(ranks.rank_of(index)) // max(1, ranks.size)

    def id_at(self, entity: str, index: int, created_ms: int) -> str:
        """Return an id as MongoDB makes them: seconds, machine, counter; so ids rise with creation time."""
        return f"{created_ms // 1000:08x}{self._keys[entity][:5].hex()}{index:06x}"

    def id_of(self, entity: str, index: int) -> str:
        """Return the id of a record that existed from the start."""
        return self.id_at(entity, index, self.created_ms(entity, index))

    def is_active(self, entity: str, index: int) -> bool:
        """Return whether a record starts as active: evenly spread, so that a small world has inactive ones too.

        Arithmetic only, since lists of units ask it a million times.
        """
        return (index * 61 + self._salts[entity]) % 100 >= INACTIVE_PERCENT.get(entity, 0)

    # References: every one points to a record that existed from the start.

    def property_of_unit(self, unit: int) -> int | None:
        """Return the index of a unit's property; None in a world without properties."""
        count = self.rows["properties"]
        return unit % count if count else None

    def units_of_lease(self, lease: int) -> list[int]:
        """Return the indexes of a lease's units, two of one property now and then."""
        units, properties = self.rows["units"], self.rows["properties"]
        if not units:
            return []
        first = lease % units
        second = first + properties
        return [first, second] if lease % 20 == 7 and properties and second < units else [first]

    def property_of_lease(self, lease: int) -> int | None:
        """Return the index of the property that a lease's units belong to."""
        units = self.units_of_lease(lease)
        return self.property_of_unit(units[0]) if units else None

    def owners_of_property(self, index: int) -> list[int]:
        """Return the indexes of a property's owners, one or two."""
        count = self.rows["owners"]
        if not count:
            return []
        first = index % count
        return [first, (first + 1) % count] if index % 6 == 5 and count > 1 else [first]

    def properties_of_owner(self, owner: int) -> list[int]:
        """Return the indexes of the first properties that an owner owns as main owner, six at most."""
        if owner >= self.rows["owners"]:
            return []
        return list(range(owner, self.rows["properties"], self.rows["owners"]))[:6]

    def lease_of_tenant(self, tenant: int) -> int | None:
        """Return the index of the lease a tenant signed; every fifth is a prospect without one."""
        leases = self.rows["leases"]
        return tenant % leases if leases and not is_prospect(tenant) else None

    def tenants_of_lease(self, lease: int) -> list[int]:
        """Return the indexes of the first tenants who signed a lease, three at most."""
        signed = range(lease, self.rows["tenants"], max(1, self.rows["leases"]))
        return [tenant for tenant in signed[:4] if not is_prospect(tenant)][:3]

    def group_id(self, property_index: int) -> str:
        """Return the id of a property's group."""
        number = property_index % GROUPS
        return f"{CREATED_FROM_MS // 1000:08x}{self._keys['other'][:5].hex()}{number:06x}"


def is_prospect(tenant: int) -> bool:
    """Return whether a tenant record is a prospect; the tenants list holds both kinds."""
    return tenant % 5 == 4


def iso(epoch_ms: int) -> str:
    """Return an instant as the vendor writes it: 2025-03-04T05:06:07.089Z."""
    seconds, ms = divmod(epoch_ms, 1000)
    at = gmtime(seconds)
    return f"{at[0]}-{at[1]:02}-{at[2]:02}T{at[3]:02}:{at[4]:02}:{at[5]:02}.{ms:03}Z"


def day(epoch_ms: int) -> str:
    """Return the date of an instant: 2025-03-04."""
    at = gmtime(epoch_ms // 1000)
    return f"{at[0]}-{at[1]:02}-{at[2]:02}"
