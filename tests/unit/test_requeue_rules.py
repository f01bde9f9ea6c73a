"""How a requeue reads, how much it may ask, and how its end is said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.rules.requeue import (
    ListPlace,
    RefusedInARow,
    Share,
    Way,
    askable,
    asked_after,
    cheaper_way,
    pages_of,
    place_of,
    share_of_hour,
    verdict,
    worth_a_look,
)

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("with_id", "only_in_list", "pages", "way"),
    [
        (1, 0, 1, Way.BY_ID),
        (5, 0, 5, Way.BY_ID),
        (6, 0, 5, Way.BY_LIST),
        (6, 0, None, Way.BY_ID),
        (1, 1, 500, Way.BY_LIST),
        (0, 1, None, Way.BY_LIST),
    ],
)
def test_the_cheaper_way_is_taken(with_id: int, only_in_list: int, pages: int | None, way: Way) -> None:
    """Issue 3: by id or by one list pass, whichever costs fewer requests."""
    assert cheaper_way(with_id, only_in_list, pages) is way


@pytest.mark.parametrize("record_id", [None, "", "..", "a/b", "a\\u0000b", "a?b", "ä", "x" * 200, "%2e"])
def test_an_odd_id_is_never_put_into_a_path(record_id: str | None) -> None:
    """``/owners/..`` would ask for something else; such a record is looked for in the list."""
    assert not askable(record_id)


def test_a_usual_id_can_be_asked_for() -> None:
    """The vendor's own form, and plain numbers."""
    assert askable("64b7f0c2a1d3e4f5a6b7c8d9")
    assert askable("5000001")


ASKED = {"page_size": 20, "sort": "createdAt", "filters": {}}


@pytest.mark.parametrize(
    ("stored", "place"),
    [
        (None, ListPlace()),
        (4, ListPlace()),
        ({"next_page": 4}, ListPlace()),
        ({"next_page": 4, "page_size": 20, "sort": "createdAt"}, ListPlace()),
        ({"next_page": 4, **ASKED, "page_size": 100, "total": 90}, ListPlace(total=90)),
        ({"next_page": 4, **ASKED, "filters": {"active": "true"}}, ListPlace()),
        ({"next_page": 4, **ASKED, "total": 90, "rows_per_page": 20}, ListPlace(4, 90, 20)),
        (ASKED, ListPlace()),
    ],
)
def test_a_pass_goes_on_only_where_its_pages_are_the_same(stored: object, place: ListPlace) -> None:
    """Another page size, order or filter, or a place that does not tell them: from the list's beginning."""
    assert place_of(stored, ASKED) == place


def test_a_list_of_unknown_length_is_worth_a_look() -> None:
    """A request for page 1 tells how long it is, where more than a few would be asked for by id."""
    assert worth_a_look(3, 0, None)
    assert not worth_a_look(2, 0, None)
    assert not worth_a_look(100, 0, 5)
    assert not worth_a_look(100, 1, None)
    assert [pages_of(total, 20) for total in (None, 0, 20, 21)] == [None, 1, 1, 2]


@pytest.mark.parametrize(
    ("unmet", "pages", "left", "asked"),
    [
        (3, 5, None, 3),
        (3, 5, 2, 3),  # cheaper than another pass: it goes on in the next hour
        (4, 1, None, 4),
        (50, 1, None, 20),
        (50, 30, None, 30),
        (50, 1, 11, 10),  # and one to see that ids lead to records
        (50, 1, 1, 0),
        (50, 1, 0, 0),
        (0, 1, 0, 0),
    ],
)
def test_of_many_records_that_a_list_did_not_show_some_are_asked_for(
    unmet: int, pages: int, left: int | None, asked: int
) -> None:
    """A letter closes by two witnesses: without the second, those of a short list stayed open for ever."""
    assert asked_after(unmet, pages, left) == asked


def test_three_alike_in_a_row_are_not_about_the_records() -> None:
    """One that is answered, or refused otherwise, begins the count anew."""
    refused = RefusedInARow()
    kinds = ["a", "a", "b", "b", None, "b", "b", "b", "b"]
    assert [refused.by(kind) for kind in kinds] == [False] * 7 + [True, True]
    assert not any(RefusedInARow().by(None) for _ in range(4))


def test_half_of_the_hour_and_no_more() -> None:
    """Issue 3: at most half of the hour's budget, what earlier requeues took included."""
    assert share_of_hour(0, [], NOW) == Share(None)
    assert share_of_hour(500, [], NOW) == Share(250)
    spent = [(NOW - timedelta(minutes=50), 100), (NOW - timedelta(minutes=5), 149), (NOW - timedelta(hours=2), 99)]
    assert share_of_hour(500, spent, NOW) == Share(0, NOW + timedelta(minutes=10))
    assert share_of_hour(500, spent[1:], NOW) == Share(101)
    assert share_of_hour(1, [], NOW) == Share(2)


@given(
    per_hour=st.integers(1, 1000),
    spent=st.lists(st.tuples(st.integers(-7200, 0), st.integers(1, 600)), max_size=6),
)
def test_shares_never_add_up_to_more(per_hour: int, spent: list[tuple[int, int]]) -> None:
    """Whatever was spent: together with it the share is at most half, and when there is none it says until when."""
    runs = [(NOW + timedelta(seconds=ago), number) for ago, number in spent]
    share = share_of_hour(per_hour, runs, NOW)
    recent = sum(number for ended_at, number in runs if ended_at + timedelta(hours=1) > NOW)
    assert share.requests is not None
    assert share.requests == 0 or share.requests + recent <= max(per_hour // 2, 2)
    assert share.free_at is None or share.free_at > NOW
    assert (share.requests >= 2) == (share.free_at is None)


def test_verdicts_say_what_became_of_all() -> None:
    """Issue 3: "412 of 430 recovered, 18 the same error"."""
    assert verdict("requeue", 430, {"recovered": 412, "same": 18}) == "412 of 430 recovered, 18 the same error"
    assert verdict("discard", 3, {"discarded": 2, "recovered": 1}) == "2 of 3 discarded, 1 settled otherwise"
    said = verdict("requeue", 4, {"recovered": 1, "left": 3}, cancelled_by="ana", why_left="never mind")
    assert said == "Cancelled by ana: 1 of 4 recovered, 3 not read"
    assert verdict("requeue", 1, {"left": 1}, why_left="The key.") == "0 of 1 recovered, 1 not read: The key."
    every = {"other": 1, "gone": 1, "missed": 1, "refused": 2, "discarded": 1}
    assert verdict("requeue", 6, every) == (
        "0 of 6 recovered, 1 another error, 1 no longer sent by the vendor, 1 not met in the list, "
        "2 refused by the vendor, 1 settled otherwise"
    )
