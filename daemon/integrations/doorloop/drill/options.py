"""What a drill server is started with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import time

from .catalogue.world import ENTITIES
from .limits import LimitSettings
from .lists import PageSizePolicy

DEFAULT_KEY = "drill-key"
DEFAULT_ROWS = 200
CACHED_ROWS = 200_000


@dataclass(frozen=True)
class DrillOptions:
    """Settings of one drill server.

    `rows` per entity, `entity_rows` overrides it by name. Up to `cached_rows` records in all are kept as bytes (about
    1.1 KB each); above that every page is made anew. `now_ms` gives mutations their updatedAt in epoch milliseconds.
    """

    rows: int = DEFAULT_ROWS
    entity_rows: Mapping[str, int] = field(default_factory=dict)
    seed: int = 1
    port: int = 0
    key: str = DEFAULT_KEY
    limits: LimitSettings = field(default_factory=LimitSettings)
    page_size_policy: PageSizePolicy = "clamp"
    latency_seconds: float = 0.0
    cached_rows: int = CACHED_ROWS
    warm: bool = False
    now_ms: Callable[[], int] = field(default=lambda: int(time() * 1000), repr=False)

    def rows_per_entity(self) -> dict[str, int]:
        """Return how many records each entity starts with.

        Raises:
            ValueError: a name in `entity_rows` that is no entity.
        """
        unknown = sorted(set(self.entity_rows) - set(ENTITIES))
        if unknown:
            raise ValueError(f"There is no entity {', '.join(unknown)}. Known: {', '.join(ENTITIES)}.")
        return {entity: self.entity_rows.get(entity, self.rows) for entity in ENTITIES}
