"""What is known of a list while it is read: order, watermark, which ids were met."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import PagesUnreliable
from common.rules.order import NewestFirst
from daemon.integrations.base import Entity, Page
from daemon.sync.lines import LineMaker
from daemon.sync.reading import Bloom, Reading
from daemon.sync.sorting import SortedPage, Sorter, is_wanted
from daemon.sync.work import Work

START = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
SORTER = Sorter(LineMaker(Entity("things", "/things", ())), str, threading.Event())


def moment(minutes: float) -> str:
    """A vendor's stamp, so many minutes after the pass began."""
    return (START + timedelta(minutes=minutes)).isoformat()


def page(
    number: int, *stamps: float | None, total: int | None = 100, bare: bool = False, answered: float = 0
) -> SortedPage:
    """A page whose records were updated then; ids are unique over the list."""
    records: list[Any] = [
        {"id": f"{number}-{position}", **({} if stamp is None else {"updatedAt": moment(stamp)})}
        for position, stamp in enumerate(stamps)
    ]
    return SORTER.sort(Page(number, records, total, START + timedelta(minutes=answered), 0.0, bare))


def reading_of(*, first_page: int = 1, delta: float | None = None, is_first: bool = False, **changes: Any) -> Reading:
    """A reading; ``delta`` is the watermark's minute for one that reads newest first."""
    pass_ = {
        "id": 7,
        "started_at": START,
        "watermark_candidate": None,
        "removable": True,
        "rows_per_page": None,
        "total": None,
        "began_at": None,
        "first_total": None,
        "born": 0,
        **changes,
    }
    return Reading(
        pass_,
        first_page=first_page,
        newest_first=None if delta is None else NewestFirst(START + timedelta(minutes=delta)),
        sees_ids=delta is None,
        page_size=2,
        is_first=is_first,
    )


def candidate(reading: Reading, last: SortedPage) -> datetime | None:
    """The watermark that would be stored with this page."""
    return reading.checkpoint(last).watermark_candidate


def test_a_resumed_lists_watermark_is_never_after_its_start_by_the_vendors_clock() -> None:
    """That clock may be hours behind ours: what changed on a page already read would else look old for ever."""
    reading = reading_of(first_page=2, rows_per_page=2, total=4, first_total=4, began_at=START - timedelta(hours=2))
    last = page(2, -300, -60, total=4)
    reading.observe(last)
    assert candidate(reading, last) == START - timedelta(hours=2)


def test_a_list_that_counts_fewer_when_it_is_resumed_at_its_end_proves_nothing() -> None:
    """Law 4: it lost a record meanwhile, and what stood behind that moved past the reader."""
    reading = reading_of(first_page=3, rows_per_page=2, total=3, first_total=3)
    assert reading.ended_at(page(2, -9, total=3))
    assert reading.removable
    assert reading.ended_at(page(2, -9, total=2))
    assert (reading.removable, reading.paging.total) == (False, 2)
    assert not reading.ended_at(page(2, -9, total=5))


@pytest.mark.parametrize(("before", "more"), [(2, True), (3, False)])
def test_a_resumed_list_is_looked_behind_where_fewer_came_than_it_counts(before: int, more: bool) -> None:
    """Those that came before the resume count, as far as it is remembered who they were."""
    reading = reading_of(first_page=2, rows_per_page=2, total=4, first_total=4)
    reading.remember([f"1-{position}" for position in range(before)])
    last = page(2, -9, total=4)
    reading.observe(last)
    assert reading.is_open_ended(last) is more


def test_a_full_lists_watermark_is_the_newest_record_but_never_after_its_start() -> None:
    """What changed after the pass began may stand on a page already read: it must be found by the next delta."""
    reading = reading_of()
    last = page(2, -3, 8, total=4)
    assert reading.observe(page(1, -9, -5, total=4)) is False
    assert reading.observe(last) is True
    assert candidate(reading, last) == START


def test_a_vendor_whose_clock_is_behind_caps_the_watermark() -> None:
    """Its own Date on page 1 counts when it is earlier than our start."""
    reading = reading_of()
    first = page(1, -1, -90, total=2, answered=-30)
    reading.observe(first)
    assert candidate(reading, first) == START - timedelta(minutes=30)


