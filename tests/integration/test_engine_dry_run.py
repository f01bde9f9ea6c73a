"""Law 5: a dry run writes nothing of what it compares, and says exactly what a real run then does."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common.insights.findings import dry_run
from common.store.database import Database
from daemon.integrations.doorloop.drill import DrillServer
from tests.harness import engine
from tests.integration.small_vendor import Answer, SmallVendor, tenant
from tests.truth import assert_tables_equal_truth, dump_synced, rows

ENTITIES = ("owners", "units")
CHANGES: dict[str, dict[str, dict[str, Any]]] = {
    "nothing": {},
    "changes": {"owners": {"change": 4, "add": 3, "delete": 2}, "units": {"delete": 1}},
    "many removed": {"owners": {"delete": 30}},
}
FAULTS: dict[str, dict[str, dict[str, Any]]] = {
    "poison": {"bad_money": {"every": 7}, "missing_id": {"every": 10, "entity": "owners"}},
    "drift": {"total_off_by": {"rows": 3}},
    "bare": {"bare_array": {}},
    "all bad": {"bad_money": {"every": 1}},
}


@pytest.mark.parametrize("mode", ["backfill", "delta"])
@pytest.mark.parametrize("what", [*CHANGES, *FAULTS])
def test_a_dry_run_writes_nothing_and_predicts_the_run(
    database_url: str, database: Database, mode: str, what: str
) -> None:
    """Law 5: no synced row, dead letter, checkpoint, watermark or seen id; its counts are those of the real run."""
    with DrillServer(rows=50, seed=11) as drill, engine(drill, database_url) as copier:
        assert copier.run(entities=ENTITIES).state == "succeeded"
        for entity, changes in CHANGES.get(what, {}).items():
            drill.mutate(entity, **changes)
        for fault, parameters in FAULTS.get(what, {}).items():
            drill.set_fault(fault, **parameters)
        before = dump_synced(database)
        dry = copier.run(mode, ENTITIES, dry_run=True)
        assert dump_synced(database) == before
        real = copier.run(mode, ENTITIES)
        assert {name: dry.counts(name) for name in ENTITIES} == {name: real.counts(name) for name in ENTITIES}
        assert {name: dry.entities[name]["received"] for name in ENTITIES} == {
            name: real.entities[name]["received"] for name in ENTITIES
        }
        assert {name: dry.warnings(name) for name in ENTITIES} == {name: real.warnings(name) for name in ENTITIES}
        if real.code != "NEW_DEAD_LETTERS":  # a dry run puts none aside
            assert (dry.state, dry.code) == (real.state, real.code)


def test_a_dry_run_on_an_empty_table_and_of_revived_rows(database_url: str, database: Database) -> None:
    """Law 5: before the first copy all rows are inserts; a row that comes back is an update, dry or not."""
    with DrillServer(rows=50, seed=11) as drill, engine(drill, database_url) as copier:
        dry = copier.run(dry_run=True)
        assert dry.counts("owners") == (50, 0, 0, 0, 0)
        assert rows(database, "SELECT 1 FROM doorloop.owners") == []
        assert copier.run().counts("owners") == dry.counts("owners")
        gone = drill.mutate("owners", delete=4).deleted
        assert copier.run(dry_run=True).counts("owners") == copier.run().counts("owners") == (0, 0, 46, 4, 0)
        drill.mutate("owners", restore_ids=gone)
        dry = copier.run(dry_run=True)
        real = copier.run()
        assert dry.counts("owners") == real.counts("owners")
        assert_tables_equal_truth(database, drill, ["owners"])


def test_a_dry_since_run_predicts_too(database_url: str, database: Database) -> None:
    """Law 5 holds for a `since` run as for any."""
    with DrillServer(rows=50, seed=11) as drill, engine(drill, database_url) as copier:
        copier.run()
        moment = copier.services.clock.now().replace(microsecond=0)  # Unix times are whole seconds
        drill.mutate("owners", change=3, add=2)
        before = dump_synced(database)
        dry = copier.run("delta", since=moment, dry_run=True)
        assert dump_synced(database) == before
        assert copier.run("delta", since=moment).counts("owners") == dry.counts("owners") == (2, 3, 0, 0, 0)


def test_a_dry_run_reports_what_would_change(database_url: str, database: Database) -> None:
    """Issue 3: per entity insert, update, unchanged, removed, dead, with sampled diffs, personal fields masked."""
    with DrillServer(rows=50, seed=11) as drill, engine(drill, database_url) as copier:
        copier.run(entities=ENTITIES)
        before = {record["id"]: record for record in drill.records("units")}
        changed = drill.mutate("units", change=3, add=2, delete=1).changed
        drill.set_fault("bad_money", every=50, entity="units")
        drill.mutate("owners", change=2)
        dry = copier.run(entities=ENTITIES, dry_run=True)
        units, owners = dry_run(database, str(dry.run["id"]))[::-1]
        assert (units.entity, owners.entity) == ("units", "owners")
        assert (units.insert, units.update, units.unchanged, units.removed, units.dead) == dry.counts("units")
        assert {sample.record_id for sample in units.samples} == set(changed) - set(drill.bad_ids("bad_money", "units"))
        after = {record["id"]: record for record in drill.records("units")}
        for sample in units.samples:
            old, new = before[sample.record_id], after[sample.record_id]
            assert sample.fields["updatedAt"] == (str(old["updatedAt"]), str(new["updatedAt"]))
            assert not sample.was_removed
        assert [sample.fields["notes"] for sample in owners.samples] == [("•••", "•••")] * 2


def test_a_report_is_short_and_knows_revived_rows(database_url: str, database: Database) -> None:
    """Issue 3: up to 20 sampled field diffs; a row that was marked removed and is back is said so."""
    with DrillServer(rows=50, seed=11) as drill, engine(drill, database_url) as copier:
        copier.run()
        gone = drill.mutate("owners", delete=1).deleted
        copier.run()
        drill.mutate("owners", restore_ids=gone)
        revived = copier.run(dry_run=True)
        (owners,) = dry_run(database, str(revived.run["id"]))
        assert [(sample.record_id, sample.was_removed) for sample in owners.samples] == [(gone[0], True)]
        drill.mutate("owners", change=40)
        (owners,) = dry_run(database, str(copier.run(dry_run=True).run["id"]))
        assert 0 < sum(len(sample.fields) for sample in owners.samples) <= 20
        assert dry_run(database, str(copier.run().run["id"])) == ()


def test_a_list_that_loses_its_order_on_a_later_page_is_counted_once(database_url: str, database: Database) -> None:
    """Law 5: it is read whole then, from page 1 on; nothing before it is counted or sampled twice, dry or not."""

    def at(hour: int) -> str:
        return f"{datetime(2025, 1, 1, tzinfo=UTC) + timedelta(hours=hour):%Y-%m-%dT%H:%M:%S.000Z}"

    hours = [100, 99, 98, 97, 96, 200, 201, 202, 203, 204, 1, 2, 3, 4, 5]
    records = [tenant(number, updatedAt=at(hour)) for number, hour in enumerate(hours)]
    records[4]["active"] = "bad"
    with (
        SmallVendor(records) as vendor,
        engine(None, database_url, DOORLOOP_PAGE_SIZE="5", **vendor.reach) as house,
    ):
        house.run(entities=["tenants"])
        vendor.records[1:3] = [{**records[1], "name": "changed"}, tenant(77, updatedAt=at(98)), records[2]]
        dry, real = (house.run("delta", ["tenants"], dry_run=is_dry) for is_dry in (True, False))
        (report,) = dry_run(database, str(dry.run["id"]))
    for run in (dry, real):
        assert (run.entities["tenants"]["received"], run.entities["tenants"]["total"]) == (16, 16)
        assert (run.counts("tenants")[:2], run.counts("tenants")[4]) == ((1, 1), 1)
        assert "ORDER_NOT_PROVEN" in run.warnings("tenants")
    assert [sample.record_id for sample in report.samples] == [records[1]["id"]]
    (known,) = (told for told in real.entities["tenants"]["warnings"] if told["code"] == "KNOWN_DEAD_LETTERS")
    assert "as they were before: 1." in known["cause"]


@pytest.mark.parametrize("is_here", [False, True], ids=["new", "changed"])
@pytest.mark.parametrize("number", ["1e200000", "9" * 140_000])
@pytest.mark.parametrize("count", [3, 20], ids=["some", "a whole page"])
def test_what_only_postgres_refuses_is_no_change_of_a_dry_run_either(
    database_url: str, database: Database, count: int, number: str, is_here: bool
) -> None:
    """Law 5: it is asked what it would take of what differs, and nothing of that stays."""
    usual = [tenant(each) for each in range(20)]
    odd = [tenant(100 + each) for each in range(count)]
    with SmallVendor([*usual, *odd * is_here]) as vendor, engine(None, database_url, **vendor.reach) as house:
        house.run(entities=["tenants"])
        spoilt = [{**record, "odd": "a number"} for record in odd]
        every = [*usual, tenant(50), *spoilt] if count < 20 else [*spoilt, *usual]

        def odd_page(page: int) -> Answer:
            body = json.dumps({"total": len(every), "data": every[20 * page - 20 : 20 * page]})
            return Answer(body.replace('"a number"', number).encode())

        vendor.bend_page = odd_page
        before = dump_synced(database)
        dry = house.run(entities=["tenants"], dry_run=True)
        assert dump_synced(database) == before
        assert rows(database, "SELECT 1 FROM doorloop.staging_tenants") == []
        real = house.run(entities=["tenants"])
    assert dry.counts("tenants") == real.counts("tenants")
    assert real.counts("tenants")[4] == count
    assert dry.error("tenants") == real.error("tenants") == ("ALL_RECORDS_BAD" if count == 20 else None)


@pytest.mark.parametrize(("gone", "warned"), [(0, ["COUNT_DRIFT"]), (1, [])])
def test_a_dry_run_doubts_as_the_run_does(database_url: str, database: Database, gone: int, warned: list[str]) -> None:
    """Law 5: a record created in mid-reading may hide another: both say so, or look again at what is missing."""
    with (
        SmallVendor([tenant(number) for number in range(50)]) as vendor,
        engine(None, database_url, **vendor.reach) as house,
    ):
        house.run(entities=["tenants"])
        born = f"{datetime.now(UTC) + timedelta(seconds=30):%Y-%m-%dT%H:%M:%S.000Z}"
        vendor.records = [*vendor.records[gone:], tenant(99, createdAt=born, updatedAt=born)]
        dry, real = (house.run(entities=["tenants"], dry_run=is_dry) for is_dry in (True, False))
    assert (dry.counts("tenants"), dry.warnings("tenants")) == (real.counts("tenants"), real.warnings("tenants"))
    assert (real.counts("tenants")[3], real.warnings("tenants")) == (gone, warned)
