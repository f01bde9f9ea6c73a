"""Faults of pages, records and JSON do what their sentence says (DoorLoop fact sheet §5, §8 and §11.8)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.contract.drill_client import DrillClient, drilling


def pages(client: DrillClient, count: int, **params: Any) -> list[list[str]]:
    """Return the ids of the first pages of owners, ten each unless asked."""
    asked = {"page_size": 10, **params}
    return [
        [record["id"] for record in client.get("owners", page_number=number, **asked).json()["data"]]
        for number in range(1, count + 1)
    ]


def totals(client: DrillClient) -> list[int]:
    return [client.get("owners", page_number=number, page_size=10).json()["total"] for number in (1, 2, 3)]


def test_paging_faults_show_the_wrong_rows() -> None:
    """§5: repeated page, no new ids, an empty page before the last, a row on two pages, a clamped page size."""
    with drilling(rows=40, seed=4) as (drill, client):
        true = pages(client, 4)
        drill.set_fault("repeated_page")
        assert pages(client, 3) == [true[0]] * 3
        drill.clear_faults()
        drill.set_fault("no_new_ids", from_page=3)
        mixed = pages(client, 4)
        assert mixed[:2] == true[:2]
        assert set(mixed[2]) | set(mixed[3]) <= set(true[0]) | set(true[1])
        assert mixed[2] not in (true[0], true[1], mixed[3])
        drill.clear_faults()
        drill.set_fault("empty_page_before_last")
        assert pages(client, 4) == [true[0], [], *true[2:]]
        drill.clear_faults()
        drill.set_fault("short_page", rows=3)
        assert pages(client, 4) == [true[0], true[1][:-3], *true[2:]]
        drill.clear_faults()
        drill.set_fault("duplicate_row_across_pages")
        assert pages(client, 2)[1] == [true[0][-1], *true[1]]
        drill.set_fault("duplicate_row_across_pages", replace=True)
        assert pages(client, 2)[1] == [true[0][-1], *true[1][1:]]
        drill.clear_faults()
        drill.set_fault("page_size_clamp", rows=7)
        assert [len(page) for page in pages(client, 6)] == [7, 7, 7, 7, 7, 5]


def test_totals_can_move_and_lie() -> None:
    """§5: the total shifts in mid-run, by page or by request, or claims more than there is."""
    with drilling(rows=30) as (drill, client):
        drill.set_fault("moving_total", step=2)
        assert totals(client) == totals(client) == [30, 32, 34]
        drill.set_fault("moving_total", step=-1, per="request")
        assert totals(client) + totals(client) == [30, 29, 28, 27, 26, 25]
        drill.clear_faults()
        drill.set_fault("total_off_by", rows=3)
        assert totals(client) == [33, 33, 33]


def test_rows_shift_for_good_while_paging() -> None:
    """§5: a record deleted from a page already read moves a later one past the reader."""
    with drilling(rows=40, seed=4) as (drill, client):
        true = pages(client, 4)
        drill.set_fault("shifting_rows", delete=1, times=1)
        shifted = pages(client, 4)
        assert shifted[1] == [*true[1][1:], true[2][0]]
        assert drill.count("owners") == 39
        drill.set_fault("shifting_rows", delete=0, insert=2, only_page=3)
        pages(client, 4)
        assert drill.count("owners") == 41


def test_sorting_can_be_ignored_or_disturbed() -> None:
    """§6: the engine may trust newest-first only while the answers prove it."""
    with drilling(rows=40, seed=4) as (drill, client):
        newest = {"sort_by": "updatedAt", "sort_descending": "true"}
        true, plain = pages(client, 2, **newest), pages(client, 2)
        drill.set_fault("ignore_sort")
        assert pages(client, 2, **newest) == plain
        drill.clear_faults()
        drill.set_fault("unsorted_updated_at")
        disturbed = pages(client, 2, **newest)
        assert disturbed != true
        assert list(map(sorted, disturbed)) == list(map(sorted, true))
        assert pages(client, 2) == plain


TOO_DEEP = "[" * 10_000 + "]" * 10_000
RAW_POISON = {
    "nul_character": r"\u0000",
    "lone_surrogate": r"\ud800",
    "nan_literal": ":NaN",
    "huge_integer": ":12345678901234567890",
    "long_decimal": ":0.123456789012345678901234567890",
    "deep_nesting": TOO_DEEP,
    "duplicate_keys": '"name":"Second value"}',
    "bad_money": '"marketRent":"abc"',
    "bad_date": '"31/31/2020"',
    "null_id": '"id":null',
    "numeric_id": '"id":50000',
    "record_not_object": '"not a record"',
    "field_type_change": '"active":"true"',
    "unknown_fields": '"drillField2"',
}


@pytest.mark.parametrize("key", sorted(RAW_POISON))
def test_poison_spoils_the_named_records_only(key: str) -> None:
    """§8: one record in ten is bad, the same on every reading, and the rest of the page is whole."""
    with drilling(rows=20, seed=4) as (drill, client):
        drill.set_fault(key, every=10, entity="units")
        bad = drill.bad_ids(key, "units")
        assert [found[-1] for found in bad] == ["5", "f"]
        text = client.get("units", filter_active="all").text
        assert text.count(RAW_POISON[key]) == 2
        good = [record for record in drill.records("units") if record["id"] not in bad]
        served = json.loads(text.replace(TOO_DEEP, "0"))["data"]
        assert [record for record in served if record in good] == good
        assert len(served) == 20
        assert RAW_POISON[key] in client.get(f"units/{bad[0]}").text
        assert RAW_POISON[key] not in client.get("leases").text


@pytest.mark.parametrize(("key", "field"), [("missing_id", "id"), ("missing_updated_at", "updatedAt")])
def test_fields_can_be_missing(key: str, field: str) -> None:
    """§8: a record without its id, and lists without updatedAt."""
    with drilling(rows=20, seed=4) as (drill, client):
        wanted = next(drill.records("owners"))["id"]
        drill.set_fault(key, ids=[wanted])
        assert drill.bad_ids(key, "owners") == [wanted]
        assert [field in record for record in client.get("owners").json()["data"]] == [False] + [True] * 19


@pytest.mark.parametrize(
    ("mode", "shape"),
    [
        ("data_missing", {"total", "results"}),
        ("data_null", {"total", "data"}),
        ("data_object", {"total", "data"}),
        ("data_text", {"total", "data"}),
        ("total_missing", {"data"}),
        ("total_text", {"total", "data"}),
    ],
)
def test_envelopes_can_be_wrong(mode: str, shape: set[str]) -> None:
    """§5: data is missing or no list, total is missing or no number; other answers keep their form."""
    with drilling(rows=2) as (drill, client):
        drill.set_fault("wrong_envelope", mode=mode)
        assert client.get("owners").json().keys() == shape
        assert client.get("users/me").json()["id"]
        drill.clear_faults()
        drill.set_fault("bare_array")
        assert len(client.get("owners").json()) == 2


def test_bodies_can_be_torn_marked_empty_or_huge() -> None:
    """§9, §11.8: truncated and invalid JSON, a byte order mark, nothing, another type, compressed, and too much."""
    with drilling(rows=5) as (drill, client):
        whole = client.get("owners").content
        for key in ("truncated_json", "invalid_json", "empty_body"):
            drill.set_fault(key)
            with pytest.raises(ValueError, match=r"."):
                client.get("owners").json()
            drill.clear_faults()
        drill.set_fault("bom")
        assert client.get("owners").content == b"\xef\xbb\xbf" + whole
        drill.clear_faults()
        drill.set_fault("wrong_content_type")
        assert client.get("owners").headers["content-type"] == "text/plain"
        drill.clear_faults()
        for announced in (True, False):
            drill.set_fault("oversized_body", bytes=300_000, announced=announced)
            answer = client.get("owners")
            assert len(answer.content) == 300_000
            assert answer.json() == json.loads(whole)
        drill.clear_faults()
        for key in ("gzip", "gzip_bomb"):
            drill.set_fault(key, **({"bytes": 500_000} if key == "gzip_bomb" else {}))
            answer = client.get("owners")
            assert answer.json() == json.loads(whole)
            assert len(answer.content) == (500_000 if key == "gzip_bomb" else len(whole))
            drill.clear_faults()
