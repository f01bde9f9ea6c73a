"""Lists whose pages cannot be trusted: one code each, nothing lost, nothing invented."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from common.store.database import Database
from daemon.integrations.doorloop.drill import DrillServer
from tests.harness import Engine, engine
from tests.integration.small_vendor import Answer, SmallVendor, id_of, tenant
from tests.truth import assert_tables_equal_truth, one, rows, table


@pytest.fixture
def drill() -> Iterator[DrillServer]:
    """A vendor with four pages of owners."""
    with DrillServer(rows=75, seed=9) as server:
        yield server


@pytest.fixture
def copier(drill: DrillServer, database_url: str) -> Iterator[Engine]:
    """An engine that has copied nothing yet."""
    with engine(drill, database_url) as running:
        yield running


@pytest.mark.parametrize("mode", ["backfill", "delta"])
@pytest.mark.parametrize(
    ("fault", "parameters", "code"),
    [
        ("repeated_page", {}, "REPEATED_PAGE"),
        ("no_new_ids", {}, "REPEATED_PAGE"),
        ("no_new_ids", {"from_page": 3}, "NO_NEW_IDS"),
        ("empty_page_before_last", {"page": 2}, "EMPTY_PAGE_EARLY"),
        ("empty_page_before_last", {"page": 1}, "EMPTY_PAGE_EARLY"),
    ],
)
def test_pages_that_contradict_themselves_end_the_entity_partial(
    copier: Engine,
    drill: DrillServer,
    database: Database,
    mode: str,
    fault: str,
    parameters: dict[str, Any],
    code: str,
) -> None:
    """Law 8: a repeated page, a page without a new id, an empty page before the last: `partial`, others go on."""
    drill.set_fault(fault, **parameters, entity="owners")
    run = copier.run(mode, ["owners", "tenants"])
    assert (run.state, run.error("owners")) == ("incomplete", code)
    assert (run.entities["owners"]["state"], run.entities["tenants"]["state"]) == ("partial", "complete")
    assert run.counts("owners")[3] == 0
    drill.clear_faults()
    assert copier.run(mode, ["owners", "tenants"]).state == "succeeded"
    assert_tables_equal_truth(database, drill, ["owners", "tenants"])


def test_a_clamped_page_size_is_followed(copier: Engine, drill: DrillServer, database: Database) -> None:
    """Facts §5: progress is derived from the rows that came, never from those asked for."""
    drill.set_fault("page_size_clamp", rows=7)
    run = copier.run()
    assert (run.state, run.entities["owners"]["page"]) == ("succeeded", 11)
    assert_tables_equal_truth(database, drill, ["owners"])


def test_a_bare_array_is_read_to_its_end(copier: Engine, drill: DrillServer, database: Database) -> None:
    """Issue 3: a bare array is accepted with a warning; it proves no absence."""
    drill.set_fault("bare_array")
    run = copier.run()
    assert (run.state, run.warnings("owners")) == ("succeeded", ["BARE_ARRAY"])
    assert_tables_equal_truth(database, drill, ["owners"])


def test_a_bare_array_that_ends_on_a_full_page(database_url: str, database: Database) -> None:
    """Facts §5: without a total the list ends with an empty page, or a shorter one."""
    with DrillServer(rows=40, seed=9) as drill, engine(drill, database_url) as copier:
        drill.set_fault("bare_array")
        assert copier.run().state == "succeeded"
        assert_tables_equal_truth(database, drill, ["owners"])


@pytest.mark.parametrize("mode", ["data_missing", "data_null", "data_object", "data_text"])
def test_a_wrong_envelope_fails_its_entity_only(
    copier: Engine, drill: DrillServer, database: Database, mode: str
) -> None:
    """Law 8: what is no list is not read as an empty one; the others go on."""
    copier.run()
    before = table(database, "owners")
    drill.set_fault("wrong_envelope", mode=mode, entity="owners")
    run = copier.run(entities=["owners", "units"])
    assert (run.state, run.error("owners")) == ("incomplete", "WRONG_ENVELOPE")
    assert run.entities["units"]["state"] == "complete"
    assert table(database, "owners") == before


def test_an_envelope_without_a_total_is_read_to_its_end(copier: Engine, drill: DrillServer, database: Database) -> None:
    """Facts §5: a missing total is unknown, not zero."""
    drill.set_fault("wrong_envelope", mode="total_missing")
    run = copier.run()
    assert (run.state, run.warnings("owners")) == ("succeeded", ["TOTAL_UNUSABLE"])  # once, not once a page
    assert_tables_equal_truth(database, drill, ["owners"])


TOTAL_UNKNOWN = [("bare_array", {}), ("wrong_envelope", {"mode": "total_missing"})]


@pytest.mark.parametrize(("fault", "parameters"), TOTAL_UNKNOWN)
def test_a_short_page_does_not_end_a_list_without_a_total(
    copier: Engine, drill: DrillServer, database: Database, fault: str, parameters: dict[str, Any]
) -> None:
    """Issue 3: no list ends silently: without a total the end is a page behind which nothing new stands."""
    drill.set_fault(fault, **parameters)
    drill.set_fault("short_page", rows=2)
    assert copier.run().state == "succeeded"
    assert len(table(database, "owners")) == 73
    drill.clear_fault("short_page")
    for _ in range(2):
        assert copier.run("delta").state == "succeeded"  # no watermark yet: it reads the list whole
    assert_tables_equal_truth(database, drill, ["owners"])


@pytest.mark.parametrize(("fault", "parameters"), TOTAL_UNKNOWN)
@pytest.mark.parametrize("page", [1, 2])
def test_an_empty_page_does_not_end_a_list_without_a_total(
    copier: Engine, drill: DrillServer, database: Database, fault: str, parameters: dict[str, Any], page: int
) -> None:
    """Issue 3: records behind an empty page make its entity partial, told or not told how many there are."""
    drill.set_fault(fault, **parameters)
    drill.set_fault("empty_page_before_last", page=page)
    run = copier.run()
    assert (run.state, run.error("owners")) == ("incomplete", "EMPTY_PAGE_EARLY")
    drill.clear_faults()
    assert copier.run().state == "succeeded"
    assert_tables_equal_truth(database, drill, ["owners"])


def test_a_watermark_of_the_future_is_not_gone_by(copier: Engine, drill: DrillServer, database: Database) -> None:
    """Issue 3: one record's wrong stamp must not make every change look old."""
    copier.run()
    copier.run("delta")
    rows(database, "UPDATE control.passes SET watermark_candidate = '9999-12-31' WHERE mode = 'delta'")
    drill.mutate("owners", change=40)
    assert copier.run("delta").state == "succeeded"
    assert_tables_equal_truth(database, drill, ["owners"])


