"""From a vendor's record to a COPY line, or to the reason why not (law 3): kept whole or put aside, never a crash."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from common.errors import BadRecord
from daemon.guard.answers import loads
from daemon.guard.wire import Envelope, open_list
from daemon.integrations.base import Column, Entity, Kind
from daemon.integrations.doorloop.entities import ENTITIES
from daemon.sync.convert import (
    MOST_ID_BYTES,
    created_at,
    payload_text,
    prepare,
    updated_at,
    usable_id,
)
from daemon.sync.convert import arrived as arrived_by_bytes
from daemon.sync.lines import LineMaker
from daemon.sync.quick_reader import NULL
from daemon.sync.values import parse_moment

KINDS: tuple[Kind, ...] = ("text", "boolean", "integer", "numeric", "date", "timestamp", "texts")
EVERY_KIND = Entity("things", "/things", tuple(Column(f"a_{kind}", kind, (kind,)) for kind in KINDS))
_ESCAPE = re.compile(r"\\(.)")
_PLAIN = {"t": "\t", "n": "\n", "r": "\r", "\\": "\\"}

texts = st.text(st.characters(), max_size=12)  # surrogates and NUL included: st.characters leaves surrogates to us
wild_texts = texts | st.sampled_from(
    ["", " ", "\0", "\\u0000", "\ud800", "a\\b", "\\N", "\\.", "tab\there", "\r\n", "2026-11-01"]
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | wild_texts
    | st.sampled_from(["2026-02-30", "2026-11-01T10:00:00Z", "yes", "12.5", "1E+999999999", "NaN", "1e400"])
)
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(wild_texts, inner, max_size=4), max_leaves=10
)
fields = st.sampled_from([*KINDS, "id", "name", "createdAt", "updatedAt", "address", "emails", "owners", "portalInfo"])
records = st.dictionaries(fields, json_values, max_size=8)


def arrived(value: Any) -> Any:
    """A value as it comes over the wire."""
    return loads(json.dumps(value).encode())


def cells(line: str) -> list[str | None]:
    """A COPY text line of a page whose own cell is `page`, read as Postgres reads it, that cell left out."""
    assert line.startswith("page\t")
    assert line.endswith("\n")
    found = []
    for cell in line[5:-1].split("\t"):
        found.append(None if cell == NULL else _ESCAPE.sub(lambda match: _PLAIN[match[1]], cell))
    return found


def line_of(value: Any, entity: Entity = EVERY_KIND) -> dict[str, str | None]:
    """The cells of a record that is yet to be sent."""
    return cells_of(arrived(value), entity)


def cells_of(record: Any, entity: Entity = EVERY_KIND) -> dict[str, str | None]:
    """The cells of a record as it arrived, by column."""
    maker = LineMaker(entity)
    line = maker.line(prepare(record), "page")
    assert "\n" not in line[:-1]
    assert "\r" not in line
    assert "\0" not in line
    return dict(zip(maker.columns, cells(line), strict=True))


def attempt(record: Any, entity: Entity = EVERY_KIND) -> dict[str, str | None] | BadRecord:
    """The cells of a record as it arrived, or why there are none."""
    try:
        return cells_of(record, entity)
    except BadRecord as bad:
        return bad


def unescaped(value: Any) -> Any:
    """Undo the escaping that `_raw_escaped` flags."""
    if isinstance(value, str):
        return re.sub(r"\\(\\|u[0-9a-f]{4})", lambda m: "\\" if m[1] == "\\" else chr(int(m[1][1:], 16)), value)
    if isinstance(value, dict):
        return {unescaped(key): unescaped(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [unescaped(inner) for inner in value]
    return value


@given(json_values | records)
def test_any_json_value_becomes_a_line_or_a_bad_record(value: Any) -> None:
    """Law 3: never another exception, and the line has exactly its cells."""
    for entity in (EVERY_KIND, *ENTITIES.values()):
        outcome = attempt(arrived(value), entity)
        if isinstance(outcome, BadRecord):
            assert "?" not in outcome.cause.replace(str(outcome.facts.get("value", "")), "")
        else:
            assert outcome["id"]


@given(records.map(lambda record: {**record, "id": "r1"}))
def test_the_whole_record_is_kept(record: dict[str, Any]) -> None:
    """raw holds every field as it came; what Postgres cannot hold is escaped reversibly and flagged."""
    row = attempt(arrived(record), Entity("things", "/things", ()))
    if isinstance(row, BadRecord):
        assert row.code in ("RECORD_TYPE", "RECORD_REFUSED")
        return
    kept = json.loads(row["raw"] or "", parse_float=Decimal, parse_int=Decimal)
    came = json.loads(json.dumps(record), parse_float=Decimal, parse_int=Decimal)
    assert "\\u0000" not in re.sub(r"\\\\", "", row["raw"] or "")
    assert same(unescaped(kept) if row["_raw_escaped"] == "t" else kept, came)


def same(one: Any, other: Any) -> bool:
    """Equal, numbers by value: 1e16 is 10000000000000000, and a double's last digit may be spelt shorter."""
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, Decimal) and isinstance(other, Decimal):
        return one == other or float(one) == float(other)
    return bool(one == other)


