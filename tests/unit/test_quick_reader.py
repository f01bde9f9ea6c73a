"""The quick way of plain records makes the lines that the careful way makes (law 3), and is really taken."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import BadRecord
from daemon.guard.wire import Envelope, open_list
from daemon.integrations.base import Column, Entity
from daemon.integrations.doorloop.drill import ENTITIES as LISTS
from daemon.integrations.doorloop.drill import DrillServer
from daemon.integrations.doorloop.entities import ENTITIES
from daemon.sync.convert import arrived as looked_at
from daemon.sync.lines import LineMaker
from tests.bench.vendor import record as bench_record
from tests.unit.test_convert import EVERY_KIND, cells, fields, records

DEEP = Entity(
    "things",
    "/things",
    (
        Column("one", "text", ("a.b",)),
        Column("two", "text", ("a.c.d",)),
        Column("three", "numeric", ("x", "y")),
        Column("four", "texts", ("l.*.m",)),
        Column("five", "text", ("l.1.m",)),
        Column("six", "date", ("a.day",)),
        Column("seven", "integer", ("a.whole",)),
    ),
)
plain_texts = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters='"\\'), max_size=8)
moments = st.sampled_from(["2026-11-01T10:00:00.000Z", "2026-11-01", "2026-02-30T10:00:00Z", "", "1760000000", "soon"])
plain_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(-1e9, 1e9) | plain_texts | moments,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcdlmxy"), inner, max_size=4),
    max_leaves=8,
)
plain_records = st.dictionaries(fields | st.sampled_from("abcdlmxy"), plain_values, max_size=9)


def as_sent(body: bytes) -> Any:
    """A record as it comes over the wire, unopened."""
    envelope = open_list(b'{"data": [' + body + b"]}")
    return envelope.data[0] if isinstance(envelope, Envelope) else None


def meaning(kind: str, cell: str | None) -> Any:
    """What a cell says, whatever way it is written: 1.10 and 1.1, a JSON as it came and one written anew."""
    if cell is None or kind not in ("json", "numeric", "integer"):
        return cell
    return Decimal(cell) if kind != "json" else json.loads(cell, parse_float=Decimal, parse_int=Decimal)


def assert_the_same(maker: LineMaker, kinds: dict[str, str], sent: Any) -> bool:
    """Whether the quick way was taken; if so it made what the careful one makes."""
    made = maker.at_once([sent], "page")
    if not made.positions:
        return False
    ((good, line),) = zip(made.good, made.lines, strict=True)
    came, stamp = looked_at(sent)
    careful = cells(maker.line(came.prepared(), "page"))
    quick = cells(line)
    assert (good.id, good.payload_hash) == (came.id, came.payload_hash)
    assert (made.updated_at[0], made.created_at[0]) == stamp
    for name, one, other in zip(maker.columns, quick, careful, strict=True):
        kind = "json" if name == "raw" else kinds.get(name, "text")
        assert meaning(kind, one) == meaning(kind, other), name
    return True


@pytest.mark.parametrize("ascii_only", [False, True])
@given(record=(records | plain_records).map(lambda record: {**record, "id": "r1"}))
def test_both_ways_make_the_same_line(record: dict[str, Any], ascii_only: bool) -> None:
    """Whatever comes: the same cells, or the careful way is left to say what is wrong."""
    sent = as_sent(json.dumps(record, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass"))
    for entity in (EVERY_KIND, DEEP, *ENTITIES.values()):
        kinds: dict[str, str] = {column.name: column.kind for column in entity.columns}
        assert_the_same(LineMaker(entity), kinds, sent)


@given(page=st.lists(records | plain_records, max_size=6))
def test_a_page_is_made_as_its_records_are(page: list[dict[str, Any]]) -> None:
    """No record takes a cell, a stamp or a hash of its neighbour, nor is one left to the careful way for another."""
    sent = [as_sent(json.dumps({"id": f"r{n}", **record}).encode()) for n, record in enumerate(page)]
    for entity in (EVERY_KIND, DEEP, *ENTITIES.values()):
        maker = LineMaker(entity)
        alone = [(n, maker.at_once([one], "page")) for n, one in enumerate(sent)]
        alone = [(n, made) for n, made in alone if made.positions]
        made = maker.at_once(sent, "page")
        assert list(made.positions) == [n for n, _ in alone]
        assert [(one.id, one.payload_hash, one.came) for one in made.good] == [
            (one.good[0].id, one.good[0].payload_hash, sent[n]) for n, one in alone
        ]
        assert list(made.updated_at) == [one.updated_at[0] for _, one in alone]
        assert list(made.created_at) == [one.created_at[0] for _, one in alone]
        assert list(made.lines) == [one.lines[0] for _, one in alone]


def test_each_record_of_a_page_keeps_its_own_values() -> None:
    """In every kind of column and at every depth; an empty text is one, and not nothing."""
    own: list[dict[str, Any]] = [
        {"a": {"b": "B0", "c": {"d": "D0"}, "day": "2026-11-01", "whole": 7}, "x": 1.5, "l": [{"m": "p"}, {"m": "q"}]},
        {"a": None, "y": None, "l": []},
        {"a": {"b": "", "c": {"d": ""}, "day": "2026-11-02", "whole": 8}, "y": 2.5, "l": [{"m": ""}, {"m": ""}]},
        {"a": {"b": "B3", "c": None, "day": None, "whole": None}, "x": None, "y": 3.5, "l": None},
    ]
    sent = [as_sent(json.dumps({"id": f"r{n}", **record}).encode()) for n, record in enumerate(own)]
    maker = LineMaker(DEEP)
    made = maker.at_once(sent, "page")
    assert list(made.positions) == [0, 1, 2, 3]
    kinds: dict[str, str] = {column.name: column.kind for column in DEEP.columns} | {"raw": "json"}
    for one, line in zip(sent, made.lines, strict=True):
        careful = cells(maker.line(looked_at(one)[0].prepared(), "page"))
        for name, quick, slow in zip(maker.columns, cells(line), careful, strict=True):
            assert meaning(kinds.get(name, "text"), quick) == meaning(kinds.get(name, "text"), slow), name


@pytest.mark.parametrize("entity", LISTS)
def test_a_vendors_records_go_the_quick_way(entity: str) -> None:
    """What is like the vendor's own answers goes quickly, but for escapes and other spellings of a type."""
    maker = LineMaker(ENTITIES[entity])
    kinds: dict[str, str] = {column.name: column.kind for column in ENTITIES[entity].columns}
    with DrillServer(rows=200, seed=1) as drill:
        sent = [as_sent(json.dumps(record, ensure_ascii=False).encode()) for record in drill.records(entity)]
    assert sum(assert_the_same(maker, kinds, one) for one in sent) > len(sent) * 0.7


