"""Where a list ends: what stands behind its last page, and what a run that was cut short just there makes of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from common.store.database import Database
from tests.harness import Outcome, engine
from tests.integration.letters import ended, press_requeue, serve
from tests.integration.small_vendor import Answer, SmallVendor, tenant
from tests.truth import table

TENANTS = ("tenants",)
PAGE = 20
Bend = Callable[[int], Answer | None]


def living(database: Database) -> set[str]:
    """Ids of rows that are not marked removed."""
    return {id_ for id_, row in table(database, "tenants").items() if row["_removed_at"] is None}


def ids(records: list[dict[str, Any]]) -> set[str]:
    """Their ids."""
    return {record["id"] for record in records}


def warnings(run: Outcome) -> list[str]:
    """What a run warned of."""
    return [warning["code"] for warning in run.entities["tenants"]["warnings"]]


def cut(records: list[dict[str, Any]], *lengths: int) -> Bend:
    """Pages of these lengths, and a total that is right."""
    ends = [sum(lengths[: n + 1]) for n in range(len(lengths))]
    pages = [records[end - length : end] for end, length in zip(ends, lengths, strict=True)]
    return lambda n: Answer({"total": len(records), "data": pages[n - 1] if n <= len(pages) else []})


def test_a_page_behind_the_last_that_is_half_new_removes_nothing(database_url: str, database: Database) -> None:
    """Law 4: the total is too small by whole pages, and the list moved; what was not met is not gone."""
    records = [tenant(n) for n in range(70)]
    with SmallVendor(records) as vendor, engine(None, database_url, **vendor.reach) as house:
        assert house.run("backfill", TENANTS).state == "succeeded"
        shown = [records[:20], records[20:40], records[40:60], records[50:70]]
        vendor.bend_page = lambda n: Answer({"total": 60, "data": shown[n - 1] if n <= 4 else []})
        run = house.run("backfill", TENANTS)
        assert (run.counts("tenants")[3], warnings(run)) == (0, ["COUNT_DRIFT"])
        assert living(database) == ids(records)


@pytest.mark.parametrize("size", [10, 15, 25, 27])
def test_a_list_of_one_page_is_looked_behind_before_it_removes(
    database_url: str, database: Database, size: int
) -> None:
    """Law 4: a vendor begins to give fewer a page than it is asked for, and counts them; none of the others is gone."""
    records = [tenant(n) for n in range(28)]
    with SmallVendor(records) as vendor, engine(None, database_url, DOORLOOP_PAGE_SIZE="100", **vendor.reach) as house:
        house.run("backfill", TENANTS)

        def clamped(number: int) -> Answer:
            page = records[(number - 1) * size : number * size]
            return Answer({"total": len(page), "data": page})

        vendor.bend_page = clamped
        house.run("backfill", TENANTS)
        assert living(database) == ids(records)


@pytest.mark.parametrize("size", [20, 25])
@pytest.mark.parametrize("behind", ["empty", "refused", "again"])
def test_a_list_of_one_page_with_nothing_behind_removes(
    database_url: str, database: Database, behind: str, size: int
) -> None:
    """Law 4: the look costs one request."""
    records = [tenant(n) for n in range(28)]
    with SmallVendor(records) as vendor, engine(None, database_url, DOORLOOP_PAGE_SIZE="100", **vendor.reach) as house:
        house.run("backfill", TENANTS)
        assert vendor.pages_asked == [1, 2]
        left = records[:size]
        answers = {"empty": ({"total": size, "data": []}, 200), "refused": ({}, 400), "again": ({"data": left}, 200)}
        vendor.bend_page = lambda n: Answer(*answers[behind]) if n > 1 else Answer({"total": size, "data": left})
        assert house.run("backfill", TENANTS).counts("tenants")[3] == 28 - size
        assert living(database) == ids(left)
        assert vendor.pages_asked == [1, 2, 1, 2]


@pytest.mark.parametrize("size", [7, 25, 40])
def test_a_first_load_of_pages_that_count_themselves_is_whole(database_url: str, database: Database, size: int) -> None:
    """No record is lost: whatever number a page a vendor gives at most, and though it counts no others."""
    records = [tenant(n) for n in range(60)]
    with SmallVendor(records) as vendor, engine(None, database_url, DOORLOOP_PAGE_SIZE="100", **vendor.reach) as house:

        def clamped(number: int) -> Answer:
            newest_first = sorted(vendor.records, key=lambda record: str(record["updatedAt"]), reverse=True)
            page = newest_first[(number - 1) * size : number * size]
            return Answer({"total": len(page), "data": page})

        vendor.bend_page = clamped
        assert house.run("backfill", TENANTS).state == "succeeded"
        assert living(database) == ids(records)


def test_a_delta_that_is_new_to_its_end_is_looked_behind(database_url: str, database: Database) -> None:
    """No change is lost: the list has grown beyond what the vendor gives, and counts, on a page."""
    with (
        SmallVendor([tenant(n) for n in range(40)]) as vendor,
        engine(None, database_url, DOORLOOP_PAGE_SIZE="100", **vendor.reach) as house,
    ):
        assert house.run("backfill", TENANTS).state == "succeeded"
        stamp = "2025-01-02T00:00:00.000Z"
        vendor.records += [tenant(n, createdAt=stamp, updatedAt=stamp) for n in range(40, 100)]

        def clamped(number: int) -> Answer:
            page = vendor.records[::-1][(number - 1) * 50 : number * 50]
            return Answer({"total": len(page), "data": page})

        vendor.bend_page = clamped
        assert house.run("delta", TENANTS).state == "succeeded"
        assert living(database) == ids(vendor.records)


@pytest.mark.parametrize("behind", ["500", "cut short"])
def test_a_page_behind_the_end_that_does_not_come_ends_the_list(
    database_url: str, database: Database, behind: str
) -> None:
    """Issue 3: everything counted is here; it is tried once, opens no breaker, and nothing is gone for it."""
    records = [tenant(n) for n in range(20)]
    with SmallVendor(records) as vendor, engine(None, database_url, DOORLOOP_PAGE_SIZE="5", **vendor.reach) as house:
        assert house.run("backfill", TENANTS).state == "succeeded"
        vendor.asked.clear()
        del vendor.records[:5]
        error = Answer({"message": "out of range"}, 500)
        cut = Answer(b'{"total": 15, "data": [')
        vendor.bend_page = lambda n: (error if behind == "500" else cut) if n > 3 else None
        for run in (house.run("backfill", TENANTS, dry_run=True), house.run("backfill", TENANTS)):
            assert (run.state, warnings(run), run.counts("tenants")[3]) == ("succeeded", ["END_NOT_SEEN"], 0)
        assert vendor.pages_asked.count(4) == 2
        vendor.bend_page = lambda _: None
        assert house.run("backfill", TENANTS).counts("tenants")[3] == 5


def test_a_list_of_short_pages_is_read_to_its_end(database_url: str, database: Database) -> None:
    """No record is lost: a vendor that filters after it has paged sends more pages than its total says."""
    records = [tenant(n) for n in range(100)]
    with SmallVendor(records) as vendor, engine(None, database_url, **vendor.reach) as house:
        vendor.bend_page = cut(records, 20, 15, 15, 15, 15, 12, 8)
        run = house.run("backfill", TENANTS)
        assert (run.state, warnings(run)) == ("succeeded", [])
        assert living(database) == ids(records)
        left = records[:30] + records[31:]
        vendor.bend_page = cut(left, 20, 15, 15, 15, 15, 12, 7)
        run = house.run("backfill", TENANTS)
        assert (run.state, run.counts("tenants")[3], warnings(run)) == ("succeeded", 1, [])
        assert living(database) == ids(left)


BEHIND: dict[str, Callable[[list[dict[str, Any]]], Answer]] = {
    "refused": lambda _: Answer({"message": "no such page"}, 400),
    "not found": lambda _: Answer({"message": "no such page"}, 404),
    "last again": lambda records: Answer({"total": len(records), "data": records[40:]}),
    "all of it": lambda records: Answer({"total": len(records), "data": records}),
    "empty": lambda records: Answer({"total": len(records), "data": []}),
}


@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize("mode", ["backfill", "delta"])
def test_what_was_put_off_behind_the_last_page_ends_there(
    database_url: str, database: Database, mode: str, behind: str
) -> None:
    """Resume: every page has come, so that whatever stands behind them is looked at and not demanded."""
    records = [tenant(n) for n in range(60)]
    with SmallVendor(records) as vendor, engine(None, database_url, **vendor.reach) as house:
        vendor.bend_page = lambda n: Answer({}, 429, Retry_After="3600") if n > 3 else None
        assert house.run(mode, TENANTS).state == "deferred"
        vendor.bend_page = lambda n: BEHIND[behind](records) if n > 3 else None
        run = house.continue_by_schedule()
        assert run is not None
        assert (run.state, run.counts("tenants")[0], warnings(run)) == ("succeeded", 0, [])
        assert living(database) == ids(records)


@pytest.mark.parametrize("behind", BEHIND)
def test_what_was_put_off_at_the_last_page_read_again_ends_there(
    database_url: str, database: Database, behind: str
) -> None:
    """The same where the count did not fit, and the last page was due once more; it fits now."""
    records = [tenant(n) for n in range(45)]
    with SmallVendor(records) as vendor, engine(None, database_url, **vendor.reach) as house:
        asked_for_last = threading.Event()

        def at_first(number: int) -> Answer | None:
            if number > 3:
                return BEHIND[behind](records)
            if number < 3:
                return None
            is_again = asked_for_last.is_set()
            asked_for_last.set()
            return Answer({}, 429, Retry_After="3600") if is_again else Answer({"total": 46, "data": records[40:]})

        vendor.bend_page = at_first
        assert house.run("backfill", TENANTS).state == "deferred"
        vendor.bend_page = lambda n: BEHIND[behind](records) if n > 3 else None
        run = house.continue_by_schedule()
        assert run is not None
        assert run.state == "succeeded"
        assert living(database) == ids(records)


def test_a_row_that_only_the_first_look_at_the_last_page_met_is_not_here_for_good(
    database_url: str, database: Database
) -> None:
    """Law 4, of a first load: the last page, read again, shows another record; the one it showed before is gone."""
    records = [tenant(n) for n in range(45)]
    now = [*records[:42], *records[43:], tenant(99)]
    with SmallVendor(records) as vendor, engine(None, database_url, **vendor.reach) as house:
        first = [records[40:44]]
        vendor.bend_page = lambda n: (
            Answer({"total": 45, "data": first.pop() if first else now[40:]}) if n == 3 else None
        )
        assert house.run("backfill", TENANTS).counts("tenants")[3] == 1
        assert living(database) == ids(now)


def test_an_admin_may_say_that_an_emptied_list_is_right(database_url: str, database: Database) -> None:
    """Law 4: a list without a record was met whole; that it remembers no id is no crash of the database."""
    records = [tenant(n) for n in range(30)]
    with SmallVendor(records) as vendor, engine(None, database_url, **vendor.reach) as house:
        house.run("backfill", TENANTS)
        vendor.records[:] = []
        assert house.run("backfill", TENANTS).code == "MASS_REMOVAL"
        (question,) = house.questions()
        assert house.confirm(str(question["id"]))["removed"] == 30
        assert living(database) == set()


def test_a_yes_spares_what_a_requeues_list_has_shown_since(database_url: str, database: Database) -> None:
    """Law 4: what any reading has met since is not gone; one by a requeue leaves rows as they are."""
    records = [tenant(n) for n in range(100)]
    bad = {1, 5, 9, 21, 25, 27, 30, 31, 32, 33, 38, 55}
    with SmallVendor(list(records)) as vendor, engine(None, database_url, **vendor.reach) as house:
        serve(house.database)
        house.run("backfill", TENANTS)
        vendor.records[:] = [{**one, "active": "perhaps"} if n in bad else one for n, one in enumerate(records[:60])]
        house.run("backfill", TENANTS)
        (question,) = house.questions()
        vendor.records[:] = records[70:] + records[:60]  # thirty are back, as they were
        ended(house, press_requeue(house))
        assert house.confirm(str(question["id"]))["removed"] == 10
        assert living(database) == ids(records[70:] + records[:60])
