"""DoorLoop's five main lists and the columns we keep of them (DoorLoop fact sheet §7 and §8).

Two spellings in one column are the vendor's own: its specification misspells fields that live answers spell right.
References are plain ids and are not enforced: a key's role may see a lease but not its property.
"""

from __future__ import annotations

from daemon.integrations.base import Column, Entity, Kind


def _column(name: str, kind: Kind, *sources: str, sensitive: bool = False) -> Column:
    head, *rest = name.split("_")
    return Column(name, kind, sources or (head + "".join(word.capitalize() for word in rest),), sensitive)


_STAMPS = (
    _column("created_at", "timestamp"),
    _column("updated_at", "timestamp"),
    _column("created_by", "text"),
    _column("updated_by", "text"),
)

_PERSON = (
    _column("first_name", "text", sensitive=True),
    _column("middle_name", "text", sensitive=True),
    _column("last_name", "text", sensitive=True),
    _column("name", "text", sensitive=True),
    _column("full_name", "text", sensitive=True),
    _column("gender", "text", sensitive=True),
    _column("date_of_birth", "date", sensitive=True),
    _column("timezone", "text"),
    _column("company", "text"),
    _column("company_name", "text"),
    _column("job_title", "text"),
    _column("notes", "text", sensitive=True),
    _column("email", "text", "emails.0.address", sensitive=True),
    _column("phone", "text", "phones.0.number", sensitive=True),
    _column("e164_phone", "text", "e164PhoneMobileNumber", sensitive=True),
    _column("city", "text", "primaryAddress.city"),
    _column("state", "text", "primaryAddress.state"),
    _column("zip", "text", "primaryAddress.zip"),
    _column("portal_status", "text", "portalInfo.status"),
    _column("portal_login_email", "text", "portalInfo.loginEmail", sensitive=True),
)

OWNERS = Entity(
    name="owners",
    path="/owners",
    columns=(
        *_PERSON,
        _column("active", "boolean"),
        _column("management_start_date", "date"),
        _column("management_end_date", "date"),
        _column("property_ids", "texts", "properties"),
        *_STAMPS,
    ),
)

PROPERTIES = Entity(
    name="properties",
    path="/properties",
    columns=(
        _column("name", "text"),
        _column("type", "text"),
        _column("type_description", "text"),
        _column("class", "text"),
        _column("street1", "text", "address.street1"),
        _column("street2", "text", "address.street2"),
        _column("city", "text", "address.city"),
        _column("state", "text", "address.state"),
        _column("zip", "text", "address.zip"),
        _column("country", "text", "address.country"),
        _column("lat", "numeric", "address.lat"),
        _column("lng", "numeric", "address.lng"),
        _column("description", "text"),
        _column("active", "boolean"),
        _column("num_active_units", "numeric"),
        _column("owner_ids", "texts", "owners.*.owner"),
        _column("purchase_date", "date"),
        _column("purchase_price", "numeric"),
        _column("current_value", "numeric"),
        *_STAMPS,
    ),
)

UNITS = Entity(
    name="units",
    path="/units",
    # Without it only active units come back, and the others would look deleted.
    filters={"filter_active": "all"},
    columns=(
        _column("name", "text"),
        _column("property_id", "text", "property"),
        _column("active", "boolean"),
        _column("address_same_as_property", "boolean"),
        _column("street1", "text", "address.street1"),
        _column("city", "text", "address.city"),
        _column("state", "text", "address.state"),
        _column("zip", "text", "address.zip"),
        _column("beds", "numeric"),
        _column("baths", "numeric"),
        _column("size", "numeric"),
        _column("market_rent", "numeric"),
        _column("description", "text"),
        _column("in_eviction", "boolean"),
        _column("listed", "boolean"),
        _column("listing_active", "boolean", "listing.activeListing"),
        _column("listing_rent", "numeric", "listing.rent"),
        _column("listing_deposit", "numeric", "listing.deposit"),
        _column("listing_date_available", "date", "listing.dateAvailable"),
        *_STAMPS,
    ),
)

LEASES = Entity(
    name="leases",
    path="/leases",
    columns=(
        _column("name", "text", sensitive=True),
        _column("property_id", "text", "property"),
        _column("unit_ids", "texts", "units"),
        _column("reference", "text"),
        _column("start_date", "date", "start"),
        _column("end_date", "date", "end"),
        _column("term", "text"),
        _column("status", "text"),
        _column("rollover_to_at_will", "boolean"),
        _column("notes", "text", sensitive=True),
        _column("eviction_pending", "boolean", "evictionPending", "evictonPending"),
        _column("proof_of_insurance_required", "boolean"),
        _column("proof_of_insurance_provided", "boolean"),
        _column("proof_of_insurance_expiration_date", "date"),
        _column("total_balance_due", "numeric", "totalBalanceDue", "totalBalancedue"),
        _column("total_recurring_charges", "numeric", "totalRecurringCharges", "TotalRecurringCharges"),
        _column("total_deposits_held", "numeric"),
        _column("total_recurring_rent", "numeric"),
        _column("total_recurring_payments", "numeric"),
        _column("total_recurring_credits", "numeric"),
        _column("current_balance", "numeric"),
        _column("outstanding_balance", "numeric"),
        _column("overdue_balance", "numeric"),
        _column("upcoming_balance", "numeric"),
        _column("recurring_rent_status", "text"),
        _column("recurring_rent_frequency", "text"),
        _column("last_late_fees_processed_date", "date"),
        *_STAMPS,
    ),
)

TENANTS = Entity(
    name="tenants",
    path="/tenants",
    columns=(
        *_PERSON,
        _column("type", "text"),
        _column("active", "boolean"),
        _column("portal_last_seen_at", "timestamp", "portalInfo.lastSeenAt"),
        _column("prospect_status", "text", "prospectInfo.status"),
        _column("stripe_customer_id", "text", sensitive=True),
        _column("accepted_on_tos", "text", "acceptedOnTOS"),
        *_STAMPS,
    ),
)

ENTITIES = {entity.name: entity for entity in (OWNERS, PROPERTIES, UNITS, LEASES, TENANTS)}
"""The lists by name, in the order in which they are read."""