def test_a_plain_record_is_read_whole() -> None:
    """Every kind of column, a path into lists and objects, the second of two spellings."""
    sent = as_sent(
        json.dumps(
            {
                "id": "r1",
                "a": {"b": "B", "c": {"d": True}, "day": "2026-11-01", "whole": 7},
                "y": 1.50,
                "l": [{"m": "p"}, {"m": 12}, {}],
                "zzz": [1, {"n": None}],
            }
        ).encode()
    )
    (line,) = LineMaker(DEEP).at_once([sent], "page").lines
    found = dict(zip(LineMaker(DEEP).columns, cells(line), strict=True))
    assert {name: found[name] for name in ("one", "two", "three", "five", "six", "seven")} == {
        "one": "B",
        "two": "true",
        "three": "1.5",
        "five": "12",
        "six": "2026-11-01",
        "seven": "7",
    }
    assert found["four"] == '{"p","12"}'


@pytest.mark.parametrize(
    "body",
    [
        b'{"id": "r1", "name": "a\\tb"}',
        b'{"id": "r1",\n"name": "a"}',
        b'{"id": "r1",\t"name": "a"}',
        b'{"id": 7}',
        b'{"id": true}',
        b'{"name": "nobody"}',
        b'{"id": " "}',
        b'{"id": "r1", "active": "yes"}',
        b'{"id": "r1", "name": ["a"]}',
        b'{"id": "r1", "name": 1.5}',
        b'{"id": "r1", "portalInfo": "gone"}',
        b'{"id": "r1", "emails": {"address": "a@b.example"}}',
        b'{"id": "r1", "createdAt": 1760000000}',
        b'{"id": "r1", "createdAt": "2026-02-30T10:00:00Z"}',
        b'{"id": "r1", "createdAt": "2026-02-30T10:00:00.000Z"}',
        b'{"id": "r1", "name": "\xff"}',
        b'{"id": "r1", "other": "\xff"}',
        b'["r1"]',
    ],
)
def test_what_is_not_as_expected_is_looked_at_more_closely(body: bytes) -> None:
    """An escape, another type, an id that is no text, bytes that are no UTF-8: the careful way says what it is."""
    assert not LineMaker(ENTITIES["tenants"]).at_once([as_sent(body)], "page").positions


def test_an_opened_record_is_looked_at_more_closely() -> None:
    """A page that was no plain envelope comes as values."""
    assert not LineMaker(ENTITIES["tenants"]).at_once([{"id": "r1"}], "page").positions


def test_the_benchmarks_record_goes_the_quick_way() -> None:
    """Else the benchmark would measure something else than it seems to."""
    sent = as_sent(json.dumps(bench_record(7, 0)).encode())
    kinds: dict[str, str] = {column.name: column.kind for column in ENTITIES["tenants"].columns}
    assert assert_the_same(LineMaker(ENTITIES["tenants"]), kinds, sent)


@given(record=plain_records.map(lambda record: {**record, "id": "r1"}))
def test_a_bad_record_is_never_read_quickly(record: dict[str, Any]) -> None:
    """Law 3: what the careful way would put aside, the quick one does not let pass."""
    sent = as_sent(json.dumps(record).encode())
    for entity in (EVERY_KIND, DEEP):
        maker = LineMaker(entity)
        try:
            maker.line(looked_at(sent)[0].prepared(), "page")
        except BadRecord:
            assert not maker.at_once([sent], "page").positions
