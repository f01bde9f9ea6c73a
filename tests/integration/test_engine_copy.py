"""The main job: what the vendor has is here, whole, once, and written only when it changed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from common.store.database import Database
from daemon.integrations.doorloop.drill import ENTITIES, DrillServer
from daemon.sync import entity
from tests.harness import Engine, engine
from tests.truth import assert_tables_equal_truth, dump_synced, one, rows, table

ROWS = 50


@pytest.fixture
def drill() -> Iterator[DrillServer]:
    """A vendor with three pages of each entity."""
    with DrillServer(rows=ROWS, seed=7) as server:
        yield server


@pytest.fixture
def copier(drill: DrillServer, database_url: str) -> Iterator[Engine]:
    """An engine on that vendor."""
    with engine(drill, database_url) as running:
        yield running


def test_a_backfill_equals_the_truth_and_a_second_one_writes_nothing(
    copier: Engine, drill: DrillServer, database: Database
) -> None:
    """Design §4: every record is here whole and once; a record whose hash is unchanged is not rewritten."""
    first = copier.run(entities=None)
    assert first.state == "succeeded"
    assert {name: first.counts(name) for name in ENTITIES} == dict.fromkeys(ENTITIES, (ROWS, 0, 0, 0, 0))
    assert_tables_equal_truth(database, drill)
    before = dump_synced(database), [table(database, name) for name in ENTITIES]
    second = copier.run(entities=None)
    assert second.state == "succeeded"
    assert {name: second.counts(name) for name in ENTITIES} == dict.fromkeys(ENTITIES, (0, 0, ROWS, 0, 0))
    # xmin is among the columns compared: not even a row version was written.
    assert [table(database, name) for name in ENTITIES] == before[1]


def test_no_run_begins_before_it_was_queued(copier: Engine, database: Database) -> None:
    """What a run waited for its turn is computed from `report.runs`, and is never less than nothing."""
    for mode in ("backfill", "delta"):
        copier.run(mode, ["tenants"])
    waits = "SELECT bool_and(started_at >= queued_at AND finished_at >= started_at) AS sane FROM report.runs"
    assert one(database, waits)["sane"]


def test_a_delta_writes_exactly_what_changed(copier: Engine, drill: DrillServer, database: Database) -> None:
    """Design §6: a delta brings changed and added records, and touches no other row."""
    copier.run(entities=["owners", "tenants"])
    before = table(database, "owners")
    touched = drill.mutate("owners", change=3, add=2)
    delta = copier.run("delta", ["owners", "tenants"])
    assert delta.state == "succeeded"
    assert delta.counts("owners")[:2] == (2, 3)
    assert delta.counts("tenants")[:2] == (0, 0)
    assert_tables_equal_truth(database, drill, ["owners", "tenants"])
    after = table(database, "owners")
    written = {id_ for id_, row in after.items() if before.get(id_) != row}
    assert written == {*touched.changed, *touched.added}


def test_a_delta_stops_after_two_old_pages(database_url: str, database: Database) -> None:
    """Design §6: newest first, a delta stops after two whole pages older than its watermark, and so does the next."""
    with DrillServer(rows=200, seed=3) as drill, engine(drill, database_url, DOORLOOP_PAGE_SIZE="10") as copier:
        assert copier.run().entities["owners"]["page"] == 20
        drill.mutate("owners", change=4, add=3)
        delta = copier.run("delta")
        assert delta.entities["owners"]["page"] <= 5
        assert delta.counts("owners")[:2] == (3, 4)
        again = copier.run("delta")
        assert again.counts("owners")[:2] == (0, 0)
        assert again.entities["owners"]["page"] <= 5
        assert_tables_equal_truth(database, drill, ["owners"])


@pytest.mark.parametrize("fault", ["ignore_sort", "unsorted_updated_at"])
def test_an_unproven_order_is_never_trusted(copier: Engine, drill: DrillServer, database: Database, fault: str) -> None:
    """Design §6: without a proven order the whole list is read, with a finding; nothing is lost."""
    copier.run()
    drill.mutate("owners", change=20, add=15)
    drill.set_fault(fault)
    delta = copier.run("delta")
    assert delta.state == "succeeded"
    assert delta.warnings("owners") == ["ORDER_NOT_PROVEN"]
    assert delta.counts("owners")[:2] == (15, 20)
    assert_tables_equal_truth(database, drill, ["owners"])


def test_a_delta_before_any_complete_reading_reads_the_whole_list(
    copier: Engine, drill: DrillServer, database: Database
) -> None:
    """Design §6: without a watermark a delta is the full list, compared by hash."""
    assert copier.run("delta", ["units"]).counts("units") == (ROWS, 0, 0, 0, 0)
    assert_tables_equal_truth(database, drill, ["units"])


def test_records_without_updated_at_count_as_new(copier: Engine, drill: DrillServer, database: Database) -> None:
    """Design §6: a record without the key counts as new, so a delta does not stop on it."""
    copier.run()
    drill.mutate("owners", change=1)
    drill.set_fault("missing_updated_at")
    delta = copier.run("delta")
    assert delta.state == "succeeded"
    assert delta.entities["owners"]["received"] == ROWS
    assert len(table(database, "owners")) == ROWS


def test_since_saves_writes_only(copier: Engine, drill: DrillServer, database: Database) -> None:
    """Design §6: `since` applies what was created or updated since; it removes nothing and moves no watermark."""
    copier.run()
    passes = rows(database, "SELECT id, watermark_candidate FROM control.passes WHERE mode <> 'since' ORDER BY id")
    moment = datetime.now(UTC).replace(microsecond=0)  # Unix times are whole seconds
    touched = drill.mutate("owners", change=2, add=1, delete=3)
    old = sorted(set(table(database, "owners")) - set(touched.changed) - set(touched.deleted))[0]
    with database.transaction() as link:
        link.execute("UPDATE doorloop.owners SET _payload_hash = '\\x00' WHERE id = %s", [old])
    run = copier.run("delta", since=moment)
    assert run.run["mode"] == "since"
    assert run.counts("owners") == (1, 2, 0, 0, 0)
    after = table(database, "owners")
    assert after[old]["_payload_hash"] == b"\0"  # older than the moment: not applied
    assert [after[id_]["_removed_at"] for id_ in touched.deleted] == [None] * 3
    assert (
        rows(database, "SELECT id, watermark_candidate FROM control.passes WHERE mode <> 'since' ORDER BY id") == passes
    )


def test_inactive_units_are_kept(copier: Engine, drill: DrillServer, database: Database) -> None:
    """Design §6: units list only active ones unless asked; a deactivated unit is changed, not removed."""
    copier.run(entities=["units"])
    quiet = drill.mutate("units", deactivate=5).deactivated
    backfill = copier.run(entities=["units"])
    assert backfill.counts("units") == (0, 5, ROWS - 5, 0, 0)
    units = table(database, "units")
    assert [units[id_]["active"] for id_ in quiet] == [False] * 5
    assert_tables_equal_truth(database, drill, ["units"])


def test_spellings_money_and_times_come_out_right(copier: Engine, drill: DrillServer, database: Database) -> None:
    """Issue 2: both spellings of misspelled fields, money as exact decimals, both time forms."""
    copier.run(entities=["leases", "units"])
    leases, units = table(database, "leases"), table(database, "units")
    spellings = {key for record in drill.records("leases") for key in record if "vict" in key.lower()}
    assert spellings == {"evictionPending", "evictonPending"}
    forms = {type(record["createdAt"]) for record in drill.records("units")}
    assert forms == {int, str}
    for record in drill.records("leases"):
        row = leases[record["id"]]
        charges = record.get("totalRecurringCharges", record.get("TotalRecurringCharges"))
        assert row["total_recurring_charges"] == Decimal(str(charges))
        assert row["eviction_pending"] == record.get("evictionPending", record.get("evictonPending"))
    for record in drill.records("units"):
        assert str(units[record["id"]]["market_rent"]) == str(record["marketRent"])


def test_a_table_is_vacuumed_by_the_run_that_filled_it(
    copier: Engine, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else autovacuum would do it in the midst of the next reading; a run that brings nothing new leaves it alone."""
    monkeypatch.setattr(entity, "MANY_NEW_ROWS", 10)
    count = "SELECT vacuum_count AS n FROM pg_stat_all_tables WHERE relid = 'doorloop.owners'::regclass"
    vacuumed = []
    for dry_run in (True, False, False):
        copier.run(dry_run=dry_run)
        vacuumed.append(one(database, count)["n"])
    assert vacuumed == [0, 1, 1]
