"""What a record is written from, and the fields that all five entities share (DoorLoop fact sheet §8)."""

from __future__ import annotations

from typing import Any

from .dice import Dice
from .vocabulary import CITIES, STREETS
from .world import World, iso

Record = dict[str, Any]


class Draft:
    """One record about to be written: who it is, how often it was changed, and its dice."""

    __slots__ = ("active", "created_ms", "dice", "entity", "index", "revision", "updated_ms", "world")

    def __init__(
        self, world: World, entity: str, index: int, *, created_ms: int, updated_ms: int, revision: int, active: bool
    ) -> None:
        self.world = world
        self.entity = entity
        self.index = index
        self.created_ms = created_ms
        self.updated_ms = updated_ms
        self.revision = revision
        self.active = active
        self.dice = Dice(world.dice_key(entity), index)

    @property
    def id(self) -> str:
        """Return the record's id."""
        return self.world.id_at(self.entity, self.index, self.created_ms)

    def revised(self, text: str) -> str:
        """Return a text in which a person sees how often the record was changed."""
        return f"{text} (revision {self.revision})".strip() if self.revision else text


def add_history(record: Record, draft: Draft) -> Record:
    """Add the fields that live payloads carry although the vendor's spec lacks them."""
    dice = draft.dice
    record["createdAt"] = _moment(draft.created_ms, dice.roll())
    record["updatedAt"] = _moment(draft.updated_ms, dice.roll())
    user = f"5c2a9e80{dice.below(6):016x}"
    record["createdBy"] = user
    if dice.chance(90):
        record["updatedBy"] = user if dice.chance(50) else None
    if dice.chance(30):
        record["batch"] = f"import-{draft.index // 50}"
    if dice.chance(3):
        _add_unknown(record, dice)
    return record


def _moment(epoch_ms: int, roll: int) -> str | int:
    """Return an instant, mostly as ISO text, for some 3 % as Unix time: seconds when whole, else milliseconds."""
    if roll % 100 >= 3:
        return iso(epoch_ms)
    return epoch_ms if epoch_ms % 1000 else epoch_ms // 1000


def _add_unknown(record: Record, dice: Dice) -> None:
    """Add a field that no spec names: unknown fields must be kept and never fail a row."""
    if dice.chance(50):
        record["legacyImportId"] = f"QB-{dice.roll()}"
    else:
        record["customFields"] = {"parkingSpot": dice.pick(("A1", "B7", None)), "score": dice.below(100) / 10}


def address(draft: Draft, *, located: bool = False) -> Record:
    """Return a US address; `located` adds what only properties show: state, coordinates and their check."""
    dice = draft.dice
    city, state, zip_start, lat, lng = dice.pick(CITIES)
    found: Record = {
        "street1": f"{100 + dice.below(9800)} {dice.pick(STREETS)}",
        "street2": dice.pick(("", "", "", None, f"Apt {1 + dice.below(40)}", f"Suite {100 + dice.below(300)}")),
        "city": city,
        "state": state,
        "zip": f"{zip_start}{dice.below(100):02}",
        "country": "US",
    }
    if located:
        here = (round(lat + dice.below(1000) / 10_000, 6), round(lng + dice.below(1000) / 10_000, 6))
        # The spec says text, live data shows numbers: one in eight keeps to the spec.
        found["lat"], found["lng"] = map(str, here) if dice.chance(12) else here
        found["isValidAddress"] = dice.chance(95)
    return found


def money(dice: Dice, low: int, high: int) -> int | float:
    """Return an amount in dollars: a plain JSON number, whole or with cents."""
    amount = low + dice.roll() * (high - low) // 65_536
    return amount if dice.chance(70) else amount + dice.below(100) / 100


def maybe(record: Record, key: str, value: object, roll: int) -> None:
    """Set a field, or leave it null, empty or out: all of these occur in live payloads."""
    luck = roll % 100
    if luck < 70:
        record[key] = value
    elif luck < 80:
        record[key] = None
    elif luck < 88:
        record[key] = ""
