"""Law 3: a bad record is put aside with its reason, the page goes on; what can be kept is kept whole."""

from __future__ import annotations

import json
import random
import string
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import orjson
import pytest

from common.store.database import Database
from daemon.integrations.doorloop.drill import DrillServer
from tests.harness import Engine, engine
from tests.integration.small_vendor import Answer, SmallVendor, id_of, tenant
from tests.truth import Record, assert_tables_equal_truth, rows, table

INCOMPRESSIBLE = "".join(random.Random(1).choices(string.ascii_letters, k=4000))
"""An id that no compression brings down to what an index can hold."""


@pytest.fixture
def drill() -> Iterator[DrillServer]:
    """A vendor with three pages."""
    with DrillServer(rows=50, seed=4) as server:
        yield server


@pytest.fixture
def copier(drill: DrillServer, database_url: str) -> Iterator[Engine]:
    """An engine that has copied nothing yet."""
    with engine(drill, database_url) as running:
        yield running


def letters(database: Database, state: str = "open") -> list[Record]:
    """Dead letters in a state."""
    return rows(database, "SELECT * FROM control.dead_letters WHERE state = %s ORDER BY id", state)


@pytest.mark.parametrize(
    ("fault", "entity", "code", "has_id"),
    [
        ("missing_id", "owners", "RECORD_WITHOUT_ID", False),
        ("null_id", "owners", "RECORD_WITHOUT_ID", False),
        ("bad_money", "units", "RECORD_TYPE", True),
        ("bad_date", "units", "RECORD_TYPE", True),
        ("bad_date", "owners", "RECORD_TYPE", True),
        ("nan_literal", "units", "RECORD_TYPE", True),
        ("deep_nesting", "units", "RECORD_REFUSED", True),
        ("record_not_object", "owners", "RECORD_NOT_OBJECT", False),
    ],
)
def test_a_bad_record_is_put_aside_and_recovered(
    copier: Engine, drill: DrillServer, database: Database, fault: str, entity: str, code: str, has_id: bool
) -> None:
    """Law 3: new letters leave the run incomplete, known ones do not; a sync that brings them good recovers them."""
    drill.set_fault(fault, every=10, at_most=4)
    bad = set(drill.bad_ids(fault, entity))
    first = copier.run(entities=[entity])
    assert (first.state, first.code) == ("incomplete", "NEW_DEAD_LETTERS")
    assert first.counts(entity) == (46, 0, 0, 0, 4)
    assert set(table(database, entity)) == {record["id"] for record in drill.records(entity)} - bad
    found = letters(database)
    if fault == "record_not_object":  # four times the very same text is one letter
        assert len(found) == 1
    else:
        assert len(found) == 4
        assert {letter["record_id"] for letter in found} == (bad if has_id else {None})
    assert {letter["code"] for letter in found} == {code}
    assert all(letter["reason"] and letter["page"] and letter["payload_hash"] for letter in found)
    second = copier.run(entities=[entity])
    assert (second.state, second.counts(entity)[4]) == ("succeeded", 4)
    assert all(
        letter["attempts"] > 1 and letter["last_seen_at"] > letter["first_seen_at"] for letter in letters(database)
    )
    assert "KNOWN_DEAD_LETTERS" in second.warnings(entity)
    assert "KNOWN_DEAD_LETTERS" not in first.warnings(entity)
    drill.clear_faults()
    third = copier.run(entities=[entity])
    assert (third.state, third.counts(entity)) == ("succeeded", (4, 0, 46, 0, 0))
    assert_tables_equal_truth(database, drill, [entity])
    recovered = letters(database, "recovered")
    assert {letter["record_id"] for letter in recovered} == (bad if has_id else set())


def test_a_letter_keeps_the_whole_payload(copier: Engine, drill: DrillServer, database: Database) -> None:
    """Law 3: nothing of a record that was put aside is lost."""
    drill.set_fault("bad_money", every=10, at_most=1)
    (bad,) = drill.bad_ids("bad_money", "units")
    copier.run(entities=["units"])
    (letter,) = letters(database)
    truth = next(record for record in drill.records("units") if record["id"] == bad)
    assert json.loads(letter["payload"]) == truth | {"marketRent": "abc"}
    assert "abc" in letter["reason"]
    assert "marketRent" in letter["reason"]


