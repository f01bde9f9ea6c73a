"""Design §6: a delta stops early only in a list that is proven to come newest first; else it reads the whole list."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from common.store.database import Database
from tests.harness import Engine, engine
from tests.integration.small_vendor import Answer, SmallVendor, id_of, tenant
from tests.truth import table

TENANTS = ("tenants",)


@pytest.fixture
def vendor() -> Iterator[SmallVendor]:
    """Forty tenants, sorted as asked, five a page."""
    with SmallVendor([tenant(number) for number in range(40)]) as server:
        server.sorts = True
        yield server


@pytest.fixture
def house(vendor: SmallVendor, database_url: str) -> Iterator[Engine]:
    """An engine that has read all of them."""
    with engine(None, database_url, **vendor.reach, DOORLOOP_PAGE_SIZE="5") as running:
        assert running.run("backfill", TENANTS).state == "succeeded"
        vendor.asked.clear()
        yield running


def edit(vendor: SmallVendor, number: int, minute: int, **changes: Any) -> None:
    """Change a tenant at a minute of the day after the first ones."""
    stamp = f"2025-01-02T00:{minute:02d}:00.000Z"
    vendor.records[number] = vendor.records[number] | {"updatedAt": stamp, **changes}


def delta(house: Engine) -> list[str]:
    """Its warnings."""
    outcome = house.run("delta", TENANTS)
    assert outcome.state == "succeeded"
    return outcome.warnings("tenants")


def assert_all_here(vendor: SmallVendor, database: Database) -> None:
    """The table holds what the vendor has."""
    here = {record_id: row["raw"] for record_id, row in table(database, "tenants").items()}
    assert here == {record["id"]: record for record in vendor.records}


@pytest.mark.parametrize("with_a_new_one", [False, True])
def test_a_list_sorted_by_another_key_is_read_whole(
    vendor: SmallVendor, house: Engine, database: Database, with_a_new_one: bool
) -> None:
    """A vendor that heeds `sort_descending` and ignores `sort_by`: its newest records fall, no change is among them."""

    def by_birth(number: int) -> Answer:
        falling = sorted(vendor.records, key=lambda record: str(record["createdAt"]), reverse=True)
        return Answer({"total": len(falling), "data": falling[(number - 1) * 5 : number * 5]})

    vendor.bend_page = by_birth
    edit(vendor, 2, 0, name="changed before")  # one that is known, by which the orders differ
    assert house.run("backfill", TENANTS).state == "succeeded"
    for number in range(3):
        edit(vendor, 4 + number, 1 + 10 * number, name=f"changed {number}")
        if with_a_new_one:
            stamp = f"2025-01-02T00:{10 * number + 5:02d}:00.000Z"
            vendor.records.append(tenant(60 + number, createdAt=stamp, updatedAt=stamp))
        warnings = delta(house)
        assert_all_here(vendor, database)
    assert warnings == ["ORDER_NOT_PROVEN"]


def test_a_list_newest_first_is_left_early(vendor: SmallVendor, house: Engine, database: Database) -> None:
    """It costs two pages older than the overlap of ten minutes, and no question by id."""
    edit(vendor, 3, 1, name="changed")
    assert delta(house) == []
    assert_all_here(vendor, database)
    assert (vendor.pages_asked, vendor.ids_asked) == ([1, 2, 3, 4, 5], [])


@pytest.mark.parametrize("listed", [False, True], ids=["gone", "no longer listed"])
def test_records_that_left_the_list_leave_the_order_proven(
    vendor: SmallVendor, house: Engine, database: Database, listed: bool
) -> None:
    """As many are missed as there are more here than the list holds; nobody is asked, deleted or only archived."""
    edit(vendor, 3, 1, name="changed")
    archived = {record["id"]: record for record in vendor.records[35:]}
    del vendor.records[35:]
    vendor.bend_record = lambda record_id: Answer(archived[record_id]) if listed else None
    assert delta(house) == []
    assert (vendor.pages_asked, vendor.ids_asked) == ([1, 2, 3, 4], [])
    assert table(database, "tenants")[id_of(3)]["raw"]["name"] == "changed"


def test_three_that_are_gone_speak_for_the_others(vendor: SmallVendor, house: Engine, database: Database) -> None:
    """Where others came for them the total does not tell: the newest are asked for by id."""
    for number in range(5):
        stamp = f"2025-01-02T00:{number:02d}:00.000Z"
        vendor.records.append(tenant(60 + number, createdAt=stamp, updatedAt=stamp))
    del vendor.records[35:40]
    vendor.records.append(tenant(70, updatedAt="2024-01-01T00:00:00.000Z"))  # not read yet, but counted
    assert delta(house) == []
    assert vendor.ids_asked == [id_of(39), id_of(38), id_of(37)]


def test_a_record_changed_while_the_list_is_read_leaves_the_order_proven(
    vendor: SmallVendor, house: Engine, database: Database
) -> None:
    """It moved to the top, past the reader: the next delta brings it."""
    edit(vendor, 3, 1, name="changed")

    def change(number: int) -> None:
        if number == 1:
            vendor.records[35] |= {"updatedAt": datetime.now(UTC).isoformat(), "name": "changed meanwhile"}

    vendor.after_page = change
    assert delta(house) == []
    assert vendor.ids_asked == [id_of(35)]
    vendor.after_page = lambda _: None
    assert delta(house) == []
    assert_all_here(vendor, database)


def test_who_may_not_be_asked_by_id_proves_nothing(vendor: SmallVendor, house: Engine, database: Database) -> None:
    """When in doubt the whole list is read."""
    edit(vendor, 3, 1, name="changed")
    del vendor.records[39]
    vendor.records.append(tenant(70, updatedAt="2024-01-01T00:00:00.000Z"))
    vendor.bend_record = lambda _: Answer({"message": "not for you"}, 405)
    assert delta(house) == ["ORDER_NOT_PROVEN"]
    assert table(database, "tenants")[id_of(3)]["raw"]["name"] == "changed"


def test_records_without_a_stamp_at_the_lists_end_are_read(
    vendor: SmallVendor, house: Engine, database: Database
) -> None:
    """A record without the key counts as new, wherever the vendor puts it."""
    vendor.records[7] = vendor.records[7] | {"updatedAt": ""}
    assert house.run("backfill", TENANTS).state == "succeeded"
    vendor.records[7] = vendor.records[7] | {"name": "changed"}
    assert delta(house) == ["UPDATED_AT_MISSING"]
    assert_all_here(vendor, database)


def test_a_record_without_a_stamp_that_is_gone_is_not_looked_for(vendor: SmallVendor, house: Engine) -> None:
    """Its row would make each delta read the whole list until a full run marks it removed."""
    vendor.records[7] = vendor.records[7] | {"updatedAt": ""}
    assert house.run("backfill", TENANTS).state == "succeeded"
    del vendor.records[7]
    vendor.records.append(tenant(70, updatedAt="2024-01-01T00:00:00.000Z"))
    assert delta(house) == []
    assert vendor.ids_asked == [id_of(7)]


def test_a_delta_that_is_gone_on_with_looks_for_no_record_without_a_stamp(vendor: SmallVendor, house: Engine) -> None:
    """Those at the top were met by the run before, which nobody remembers; they cost the whole list once more."""
    for number in (7, 8):
        vendor.records[number] = vendor.records[number] | {"updatedAt": None}  # sorts first here
    assert house.run("backfill", TENANTS).state == "succeeded"
    vendor.bend_page = lambda number: Answer({}, 503) if number == 3 else None
    assert house.run("delta", TENANTS).state != "succeeded"
    vendor.bend_page = lambda _: None
    vendor.asked.clear()
    assert delta(house) == []
    assert vendor.pages_asked[0] == 2
    assert len(vendor.pages_asked) < 8


def test_a_dry_delta_doubts_no_order_that_the_run_would_not(vendor: SmallVendor, house: Engine) -> None:
    """Law 5: what it would insert counts as being here; else those that left the list seem to be missed."""
    archived = {record["id"]: record for record in vendor.records[35:]}
    del vendor.records[35:]
    vendor.bend_record = lambda record_id: Answer(archived[record_id]) if record_id in archived else None
    for number in range(3):
        stamp = f"2025-01-02T00:{number:02d}:00.000Z"
        vendor.records.append(tenant(60 + number, createdAt=stamp, updatedAt=stamp))
    told, done = house.run("delta", TENANTS, dry_run=True), house.run("delta", TENANTS)
    assert told.warnings("tenants") == done.warnings("tenants") == []
    assert told.counts("tenants") == done.counts("tenants")


def test_records_put_aside_are_listed_all_the_same(vendor: SmallVendor, house: Engine) -> None:
    """They stand in the list's total, and not among the rows: two that left it are still seen to have left."""
    stamp = "2025-01-02T00:00:00.000Z"
    vendor.records += [tenant(60 + n, createdAt=stamp, updatedAt=stamp, active={"a": n}) for n in range(2)]
    archived = {record["id"]: record for record in vendor.records[38:40]}
    del vendor.records[38:40]
    vendor.bend_record = lambda record_id: Answer(archived[record_id]) if record_id in archived else None
    assert house.run("delta", TENANTS).warnings("tenants") == []
    assert delta(house) == ["KNOWN_DEAD_LETTERS"]


def test_what_is_met_twice_is_counted_once(vendor: SmallVendor, house: Engine) -> None:
    """Pages and rows add up at the end of an entity, where a delta's doubt has its list read from the start as well."""
    edit(vendor, 38, 0, name="known")
    edit(vendor, 39, 0, name="known")
    edit(vendor, 20, 1, name="hidden")
    vendor.records.append(tenant(60, createdAt="2025-01-03T00:00:00.000Z", updatedAt="2025-01-03T00:00:00.000Z"))
    by_creation = sorted(vendor.records, key=lambda record: str(record["createdAt"]), reverse=True)
    vendor.bend_page = lambda number: Answer({"total": 41, "data": by_creation[(number - 1) * 5 : number * 5]})
    for dry_run in (True, False):
        run = house.run("delta", TENANTS, dry_run=dry_run)
        assert run.warnings("tenants") == ["ORDER_NOT_PROVEN"]
        assert run.counts("tenants") == (1, 3, 37, 0, 0)
        assert run.entities["tenants"]["received"] == 41
