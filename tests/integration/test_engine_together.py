"""Pages that are there together are written together; an unchanged record is not even opened."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from common.store import records
from common.store.database import Database
from common.store.records import Target
from daemon.integrations.doorloop.drill import DrillServer
from tests.children import held
from tests.harness import Engine, Outcome, engine
from tests.integration.small_vendor import SmallVendor, tenant
from tests.truth import assert_tables_equal_truth, one, rows, table
from tests.waiting import wait_for

PAGES = 12


@pytest.fixture
def drill() -> Iterator[DrillServer]:
    """A vendor with twelve pages of each entity."""
    with DrillServer(rows=PAGES * 20, seed=5) as server:
        yield server


@pytest.fixture
def copier(drill: DrillServer, database_url: str) -> Iterator[Engine]:
    """An engine on that vendor."""
    with engine(drill, database_url, DOORLOOP_MAX_CONCURRENCY="4") as running:
        yield running


def run_with_a_slow_first_write(copier: Engine, drill: DrillServer, database: Database) -> Outcome:
    """A backfill of owners whose first page waits to be written until all others have come."""
    plan = copier.begin()
    with ThreadPoolExecutor(1) as pool:
        with held(database.url, "LOCK TABLE doorloop.owners"):
            running = pool.submit(copier.finish, plan)
            # one request for whose account it is, then every page
            wait_for(lambda: sum(entry.status == 200 for entry in drill.log.entries()) > PAGES, "every page has come")
        return running.result(60)


def test_pages_that_have_come_are_written_in_one_transaction(
    copier: Engine, drill: DrillServer, database: Database
) -> None:
    """Law 2 holds for several pages as for one; a transaction a page would cost more than its rows."""
    outcome = run_with_a_slow_first_write(copier, drill, database)
    assert outcome.state == "succeeded"
    assert outcome.counts("owners") == (PAGES * 20, 0, 0, 0, 0)
    assert (outcome.entities["owners"]["page"], outcome.entities["owners"]["received"]) == (PAGES, PAGES * 20)
    assert_tables_equal_truth(database, drill, ["owners"])
    assert one(database, "SELECT count(DISTINCT xmin::text) AS writers FROM doorloop.owners")["writers"] < PAGES
    events = rows(database, "SELECT page, rows FROM control.events WHERE code = 'page' ORDER BY id")
    assert [(event["page"], event["rows"]) for event in events] == [(number, 20) for number in range(1, PAGES + 1)]


def test_an_odd_page_among_them_is_written_as_if_alone(copier: Engine, drill: DrillServer, database: Database) -> None:
    """Law 3: a bad record is put aside, under its own page, and every page goes on."""
    drill.set_fault("null_id", every=50)
    outcome = run_with_a_slow_first_write(copier, drill, database)
    letters = rows(database, "SELECT page FROM control.dead_letters ORDER BY page")
    assert outcome.state == "incomplete"
    assert len(letters) == outcome.entities["owners"]["dead"] > 1
    assert len({letter["page"] for letter in letters}) > 1
    bad = set(drill.bad_ids("null_id", "owners"))
    assert set(table(database, "owners")) == {record["id"] for record in drill.records("owners")} - bad


def test_a_row_among_new_ones_that_is_there_after_all(copier: Engine, drill: DrillServer, database: Database) -> None:
    """After new pages the next ones are taken for new without a look; a row that is there is found by its key."""
    late = list(drill.records("owners"))[-30:-20]
    rows(
        database,
        "INSERT INTO doorloop.owners (id, name, raw, _source, _run_id, _payload_hash, _fetched_at, _removed_at) "
        "SELECT unnest(%s::text[]), 'by hand', '{}', 'doorloop', gen_random_uuid(), '\\x00', now(), now()",
        [record["id"] for record in late],
    )
    outcome = copier.run()
    assert outcome.state == "succeeded"
    assert outcome.counts("owners") == (PAGES * 20 - len(late), len(late), 0, 0, 0)
    assert_tables_equal_truth(database, drill, ["owners"])


def test_other_bytes_with_the_same_payload_are_no_change(copier: Engine, database: Database) -> None:
    """Design §4: a record whose payload hash is unchanged is not rewritten, in whatever order its keys come."""
    copier.run()
    with database.transaction() as link:
        link.execute("UPDATE doorloop.owners SET _payload_hash = '\\x00'")
    before = table(database, "owners")
    again = copier.run()
    assert again.counts("owners") == (0, 0, PAGES * 20, 0, 0)
    assert table(database, "owners") == before


def test_the_same_bytes_are_not_opened(copier: Engine, database: Database) -> None:
    """What makes an identical reading cheap: a row whose bytes came again is taken for unchanged unseen."""
    copier.run()
    with database.transaction() as link:
        link.execute("UPDATE doorloop.owners SET raw = '{}'")
    assert copier.run().counts("owners") == (0, 0, PAGES * 20, 0, 0)


def test_volatile_keys_make_no_change(copier: Engine, database: Database) -> None:
    """What changes without meaning anything is left out when a record is compared with its row."""
    copier.run()
    one_row = one(database, "SELECT id, raw FROM doorloop.owners LIMIT 1")
    text = {one_row["id"]: (json.dumps({**one_row["raw"], "seenAt": "now"}), False)}
    target = Target("doorloop", "owners", ("id",))
    with database.transaction() as link:
        assert records.same_payload(link, target, "main", text, {"seenAt"}) == {one_row["id"]}
        assert records.same_payload(link, target, "main", text, ()) == set()


@pytest.mark.parametrize("texts", [("\ud800", "\\ud800"), ("\\ud800", "\ud800")], ids=["to letters", "from letters"])
def test_an_escape_and_its_letters_are_not_the_same(
    database_url: str, database: Database, texts: tuple[str, str]
) -> None:
    """Law 3: text that Postgres cannot hold is kept reversibly; the same letters as they stand are another record."""
    with SmallVendor([]) as vendor, engine(None, database_url, **vendor.reach) as house:
        for name in texts:
            vendor.records = [tenant(1, name=name)]
            run = house.run(entities=["tenants"])
        assert run.counts("tenants") == (0, 1, 0, 0, 0)
        vendor.records = [dict(reversed(vendor.records[0].items()))]
        assert house.run(entities=["tenants"]).counts("tenants") == (0, 0, 1, 0, 0)
    (row,) = table(database, "tenants").values()
    assert (row["_raw_escaped"], row["raw"]["name"]) == (texts[1] == "\ud800", "\\ud800")
