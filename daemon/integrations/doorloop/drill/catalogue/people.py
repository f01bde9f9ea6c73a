"""Owners and tenants (DoorLoop fact sheet §8)."""

from __future__ import annotations

from . import vocabulary as words
from .dice import Dice
from .draft import Draft, Record, add_history, address, maybe
from .world import day, is_prospect, iso

DAY_MS = 86_400_000
MAILBOX = str.maketrans(" ", ".", "'&,")


def owner(draft: Draft) -> Record:
    """Return an owner; about one in eight is a company, and most companies have no first and last name."""
    dice, world = draft.dice, draft.world
    record: Record = {"id": draft.id}
    name = _company_names(record, draft) if dice.chance(12) else _person_names(record, draft)
    _contacts(record, dice, name, draft.index)
    record["primaryAddress"] = address(draft)
    if dice.chance(15):
        record["alternateAddress"] = address(draft)
    maybe(record, "pictureUrl", f"https://pictures.example.com/owners/{draft.index}.jpg", dice.roll())
    record["active"] = draft.active
    start_ms = draft.created_ms - dice.below(1500) * DAY_MS
    maybe(record, "managementStartDate", day(start_ms), dice.roll())
    if not draft.active or dice.chance(10):
        maybe(record, "managementEndDate", day(start_ms + (900 + dice.below(2000)) * DAY_MS), dice.roll())
    record["federalTaxInfo"] = {"taxpayerName": name, "taxpayerId": f"9{dice.below(100):02}-00-{dice.below(10_000):04}"}
    if dice.chance(60):
        record["properties"] = [world.id_of("properties", index) for index in world.properties_of_owner(draft.index)]
    record["portalInfo"] = {"allowAccess": dice.chance(60), "status": dice.pick(("ACTIVE", "INACTIVE", "INVITED"))}
    if dice.chance(50):
        record["outgoingEPay"] = {"active": dice.chance(50), "limit": None}
    return add_history(record, draft)


def tenant(draft: Draft) -> Record:
    """Return a tenant; every fifth is a prospect, since the vendor's list holds both kinds."""
    dice, prospect = draft.dice, is_prospect(draft.index)
    record: Record = {"id": draft.id, "type": "PROSPECT_TENANT" if prospect else "LEASE_TENANT"}
    name = _person_names(record, draft)
    _contacts(record, dice, name, draft.index)
    if dice.chance(80):
        record["primaryAddress"] = address(draft)
    maybe(record, "pictureUrl", f"https://pictures.example.com/tenants/{draft.index}.jpg", dice.roll())
    record["dependants"] = [
        {"name": dice.pick(words.FIRST_NAMES), "relationship": "Child"} for _ in range(max(0, dice.below(5) - 2))
    ]
    record["emergencyContacts"] = [
        {
            "name": f"{dice.pick(words.FIRST_NAMES)} {record['lastName'] or ''}".strip(),
            "relationship": dice.pick(words.RELATIONS),
            "phone": _phone(dice),
        }
    ]
    record["pets"] = [{"type": dice.pick(words.PETS), "weight": 4 + dice.below(60)}] if dice.chance(35) else []
    # The spec misspells the plate of a car; live data shows both spellings.
    plate = "licensePlatae" if dice.chance(40) else "licensePlate"
    record["vehicles"] = [{"make": dice.pick(words.CAR_MAKES), plate: f"DRL{dice.below(10_000):04}"}]
    record["portalInfo"] = _portal(draft, record["emails"])
    if prospect:
        record["prospectInfo"] = _prospect(draft)
    elif dice.chance(40):
        record["stripeCustomerId"] = f"cus_drill{draft.index:08x}"
        record["screeningService"] = dice.pick((None, "TRANSUNION", ""))
    record["acceptedOnTOS"] = iso(draft.created_ms + DAY_MS) if dice.chance(50) else None
    return add_history(record, draft)


def _person_names(record: Record, draft: Draft) -> str:
    dice = draft.dice
    first, last = dice.pick(words.FIRST_NAMES), dice.pick(words.LAST_NAMES)
    record.update(firstName=first, lastName=last)
    maybe(record, "middleName", dice.pick(words.MIDDLE_NAMES), dice.roll())
    middle = record.get("middleName")
    record.update(name=f"{first} {last}", fullName=f"{first} {middle} {last}" if middle else f"{first} {last}")
    maybe(record, "gender", dice.pick(words.GENDERS), dice.roll())
    born = f"{1945 + dice.below(60)}-{1 + dice.below(12):02}-{1 + dice.below(28):02}"
    maybe(record, "dateOfBirth", born, dice.roll())
    maybe(record, "timezone", dice.pick(words.TIMEZONES), dice.roll())
    record["company"] = "false" if dice.chance(10) else False
    if dice.chance(20):
        record["companyName"] = dice.pick(("", None))
    maybe(record, "jobTitle", dice.pick(words.JOB_TITLES), dice.roll())
    _notes(record, draft)
    return f"{first} {last}"


def _company_names(record: Record, draft: Draft) -> str:
    dice = draft.dice
    name = f"{dice.pick(words.COMPANY_STEMS)} {dice.pick(words.COMPANY_FORMS)}"
    luck = dice.below(3)
    if luck < 2:
        record.update(firstName="" if luck else None, lastName="" if luck else None)
    # The spec says text, live data shows a boolean.
    record.update(name=name, fullName=name, company="true" if dice.chance(15) else True, companyName=name)
    _notes(record, draft)
    return name


def _notes(record: Record, draft: Draft) -> None:
    maybe(record, "notes", draft.dice.pick(words.NOTES), draft.dice.roll())
    if draft.revision:
        record["notes"] = draft.revised(record.get("notes") or "")


def _contacts(record: Record, dice: Dice, name: str, index: int) -> None:
    number = _phone(dice)
    record["phones"] = [{"type": "Mobile", "number": number}]
    if dice.chance(30):
        record["phones"].append({"type": dice.pick(words.PHONE_TYPES), "number": _phone(dice)})
    mailbox = name.lower().translate(MAILBOX).encode("ascii", "ignore").decode()
    record["emails"] = [{"type": "Primary", "address": f"{mailbox}.{index}@{dice.pick(words.EMAIL_HOSTS)}"}]
    if dice.chance(60):
        record["e164PhoneMobileNumber"] = f"+1{''.join(filter(str.isdigit, number))}"


def _phone(dice: Dice) -> str:
    return f"({201 + dice.below(700)}) 555-{100 + dice.below(100):04}"


def _portal(draft: Draft, emails: list[Record]) -> Record:
    dice = draft.dice
    status = dice.pick(("ACTIVE", "ACTIVE", "INACTIVE", "INVITED"))
    return {
        "allowAccess": dice.chance(80),
        "invitationLastSentAt": iso(draft.created_ms) if status != "INACTIVE" else None,
        "lastSeenAt": iso(draft.updated_ms - dice.below(20) * DAY_MS) if status == "ACTIVE" else None,
        "loginEmail": emails[0]["address"],
        "status": status,
    }


def _prospect(draft: Draft) -> Record:
    dice, world = draft.dice, draft.world
    interests = []
    if world.rows["units"]:
        unit = draft.index % world.rows["units"]
        home = world.property_of_unit(unit)
        interests = [
            {
                "unit": world.id_of("units", unit),
                "property": None if home is None else world.id_of("properties", home),
            }
        ]
    return {"status": dice.pick(("NEW", "CONTACTED", "TOURED", "APPLIED")), "interests": interests}
