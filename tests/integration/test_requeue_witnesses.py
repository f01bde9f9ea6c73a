"""Issue 3: a requeue calls a record gone by two witnesses only, and goes on where one record or a whole list is odd."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from common.store.database import Database
from tests.harness import Engine, engine
from tests.integration.letters import ended, let_an_hour_pass, letters, press_requeue, put_off, serve
from tests.integration.small_vendor import Answer, SmallVendor, id_of, tenant
from tests.truth import Record, one, table

NUMBER = 100
FEW = (5, 25, 45)
MANY = (41, 61, 65, 71, 81, 85, 91)
BAD = {"active": "perhaps"}


@pytest.fixture
def vendor() -> Iterator[SmallVendor]:
    """Five pages of 20 tenants."""
    with SmallVendor([tenant(number) for number in range(NUMBER)]) as server:
        yield server


@contextmanager
def spoiled(vendor: SmallVendor, database_url: str, bad: Sequence[int], **settings: str) -> Iterator[Engine]:
    """Tenants are copied, these of them bad; then what was asked so far is forgotten."""
    for number in bad:
        vendor.records[number] = tenant(number, **BAD)
    with engine(None, database_url, **vendor.reach, **settings) as house:
        serve(house.database)
        house.run(entities=["tenants"])
        assert {id_of(number) for number in bad} <= {letter["record_id"] for letter in letters(house.database)}
        vendor.asked.clear()
        yield house


def mend(vendor: SmallVendor) -> None:
    """Every record is good again."""
    vendor.records = [tenant(number) for number in range(NUMBER)]


def entity_of(database: Database) -> Record:
    """The entity of the requeue's run."""
    return one(
        database,
        "SELECT e.state, e.error FROM control.run_entities AS e JOIN control.runs AS r ON r.id = e.run_id "
        "WHERE r.mode = 'requeue'",
    )


def test_a_record_that_the_list_moved_past_the_reader_is_not_gone(
    vendor: SmallVendor, database: Database, database_url: str
) -> None:
    """Two deleted on a page already read, two added at the end: the total is as before, a record was jumped over."""
    with spoiled(vendor, database_url, MANY) as house:
        mend(vendor)

        def move(number: int) -> None:
            if number == 2 and len(vendor.records) == NUMBER and vendor.records[3]["id"] == id_of(3):
                kept = [record for record in vendor.records if record["id"] not in (id_of(3), id_of(4))]
                vendor.records = [*kept, tenant(500), tenant(501)]

        vendor.after_page = move
        found = ended(house, press_requeue(house))
        assert found["verdict"] == f"{len(MANY)} of {len(MANY)} recovered"
        assert vendor.ids_asked == [id_of(41)]
        assert id_of(41) in table(database, "tenants")


def test_a_record_that_is_missed_and_that_no_id_leads_to_is_not_gone(
    vendor: SmallVendor, database: Database, database_url: str
) -> None:
    """Jumped over in the list, and records are not to be had by id at all: its letter stays open."""
    with spoiled(vendor, database_url, MANY) as house:
        mend(vendor)
        vendor.bend_record = lambda _: Answer({"message": "no such route"}, 404)
        vendor.bend_page = lambda _: _page_without(vendor, 41, _)
        found = ended(house, press_requeue(house))
        assert found["verdict"] == f"{len(MANY) - 1} of {len(MANY)} recovered, 1 not met in the list"
        assert [letter["record_id"] for letter in letters(database)] == [id_of(41)]


def test_a_record_that_a_requeue_met_is_not_removed_by_an_answer(
    vendor: SmallVendor, database: Database, database_url: str
) -> None:
    """Law 4: it is here again as it was, so nothing of its row changed; the admin's yes, given later, spares it."""
    with engine(None, database_url, **vendor.reach) as house:
        serve(house.database)
        house.run(entities=["tenants"])
        vendor.records[20] = tenant(20, **BAD)
        house.run(entities=["tenants"])
        vendor.records = [tenant(number) for number in range(NUMBER) if not 10 <= number < 40]
        assert house.run(entities=["tenants"]).code == "MASS_REMOVAL"
        mend(vendor)
        assert ended(house, press_requeue(house))["verdict"] == "1 of 1 recovered"
        (question,) = house.questions()
        assert house.confirm(str(question["id"]))["removed"] == 29
    assert table(database, "tenants")[id_of(20)]["_removed_at"] is None