def test_duplicates_across_pages_are_stored_once(copier: Engine, drill: DrillServer, database: Database) -> None:
    """Law 2: a row that comes twice is here once."""
    drill.set_fault("duplicate_row_across_pages")
    run = copier.run()
    assert run.state == "succeeded"
    assert_tables_equal_truth(database, drill, ["owners"])


def test_an_empty_list_is_complete(database_url: str, database: Database) -> None:
    """An account without owners is no error."""
    with DrillServer(rows=30, entity_rows={"owners": 0}, seed=9) as drill, engine(drill, database_url) as copier:
        run = copier.run(entities=["owners", "units"])
        assert run.state == "succeeded"
        assert run.counts("owners") == (0, 0, 0, 0, 0)
        assert copier.run("delta").state == "succeeded"


def test_rows_added_and_deleted_while_reading_are_settled_later(
    copier: Engine, drill: DrillServer, database: Database
) -> None:
    """Law 4: a list that moves while it is read loses nothing for good: the next full run settles it."""
    drill.set_fault("shifting_rows", delete=2, insert=1)
    copier.run()
    drill.clear_faults()
    assert copier.run().state == "succeeded"
    assert_tables_equal_truth(database, drill, ["owners"])


@pytest.mark.parametrize("wish", [{"mode": "delta"}, {"since": datetime(2020, 1, 1, tzinfo=UTC)}, {"dry_run": True}])
@pytest.mark.parametrize(
    ("fault", "parameters"),
    [
        ("duplicate_row_across_pages", {"replace": True}),
        ("shifting_rows", {"delete": 1}),
        ("total_off_by", {"rows": 3}),
    ],
)
def test_every_whole_reading_counts_what_it_met(
    copier: Engine, drill: DrillServer, fault: str, parameters: dict[str, Any], wish: dict[str, Any]
) -> None:
    """Issue 3: ids and total are reconciled at the end of an entity, not in a backfill only: no loss is silent."""
    drill.set_fault(fault, **parameters)
    run = copier.run(**wish)
    assert (run.state, run.warnings("owners")) == ("succeeded", ["COUNT_DRIFT"])
    assert run.counts("owners")[3] == 0