def test_a_deltas_watermark_is_the_top_of_its_first_page() -> None:
    """Later pages are older, whatever they claim; it is stored when the pass ends."""
    reading = reading_of(delta=-60)
    reading.observe(page(1, -1, -2))
    second = page(2, -3)
    reading.observe(second)
    assert candidate(reading, second) == START - timedelta(minutes=1)


@pytest.mark.parametrize("minutes", [5, 60 * 24 * 200, 60 * 24 * 365 * 7900])
def test_a_stamp_that_is_yet_to_come_is_no_watermark(minutes: float) -> None:
    """As one it would make every change until then look old: the newest record that may be so counts."""
    reading = reading_of(delta=-60)
    reading.observe(page(1, minutes + 1, minutes))
    second = page(2, minutes, -3)
    reading.observe(second)
    assert candidate(reading, second) == START - timedelta(minutes=3)
    known = None if minutes == 5 else (START + timedelta(minutes=minutes + 1), "1-0")  # clocks differ by minutes
    assert reading.ahead == known


@pytest.mark.parametrize("delta", [None, -60])
def test_a_list_without_a_total_has_no_watermark(delta: float | None) -> None:
    """Nobody knows whether it came whole; the next delta reads all of it."""
    reading = reading_of(delta=delta)
    first = page(1, -1, -2, total=None)
    reading.observe(first)
    assert candidate(reading, first) is None


def test_a_resumed_reading_keeps_its_candidate_and_its_end() -> None:
    """Page 3 of a pass: what pages 1 and 2 said is taken over from the pass."""
    known = START - timedelta(minutes=4)
    reading = reading_of(first_page=3, watermark_candidate=known, rows_per_page=2, total=6)
    last = page(3, -9, None, total=6)
    assert reading.observe(last) is True
    assert candidate(reading, last) == known


def test_records_without_stamps_give_no_watermark() -> None:
    """Unknown stays unknown."""
    reading = reading_of()
    only = page(1, None, None, total=2)
    reading.observe(only)
    assert candidate(reading, only) is None


def test_a_delta_ends_when_it_has_seen_enough() -> None:
    """Two whole pages older than the watermark less ten minutes, long before the list's last page."""
    reading = reading_of(delta=0)
    assert reading.observe(page(1, 5)) is False
    assert reading.observe(page(2, -11)) is False
    assert reading.observe(page(3, -12)) is True
    assert not reading.order_broken
    assert reading.look_ahead_to(2) is None


def test_a_delta_out_of_order_is_noticed() -> None:
    """The list is then read whole."""
    reading = reading_of(delta=0)
    reading.observe(page(1, 5, 6))
    assert reading.order_broken
    assert not reading_of().order_broken


def test_a_bare_array_proves_no_absence() -> None:
    """Without a total nothing may be marked removed, not even when a later page has its envelope back."""
    reading = reading_of()
    first = page(1, -1, total=None, bare=True)
    reading.observe(first)
    assert reading.removable is False
    assert reading.checkpoint(first).removable is False
    reading.observe(page(2, -1, total=5))
    assert reading.removable is False


def test_a_full_list_is_fetched_ahead_to_its_last_page() -> None:
    """Once page 1 has told how many there are."""
    reading = reading_of()
    reading.observe(page(1, -1, -2, total=9))
    assert reading.look_ahead_to(2) == 5


def test_one_page_more_is_fetched_ahead_where_the_last_one_will_be_full() -> None:
    """It is looked behind anyway, and need not be waited for at the end."""
    reading = reading_of()
    reading.observe(page(1, -1, -2, total=8))
    assert reading.look_ahead_to(2) == 5


def test_an_unreliable_page_is_an_error_of_the_reading() -> None:
    """Paging's rules hold here too."""
    reading = reading_of()
    first = page(1, -1, -2, total=9)
    reading.observe(first)
    repeated = SORTER.sort(Page(2, first.page.records, 9, START, 0.0))
    with pytest.raises(PagesUnreliable):
        reading.observe(repeated)


@pytest.mark.parametrize(
    ("record", "wanted"),
    [
        ({"updatedAt": moment(5)}, True),
        ({"updatedAt": moment(0)}, True),
        ({"updatedAt": moment(-5)}, False),
        ({"createdAt": moment(5), "updatedAt": moment(-5)}, True),
        ({"createdAt": moment(-9)}, False),
        ({}, True),
        ({"updatedAt": "soon"}, True),
        ("no record", True),
    ],
)
def test_a_since_run_applies_what_was_created_or_updated_since(record: Any, wanted: bool) -> None:
    """A record that does not say counts as new."""
    assert is_wanted(record, START) is wanted