@given(
    st.text(st.sampled_from("\\\0\ud800\udfffu0d8a"), max_size=8),
    st.text(st.sampled_from("\\\0\ud800\udfffu0d8a"), max_size=8),
)
def test_different_texts_stay_different(one: str, other: str) -> None:
    """The escaping is reversible: a real NUL and the six letters \\u0000 never become the same text or id."""
    ids = [usable_id({"id": "x" + text}) for text in (one, other)]
    assert (ids[0] == ids[1]) == (one == other)
    assert unescaped(ids[0]) == "x" + one
    record = {"id": "1", "nul": "\0", "a": one, "\0key" + other: 1}
    kept = json.loads(prepare(record).text)
    assert unescaped(kept) == record


@given(json_values)
def test_any_payload_can_be_put_aside(value: Any) -> None:
    """If a record cannot be put aside its page fails as a whole: the letter's text is always JSON a column can hold."""
    text = payload_text(arrived(value))
    assert "\0" not in text
    text.encode()
    json.loads(text)


@pytest.mark.parametrize("depth", [200, 260, 500, 1000])
@pytest.mark.parametrize("leaf", ["x", "\0", "\ud800"])
def test_deep_nesting_is_a_bad_record_or_none_at_all(depth: int, leaf: str) -> None:
    """However deep: a line, a bad record, or no JSON."""
    body = '{"id":"1","a":' + "[" * depth + json.dumps(leaf) + "]" * depth + "}"
    try:
        record = loads(body.encode())
    except ValueError:
        return
    outcome = attempt(record)
    assert not isinstance(outcome, BadRecord) or outcome.code == "RECORD_REFUSED"
    assert "\0" not in payload_text(record)


@pytest.mark.parametrize(
    ("kind", "value", "cell"),
    [
        ("text", "plain", "plain"),
        ("text", "tab\tline\nback\\slash", "tab\tline\nback\\slash"),
        ("text", "\\N", "\\N"),
        ("text", True, "true"),
        ("text", 12, "12"),
        ("text", "", ""),
        ("boolean", True, "t"),
        ("boolean", "No", "f"),
        ("boolean", 1, "t"),
        ("boolean", " ", None),
        ("integer", 12, "12"),
        ("integer", "12.0", "12"),
        ("integer", "", None),
        ("numeric", 1234.5, "1234.5"),
        ("numeric", "1234.50", "1234.50"),
        ("numeric", 12345678901234567890, "12345678901234567890"),
        ("numeric", " ", None),
        ("date", "2026-02-28", "2026-02-28"),
        ("date", "2026-02-28T23:59:59-08:00", "2026-02-28"),
        ("date", "2026-02-28 23:59", "2026-02-28"),
        ("date", "2026-02-28 ", "2026-02-28"),
        ("date", 0, "1970-01-01"),
        ("date", "", None),
        ("timestamp", "2026-11-01T10:00:00Z", "2026-11-01T10:00:00Z"),
        ("timestamp", "2026-11-01T10:00:00+23:00", "2026-10-31T11:00:00+00:00"),
        ("timestamp", "2026-11-01", "2026-11-01T00:00:00+00:00"),
        ("timestamp", 1_761_998_400, "2025-11-01T12:00:00+00:00"),
        ("timestamp", 1_761_998_400_000, "2025-11-01T12:00:00+00:00"),
        ("timestamp", " ", None),
        ("texts", ["a", 'b"c', "d\\e"], '{"a","b\\"c","d\\\\e"}'),
        ("texts", [{"id": "x"}, None, ""], '{"x"}'),
        ("texts", "single", '{"single"}'),
        ("texts", [], "{}"),
        ("texts", None, None),
    ],
)
def test_values_of_each_kind(kind: str, value: Any, cell: str | None) -> None:
    """Money as decimals, both time forms, null and empty text and absent key all accepted (fact sheet §8)."""
    assert line_of({"id": "1", kind: value})[f"a_{kind}"] == cell


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("text", {"an": "object"}),
        ("text", [1]),
        ("boolean", "perhaps"),
        ("boolean", 2),
        ("integer", 1.5),
        ("integer", "1E+999999999"),
        ("integer", True),
        ("numeric", "12,50"),
        ("numeric", "NaN"),
        ("numeric", True),
        ("date", "2026-02-30"),
        ("date", "28.02.2026"),
        ("date", "2026-02-28Tgarbage"),
        ("date", "2026-02-28 99:99:99"),
        ("date", "2026-02-28T"),
        ("date", [2026]),
        ("date", True),
        ("timestamp", "soon"),
        ("timestamp", {"$date": 1}),
        ("timestamp", "0001-01-01T00:00:00+05:00"),
        ("timestamp", 10**17),
        ("texts", [[1]]),
        ("texts", [True]),
    ],
)
def test_a_value_of_the_wrong_type_is_named(kind: str, value: Any) -> None:
    """The reason names the field, the value and what it should be."""
    with pytest.raises(BadRecord) as caught:
        line_of({"id": "1", kind: value})
    assert caught.value.code == "RECORD_TYPE"
    assert caught.value.facts["field"] == kind
    assert caught.value.facts["kind"] == kind


