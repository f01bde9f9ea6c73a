"""A vendor whose pages were wrong once: whatever it showed, clean runs after that bring what it has."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from common.store.database import Database
from tests.harness import engine
from tests.integration.small_vendor import Answer, SmallVendor, tenant
from tests.truth import table

SIZE, NUMBER = 5, 33
PAGES = 7
Lie = Callable[[list[Any], int], list[Any]]
LIES: dict[str, Lie] = {
    "one missing": lambda records, page: of(records, page)[1:],
    "three missing": lambda records, page: of(records, page)[3:],
    "empty": lambda records, page: [],
    "the last page's": lambda records, page: of(records, PAGES),
    "the page's before": lambda records, page: of(records, max(1, page - 1)),
    "one of another": lambda records, page: [*of(records, page)[1:], records[-1 - page]],
    "one twice": lambda records, page: [*of(records, page)[:-1], of(records, page)[0]],
    "nameless": lambda records, page: [{**record, "id": None} for record in of(records, page)],
}


def daily(number: int) -> dict[str, Any]:
    """A record of its own day, so that no delta meets it by the way."""
    stamp = f"2025-{1 + number // 28:02d}-{1 + number % 28:02d}T00:00:00.000Z"
    return tenant(number, createdAt=stamp, updatedAt=stamp)


def of(records: list[Any], page: int) -> list[Any]:
    """What a page has."""
    return records[(page - 1) * SIZE : page * SIZE]


def settled(database: Database, records: list[Any]) -> bool:
    """Whether the table has the vendor's records and no others."""
    rows = {id_: row for id_, row in table(database, "tenants").items() if row["_removed_at"] is None}
    return {id_: row["raw"] for id_, row in rows.items()} == {record["id"]: record for record in records}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("page", [1, 4])
@pytest.mark.parametrize("mode", ["backfill", "delta"])
def test_a_page_that_was_wrong_once_is_forgotten(
    database_url: str, database: Database, lie: str, page: int, mode: str
) -> None:
    """Issue 3: one short, stale or empty page ended every run of a day at the same place, since the next one went on
    with what it had said; after a first delta with a wrong count the next ones succeeded without the record."""
    records = [daily(number) for number in range(NUMBER)]
    with (
        SmallVendor(records) as vendor,
        engine(None, database_url, DOORLOOP_PAGE_SIZE=str(SIZE), **vendor.reach) as house,
    ):
        vendor.sorts = True
        once = [Answer({"total": NUMBER, "data": LIES[lie](records, page)})]
        vendor.bend_page = lambda number: once.pop() if number == page and once else None
        house.run(mode, ("tenants",))
        assert not once
        again = [house.run(mode, ("tenants",)) for _ in range(2)]
        assert settled(database, records), [(run.state, run.code) for run in again]
        assert [run.state for run in again][-1] == "succeeded" or lie == "nameless"


@pytest.mark.parametrize("seed", range(4))
def test_pages_that_were_wrong_at_random_are_forgotten(database_url: str, database: Database, seed: int) -> None:
    """The same over several runs of a list that changes between them; a removal may take a second clean backfill."""
    dice = random.Random(seed)
    records = [daily(number) for number in range(NUMBER)]
    with (
        SmallVendor(records) as vendor,
        engine(None, database_url, DOORLOOP_PAGE_SIZE=str(SIZE), **vendor.reach) as house,
    ):
        vendor.sorts = True

        def bend(number: int) -> Answer | None:
            if dice.random() < 0.8 or number > PAGES:
                return None
            return Answer(
                {"total": len(vendor.records), "data": dice.choice(list(LIES.values()))(vendor.records, number)}
            )

        for round_ in range(4):
            vendor.bend_page = bend
            for _ in range(3):
                house.run(dice.choice(["backfill", "delta"]), ("tenants",))
            gone = dice.randrange(len(vendor.records) - SIZE)
            vendor.records = [*vendor.records[:gone], *vendor.records[gone + 1 :], daily(NUMBER + round_)]
            vendor.bend_page = lambda _: None
            ends = [house.run("backfill", ("tenants",)).state for _ in range(3)]
            assert settled(database, vendor.records), (round_, ends)
