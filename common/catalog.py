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
    plain_keys: frozenset[str] = frozenset()
    """Top-level keys of a record that say nothing of a person; a viewer sees the values of these and of no other."""


# Of DoorLoop fact sheet §8, what names or describes no person; an unknown key may, so it is not plain.
_DOORLOOP_PLAIN = frozenset((
    "id", "createdAt", "updatedAt", "active", "type", "typeDescription", "class", "status", "term", "start",
    "end", "property", "units", "properties", "managementStartDate", "managementEndDate", "numActiveUnits",
    "purchaseDate", "purchasePrice", "currentValue", "beds", "baths", "size", "marketRent", "inEviction",
    "listed", "addressSameAsProperty", "rolloverToAtWill", "proofOfInsuranceRequired",
    "proofOfInsuranceProvided", "proofOfInsuranceExpirationDate", "evictionPending", "evictonPending",
    "recurringRentStatus", "recurringRentFrequency", "totalRecurringRent", "totalRecurringCharges",
    "TotalRecurringCharges", "totalRecurringPayments", "totalRecurringCredits", "totalDepositsHeld",
    "lastLateFeesProcessedDate", "timezone", "acceptedOnTOS",
))  # fmt: skip

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
    plain_keys=_DOORLOOP_PLAIN,
)

CATALOG: dict[str, CatalogEntry] = {entry.key: entry for entry in (DOORLOOP,)}
"""Every integration by its key."""