@pytest.mark.parametrize(
    ("kind", "value"), [("date", ["1970-05-17"]), ("numeric", "4111 1111"), ("timestamp", "17 May")]
)
def test_a_sensitive_value_is_never_told(kind: Kind, value: Any) -> None:
    """A birth date in the wrong form must not stand in a reason, whichever converter refused it."""
    entity = Entity("things", "/things", (Column("secret", kind, ("secret",), sensitive=True),))
    with pytest.raises(BadRecord) as caught:
        line_of({"id": "1", "secret": value}, entity)
    assert "17" not in caught.value.cause
    assert "1111" not in caught.value.cause
    assert caught.value.facts["field"] == "secret"


@pytest.mark.parametrize("value", ["not an object", 5, None, ["list"], True])
def test_an_item_that_is_no_record_is_a_bad_record(value: Any) -> None:
    """Anything may stand in a list."""
    with pytest.raises(BadRecord) as caught:
        prepare(value)
    assert caught.value.code == "RECORD_NOT_OBJECT"
    assert usable_id(value) is None


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"id": None},
        {"id": ""},
        {"id": "  "},
        {"id": True},
        {"id": 1.5},
        {"id": ["a"]},
        {"id": "é" * MOST_ID_BYTES},
        {"id": Decimal("1234567890123456789.5")},
        {"id": Decimal("1E+30")},
        {"id": Decimal("9" * (MOST_ID_BYTES + 1))},
    ],
)
def test_a_record_without_a_usable_id_is_a_bad_record(value: dict[str, Any]) -> None:
    """Nothing could tell it from others."""
    with pytest.raises(BadRecord) as caught:
        prepare(value)
    assert caught.value.code == "RECORD_WITHOUT_ID"


@pytest.mark.parametrize("digits", ["7", "-12", "1234567890123456789", "9" * 40, "-" + "9" * 40, "9" * MOST_ID_BYTES])
def test_a_whole_number_of_any_length_is_an_id(digits: str) -> None:
    """As text, digit by digit, whichever parser took it."""
    assert prepare(loads(f'{{"id":{digits}}}'.encode())).id == digits
    envelope = open_list(f'{{"data":[{{"id":{digits}}}]}}'.encode())
    assert isinstance(envelope, Envelope)
    assert arrived_by_bytes(envelope.data[0])[0].prepared().id == digits


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_not_a_number_is_said_as_such(word: str) -> None:
    """JSON has no NaN and jsonb cannot hold it: the record is put aside with that reason, its payload kept."""
    record = loads(b'{"id": "1", "rent": ' + word.encode() + b"}")
    with pytest.raises(BadRecord) as caught:
        prepare(record)
    assert caught.value.code == "RECORD_TYPE"
    assert "NaN" in payload_text(record)


def test_the_hash_of_an_opened_record_does_not_depend_on_order() -> None:
    """A record that comes without its bytes is hashed in one order of keys."""
    base = prepare({"id": "1", "a": 1, "b": {"x": 1, "y": 2}}).payload_hash
    assert prepare({"b": {"y": 2, "x": 1}, "a": 1, "id": "1"}).payload_hash == base
    assert prepare({"id": "1", "a": 2, "b": {"x": 1, "y": 2}}).payload_hash != base
    assert len(base) == 16


