"""What differs between two versions of a record, and what of it may be shown."""

from __future__ import annotations

from common.excerpt import excerpt
from common.rules.field_diff import field_diffs, plain_fields

COLUMNS = ((("address.city",), False), (("emails.0.address",), True), (("owners.*.owner",), False), (("name",), True))


def test_fields_of_plain_columns_are_shown_and_no_other() -> None:
    """Issue 3: sensitive fields masked; a field that no column knows may be personal, so it is masked, too."""
    plain = plain_fields(COLUMNS)
    assert plain == {"address.city", "owners"}
    before = {"id": "a", "name": "Ann", "address": {"city": "Rome", "zip": "1"}, "emails": [{"address": "a@b.c"}]}
    after = {"id": "a", "name": "Bea", "address": {"city": "Oslo", "zip": "2"}, "taxId": "123-45", "owners": ["x"]}
    assert field_diffs(before, after, plain, excerpt) == {
        "address.city": ("Rome", "Oslo"),
        "address.zip": ("•••", "•••"),
        "emails": ("•••", "(absent)"),
        "name": ("•••", "•••"),
        "owners": ("(absent)", '["x"]'),
        "taxId": ("(absent)", "•••"),
    }


def test_a_key_that_may_be_personal_is_not_told() -> None:
    """Law 9: what a record is keyed by may be somebody's mail address or number."""
    after = {"shares": {"ana@example.test": {"phone": "1"}}, "address": {"+14155550100": "home"}}
    told = field_diffs({}, after, frozenset(), excerpt)
    assert set(told) == {"shares.•••.phone", "address.•••"}


def test_fields_whose_names_are_shown_alike_are_told_each() -> None:
    """Law 5: a dry run says exactly what a run does: neither a dot in a key nor two hidden names make them one."""
    before = {"a.b": 1, "a": {"b": 1}, "Ann Lee": 1, "Bea Lee": 1, "Cy Lee": 1}
    after = {"a.b": 2, "a": {"b": 3}, "Ann Lee": 2, "Bea Lee": 1, "Cy Lee": 2}
    assert field_diffs(before, after, {"a.b"}, excerpt).keys() == {"a.b", "a.b (2)", "•••", "••• (2)"}
    assert sorted(field_diffs(before, after, {"a.b"}, excerpt).values())[:2] == [("1", "2"), ("1", "3")]


def test_a_column_read_from_a_personal_field_keeps_it_hidden() -> None:
    """Two columns of one field, one of them sensitive: the field is."""
    assert plain_fields([(("phones.0.number",), True), (("phones.0.type",), False)]) == frozenset()


def test_long_values_are_clipped_and_equal_ones_left_out() -> None:
    """A diff is for reading."""
    diffs = field_diffs({"notes": "x" * 200, "same": None}, {"notes": 1, "same": None}, {"notes"}, excerpt)
    assert list(diffs) == ["notes"]
    assert (len(diffs["notes"][0]), diffs["notes"][1]) == (80, "1")


def test_null_and_absent_are_two_things() -> None:
    """The vendor sends both; a hash tells them apart, so the report does."""
    assert field_diffs({"a": None}, {}, {"a"}, excerpt) == {"a": ("null", "(absent)")}
