"""Whether a key still belongs to the vendor account whose rows are here (the worst day)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.rules.identity import IDENTITY_FIELDS, in_words, same_account


@pytest.mark.parametrize(
    ("before", "now", "same"),
    [
        ({"companyId": "c1", "id": "u1"}, {"companyId": "c1", "id": "u2"}, True),
        ({"companyId": "c1", "id": "u1"}, {"companyId": "c2", "id": "u1"}, False),
        ({"id": "u1", "name": "Ann"}, {"id": "u1", "name": "Anne"}, True),
        ({"id": "u1", "name": "Ann"}, {"id": "u2", "name": "Ann"}, False),
        ({"email": "a@x"}, {"email": "b@x"}, False),
        ({"name": "Ann"}, {"companyId": "c1"}, True),
        ({}, {"id": "u1"}, True),
    ],
)
def test_the_most_telling_common_field_decides(before: dict[str, str], now: dict[str, str], same: bool) -> None:
    """Another user of the same company is the same account, a renamed user too; another company never is."""
    assert same_account(before, now) is same


identities = st.dictionaries(st.sampled_from(IDENTITY_FIELDS), st.sampled_from(["a", "b", "c"]))


@given(identities, identities)
def test_sameness_is_symmetric_and_reflexive(one: dict[str, str], other: dict[str, str]) -> None:
    """Who was there first does not matter, and an account is always itself."""
    assert same_account(one, one)
    assert same_account(one, other) == same_account(other, one)


@given(identities)
def test_an_account_can_always_be_named(identity: dict[str, str]) -> None:
    """The admin who decides reads something, never an empty line."""
    assert in_words(identity)
    assert in_words({"companyName": "Harbour Homes", "id": "u1"}) == "Harbour Homes (u1)"
    assert in_words({"id": "u1"}) == "u1"