@given(records.map(lambda record: {**record, "id": "r1"}), st.booleans())
def test_a_record_by_its_bytes_becomes_the_same_row(record: dict[str, Any], ascii_only: bool) -> None:
    """The quick way of plain records and the careful one of all others make the same cells; raw says the same."""
    body = json.dumps(record, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    envelope = open_list(b'{"data": [' + body + b"]}")
    assume(isinstance(envelope, Envelope))
    for entity in (EVERY_KIND, *ENTITIES.values()):
        maker = LineMaker(entity)
        try:
            careful = cells(maker.line(prepare(loads(body)), "page"))
            came, _ = arrived_by_bytes(envelope.data[0])
            quick = cells(maker.line(came.prepared(), "page"))
        except BadRecord:
            with pytest.raises(BadRecord):
                maker.line(arrived_by_bytes(envelope.data[0])[0].prepared(), "page")
            continue
        raw = maker.columns.index("raw")
        assert quick[:raw] == careful[:raw]
        assert quick[raw + 1] == careful[raw + 1]
        assert orjson.loads(quick[raw] or "") == orjson.loads(careful[raw] or "")


def test_long_numbers_are_kept_to_the_last_digit() -> None:
    """20-digit integers and long decimals stay exact, in raw and in their column."""
    body = b'{"id": "1", "numeric": 1234567890.12345678901234567890, "big": 12345678901234567890123}'
    prepared = prepare(loads(body))
    assert "1234567890.12345678901234567890" in prepared.text
    assert "12345678901234567890123" in prepared.text
    row = cells(LineMaker(EVERY_KIND).line(prepared, "page"))
    assert "1234567890.12345678901234567890" in row


def test_both_spellings_of_a_misspelled_field_are_read() -> None:
    """evictonPending and evictionPending, totalBalancedue and totalBalanceDue (fact sheet §8)."""
    leases = ENTITIES["leases"]
    live = line_of({"id": "1", "evictionPending": True, "totalBalanceDue": 5, "totalRecurringCharges": 6}, leases)
    spec = line_of({"id": "1", "evictonPending": True, "totalBalancedue": 5, "TotalRecurringCharges": 6}, leases)
    for column in ("eviction_pending", "total_balance_due", "total_recurring_charges"):
        assert live[column] == spec[column] is not None


def test_a_path_picks_from_lists_and_objects() -> None:
    """``emails.0.address`` and ``owners.*.owner``; what is not there is null, not an error."""
    record = {"id": "1", "emails": [{"address": "a@x"}, {"address": "b@x"}]}
    assert line_of(record, ENTITIES["owners"])["email"] == "a@x"
    assert line_of({"id": "1", "emails": []}, ENTITIES["owners"])["email"] is None
    assert line_of({"id": "1", "emails": "a@x"}, ENTITIES["owners"])["email"] is None
    owners = {"id": "1", "owners": [{"owner": "o1"}, {"share": 5}, {"owner": "o2"}]}
    assert line_of(owners, ENTITIES["properties"])["owner_ids"] == '{"o1","o2"}'


@given(st.none() | scalars)
def test_a_stamp_is_a_moment_in_utc_or_none(value: Any) -> None:
    """What cannot be read proves nothing, and never stops a page."""
    for read, key in ((updated_at, "updatedAt"), (created_at, "createdAt")):
        moment = read({key: arrived(value)})
        assert moment is None or moment.tzinfo is UTC
    assert updated_at("no record") is None


def test_unix_seconds_and_milliseconds_are_told_apart() -> None:
    """Larger than the year 5138 in seconds means milliseconds."""
    expected = datetime(2026, 11, 1, tzinfo=UTC)
    assert parse_moment(expected.timestamp()) == expected
    assert parse_moment(expected.timestamp() * 1000) == expected
    assert parse_moment(Decimal(str(expected.timestamp() * 1000))) == expected


def test_the_line_ends_with_raw_flag_and_hash() -> None:
    """The writer puts its own cells before these."""
    prepared = prepare({"id": "1", "text": "a\0b"})
    row = dict(zip(LineMaker(EVERY_KIND).columns, cells(LineMaker(EVERY_KIND).line(prepared, "page")), strict=True))
    assert list(row)[-3:] == ["raw", "_raw_escaped", "_payload_hash"]
    assert row["_raw_escaped"] == "t"
    assert row["_payload_hash"] == "\\x" + prepared.payload_hash.hex()
    assert orjson.loads(row["raw"] or "")["text"] == "a\\u0000b"
    assert row["a_text"] == "a\\u0000b"


@pytest.mark.parametrize(
    "number", ["12.50", "1e2", "1E+3", "0.10", "-0.0", "0e5", "1e22", "7", "123456789012345678", "1e-400"]
)
def test_a_number_in_a_text_column_reads_the_same_in_any_company(number: str) -> None:
    """A page with one long number is read exactly as a whole: its other records' columns must not change by that."""
    maker = LineMaker(Entity("things", "/things", (Column("one", "text", ("one",)),)))
    alone = json.dumps({"id": "x", "one": 0}).replace(": 0", f": {number}").encode()
    prepared = [prepare(loads(body)) for body in (alone, alone.replace(b"{", b'{"long": 1.2345678901234567890, ', 1))]
    cells = [maker.line(one, "").split("\t")[2] for one in prepared]
    assert cells[0] == cells[1]