def test_a_list_that_shrinks_under_a_delta_is_looked_at_again(database_url: str, database: Database) -> None:
    """Issue 3: a changed record that moved past the reader comes with the next delta, from the same watermark."""
    with DrillServer(rows=100, seed=7) as drill, engine(drill, database_url) as copier:
        copier.run()
        before = one(database, "SELECT watermark_candidate AS mark FROM control.passes")["mark"]
        drill.mutate("owners", change=50)
        drill.set_fault("shifting_rows", delete=3)
        assert copier.run("delta").warnings("owners") == ["LIST_SHRANK"]
        drill.clear_faults()
        marks = rows(database, "SELECT watermark_candidate AS mark FROM control.passes ORDER BY id")
        assert [row["mark"] for row in marks] == [before, None]
        assert copier.run("delta").warnings("owners") == []
        copier.run()
        assert_tables_equal_truth(database, drill, ["owners"])


def test_a_list_that_moves_under_its_first_delta_leaves_no_watermark(database_url: str, database: Database) -> None:
    """Issue 3: what it hid is looked for by the next delta, which is no newest-first one; a quiet list leaves one."""
    with DrillServer(rows=100, seed=7) as drill, engine(drill, database_url) as copier:
        drill.set_fault("shifting_rows", delete=1, insert=1)
        assert copier.run("delta").warnings("owners") == ["COUNT_DRIFT"]
        drill.clear_faults()
        assert copier.run("delta").warnings("owners") == []
        assert {record["id"] for record in drill.records("owners")} <= set(table(database, "owners"))
        marks = rows(database, "SELECT watermark_candidate IS NULL AS gone FROM control.passes ORDER BY id")
        assert [row["gone"] for row in marks] == [True, False]


def test_a_hidden_change_comes_with_the_next_delta(database_url: str) -> None:
    """Law 2: changes that fill pages may hide behind a list that loses one record and gains an old one: read twice."""
    old = [tenant(number) for number in reversed(range(200))]  # newest first, however it is asked for
    with (
        SmallVendor(old) as vendor,
        engine(None, database_url, **vendor.reach, DOORLOOP_MAX_CONCURRENCY="1") as copier,
    ):
        copier.run(entities=["tenants"])
        stamps = [f"2025-06-01T{23 - place // 60:02d}:{59 - place % 60:02d}:00.000Z" for place in range(150)]
        vendor.records[:150] = [{**one, "updatedAt": at} for one, at in zip(vendor.records, stamps, strict=False)]

        def move(page: int) -> None:
            if page == 5:
                vendor.records.remove(vendor.records[5])
                vendor.records.append(tenant(0, id=id_of(999)))
                vendor.after_page = lambda _: None

        vendor.after_page = move
        changed = [copier.run("delta", entities=["tenants"]) for _ in range(3)]
    assert [run.warnings("tenants") for run in changed] == [[], [], []]
    assert [run.counts("tenants")[1] for run in changed] == [149, 1, 0]


def test_a_total_that_is_too_small_hides_no_change(database_url: str) -> None:
    """Law 2: a delta that ends on a full page, since the total says so, is looked behind as a whole list is."""
    old = [tenant(number) for number in reversed(range(100))]
    changes = {"name": "changed", "updatedAt": "2025-06-01T10:00:00.000Z"}
    with SmallVendor(old) as vendor, engine(None, database_url, **vendor.reach) as copier:
        copier.run(entities=["tenants"])
        vendor.records[:70] = [{**one, **changes} for one in vendor.records[:70]]
        first = Answer({"total": 20, "data": vendor.records[:20]})
        vendor.bend_page = lambda number: first if number == 1 else None
        run = copier.run("delta", entities=["tenants"])
    assert (run.state, run.counts("tenants")[1]) == ("succeeded", 70)