def test_a_row_that_turns_bad_stays_as_it_was(copier: Engine, drill: DrillServer, database: Database) -> None:
    """Law 3: a bad version of a known record is put aside; the good row stays, and is not taken for removed."""
    copier.run(entities=["units"])
    before = table(database, "units")
    drill.set_fault("bad_money", every=10)
    run = copier.run(entities=["units"])
    assert run.counts("units") == (0, 0, 45, 0, 5)
    assert table(database, "units") == before
    drill.clear_faults()
    assert copier.run(entities=["units"]).counts("units") == (0, 0, 50, 0, 0)
    assert len(letters(database, "recovered")) == 5


def test_a_discarded_letter_reopens_only_with_another_content(
    copier: Engine, drill: DrillServer, database: Database
) -> None:
    """Issue 3: a discarded letter stays discarded until the record comes with another hash."""
    drill.set_fault("bad_money", every=10, at_most=1)
    (bad,) = drill.bad_ids("bad_money", "units")
    copier.run(entities=["units"])
    with database.transaction() as link:
        link.execute(
            "UPDATE control.dead_letters SET state = 'discarded', finished_at = now(), finished_by = 'tester', "
            "finish_reason = 'known'"
        )
    assert copier.run(entities=["units"]).state == "succeeded"
    assert letters(database) == []
    drill.mutate("units", change_ids=[bad])
    assert copier.run(entities=["units"]).state == "incomplete"
    assert len(letters(database)) == 1


def test_an_open_letter_is_seen_again_also_as_it_was_once_discarded(
    copier: Engine, drill: DrillServer, database: Database
) -> None:
    """Issue 3: seen again → attempts and last_seen, with the payload that came; nobody has discarded this letter."""
    drill.set_fault("bad_money", every=10, at_most=1)
    copier.run(entities=["units"])
    with database.transaction() as link:
        link.execute(
            """INSERT INTO control.dead_letters (integration, entity, record_id, payload, payload_hash, code, reason,
                   fingerprint, state, finished_at, finished_by, finish_reason)
               SELECT integration, entity, record_id, payload, payload_hash, code, reason, fingerprint, 'discarded',
                   now(), 'tester', 'known'
               FROM control.dead_letters"""
        )
        link.execute(
            "UPDATE control.dead_letters SET payload = '{}', payload_hash = 'between', last_seen_at = first_seen_at "
            "WHERE state = 'open'"
        )
    assert copier.run(entities=["units"]).state == "succeeded"
    (letter,) = letters(database)
    (discarded,) = letters(database, "discarded")
    assert (letter["attempts"], letter["payload"]) == (2, discarded["payload"])
    assert letter["last_seen_at"] > letter["first_seen_at"]
    assert discarded["attempts"] == 1


@pytest.mark.parametrize("fault", ["bad_money", "missing_id", "record_not_object"])
def test_a_page_of_ten_or_more_bad_records_ends_the_entity(
    copier: Engine, drill: DrillServer, database: Database, fault: str
) -> None:
    """Issue 3: a page of at least ten records, all bad: the format has changed; the entity ends, the others go on."""
    drill.set_fault(fault, every=1, entity="units")
    run = copier.run(entities=["units", "tenants"])
    assert (run.state, run.error("units")) == ("incomplete", "ALL_RECORDS_BAD")
    assert (run.entities["units"]["state"], run.entities["tenants"]["state"]) == ("failed", "complete")
    assert run.entities["units"]["received"] == 20
    assert letters(database)
    drill.clear_faults()
    assert copier.run(entities=["units"]).state == "succeeded"
    assert_tables_equal_truth(database, drill, ["units", "tenants"])


