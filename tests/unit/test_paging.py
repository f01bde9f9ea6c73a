"""Whether a list's pages make sense, and when the last one has come (DoorLoop fact sheet §5)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import PagesUnreliable
from common.rules.paging import Paging


def ids(first: int, count: int) -> tuple[str, ...]:
    """``count`` ids from number ``first`` on."""
    return tuple(f"id{number}" for number in range(first, first + count))


def read(total: int, size: int, *, tells_total: bool = True) -> int:
    """Read a well-behaved list; returns how many pages it took."""
    paging = Paging()
    number = 0
    while True:
        number += 1
        rows = max(0, min(size, total - (number - 1) * size))
        paging.observe(number, ids((number - 1) * size, rows), rows, total if tells_total else None)
        if paging.is_last(number, rows):
            return number


@given(total=st.integers(0, 500), size=st.integers(1, 100))
def test_a_list_with_a_total_takes_exactly_its_pages(total: int, size: int) -> None:
    """ceil(total / rows of page 1) pages, and one for an empty list: not a request more, not a page missed."""
    assert read(total, size) == max(1, -(-total // size))


@given(total=st.integers(0, 300), size=st.integers(1, 60))
def test_a_list_without_a_total_ends_at_a_short_page(total: int, size: int) -> None:
    """A bare array tells no total: it ends at the first page shorter than page 1, which is what a full page is."""
    full = min(size, total)
    assert read(total, size, tells_total=False) == (total // full + 1 if full else 1)


def test_a_clamped_page_size_is_noticed() -> None:
    """Progress follows the rows that came: 1000 asked for and 50 given means 20 pages, not one."""
    paging = Paging()
    paging.observe(1, ids(0, 50), 50, 1000)
    assert paging.pages_expected == 20
    assert not paging.is_last(1, 50)


def test_a_repeated_page_is_caught() -> None:
    """A vendor that ignores paging brings the same records for ever; the second time is an error."""
    paging = Paging()
    paging.observe(1, ids(0, 50), 50, 500)
    with pytest.raises(PagesUnreliable) as caught:
        paging.observe(2, tuple(reversed(ids(0, 50))), 50, 500)
    assert caught.value.code == "REPEATED_PAGE"
    assert caught.value.facts["page"] == 2


def test_the_same_page_read_twice_is_no_repetition() -> None:
    """Reading a page's own number again (a moving list) is allowed."""
    paging = Paging()
    paging.observe(1, ids(0, 5), 5, 5)
    paging.observe(1, ids(0, 5), 5, 5)


@pytest.mark.parametrize("total", [0, 10, None])
def test_an_empty_page_that_counts_less_is_no_end_either(total: int | None) -> None:
    """An error with status 200 in place of page 2 of 4: the list has not lost thirty records within a second."""
    paging = Paging()
    paging.observe(1, ids(0, 10), 10, 40)
    with pytest.raises(PagesUnreliable) as caught:
        paging.observe(2, (), 0, total)
    assert caught.value.code == "EMPTY_PAGE_EARLY"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_an_empty_page_before_the_last_is_caught(number: int) -> None:
    """200 with no rows in the middle of a list is not its end."""
    paging = Paging()
    for earlier in range(1, number):
        paging.observe(earlier, ids(earlier * 100, 10), 10, 40)
    with pytest.raises(PagesUnreliable) as caught:
        paging.observe(number, (), 0, 40)
    assert caught.value.code == "EMPTY_PAGE_EARLY"


def test_an_empty_last_page_ends_a_list_that_shrank() -> None:
    """Rows deleted while the list was read: an empty page at the expected end is the end."""
    paging = Paging()
    paging.observe(1, ids(0, 10), 10, 20)
    paging.observe(2, (), 0, 20)
    assert paging.is_last(2, 0)


def test_an_empty_list_is_one_empty_page() -> None:
    """total 0 and no rows is a complete list."""
    paging = Paging()
    paging.observe(1, (), 0, 0)
    assert paging.is_last(1, 0)


def test_the_latest_total_counts() -> None:
    """A total that moves while reading moves the end with it; a page that tells none keeps the last one."""
    paging = Paging()
    paging.observe(1, ids(0, 10), 10, 20)
    paging.observe(2, ids(10, 10), 10, 21)
    assert not paging.is_last(2, 10)
    paging.observe(3, ids(20, 1), 1, None)
    assert paging.total == 21
    assert paging.is_last(3, 1)


@pytest.mark.parametrize("total", [0, 7, 12, 19])
def test_a_total_below_the_rows_that_came_does_not_end_the_list(total: int) -> None:
    """Full pages beyond the vendor's own total prove it wrong: reading goes on to the first page that is not full."""
    paging = Paging()
    for number, rows in enumerate([10, 10, 3], start=1):
        paging.observe(number, ids(number * 100, rows), rows, total)
        assert paging.is_last(number, rows) is (number == 3)


def test_a_total_below_the_rows_that_came_costs_one_request_at_most() -> None:
    """A record deleted while the list was read: the page after the full one is empty, and that is the end."""
    paging = Paging()
    paging.observe(1, ids(0, 10), 10, 9)
    assert not paging.is_last(1, 10)
    paging.observe(2, (), 0, 9)
    assert paging.is_last(2, 0)


def test_nothing_is_expected_before_the_first_page() -> None:
    """Unknown is said as unknown."""
    assert Paging().pages_expected is None


def test_records_without_ids_do_not_look_repeated() -> None:
    """Two pages of records without any usable id cannot be told apart, and are not called equal."""
    paging = Paging()
    paging.observe(1, (), 10, 30)
    paging.observe(2, (), 10, 30)


@pytest.mark.parametrize("total", [None, 999_999])
@pytest.mark.parametrize("rows", [1, 4, 9])
def test_pages_without_any_id_come_to_an_end(rows: int, total: int | None) -> None:
    """A vendor that ignores paging and whose records have no ids would be read for ever."""
    paging = Paging()
    for number in range(1, 9 // rows + 1):
        paging.observe(number, (), rows, total)
    with pytest.raises(PagesUnreliable, match="no record id that is new"):
        paging.observe(9 // rows + 1, (), rows, total)


def test_some_pages_without_ids_between_good_ones_end_nothing() -> None:
    """Their records are put aside, and the list goes on."""
    paging = Paging()
    for number in range(1, 40):
        paging.observe(number, (str(number),) if number % 3 == 0 else (), 3, 120)


@pytest.mark.parametrize("grows", [False, True], ids=["a total told wrong", "a total that grows"])
def test_a_list_without_end_ends(grows: bool) -> None:
    """Full pages of fresh ids for ever kept the entities behind it from being read: far behind its total it ends."""
    paging = Paging()
    for number in range(1, 131):
        paging.observe(number, ids(number * 20, 20), 20, number * 20 + 40 if grows else 60)
    with pytest.raises(PagesUnreliable) as ended:
        paging.observe(131, ids(131 * 20, 20), 20, 60)
    assert (ended.value.code, ended.value.facts) == ("LIST_WITHOUT_END", {"page": 131, "pages": 3})


@pytest.mark.parametrize("total", [None, 0, 20])
def test_a_list_without_a_total_of_its_own_may_be_long(total: int | None) -> None:
    """Nobody knows its length; neither where each page is counted for itself."""
    paging = Paging()
    for number in range(1, 2_000):
        paging.observe(number, ids(number * 20, 20), 20, total)