def test_a_page_that_is_counted_for_the_list_is_looked_behind(database_url: str, database: Database) -> None:
    """Law 4: a vendor that gives fewer a page than it is asked for, and counts them, has not shown its whole list."""
    every = [tenant(number) for number in range(105)]

    def limited(number: int) -> Answer:
        given = every[(number - 1) * 50 : number * 50]
        return Answer({"total": len(given), "data": given})

    settings = {"DOORLOOP_PAGE_SIZE": "200"}
    with SmallVendor(every) as vendor, engine(None, database_url, **vendor.reach, **settings) as copier:
        copier.run(entities=["tenants"])
        vendor.bend_page = limited
        run = copier.run(entities=["tenants"])
    assert (run.state, run.warnings("tenants")) == ("succeeded", ["COUNT_DRIFT"])
    assert run.counts("tenants") == (0, 0, 105, 0, 0)
    assert rows(database, "SELECT 1 FROM doorloop.tenants WHERE _removed_at IS NOT NULL") == []


@pytest.mark.parametrize("status", [400, 404])
@pytest.mark.parametrize("size", ["20", "100"], ids=["full", "round"])
def test_a_page_behind_the_end_that_is_refused_is_none(database_url: str, status: int, size: str) -> None:
    """Issue 3: it is asked for out of doubt only; to some vendors that is a mistake."""
    settings = {"DOORLOOP_PAGE_SIZE": size}
    every = [tenant(number) for number in reversed(range(20))]
    with SmallVendor(every) as vendor, engine(None, database_url, **vendor.reach, **settings) as copier:
        vendor.bend_page = lambda number: Answer({"message": "no such page"}, status) if number > 1 else None
        for mode in ("backfill", "delta", "backfill"):
            run = copier.run(mode, entities=["tenants"])
            assert (run.state, run.warnings("tenants")) == ("succeeded", [])
        assert 2 in vendor.pages_asked


def test_the_last_page_shown_again_with_a_new_record_is_no_next_page(database_url: str) -> None:
    """Issue 3: a vendor that shows its last page, whatever page is asked for, and one was added meanwhile."""
    settings = {"DOORLOOP_PAGE_SIZE": "100"}
    every = [tenant(number) for number in range(20)]
    with SmallVendor(every) as vendor, engine(None, database_url, **vendor.reach, **settings) as copier:

        def shown(number: int) -> Answer | None:
            if number == 2:
                vendor.records.append(tenant(20))
            return Answer({"total": len(vendor.records), "data": vendor.records}) if number > 1 else None

        vendor.bend_page = shown
        runs = [copier.run(entities=["tenants"]) for _ in range(2)]
    assert [(run.state, run.warnings("tenants")) for run in runs] == [("succeeded", ["COUNT_DRIFT"]), ("succeeded", [])]
    assert [run.counts("tenants")[0] for run in runs] == [21, 0]  # it came when its page was read again


def test_a_delta_leaves_no_seen_ids(copier: Engine, drill: DrillServer, database: Database) -> None:
    """Law 4: a whole list read by a delta concludes nothing from its ids, and keeps none; a backfill's are kept."""
    copier.run()
    drill.set_fault("ignore_sort")
    copier.run("delta")
    copier.run(since=datetime(2020, 1, 1, tzinfo=UTC))
    assert modes_of_seen_ids(database) == {"backfill"}


def test_seen_ids_are_kept_while_a_question_is_open(copier: Engine, drill: DrillServer, database: Database) -> None:
    """Law 4: an admin's yes is carried out by the ids that the backfill met, and by what was met since."""
    copier.run()
    drill.mutate("owners", delete=25)
    assert copier.run().code == "MASS_REMOVAL"
    drill.set_fault("ignore_sort")
    copier.run("delta")
    copier.run(since=datetime(2020, 1, 1, tzinfo=UTC))
    assert modes_of_seen_ids(database) == {"backfill", "delta", "since"}
    (question,) = copier.questions()
    assert copier.confirm(str(question["id"]))
    assert_tables_equal_truth(database, drill, ["owners"])
    copier.run()
    assert modes_of_seen_ids(database) == {"backfill"}


