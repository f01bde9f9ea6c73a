"""A delta reads newest first only while the answers prove that order (design §6)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from common.rules.order import NewestFirst

WATERMARK = datetime(2026, 11, 1, tzinfo=UTC)


def minutes(*values: float | None) -> list[datetime | None]:
    """Moments so many minutes after the watermark."""
    return [None if value is None else WATERMARK + timedelta(minutes=value) for value in values]


@given(st.lists(st.lists(st.integers(-10_000, 10_000), max_size=6), max_size=6))
def test_any_rise_within_or_across_pages_breaks_the_proof(pages: list[list[int]]) -> None:
    """updatedAt must not rise, neither within a page nor from one to the next; else the order is not proven."""
    order = NewestFirst(WATERMARK)
    for page in pages:
        order.observe(minutes(*page))
    flat = [value for page in pages for value in page]
    assert order.proven == all(later <= earlier for earlier, later in pairwise(flat))


def test_a_rise_hidden_behind_a_record_without_stamp_is_seen() -> None:
    """A record without the key proves nothing and hides nothing."""
    order = NewestFirst(WATERMARK)
    order.observe(minutes(5, None, 6))
    assert not order.proven


def test_two_whole_old_pages_in_a_row_are_enough() -> None:
    """Stop after two whole pages older than the watermark less ten minutes; one is not enough."""
    order = NewestFirst(WATERMARK)
    order.observe(minutes(-11, -12))
    assert not order.seen_enough
    order.observe(minutes(-13))
    assert order.seen_enough


def test_a_page_within_the_overlap_is_not_old() -> None:
    """Ten minutes of overlap: what changed while the last pass ended is read again."""
    order = NewestFirst(WATERMARK)
    order.observe(minutes(-9, -10))
    order.observe(minutes(-10))
    assert not order.seen_enough


def test_a_newer_page_in_between_starts_the_count_again() -> None:
    """Two old pages must follow each other."""
    order = NewestFirst(WATERMARK)
    order.observe(minutes(-11))
    order.observe(minutes(5))
    order.observe(minutes(-11))
    assert not order.seen_enough


def test_a_record_without_stamp_counts_as_new() -> None:
    """It may have changed: its page is not old."""
    order = NewestFirst(WATERMARK)
    order.observe(minutes(-11, None))
    order.observe(minutes(-12, None))
    assert not order.seen_enough


def test_old_pages_of_one_stamp_are_not_enough() -> None:
    """A list in any other order may begin with them: it is read on until it falls, rises or ends."""
    order = NewestFirst(WATERMARK)
    for _ in range(3):
        order.observe(minutes(-60, -60))
        assert (order.seen_enough, order.proven) == (False, True)
    order.observe(minutes(-60, -61))
    assert order.seen_enough
    order.observe(minutes(-5))
    assert not order.proven


def test_a_delta_is_deep_once_it_reads_behind_a_new_page() -> None:
    """What a moving list hides there may be new; behind a page that ends old it is old, too."""
    for pages, deep in (
        ([(5, -9)], False),
        ([(5, -11), (-12, -13)], False),
        ([(5, 4), (-12, -13)], True),
        ([(5, None), (-12, -13)], True),
        ([(5, 4), (-12, -13), (-14,)], True),
    ):
        order = NewestFirst(WATERMARK)
        for page in pages:
            order.observe(minutes(*page))
        assert order.is_deep is deep


def test_an_empty_page_is_not_old() -> None:
    """No records prove nothing."""
    order = NewestFirst(WATERMARK)
    order.observe([])
    order.observe([])
    assert not order.seen_enough
    assert order.proven


def test_a_watermark_at_the_beginning_of_time_is_usable() -> None:
    """A vendor's zero date (year 1) as watermark must not break every later delta."""
    order = NewestFirst(datetime.min.replace(tzinfo=UTC))
    order.observe([datetime.min.replace(tzinfo=UTC)])
    assert order.proven