def test_ids_are_told_once_each_in_order() -> None:
    """Records without a usable id are not among them."""
    records: list[Any] = [{"id": "b"}, {"id": "a"}, {"id": "b"}, {}, {"id": ""}, 5, {"id": 7}]
    assert SORTER.sort(Page(1, records, None, START, 0.0)).ids == ("b", "a", "7")


def test_a_dry_run_remembers_ids_only_in_memory() -> None:
    """Law 5: no pass, no seen ids in the database."""
    reading = Reading(None, first_page=1, newest_first=None, sees_ids=True, page_size=2)
    first = page(1, -1, -2, total=2)
    reading.observe(first)
    reading.note(first)
    assert reading.pass_id is None
    assert reading.met_in_dry_run is not None
    assert sorted(reading.met_in_dry_run) == sorted(map(hash, ("1-0", "1-1")))
    assert reading.checkpoint(first).pass_id is None


def born(page_: SortedPage, *minutes: float | None) -> SortedPage:
    """The page with records created then; None: they do not say when."""
    came = page_.page
    stamps = [{} if at is None else {"createdAt": moment(at)} for at in minutes]
    records = [{**record, **stamp} for record, stamp in zip(came.records, stamps, strict=True)]
    return SORTER.sort(replace(came, records=records))


@pytest.mark.parametrize(
    ("total", "created", "inserted", "is_proof"),
    [
        (4, (-9, -8), [], True),
        (4, (-8, 5), [1], False),  # one came, so one has gone
        (5, (-8, 5), [1], True),  # one came, and is counted
        (4, (-8, 5), [], True),  # a stamp in the future that was here before
        (4, (-8, 5), [0], True),  # so was it, and another is new
        (4, (5, -8), [0], False),  # the same, of a vendor that heeds no order
        (4, (None, -8), [0], False),  # one that does not say when it came
        (4, (None, -8), [], True),  # but was here before
        (4, (None, -8), [1], True),  # so was it, and another is new
        (4, (-9, 0), [1], False),  # stamped in the second in which the reading began
        (4, (-9, -8), [0, 1], True),  # created before the reading began
        (3, (-9, -8), [], False),  # it shrank
    ],
)
def test_a_list_that_gained_one_and_lost_one_proves_nothing(
    total: int, created: tuple[float | None, float | None], inserted: list[int], is_proof: bool
) -> None:
    """Law 4: with one record gone and another new, ids and total agree although a third moved past the reader."""
    reading = reading_of()
    for number, stamps, here, new in ((1, (-10, -9), 4, [0, 1]), (2, created, total, inserted)):
        read = born(page(number, -1, -1, total=here), *stamps)
        reading.observe(read)
        reading.wrote(Work(read, reading.checkpoint(read)).born([read.ids[place] for place in new]))
    assert reading.is_proof is is_proof


def test_records_that_do_not_say_when_they_came_are_no_births_in_a_first_reading() -> None:
    """Every record is new to us then: none would ever be complete without a warning."""
    reading = reading_of(is_first=True)
    read = born(page(1, -1, -1, total=2), None, None)
    reading.observe(read)
    reading.wrote(Work(read, reading.checkpoint(read)).born(read.ids))
    assert reading.is_proof


def test_a_list_that_came_at_once_cannot_have_moved() -> None:
    """Law 4: whatever came within its second, one answer hides none; only over pages does a record move past us."""
    reading = reading_of()
    read = born(page(1, -1, -1, total=2), None, 5)
    reading.observe(read)
    reading.wrote(Work(read, reading.checkpoint(read)).born(read.ids))
    assert reading.is_proof
    reading.note(read, again=True)
    assert not reading.is_proof


@pytest.mark.parametrize(
    ("first_total", "born", "is_proof"), [(4, 0, True), (4, 1, False), (3, 1, True), (5, 0, False), (None, 0, False)]
)
def test_a_reading_that_goes_on_knows_what_was_born_before(first_total: int | None, born: int, is_proof: bool) -> None:
    """Law 4: births met by an earlier run of the pass count; one that did not remember them proves nothing."""
    reading = reading_of(first_page=2, rows_per_page=2, total=4, first_total=first_total, born=born, began_at=START)
    reading.observe(page(2, -1, -2, total=4))
    assert reading.is_proof is is_proof