def _page_without(vendor: SmallVendor, number: int, page: int) -> Answer:
    """A page of a list that hides one record and counts without it."""
    shown = [record for record in vendor.records if record["id"] != id_of(number)]
    return Answer({"total": len(shown), "data": shown[(page - 1) * 20 : page * 20]})


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize("which", [FEW, FEW[:1]], ids=["all", "one"])
def test_a_record_that_only_its_id_does_not_find_is_not_gone(
    vendor: SmallVendor, database: Database, database_url: str, which: Sequence[int], status: int
) -> None:
    """404 by id for records that the list still sends: they are taken from there."""
    with spoiled(vendor, database_url, FEW) as house:
        mend(vendor)
        hidden = {id_of(number) for number in which}
        vendor.bend_record = lambda id_: Answer({"message": "none"}, status) if id_ in hidden else None
        found = ended(house, press_requeue(house))
        assert found["verdict"] == "3 of 3 recovered"
        assert set(map(id_of, FEW)) <= set(table(database, "tenants"))
        assert len(vendor.ids_asked) == 3
        assert vendor.pages_asked == ([1, 2, 3] if len(which) == 3 else [1])


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize("bad", [FEW, MANY], ids=["by id", "by list"])
def test_a_record_that_both_witnesses_miss_is_gone(
    vendor: SmallVendor, database: Database, database_url: str, bad: Sequence[int], status: int
) -> None:
    """Neither the whole list nor its id brings it, while both bring others."""
    with spoiled(vendor, database_url, bad) as house:
        mend(vendor)
        del vendor.records[bad[0]]
        vendor.bend_record = lambda id_: Answer({"message": "none"}, status) if id_ == id_of(bad[0]) else None
        found = ended(house, press_requeue(house))
        assert found["verdict"] == f"{len(bad) - 1} of {len(bad)} recovered, 1 no longer sent by the vendor"
        assert letters(database) == []


def test_many_that_are_gone_are_closed_by_and_by(vendor: SmallVendor, database: Database, database_url: str) -> None:
    """On a list of one page, too, where one more pass always costs less than asking for all of them by id."""
    gone = range(10, 40)
    with spoiled(vendor, database_url, gone, DOORLOOP_PAGE_SIZE="200") as house:
        vendor.records = [tenant(number) for number in range(NUMBER) if number not in gone]
        found = ended(house, press_requeue(house))
        assert found["verdict"] == "0 of 30 recovered, 20 no longer sent by the vendor, 10 not met in the list"
        assert len(letters(database)) == 10
        found = ended(house, press_requeue(house))
        assert found["verdict"] == "0 of 10 recovered, 10 no longer sent by the vendor"
    assert letters(database) == []


def test_an_absence_by_id_is_remembered_over_the_hour(
    vendor: SmallVendor, database: Database, database_url: str
) -> None:
    """Where the share ends between the two witnesses, the next hour asks the list only, from its beginning."""
    with spoiled(vendor, database_url, FEW):
        mend(vendor)
        del vendor.records[FEW[0]]
    with engine(None, database_url, **vendor.reach, DOORLOOP_RATE_LIMIT_PER_HOUR="16") as house:
        serve(house.database)
        bulk_id = press_requeue(house)
        put_off(house, bulk_id)  # its share of 8: whose account it is, three by id, four pages
        assert vendor.asked == [*map(id_of, FEW), 1, 2, 3, 4]
        vendor.asked.clear()
        let_an_hour_pass(house)
        assert ended(house, bulk_id)["verdict"] == "2 of 3 recovered, 1 no longer sent by the vendor"
        assert (vendor.pages_asked, len(vendor.ids_asked)) == ([1, 2, 3, 4, 5], 1)


def test_a_pass_that_goes_on_at_a_short_last_page_ends_there(
    vendor: SmallVendor, database: Database, database_url: str
) -> None:
    """Put off between the list's end and what it did not show: the rest is settled, and nothing of it gone."""
    vendor.records[50] = {"name": "nobody"}
    with spoiled(vendor, database_url, (5,)) as house:
        assert len(letters(house.database)) == 2
        vendor.records = [tenant(number) for number in range(90) if number not in (5, 50)]
    with engine(None, database_url, **vendor.reach, DOORLOOP_RATE_LIMIT_PER_HOUR="12") as house:
        serve(house.database)
        bulk_id = press_requeue(house)
        put_off(house, bulk_id)
        assert vendor.asked == [1, 2, 3, 4, 5]
        let_an_hour_pass(house)
        assert ended(house, bulk_id)["verdict"] == "0 of 2 recovered, 2 not met in the list"
        assert vendor.asked == [1, 2, 3, 4, 5, 5, id_of(5)]


