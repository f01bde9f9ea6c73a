"""Leases and the small list of lease tenants (DoorLoop fact sheet §8)."""

from __future__ import annotations

from .dice import Dice
from .draft import Draft, Record, add_history, maybe, money
from .vocabulary import LAST_NAMES, NOTES
from .world import World, day

DAY_MS = 86_400_000


def lease(draft: Draft) -> Record:
    """Return a lease. The vendor's spec and its live data spell three fields differently: half the records each way."""
    dice, world = draft.dice, draft.world
    home, units = world.property_of_lease(draft.index), world.units_of_lease(draft.index)
    at_will, ended = dice.chance(22), dice.chance(25)
    start_ms = draft.created_ms - dice.below(60) * DAY_MS
    record: Record = {
        "id": draft.id,
        "property": None if home is None else world.id_of("properties", home),
        "units": [world.id_of("units", unit) for unit in units],
        "name": f"{dice.pick(LAST_NAMES)} & {dice.pick(LAST_NAMES)} – lease {draft.index + 1}",
        "reference": f"L-{draft.index + 1:06}",
        "start": day(start_ms),
        "term": "AtWill" if at_will else "Fixed",
        "status": "INACTIVE" if ended else "ACTIVE",
        # The spec says text, live data shows a boolean.
        "rolloverToAtWill": ("true" if dice.chance(50) else "false") if dice.chance(12) else dice.chance(60),
    }
    if not at_will:
        record["end"] = day(start_ms + (365 if dice.chance(70) else 730) * DAY_MS)
    elif dice.chance(40):
        record["end"] = None
    maybe(record, "notes", dice.pick(NOTES), dice.roll())
    if draft.revision:
        record["notes"] = draft.revised(record.get("notes") or "")
    _insurance(record, draft)
    _amounts(record, draft, owes=dice.chance(30))
    if dice.chance(30):
        # Tenants are not reliably embedded: most leases name none.
        record["tenants"] = [world.id_of("tenants", tenant) for tenant in world.tenants_of_lease(draft.index)]
    record["renewalInfo"] = {"status": dice.pick(("NOT_STARTED", "OFFERED", "DECLINED", None)), "offers": []}
    record["settings"] = {
        "allowPartialPayments": dice.chance(50),
        "lateFee": {"active": dice.chance(70), "graceDays": dice.below(7), "amount": money(dice, 25, 120)},
        "sendRentReminders": dice.chance(80),
    }
    return add_history(record, draft)


def _insurance(record: Record, draft: Draft) -> None:
    dice = draft.dice
    record["proofOfInsuranceRequired"] = dice.chance(50)
    record["proofOfInsuranceProvided"] = record["proofOfInsuranceRequired"] and dice.chance(70)
    if record["proofOfInsuranceProvided"]:
        expires = day(draft.updated_ms + dice.below(365) * DAY_MS)
        maybe(record, "proofOfInsuranceExpirationDate", expires, dice.roll())


def _amounts(record: Record, draft: Draft, *, owes: bool) -> None:
    dice = draft.dice
    rent = money(dice, 650, 4_200) + 25 * draft.revision
    balance = round(rent * (1 + dice.below(3)) / 2, 2) if owes else 0
    as_in_spec = dice.chance(50)
    record["evictonPending" if as_in_spec else "evictionPending"] = dice.chance(2)
    record["totalBalancedue" if as_in_spec else "totalBalanceDue"] = balance
    record["TotalRecurringCharges" if as_in_spec else "totalRecurringCharges"] = rent + dice.below(4) * 15
    record.update(
        totalDepositsHeld=money(dice, 0, 5_000),
        totalRecurringRent=rent,
        totalRecurringPayments=rent if dice.chance(40) else 0,
        totalRecurringCredits=0,
        currentBalance=balance,
        outstandingBalance=balance,
        overdueBalance=balance if dice.chance(50) else 0,
        upcomingBalance=None if dice.chance(10) else rent,
        recurringRentStatus=dice.pick(("ACTIVE", "ENDED", "NOT_SET")),
        recurringRentFrequency=dice.pick(("MONTHLY", "MONTHLY", "WEEKLY", "QUARTERLY")),
    )
    if dice.chance(40):
        record["lastLateFeesProcessedDate"] = day(draft.updated_ms - dice.below(40) * DAY_MS)


def lease_tenant(world: World, tenant: int) -> Record | None:
    """Return the joining record of one tenant and the lease they signed; None for a prospect."""
    signed = world.lease_of_tenant(tenant)
    if signed is None:
        return None
    dice = Dice(world.dice_key("other"), tenant)
    home = world.property_of_lease(signed)
    moved_in_ms = world.created_ms("leases", signed)
    status = dice.pick(("CURRENT", "CURRENT", "CURRENT", "PAST", "FUTURE"))
    return {
        "id": f"{moved_in_ms // 1000:08x}{world.dice_key('other')[5:10].hex()}{tenant:06x}",
        "lease": world.id_of("leases", signed),
        "tenant": world.id_of("tenants", tenant),
        "name": f"{dice.pick(LAST_NAMES)} {tenant + 1}",
        "property": None if home is None else world.id_of("properties", home),
        "units": [world.id_of("units", unit) for unit in world.units_of_lease(signed)],
        "status": status,
        "moveInAt": day(moved_in_ms),
        "moveOutAt": day(moved_in_ms + 400 * DAY_MS) if status == "PAST" else None,
        "moveOutNoticeAt": None,
        "portalEnabled": dice.chance(60),
    }