def test_nine_bad_records_are_no_changed_format(database_url: str, database: Database) -> None:
    """Issue 3: fewer than ten records, all bad, are put aside one by one."""
    with DrillServer(rows=9, seed=4) as drill, engine(drill, database_url) as copier:
        drill.set_fault("bad_money", every=1)
        run = copier.run(entities=["units"])
        assert (run.state, run.counts("units")) == ("incomplete", (0, 0, 0, 0, 9))
        assert len(letters(database)) == 9


@pytest.mark.parametrize("fault", ["nul_character", "lone_surrogate"])
def test_text_that_postgres_cannot_hold_is_escaped_reversibly(
    copier: Engine, drill: DrillServer, database: Database, fault: str
) -> None:
    """Issue 3: NUL and lone surrogates: the record is kept whole, escaped and flagged; the page goes on."""
    drill.set_fault(fault, every=10)
    bad = set(drill.bad_ids(fault, "owners"))
    run = copier.run()
    assert (run.state, run.counts("owners")) == ("succeeded", (50, 0, 0, 0, 0))
    found = table(database, "owners")
    assert {id_ for id_, row in found.items() if row["_raw_escaped"]} == bad
    written = {"nul_character": "a\\u0000b", "lone_surrogate": "\\ud800"}[fault]
    assert all(found[id_]["raw"]["name"].endswith(written) for id_ in bad)
    assert copier.run().counts("owners") == (0, 0, 50, 0, 0)


@pytest.mark.parametrize(
    ("fault", "value"),
    [("huge_integer", "12345678901234567890"), ("long_decimal", "0.123456789012345678901234567890")],
)
def test_long_numbers_are_exact(copier: Engine, drill: DrillServer, database: Database, fault: str, value: str) -> None:
    """Issue 3: 20-digit integers and long decimals lose no digit, neither in the column nor in the raw record."""
    drill.set_fault(fault, every=10)
    bad = drill.bad_ids(fault, "units")
    run = copier.run(entities=["units"])
    assert run.counts("units") == (50, 0, 0, 0, 0)
    exact = rows(
        database,
        "SELECT market_rent, raw ->> 'marketRent' AS text FROM doorloop.units WHERE id = ANY (%s)",
        bad,
    )
    assert {(str(row["market_rent"]), row["text"]) for row in exact} == {(value, value)}
    assert isinstance(exact[0]["market_rent"], Decimal)
    assert copier.run(entities=["units"]).counts("units") == (0, 0, 50, 0, 0)


@pytest.mark.parametrize(
    ("fault", "entity"),
    [
        ("duplicate_keys", "owners"),
        ("field_type_change", "units"),
        ("unknown_fields", "owners"),
        ("numeric_id", "owners"),
        ("missing_updated_at", "leases"),
    ],
)
def test_odd_but_readable_records_are_kept(
    copier: Engine, drill: DrillServer, database: Database, fault: str, entity: str
) -> None:
    """Facts §8: numbers and booleans as text, unknown fields, numeric ids: stored, nothing put aside."""
    drill.set_fault(fault, every=5)
    run = copier.run(entities=[entity])
    assert (run.state, run.counts(entity)) == ("succeeded", (50, 0, 0, 0, 0))
    assert run.warnings(entity) == (["DUPLICATE_KEYS"] if fault == "duplicate_keys" else [])
    assert copier.run(entities=[entity]).counts(entity) == (0, 0, 50, 0, 0)
    if fault == "field_type_change":
        units = table(database, "units")
        for record in drill.records("units"):
            assert units[record["id"]]["market_rent"] == Decimal(str(record["marketRent"]))
            assert units[record["id"]]["active"] is record["active"]
    if fault == "unknown_fields":
        kept = [row["raw"].get("drillField2") for row in table(database, "owners").values()]
        assert kept.count({"number": 2, "text": "unheard of"}) == 10


def refusing(constraint: str) -> str:
    """A condition on a table, so that Postgres itself refuses what our conversion lets through."""
    return f"ALTER TABLE doorloop.owners ADD CONSTRAINT test_refuses CHECK ({constraint}) NOT VALID"


