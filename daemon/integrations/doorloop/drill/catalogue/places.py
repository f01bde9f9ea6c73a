"""Properties and units (DoorLoop fact sheet §8)."""

from __future__ import annotations

from . import vocabulary as words
from .draft import Draft, Record, add_history, address, maybe, money
from .world import UPDATED_FROM_MS, day

DAY_MS = 86_400_000


def property_type(index: int) -> tuple[str, str, str]:
    """Return (type, description, class) of a property: lists of leases filter by the class of their property."""
    return words.PROPERTY_TYPES[(index * 5 + index // 7) % len(words.PROPERTY_TYPES)]


def property_(draft: Draft) -> Record:
    """Return a property with its owners and settings."""
    dice, world = draft.dice, draft.world
    kind, description, class_ = property_type(draft.index)
    place = address(draft, located=True)
    record: Record = {
        "id": draft.id,
        "name": f"{dice.pick(words.COMPANY_STEMS)} {dice.pick(words.PROPERTY_NAMES)} {draft.index + 1}",
        "type": kind,
        "typeDescription": description,
        "class": class_,
        "address": place,
        "active": draft.active,
        "numActiveUnits": 1 + dice.below(40) if class_ == "RESIDENTIAL" else 1 + dice.below(6),
    }
    maybe(record, "description", f"{description} in {place['city']}. {dice.pick(words.UNIT_TEXTS)}", dice.roll())
    if draft.revision:
        record["description"] = draft.revised(record.get("description") or "")
    owners = world.owners_of_property(draft.index)
    record["owners"] = [
        {"owner": world.id_of("owners", owner), "ownershipPercentage": 100 // len(owners)} for owner in owners
    ]
    pictures = range(1 + dice.below(3))
    record["pictures"] = [
        {"url": f"https://pictures.example.com/properties/{draft.index}/{number}.jpg", "rank": number}
        for number in pictures
    ]
    record["amenities"] = sorted({dice.pick(words.AMENITIES) for _ in range(4)})
    record["settings"] = {
        "propertyReserve": money(dice, 0, 2_000),
        "operatingAccount": f"5c2a9e81{dice.below(40):016x}",
        "defaultLateFee": {"active": dice.chance(60), "type": dice.pick(("FLAT", "PERCENT")), "amount": 50},
        "allowTenantRequests": dice.chance(80),
    }
    record["boardMembers"] = []
    record["petsPolicy"] = {"dogs": dice.pick(("YES", "SMALL_ONLY", "NO")), "cats": dice.chance(70)}
    if dice.chance(80):
        record["purchaseDate"] = day(draft.created_ms - dice.below(7000) * DAY_MS)
        record["purchasePrice"] = money(dice, 90_000, 4_000_000)
    maybe_value = money(dice, 110_000, 6_000_000) + 2500 * draft.revision
    record["currentValue"] = None if dice.chance(12) else maybe_value
    return add_history(record, draft)


def unit(draft: Draft) -> Record:
    """Return a unit; the vendor's list shows inactive ones only when asked."""
    dice, world = draft.dice, draft.world
    home = world.property_of_unit(draft.index)
    rent = money(dice, 650, 4_200) + 25 * draft.revision
    same_address = dice.chance(70)
    record: Record = {
        "id": draft.id,
        "name": f"{dice.pick(('Unit', 'Apt', '#', 'Suite'))} {1 + dice.below(30)}{dice.pick('ABCDEF')}",
        "property": None if home is None else world.id_of("properties", home),
        "active": draft.active,
        "addressSameAsProperty": same_address,
        "address": address(draft),
        "beds": dice.below(5),
        "baths": dice.pick((1, 1, 1.5, 2, 2.5, 3)),
        "marketRent": rent,
    }
    maybe(record, "size", 380 + dice.below(2400), (dice.roll() % 70) if dice.chance(85) else 75)
    maybe(record, "description", f"{dice.pick(words.UNIT_TEXTS)} {dice.pick(words.UNIT_TEXTS)}", dice.roll())
    record["amenities"] = sorted({dice.pick(words.UNIT_AMENITIES) for _ in range(3)})
    record["pictures"] = [
        {"url": f"https://pictures.example.com/units/{draft.index}/{number}.jpg", "rank": number}
        for number in range(1 + dice.below(2))
    ]
    record["listing"] = {
        "activeListing": dice.chance(20),
        "dateAvailable": day(UPDATED_FROM_MS + dice.below(500) * DAY_MS) if dice.chance(40) else None,
        "rent": rent,
        "deposit": round(rent * 1.5, 2),
        "contact": {"name": "Leasing office", "phone": f"(201) 555-{100 + dice.below(100):04}"},
        "leaseLength": dice.pick(("12 months", "6 months", "Month to month")),
    }
    record["inEviction"] = dice.chance(2)
    record["listed"] = record["listing"]["activeListing"]
    if dice.chance(30):
        record["rentalApplicationListing"] = {"allowApplications": dice.chance(50), "fee": 45}
    return add_history(record, draft)