REFUSALS: dict[str, Answer] = {
    "400": Answer({"message": "bad id"}, 400),
    "403": Answer({"message": "no"}, 403),
    "422": Answer({"message": "no"}, 422),
    "500": Answer({"message": "boom"}, 500),
    "html": Answer(b"<html>x", content_type="text/html"),
    "empty": Answer(b""),
    "204": Answer(b"", 204),
    "null": Answer(None),
    "another record": Answer(tenant(7)),
    "an envelope": Answer({"data": tenant(5)}),
    "a list": Answer([tenant(5)]),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_one_refused_record_does_not_hold_up_the_others(
    vendor: SmallVendor, database: Database, database_url: str, kind: str
) -> None:
    """A letter whose record is refused for good stays open as it is, tried once more; the run goes on to the next."""
    with spoiled(vendor, database_url, FEW) as house:
        before = letters(database)[0]["payload"]
        mend(vendor)
        vendor.bend_record = lambda id_: REFUSALS[kind] if id_ == id_of(FEW[0]) else None
        found = ended(house, press_requeue(house))
        assert found["verdict"] == "2 of 3 recovered, 1 refused by the vendor"
        (left,) = letters(database)
        assert (left["record_id"], left["attempts"], left["code"]) == (id_of(FEW[0]), 2, "RECORD_TYPE")
        assert left["payload"] == before
        assert entity_of(database)["state"] == "complete"


def test_records_that_are_all_refused_end_the_entity(
    vendor: SmallVendor, database: Database, database_url: str
) -> None:
    """Three refused alike in a row: it is not about the records, and asking on would only be a nuisance."""
    with spoiled(vendor, database_url, (5, 25, 45, 65, 85)) as house:
        vendor.bend_record = lambda _: REFUSALS["403"]
        found = ended(house, press_requeue(house))
        assert found["verdict"].startswith("0 of 5 recovered, 2 refused by the vendor, 3 not read: ")
        assert entity_of(database)["state"] == "forbidden"
        assert len(vendor.asked) == 3
        assert len(letters(database)) == 5


def shuffled(vendor: SmallVendor, total: int | None) -> Callable[[int], Answer]:
    """Whatever page is asked for, some of 40 other records."""
    others = [tenant(number) for number in range(200, 240)]

    def page(number: int) -> Answer:
        some = random.Random(number).sample(others, 20)
        return Answer(some if total is None else {"total": total, "data": some})

    return page


@pytest.mark.parametrize(
    ("total", "code"),
    [(None, "NO_NEW_IDS"), (10**9, "NO_NEW_IDS")],
    ids=["without a total", "with a total that is never reached"],
)
def test_a_list_without_end_ends_the_pass(
    vendor: SmallVendor, database: Database, database_url: str, total: int | None, code: str
) -> None:
    """A page of records that were all met before: `partial` by the same code as in any run, and nothing is gone."""
    with spoiled(vendor, database_url, MANY) as house:
        vendor.bend_page = shuffled(vendor, total)
        ended(house, press_requeue(house))
        entity = entity_of(database)
        assert (entity["state"], entity["error"]["code"]) == ("partial", code)
        assert len(letters(database)) == len(MANY)


@pytest.mark.parametrize(
    ("page", "state", "code"),
    [
        (lambda _: [{"x": number} for number in range(20)], "failed", "ALL_RECORDS_BAD"),
        (lambda number: [{"x": number}, {"y": number}], "failed", "ALL_RECORDS_BAD"),
        (lambda _: [{"x": 1}, {"x": 2}], "partial", "REPEATED_PAGE"),
        (lambda _: {"total": 10**9, "data": [tenant(300)]}, "partial", "REPEATED_PAGE"),
        (lambda number: {"total": 1000, "data": [tenant(300)] * (number == 1)}, "partial", "EMPTY_PAGE_EARLY"),
    ],
    ids=["no ids", "few without ids each time", "the same without ids", "the same", "empty early"],
)
def test_a_list_of_odd_pages_ends_the_pass(
    vendor: SmallVendor, database: Database, database_url: str, page: Callable[[int], Any], state: str, code: str
) -> None:
    """The guards of every run hold for a list pass, too; letters that it did not meet stay open."""
    with spoiled(vendor, database_url, MANY, DOORLOOP_PAGE_SIZE="20") as house:
        vendor.bend_page = lambda number: Answer(_with_total(page(number)))
        found = ended(house, press_requeue(house))
        entity = entity_of(database)
        assert (entity["state"], entity["error"]["code"]) == (state, code)
        assert found["verdict"].startswith(f"0 of {len(MANY)} recovered, {len(MANY)} not read: ")
        assert len(letters(database)) == len(MANY)


def _with_total(page: Any) -> Any:
    return {"total": 10**6, "data": page} if isinstance(page, list) else page


def test_a_null_in_the_list_is_the_same_error(vendor: SmallVendor, database: Database, database_url: str) -> None:
    """A record that is no object at all is put aside by its content; while the list holds it, it is not gone."""
    vendor.records.append(None)
    with engine(None, database_url, **vendor.reach) as house:
        serve(house.database)
        house.run(entities=["tenants"])
        assert ended(house, press_requeue(house))["verdict"] == "0 of 1 recovered, 1 the same error"
        vendor.records.remove(None)
        assert ended(house, press_requeue(house))["verdict"] == "0 of 1 recovered, 1 no longer sent by the vendor"


def test_a_letter_without_id_is_not_gone_while_the_list_moves(
    vendor: SmallVendor, database: Database, database_url: str
) -> None:
    """It has only the list as its witness: one that may have gained a record for one that it lost proves nothing."""
    vendor.records[50] = {"name": "nobody"}
    with engine(None, database_url, **vendor.reach) as house:
        serve(house.database)
        house.run(entities=["tenants"])
        vendor.records[50] = {"id": id_of(50), "name": "born just now"}
        assert ended(house, press_requeue(house))["verdict"] == "0 of 1 recovered, 1 not met in the list"
        assert len(letters(database)) == 1


@pytest.mark.parametrize("neighbour", ['"\\ud800"', "NaN", "12345678901234567890"])
def test_an_odd_neighbour_makes_no_other_record_of_a_letter(
    vendor: SmallVendor, database: Database, database_url: str, neighbour: str
) -> None:
    """Issue 3: without an id a letter is known by its content; "no longer sent" was said of a record that was there,
    because the number in it was read otherwise beside an odd record."""
    vendor.records[9] = {"name": "nobody", "rent": 12.5}
    with spoiled(vendor, database_url, ()) as house:
        (letter,) = letters(database)
        vendor.records[10] = tenant(10, notes="ODD")
        sent = json.dumps({"total": NUMBER, "data": vendor.records[:20]})
        sent = sent.replace('"ODD"', neighbour).replace("12.5", "12.50")
        vendor.bend_page = lambda number: Answer(sent.encode()) if number == 1 else None
        assert ended(house, press_requeue(house))["verdict"] == "0 of 1 recovered, 1 the same error"
        house.run("backfill", entities=["tenants"])
        nameless = [one["id"] for one in letters(database) if one["record_id"] is None]
        assert nameless == [letter["id"]]


@pytest.mark.parametrize(
    ("bad", "pages", "ids"),
    [((1, 30, 50, 70), [1], 3), ((41, 45, 49, 61, 65), [1, 2, 3, 4], 0), (FEW[:2], [], 2)],
    ids=["by id after a look", "by list after a look", "few without a look"],
)
def test_a_list_of_unknown_length_is_looked_at_first(
    vendor: SmallVendor, database_url: str, bad: Sequence[int], pages: list[int], ids: int
) -> None:
    """Whichever costs fewer requests: page 1 tells how long the list is, where no pass has come to its end."""
    vendor.bend_page = lambda number: REFUSALS["400"] if number == 5 else None
    with spoiled(vendor, database_url, bad) as house:
        vendor.bend_page = lambda _: None
        mend(vendor)
        assert ended(house, press_requeue(house))["verdict"] == f"{len(bad)} of {len(bad)} recovered"
        assert (vendor.pages_asked, len(vendor.ids_asked)) == (pages, ids)
