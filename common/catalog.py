"""One entry per integration: what the page, the daemon and the API call it and may expect of it.

Adding an integration is one entry here and one folder under ``daemon/integrations/``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CatalogEntry:
    """What everyone may know of an integration without asking it."""

    key: str
    label: str
    icon: str
    colour: str
    entities: tuple[str, ...]
    api_base_url: str
    docs_url: str
    status_url: str
    limits_in_words: str
    module: str


DOORLOOP = CatalogEntry(
    key="doorloop",
    label="DoorLoop",
    icon="🏢",
    colour="#1d4ed8",
    entities=("owners", "properties", "units", "leases", "tenants"),
    api_base_url="https://app.doorloop.com/api",
    docs_url="https://api.doorloop.com/reference",
    status_url="https://status.doorloop.com",
    limits_in_words="50 requests a minute and 500 an hour (DoorLoop reference, rate limiting)",
    module="daemon.integrations.doorloop",
)

CATALOG: dict[str, CatalogEntry] = {entry.key: entry for entry in (DOORLOOP,)}
"""Every integration by its key."""
