"""A page taken apart at once is the page taken apart record by record."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import redact
from common.errors import StopRequested
from daemon.guard.wire import open_list
from daemon.integrations.base import Page
from daemon.integrations.doorloop.entities import ENTITIES
from daemon.sync.lines import LineMaker
from daemon.sync.sorting import SortedPage, Sorter, _latest_of_plain

IDS = st.one_of(
    st.sampled_from(["a1", "b2", "c3", "ä", "", " ", "x" * 99, "x" * 101, "with space", "q\u0000", "new\nline"]),
    st.integers(-5, 5),
    st.none(),
    st.booleans(),
    st.just([1]),
)
RECORDS: st.SearchStrategy[Any] = st.one_of(
    st.fixed_dictionaries({}, optional={"id": IDS, "updatedAt": st.sampled_from(["2026-01-02", 5, None]), "n": IDS}),
    st.sampled_from([None, 5, "text", []]),
)


def page_of(records: list[Any]) -> Page:
    """As it comes over the wire."""
    body = open_list(orjson.dumps({"total": len(records), "data": records}))
    return Page(1, body.data, body.total, datetime(2026, 11, 1, tzinfo=UTC), 0.0)


def told(page: SortedPage) -> tuple[Any, ...]:
    """What it says of itself."""
    good = [(one.id, one.payload_hash, bytes(one.came)) for one in page.good]
    bad = [(letter.record_id, letter.code) for letter in page.bad]
    return good, bad, page.ids, page.duplicates, page.stamps_as_sent, page.births_as_sent, page.lines


@given(st.lists(RECORDS, max_size=6))
def test_at_once_or_one_by_one_is_the_same(records: list[Any]) -> None:
    """Law 3: the quick way leaves everything unusual to the slow one, and decides the same."""
    sorter, page = Sorter(LineMaker(ENTITIES["tenants"]), str, threading.Event()), page_of(records)
    assert told(sorter.sort(page)) == told(sorter._one_by_one(page, None, None))


@given(st.lists(RECORDS, max_size=6))
def test_lines_made_together_or_one_by_one_are_the_same(records: list[Any]) -> None:
    """Law 3: for records that are all new, too; a number's spelling is Postgres' business."""
    sorter, page = Sorter(LineMaker(ENTITIES["tenants"]), str, threading.Event()), page_of(records)
    sorter.expects_changes = True
    assert told(sorter.sort(page)) == told(sorter._one_by_one(page, "", None))


@pytest.mark.parametrize("since", [None, datetime(2026, 1, 2, tzinfo=UTC)])
@pytest.mark.parametrize("expects_changes", [False, True])
@pytest.mark.parametrize(
    "records",
    [
        [{"id": "a1", "n": 1}, {"id": "b2"}, {"id": "a1", "n": 2}],
        [{"id": "a1", "updatedAt": "2026-01-01"}, {"id": "b2", "updatedAt": "2026-01-03"}],
    ],
    ids=["an id twice", "an old one"],
)
def test_a_plain_page_is_taken_as_one_by_one(records: list[Any], expects_changes: bool, since: datetime | None) -> None:
    """An id that comes twice is one record, its last; where only what is new since is asked for, the old stays out."""
    sorter, page = Sorter(LineMaker(ENTITIES["tenants"]), str, threading.Event(), since), page_of(records)
    sorter.expects_changes = expects_changes
    assert told(sorter.sort(page)) == told(sorter._one_by_one(page, "" if expects_changes else None, None))


@pytest.mark.parametrize("expects_changes", [False, True])
def test_a_record_that_cannot_be_converted_keeps_its_stamps(expects_changes: bool) -> None:
    """Law 4: whether an absence is proven, and a delta's order, hang on what came, not on what changed before it."""
    sorter = Sorter(LineMaker(ENTITIES["tenants"]), str, threading.Event())
    sorter.expects_changes = expects_changes
    bad = {"id": "a1", "active": "bad", "updatedAt": "2026-01-02", "createdAt": "2026-01-01"}
    page = sorter.sort(page_of([bad, {"active": "bad", "updatedAt": "2026-01-03"}]))
    assert (page.stamps_as_sent, page.births_as_sent) == (("2026-01-02", None), ("2026-01-01", None))
    assert page.ids == ("a1",)


@pytest.mark.parametrize("expects_changes", [False, True])
def test_a_page_is_taken_apart_until_the_stop(expects_changes: bool) -> None:
    """Law 6: a stopped run does not go on with thousands of odd records."""
    stop = threading.Event()
    sorter = Sorter(LineMaker(ENTITIES["tenants"]), str, stop)
    sorter.expects_changes = expects_changes
    page = page_of([0] * 100)
    assert len(sorter.sort(page).bad) == 100
    stop.set()
    with pytest.raises(StopRequested):
        sorter.sort(page)


@pytest.mark.parametrize("odd", ["", " ", "with space", "x" * 101, "q\u0000", "new\nline", 7, None, True, [1], "a1"])
def test_an_odd_id_on_a_page_is_taken_as_one_by_one(odd: Any) -> None:
    """One that the quick way took for an id as it is could be none."""
    sorter, page = Sorter(LineMaker(ENTITIES["tenants"]), str, threading.Event()), page_of([{"id": "a1"}, {"id": odd}])
    assert told(sorter.sort(page)) == told(sorter._one_by_one(page, None, None))


def test_an_id_that_quotes_the_key_is_none_in_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted key is found nowhere: not among the ids of a page that brings nothing new, either."""
    for held in ("_credentials", "_telling"):
        monkeypatch.setattr(redact, held, redact._credentials.holding("thisIsTheKeyOfTheAccount1"))
    page = page_of([{"id": "a1"}, {"id": "thisIsTheKeyOfTheAccount1"}])
    assert Sorter(LineMaker(ENTITIES["tenants"]), str, threading.Event()).sort(page).ids == ("a1",)


@pytest.mark.parametrize(
    ("stamps", "latest"),
    [
        (["2026-01-02T03:04:05.678Z", "2026-01-02T03:04:05.679Z"], datetime(2026, 1, 2, 3, 4, 5, 679000, tzinfo=UTC)),
        (["2026-01-02T03:04:05.678Z", "2026-01-02T03:04:05.67Z"], None),
        (["2026-13-02T03:04:05.678Z"], None),
        (["2026-01-02T03:04:05.678Z", None], None),
        (["2026-01-02T03:04:05.678Z" * 2, ""], None),
        (["２０２６-01-02T03:04:05.678Z"], None),
        ([], None),
    ],
)
def test_stamps_written_alike_are_compared_as_text(stamps: list[Any], latest: datetime | None) -> None:
    """Anything not written exactly so is looked at one by one."""
    assert _latest_of_plain(tuple(stamps)) == latest