def test_what_postgres_refuses_is_put_aside(copier: Engine, drill: DrillServer, database: Database) -> None:
    """Law 3: a record that only Postgres finds fault with is found by halving, put aside, and the page goes on."""
    refused = sorted(record["id"] for record in drill.records("owners"))[3:6]
    with database.transaction() as link:
        link.execute(refusing(f"id NOT IN ('{refused[0]}', '{refused[1]}', '{refused[2]}')"))
    run = copier.run()
    assert (run.state, run.counts("owners")) == ("incomplete", (47, 0, 0, 0, 3))
    assert {letter["record_id"] for letter in letters(database)} == set(refused)
    assert {letter["code"] for letter in letters(database)} == {"RECORD_REFUSED"}
    assert len(table(database, "owners")) == 47
    with database.transaction() as link:
        link.execute("ALTER TABLE doorloop.owners DROP CONSTRAINT test_refuses")
    assert copier.run().state == "succeeded"
    assert_tables_equal_truth(database, drill, ["owners"])


def test_a_page_that_postgres_refuses_whole_ends_the_entity(
    copier: Engine, drill: DrillServer, database: Database
) -> None:
    """Issue 3: all records of a page refused, by whomever: the entity ends and its page is not passed over."""
    with database.transaction() as link:
        link.execute(refusing("false"))
    run = copier.run(entities=["owners", "tenants"])
    assert (run.error("owners"), run.entities["tenants"]["state"]) == ("ALL_RECORDS_BAD", "complete")
    assert len(letters(database)) == 20
    with database.transaction() as link:
        link.execute("ALTER TABLE doorloop.owners DROP CONSTRAINT test_refuses")
    assert copier.run().state == "succeeded"
    assert_tables_equal_truth(database, drill, ["owners"])


def spoil(drill: DrillServer, monkeypatch: pytest.MonkeyPatch, victim: str, into: Callable[[bytes], bytes]) -> None:
    """Let the vendor send one owner otherwise."""
    owners, mark = drill.vendor.populations["owners"], f'"{victim}"'.encode()
    original = owners.many_bytes

    def many_bytes(indexes: Any) -> list[bytes]:
        return [into(record) if mark in record else record for record in original(indexes)]

    monkeypatch.setattr(owners, "many_bytes", many_bytes)


@pytest.mark.parametrize(
    "spoiled",
    [
        {"id": "x" * 4000},
        {"id": INCOMPRESSIBLE},
        {"id": "a\u0000b"},
        {"createdAt": "9999-12-31T23:59:59-12:00"},
        {"updatedAt": "0001-01-01T00:00:00+14:00"},
        {"createdAt": 99999999999999},
        {"dateOfBirth": "0000-00-00"},
        {"managementStartDate": "2024-02-30"},
        {"notes": "y" * 300_000},
        {"emails": [{"address": {"odd": 1}}]},
        {"properties": [{"no": "id"}]},
        {"properties": "not a list"},
        {"name": ["a", "list"]},
        {"active": "perhaps"},
    ],
    ids=",".join,
)
def test_no_single_record_can_break_its_page(
    copier: Engine, drill: DrillServer, database: Database, monkeypatch: pytest.MonkeyPatch, spoiled: dict[str, Any]
) -> None:
    """Law 3: whatever one record holds (index too large, dates out of range, wrong shapes), the others arrive."""
    victim, *others = (record["id"] for record in drill.records("owners"))
    spoil(drill, monkeypatch, victim, lambda record: orjson.dumps(orjson.loads(record) | spoiled))
    run = copier.run()
    assert run.entities["owners"]["state"] == "complete", run.entities["owners"]["error"]
    assert set(others) <= set(table(database, "owners"))
    inserted, updated, unchanged, _, dead = run.counts("owners")
    assert (inserted + dead, updated, unchanged) == (50, 0, 0)
    again = copier.run()
    assert again.state == "succeeded"
    assert again.counts("owners") == (0, 0, 50 - dead, 0, dead)


