"""The schema diff: what the vendor sends against what our columns keep."""

from __future__ import annotations

from decimal import Decimal

import pytest

from common.excerpt import name_in_words, value_in_words
from common.rules.schema_diff import MOST_KEYS, Mapped, Wording, schema_diff

WORDING = Wording(name_in_words, value_in_words)

COLUMNS = (
    Mapped("name", "text", ("name",)),
    Mapped("active", "boolean", ("active",)),
    Mapped("email", "text", ("emails.0.address",), sensitive=True),
    Mapped("due", "numeric", ("totalBalanceDue", "totalBalancedue")),
    Mapped("born", "date", ("dateOfBirth",), sensitive=True),
    Mapped("unit_ids", "texts", ("units",)),
)


def test_unmapped_keys_never_seen_columns_and_drift_are_told() -> None:
    """Issue "An engine": unmapped keys, columns never seen, type drift, with examples."""
    records = [
        {"id": "a", "name": "Ann", "active": "true", "pet": 3, "emails": [{"address": "a@b.c"}]},
        {"id": "b", "name": 7, "active": True, "pet": "cat", "totalBalancedue": Decimal("1.5"), "dateOfBirth": 19},
        "not a record",
    ]
    assert schema_diff(records, COLUMNS, WORDING) == {
        "unmapped": {"pet": {"number": ["3"], "text": ["3 characters"]}},
        "never_seen": ["unit_ids"],
        "drift": {"active": {"text": ["'true'"]}, "born": {"number": ["•••"]}},
    }


def test_nothing_sampled_says_nothing() -> None:
    """An empty list proves nothing about columns."""
    assert schema_diff([], COLUMNS, WORDING) == {"unmapped": {}, "never_seen": [], "drift": {}}


def test_a_list_of_ids_inside_objects_is_no_drift() -> None:
    """A column read from every element of a list fits a list."""
    owners = (Mapped("owner_ids", "texts", ("owners.*.owner",)),)
    assert schema_diff([{"id": "a", "owners": [{"owner": "x"}]}], owners, WORDING) == {
        "unmapped": {},
        "never_seen": [],
        "drift": {},
    }


def test_keys_inside_mapped_objects_are_told_and_examples_tell_of_nobody() -> None:
    """Unmapped keys have examples, but none that could be a name, a number of an account or an address."""
    columns = (Mapped("city", "text", ("address.city",)),)
    record = {
        "id": "a",
        "address": {"city": "Rome", "valid": True, "lat": 41.9},
        "taxId": 123456789,
        "status": "IN_REVIEW",
        "since": "2026-11-01",
        "nickname": "Ann",
        "pets": [1, 2],
        "portal": {"login": "x", "allow": True},
        "nothing": None,
    }
    assert schema_diff([record], columns, WORDING)["unmapped"] == {
        "address.lat": {"number": ["41.9"]},
        "address.valid": {"boolean": ["true"]},
        "nickname": {"text": ["3 characters"]},
        "nothing": {},
        "pets": {"list": ["2 items"]},
        "portal": {"object": ["keys allow, login"]},
        "since": {"text": ["a day"]},
        "status": {"text": ["9 capitals"]},
        "taxId": {"number": ["9 digits"]},
    }


@pytest.mark.parametrize("value", ["JOHN", "1980-02-03", 4321, Decimal("12.34"), "Jane"])
def test_no_value_of_a_key_that_nobody_has_judged_is_told(value: object) -> None:
    """Law 9: a name may be written in capitals, a day be one of birth, a short number a PIN."""
    told = schema_diff([{"unknown": value}], (), WORDING)["unmapped"]["unknown"]
    assert str(value) not in str(told)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"ceo": "Jane Roe"}, {"object": ["keys ceo"]}),
        (["Jane Roe", "jane@roe.test"], {"list": ["2 items"]}),
    ],
)
def test_of_an_object_or_list_that_drifted_the_shape_is_told(value: object, told: dict[str, list[str]]) -> None:
    """Law 9: the column's own values may be shown; what stands inside another thing, nobody has judged."""
    assert schema_diff([{"name": value}], COLUMNS, WORDING)["drift"] == {"name": told}


def test_a_key_that_postgres_cannot_hold_is_escaped_reversibly() -> None:
    """As it is in the table's raw records: different keys stay different."""
    record = {"k\0": 1, "k\\u0000": 2, "\udfff": {"\0": 1}}
    assert schema_diff([record], (), WORDING)["unmapped"] == {
        "\\udfff": {"object": ["keys \\u0000"]},
        "k\\\\u0000": {"number": ["2"]},
        "k\\u0000": {"number": ["1"]},
    }


@pytest.mark.parametrize("key", ["ana@example.test", "+14155550100", "4155550100", "12 Main St", "Ana Lee"])
def test_a_key_that_may_be_personal_is_not_told(key: str) -> None:
    """Law 9: a list of shares may be keyed by people's addresses; a report of keys is no place for them."""
    columns = (Mapped("city", "text", ("address.city",)),)
    record = {key: 1, "shares": {key: True}, "address": {"city": "Rome", key: "home"}}
    assert schema_diff([record], columns, WORDING)["unmapped"] == {
        "•••": {"number": ["1"]},
        "address.•••": {"text": ["4 characters"]},
        "shares": {"object": ["keys •••"]},
    }


def test_keys_are_told_short_and_not_without_end() -> None:
    """A key is the vendor's as well: it may be a secret, a page long, or one of very many."""
    told = schema_diff([{"k" * 5_000: 1, "inner": {"n" * 5_000: 1}}], (), WORDING)["unmapped"]
    assert max(len(text) for key, types in told.items() for text in (key, *types.get("object", ()))) < 100
    many = {f"key{number}": number for number in range(3 * MOST_KEYS)}
    assert len(schema_diff([many], (), WORDING)["unmapped"]) == MOST_KEYS
