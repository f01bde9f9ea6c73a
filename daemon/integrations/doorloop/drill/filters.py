"""The list filters, spelled as the vendor spells them (DoorLoop fact sheet §7).

A filter takes a population, an index and the asked value. Most decide by arithmetic on the world; the rest look into
the record. What the vendor does with an unknown value is not verified: here it matches nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from .catalogue.draft import Record
from .catalogue.places import property_type
from .catalogue.population import Population
from .catalogue.world import day, is_prospect

Criteria = tuple[tuple[str, str], ...]
Match = Callable[[Population, int, str], bool]


def criteria_of(entity: str, params: Mapping[str, str]) -> Criteria:
    """Return the filters that a query names, in a fixed order; units show only active ones unless asked."""
    known = FILTERS[entity]
    asked = {name: value for name, value in params.items() if name in known and value != ""}
    if entity == "units" and asked.setdefault("filter_active", "true").lower() == "all":
        del asked["filter_active"]
    return tuple(sorted(asked.items()))


def matching(population: Population, indexes: Sequence[int], name: str, value: str) -> list[int]:
    """Return the indexes that one filter lets through, in their order."""
    match = FILTERS[population.entity][name]
    return [index for index in indexes if match(population, index, value)]


def _active(population: Population, index: int, value: str) -> bool:
    wanted = value.lower()
    return wanted == "all" or wanted == ("true" if population.is_active(index) else "false")


def _homes(population: Population, index: int) -> list[int]:
    """Return the indexes of the properties a record belongs to."""
    world, entity = population.world, population.entity
    if entity == "properties":
        return [index]
    if entity == "owners":
        return world.properties_of_owner(index)
    if entity == "units":
        home = world.property_of_unit(index)
        return [] if home is None else [home]
    lease = index if entity == "leases" else world.lease_of_tenant(index)
    home = None if lease is None else world.property_of_lease(lease)
    return [] if home is None else [home]


def _property(population: Population, index: int, value: str) -> bool:
    return any(population.world.id_of("properties", home) == value for home in _homes(population, index))


def _group(population: Population, index: int, value: str) -> bool:
    return any(population.world.group_id(home) == value for home in _homes(population, index))


def _owner(population: Population, index: int, value: str) -> bool:
    world = population.world
    return any(
        world.id_of("owners", owner) == value
        for home in _homes(population, index)
        for owner in world.owners_of_property(home)
    )


def _property_class(population: Population, index: int, value: str) -> bool:
    return any(property_type(home)[2] == value for home in _homes(population, index))


def _unit(population: Population, index: int, value: str) -> bool:
    world = population.world
    lease = index if population.entity == "leases" else world.lease_of_tenant(index)
    return lease is not None and any(world.id_of("units", unit) == value for unit in world.units_of_lease(lease))


def _lease(population: Population, index: int, value: str) -> bool:
    world = population.world
    lease = world.lease_of_tenant(index)
    return lease is not None and world.id_of("leases", lease) == value


def _tenant(population: Population, index: int, value: str) -> bool:
    world = population.world
    count = world.rows["leases"]
    signed = range(index, world.rows["tenants"], count) if count else ()
    return any(world.id_of("tenants", tenant) == value for tenant in signed if not is_prospect(tenant))


def _tenant_type(_: Population, index: int, value: str) -> bool:
    return value == ("PROSPECT_TENANT" if is_prospect(index) else "LEASE_TENANT")


def _text(population: Population, index: int, value: str) -> bool:
    record = population.record(index)
    wanted = value.lower()
    texts = [str(record.get(key) or "") for key in ("name", "fullName", "companyName", "reference", "description")]
    texts.extend(mail["address"] for mail in record.get("emails", ()))
    return any(wanted in text.lower() for text in texts)


def _term(population: Population, index: int, value: str) -> bool:
    # The field says Fixed or AtWill, the filter Rollover or AtWill: a fixed lease may roll over.
    record = population.record(index)
    if value == "Rollover":
        return record["term"] == "Fixed" and str(record["rolloverToAtWill"]).lower() == "true"
    return bool(record["term"] == value)


def _status(population: Population, index: int, value: str) -> bool:
    return bool(population.record(index)["status"] == value)


def _owes_more(population: Population, index: int, value: str) -> bool:
    try:
        return bool(population.record(index)["outstandingBalance"] > float(value))
    except ValueError:
        return False


def _created(population: Population, index: int, value: str, *, from_: bool) -> bool:
    made = day(population.created_ms(index))
    return made >= value if from_ else made <= value


def _date(key: str, *, from_: bool) -> Match:
    """Return a filter on a date field, borders included; a record without the date does not match."""

    def match(population: Population, index: int, value: str) -> bool:
        found = str(population.record(index).get(key) or "")
        return found != "" and (found >= value if from_ else found <= value)

    return match


def _created_from(population: Population, index: int, value: str) -> bool:
    return _created(population, index, value, from_=True)


def _created_to(population: Population, index: int, value: str) -> bool:
    return _created(population, index, value, from_=False)


_PLACE: dict[str, Match] = {"filter_group": _group, "filter_property": _property, "filter_text": _text}

FILTERS: dict[str, dict[str, Match]] = {
    "owners": {
        **_PLACE,
        "filter_active": _active,
        "filter_management_ends_before": _date("managementEndDate", from_=False),
        "filter_createdAt_from": _created_from,
        "filter_createdAt_to": _created_to,
    },
    "properties": {
        "filter_text": _text,
        "filter_group": _group,
        "filter_class": _property_class,
        "filter_owner": _owner,
    },
    "units": {**_PLACE, "filter_owner": _owner, "filter_active": _active},
    "leases": {
        **_PLACE,
        "filter_owner": _owner,
        "filter_unit": _unit,
        "filter_tenant": _tenant,
        "filter_propertyClass": _property_class,
        "filter_start_date_from": _date("start", from_=True),
        "filter_start_date_to": _date("start", from_=False),
        "filter_end_date_from": _date("end", from_=True),
        "filter_end_date_to": _date("end", from_=False),
        "filter_outstandingBalanceGreaterThan": _owes_more,
        "filter_status": _status,
        "filter_term": _term,
    },
    "tenants": {**_PLACE, "filter_lease": _lease, "filter_unit": _unit, "filter_type": _tenant_type},
}


def lease_tenant_matches(joined: Record, params: Mapping[str, str]) -> bool:
    """Return whether a joining record passes the filters of leases/tenants that are about one field."""
    for name, key in (("filter_lease", "lease"), ("filter_property", "property"), ("filter_status", "status")):
        if params.get(name) and joined[key] != params[name]:
            return False
    return params.get("filter_text", "").lower() in joined["name"].lower()