@pytest.mark.parametrize(
    ("odd", "told", "is_kept"),
    [
        (b'"score":NaN', {"score": {"no JSON": ["NaN"]}}, False),
        (b'"in":{"deep":' + b"[" * 5000 + b"]" * 5000 + b"}", {"in": {"object": ["keys deep"]}}, False),
        (b'"\\udfff":1', {"\\udfff": {"number": ["1"]}}, True),
        (b'"k\\u0000":{"\\u0000":[]}', {"k\\u0000": {"object": ["keys \\u0000"]}}, True),
        (b'"k\\\\u0000":1,"k\\u0000":2', {"k\\\\u0000": {"number": ["1"]}, "k\\u0000": {"number": ["2"]}}, True),
        (b'"\xff":1', {"\\udcff": {"number": ["1"]}}, True),
        (b'"name":' + b"[" * 990 + b"]" * 990, {}, False),
        (b'"k\\u0000":1,"k\\u0000":2', {"k\\u0000": {"number": ["2"]}}, True),
        (b'"\\ud800":1,"\\ud800":2', {"\\ud800": {"number": ["2"]}}, True),
    ],
    ids=str,
)
def test_a_key_or_value_that_nobody_can_hold_costs_nothing_but_its_record(
    copier: Engine,
    drill: DrillServer,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    odd: bytes,
    told: dict[str, Any],
    is_kept: bool,
) -> None:
    """Law 3: on the first page read, which is also sampled, it neither ends the entity nor the run; events arrive."""
    victim = next(drill.records("owners"))["id"]
    spoil(drill, monkeypatch, victim, lambda record: record[:-1] + b"," + odd + b"}")
    run = copier.run(entities=["owners", "units"])
    assert {row["state"] for row in run.entities.values()} == {"complete"}, (run.run["error"], run.entities)
    assert run.counts("owners") == ((50, 0, 0, 0, 0) if is_kept else (49, 0, 0, 0, 1))
    (shape,) = rows(database, "SELECT diff FROM control.schema_diffs WHERE entity = 'owners'")
    assert shape["diff"]["unmapped"].items() >= told.items()
    assert rows(database, "SELECT 1 FROM control.events WHERE code = 'run_finished'")
    dry = copier.run(entities=["owners"], dry_run=True)
    assert dry.counts("owners") == ((0, 0, 50, 0, 0) if is_kept else (0, 0, 49, 0, 1)), dry.run["error"]