@pytest.mark.parametrize(("number", "rows", "is_full"), [(1, 2, True), (1, 1, True), (2, 2, True), (2, 1, False)])
def test_a_page_with_room_left_is_the_last_one(number: int, rows: int, is_full: bool) -> None:
    """A look behind a full page costs a request; an only page may be all that a vendor gives, and counts."""
    reading = reading_of()
    last = page(number, *[-1] * rows, total=2 * (number - 1) + rows)
    if number > 1:
        reading.observe(page(1, -1, -2, total=2 * (number - 1) + rows))
    reading.observe(last)
    assert reading.is_open_ended(last) is is_full


def test_without_a_total_a_page_with_room_left_is_looked_behind() -> None:
    """It may have been cut short; only a delta that has seen enough old records need not know."""
    reading = reading_of()
    last = page(1, -1, total=None)
    reading.observe(last)
    assert reading.is_open_ended(last)
    reading = reading_of(delta=-60)
    last = page(1, -1, total=None)
    reading.observe(last)
    assert reading.is_open_ended(last)
    for number in (2, 3):
        last = page(number, -100, -101, total=None)
        assert reading.observe(last) is (number == 3)
    assert not reading.is_open_ended(last)


def test_a_delta_under_which_the_list_shrinks_has_no_watermark() -> None:
    """A changed record may have moved past the reader; the next delta looks again from where this one did."""
    reading = reading_of(delta=-60)
    first = page(1, -1, -2, total=100)
    reading.observe(first)
    assert candidate(reading, first) is not None
    last = page(2, -3, -4, total=99)
    reading.observe(last)
    assert reading.shrank
    assert candidate(reading, last) is None


def test_a_page_of_old_records_only_may_be_all_old() -> None:
    """Certain when it is not; a resumed reading is told what the run before it met."""
    reading = reading_of()
    first, second = page(1, -1, -2), page(2, -1, -2)
    reading.note(first)
    assert reading.may_be_all_old(first)
    assert not reading.may_be_all_old(second)
    resumed = reading_of(first_page=2, rows_per_page=2, total=9)
    resumed.remember(first.ids)
    assert resumed.may_be_all_old(first)
    assert not resumed.may_be_all_old(second)


@given(st.lists(st.text(min_size=1), max_size=200))
@settings(max_examples=30)
def test_the_bloom_filter_never_forgets(ids: list[str]) -> None:
    """ "No" is always right: whatever was added may have been met."""
    bloom = Bloom()
    bloom.add(tuple(ids))
    assert bloom.has_all(tuple(ids))


def test_the_bloom_filter_seldom_guesses_wrong() -> None:
    """A false perhaps costs a look in the database: rare at a hundred thousand ids, for a whole page never."""
    bloom = Bloom()
    bloom.add(tuple(f"met{number}" for number in range(100_000)))
    wrong = sum(bloom.has_all((f"new{number}",)) for number in range(10_000))
    assert wrong < 300
    assert not bloom.has_all(tuple(f"page{number}" for number in range(100)))


@given(
    st.lists(
        st.sampled_from(
            [
                "2026-10-01T12:00:00.000Z",
                "2026-10-01T12:00:00.001Z",
                "2026-02-30T12:00:00.000Z",
                "2026-10-01T12:00:00+0200",
                "9999-99-99T99:99:99.999Z",
                "2026-11-01",
                "T12:00:00.000Z",
                "",
                1760000000,
                None,
                ["x"],
            ]
        )
        | st.datetimes(timezones=st.just(UTC)).map(
            lambda moment: f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.year % 1000:03d}Z"
        ),
        max_size=6,
    )
)
def test_the_newest_stamp_of_a_page_is_the_latest_that_can_be_read(stamps: list[Any]) -> None:
    """Law 4: the quick look at a page's stamps finds what a look at each finds; else a watermark would be wrong."""
    seen = SortedPage(Page(1, [], 0, START, 0.0), (), (), (), 0, tuple(stamps), ())
    assert seen.newest == max((stamp for stamp in seen.stamps if stamp is not None), default=None)