def test_a_delta_that_goes_on_after_the_question_is_a_later_reading(database_url: str) -> None:
    """Law 4: its pass is older than the backfill's that asked; what it met since is not gone all the same."""
    settings = {"DOORLOOP_MAX_CONCURRENCY": "1", "ICC_RETRY_ATTEMPTS": "1"}
    with (
        SmallVendor([tenant(number) for number in reversed(range(100))]) as vendor,
        engine(None, database_url, **vendor.reach, **settings) as copier,
    ):
        copier.run(entities=["tenants"])
        stamps = [f"2025-06-01T23:{59 - place:02d}:00.000Z" for place in range(50)]
        vendor.records[:50] = [{**one, "updatedAt": at} for one, at in zip(vendor.records, stamps, strict=False)]
        vendor.bend_page = lambda page: Answer({}, 500) if page == 3 else None
        assert copier.run("delta", entities=["tenants"]).state == "incomplete"
        vendor.bend_page = lambda _: None
        away, vendor.records[60:85] = vendor.records[60:85], []
        assert copier.run(entities=["tenants"]).code == "MASS_REMOVAL"
        (question,) = copier.questions()
        vendor.records[60:60] = away[:12]
        run = copier.run("delta", entities=["tenants"])
        assert (run.entities["tenants"]["resumed_at_page"], run.state) == (3, "succeeded")
        assert copier.confirm(str(question["id"]))["removed"] == 13


def modes_of_seen_ids(database: Database) -> set[str]:
    """Of which readings ids are kept."""
    kept = "SELECT DISTINCT p.mode FROM control.seen_ids AS s JOIN control.passes AS p ON p.id = s.pass_id"
    return {row["mode"] for row in rows(database, kept)}


def test_a_record_twice_on_a_page_is_named(database_url: str, database: Database) -> None:
    """Issue 3, guards: duplicate ids have a code of their own; the last one is kept, and the counters add up."""
    records = [tenant(number) for number in range(45)]
    with SmallVendor(records) as vendor:
        page = [*records[:19], records[3] | {"name": "the later one"}]
        vendor.bend_page = lambda number: Answer({"total": 45, "data": page}) if number == 1 else None
        with engine(None, database_url, **vendor.reach) as copier:
            run = copier.run(entities=["tenants"])
    assert "DUPLICATE_IDS" in run.warnings("tenants")
    row = run.entities["tenants"]
    assert row["duplicates"] == 1
    assert row["received"] == row["inserted"] + row["duplicates"] == 45
    assert "the later one" in str(table(database, "tenants"))


def test_the_counters_add_up_when_the_last_page_brings_more_the_second_time(
    database_url: str, database: Database
) -> None:
    """Issue 3: totals, pages and rows are reconciled at the end of an entity."""
    records = [tenant(number) for number in range(45)]
    with SmallVendor(records[:42]) as vendor:

        def grow(number: int) -> None:
            if number == 3:
                vendor.records = records

        vendor.after_page = grow
        vendor.bend_page = lambda number: Answer({"total": 45, "data": vendor.records[40:]}) if number == 3 else None
        with engine(None, database_url, **vendor.reach) as copier:
            run = copier.run(entities=["tenants"])
    assert vendor.pages_asked.count(3) == 2
    row = run.entities["tenants"]
    assert (row["received"], row["inserted"]) == (45, 45)
    told = rows(database, "SELECT sum(rows) AS told FROM control.events WHERE code = 'page'")
    assert told[0]["told"] == 45


@pytest.mark.parametrize("total", [None, 10**9])
@pytest.mark.parametrize("mode", ["backfill", "delta"])
def test_small_pages_without_ids_are_not_read_for_ever(
    database_url: str, database: Database, mode: str, total: int | None
) -> None:
    """Issue 3, guards: a page without a new id ends the entity `partial`, where no record has an id at all, too."""
    nameless = [{"name": f"T {number}"} for number in range(5)]
    with SmallVendor([]) as vendor:
        vendor.bend_page = lambda _: Answer(nameless if total is None else {"total": total, "data": nameless})
        with engine(None, database_url, **vendor.reach) as copier:
            run = copier.run(mode, entities=["tenants"])
    assert (run.entities["tenants"]["state"], run.error("tenants")) == ("partial", "NO_NEW_IDS")
    assert one(database, "SELECT count(*) AS letters FROM control.dead_letters")["letters"] == 5
    assert len(vendor.pages_asked) < 10