def test_a_sample_that_cannot_be_judged_is_only_logged(
    copier: Engine, drill: DrillServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The schema diff is telemetry: a fault in it (here: a rule that fails) costs no row."""
    monkeypatch.setattr("daemon.sync.list_copy.schema_diff", lambda *_: 1 // 0)
    run = copier.run()
    assert (run.state, run.counts("owners")) == ("succeeded", (50, 0, 0, 0, 0))


def test_a_long_whole_number_is_an_id(
    copier: Engine, drill: DrillServer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Issue 3: every digit of it, as text; the record is a row like any other."""
    victim, digits = next(drill.records("owners"))["id"], "12345678901234567890123"
    spoil(drill, monkeypatch, victim, lambda record: record.replace(f'"{victim}"'.encode(), digits.encode()))
    assert copier.run().counts("owners") == (50, 0, 0, 0, 0)
    assert digits in table(database, "owners")
    assert copier.run().counts("owners") == (0, 0, 50, 0, 0)


def test_a_record_without_id_on_a_page_read_twice_is_counted_once(
    copier: Engine, drill: DrillServer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run in which ids and total disagree reads its last page again; that is no second time it was seen."""
    *_, last = (record["id"] for record in drill.records("owners"))
    spoil(drill, monkeypatch, last, lambda record: record.replace(b'"id":', b'"no":'))
    for times in (1, 2):
        assert copier.run().warnings("owners")[0] == "COUNT_DRIFT"
        (letter,) = letters(database)
        assert (letter["record_id"], letter["attempts"]) == (None, times)


def test_a_dry_run_samples_what_it_can_beside_a_record_that_postgres_refuses(
    copier: Engine, drill: DrillServer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law 5: over rows that are here, a number that jsonb cannot hold costs the dry run its own sample only."""
    copier.run()
    victim = next(drill.records("owners"))["id"]
    drill.mutate("owners", change=5)
    spoil(drill, monkeypatch, victim, lambda record: record[:-1] + b',"odd":1E+999999999}')
    run = copier.run(dry_run=True)
    assert run.entities["owners"]["state"] == "complete", run.run["error"]
    (report,) = rows(
        database, "SELECT report -> 'samples' AS samples FROM control.dry_run_reports WHERE run_id = %s", run.run["id"]
    )
    assert 4 <= len(report["samples"]) <= 5
    assert victim not in {sample["id"] for sample in report["samples"]}


def rows_told(database: Database, run: str) -> int:
    """Rows by a run's page events."""
    told = rows(database, "SELECT sum(rows) AS told FROM control.events WHERE run_id = %s AND code = 'page'", run)
    return int(told[0]["told"])


def test_a_page_of_bad_records_only_is_told_of(copier: Engine, drill: DrillServer, database: Database) -> None:
    """Issue 3: rows are reconciled: what the counters say of the page that ended an entity, its event says."""
    drill.set_fault("null_id", every=1, entity="owners")
    run = copier.run()
    assert run.error("owners") == "ALL_RECORDS_BAD"
    assert rows_told(database, run.run["id"]) == run.entities["owners"]["received"] == 20


def test_a_page_that_is_read_again_counts_once_in_its_events(
    copier: Engine, drill: DrillServer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Issue 3: the last page of a list that moved is read once more; its rows are told of once."""
    *_, last = (record["id"] for record in drill.records("owners"))
    spoil(drill, monkeypatch, last, lambda record: record.replace(b'"id":', b'"no":'))
    run = copier.run()
    assert run.warnings("owners")[0] == "COUNT_DRIFT"
    assert rows_told(database, run.run["id"]) == run.entities["owners"]["received"] == 50
    told = rows(
        database, "SELECT msg FROM control.events WHERE run_id = %s AND code = 'page' ORDER BY id", run.run["id"]
    )
    assert "read again" in told[-1]["msg"]


def test_a_number_beyond_all_spares_its_page(database_url: str, database: Database) -> None:
    """Law 3: an exponent of nineteen digits ended every run that met it."""
    with SmallVendor([tenant(number) for number in range(10)]) as vendor:
        vendor.records[3]["rent"] = 12345.5
        body = json.dumps({"total": 10, "data": vendor.records}).replace("12345.5", "1e9999999999999999999")
        vendor.bend_page = lambda number: Answer(body.encode()) if number == 1 else None
        with engine(None, database_url, **vendor.reach) as copier:
            run = copier.run(entities=["tenants"])
    assert (run.code, run.counts("tenants")) == ("NEW_DEAD_LETTERS", (9, 0, 0, 0, 1))
    assert [(letter["record_id"], letter["code"]) for letter in letters(database)] == [(id_of(3), "RECORD_TYPE")]


@pytest.mark.parametrize("order", ["bad, good", "good, bad", "good, good", "bad, bad", "good, bad, good"])
@pytest.mark.parametrize("is_here", [False, True])
def test_a_record_twice_on_a_page_counts_as_what_became_of_it(
    database_url: str, database: Database, order: str, is_here: bool
) -> None:
    """Issue 3: rows and dead letters are reconciled: each record that came is one of what the counters tell."""
    twice = {"good": tenant(3), "bad": tenant(3, dateOfBirth="never")}
    usual = [tenant(number) for number in range(12) if number != 3]
    with SmallVendor([*usual, tenant(3)]) as vendor, engine(None, database_url, **vendor.reach) as copier:
        if is_here:
            copier.run(entities=["tenants"])
        vendor.records = [*usual, *(twice[kind] for kind in order.split(", "))]
        row = copier.run(entities=["tenants"]).entities["tenants"]
    parts = [row[name] for name in ("inserted", "updated", "unchanged", "dead", "duplicates")]
    assert row["received"] == sum(parts) == len(vendor.records), parts
    open_letters = [letter for letter in letters(database) if letter["state"] == "open"]
    assert len(open_letters) == (1 if order.endswith("bad") else 0)
