"""When runs are due: slots aligned to UTC, one catch-up whatever an outage missed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.rules.due import delta_slot, due, full_slot

DAY = datetime(2026, 11, 3, tzinfo=UTC)
moments = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))
intervals = st.one_of(st.integers(1, 1440), st.floats(1, 1440))


def at(hour: int, minute: int = 0, day: int = 3) -> datetime:
    """A moment in November 2026."""
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


def ask(now: datetime, last_delta: datetime | None, last_full: datetime | None) -> tuple[str, datetime] | None:
    """What is due with ten minutes between deltas and the full run at five."""
    return due(now, interval_minutes=10, full_hour_utc=5, last_delta=last_delta, last_full=last_full)


@given(now=moments, interval=intervals)
def test_a_delta_slot_is_at_or_before_now_and_closer_than_its_interval(now: datetime, interval: float) -> None:
    """Every daemon computes the same slot from the same moment, never one in the future."""
    slot = delta_slot(now, interval)
    assert slot <= now < slot + timedelta(minutes=interval)
    assert delta_slot(slot, interval) == slot


@given(now=moments, hour=st.integers(0, 23))
def test_a_nightly_slot_is_within_the_last_day(now: datetime, hour: int) -> None:
    """The latest night at or before now."""
    slot = full_slot(now, hour)
    assert slot <= now < slot + timedelta(days=1)
    assert slot.hour == hour


def test_slots_do_not_depend_on_the_zone_now_is_told_in() -> None:
    """A daemon in another zone sees the same slots."""
    elsewhere = timezone(timedelta(hours=5, minutes=30))
    assert delta_slot(at(1, 17).astimezone(elsewhere), 10) == at(1, 10)
    assert full_slot(at(1, 17).astimezone(elsewhere), 5) == at(5, day=2)


@pytest.mark.parametrize(
    ("now", "last_delta", "last_full", "expected"),
    [
        (at(4, 1), None, None, ("delta", at(4))),
        (at(4, 1), at(4), at(5, day=2), None),
        (at(4, 10), at(4), at(5, day=2), ("delta", at(4, 10))),
        (at(4, 59), at(0), at(5, day=2), ("delta", at(4, 50))),
        (at(5, 0), at(4, 50), at(5, day=2), ("full", at(5))),
        (at(16, 59), at(4, 50), at(5, day=2), ("full", at(5))),
        (at(17, 0), at(4, 50), at(5, day=2), ("delta", at(17))),
        (at(5, 3), at(4, 50), None, ("full", at(5))),
        (at(12, 0), at(11, 50), at(5), ("delta", at(12))),
        (at(12, 0), at(11, 50), None, ("delta", at(12))),
    ],
)
def test_what_is_due(
    now: datetime, last_delta: datetime | None, last_full: datetime | None, expected: tuple[str, datetime] | None
) -> None:
    """The latest slot nobody took; a night for at most twelve hours; a night before the first delta never."""
    assert ask(now, last_delta, last_full) == expected


@given(now=moments, hours=st.integers(1, 2000))
def test_an_outage_is_caught_up_by_one_run_of_a_kind(now: datetime, hours: int) -> None:
    """However long nobody was there: at most one full and one delta follow, then nothing until the next slot."""
    last_delta: datetime | None = delta_slot(now - timedelta(hours=hours), 10)
    last_full: datetime | None = full_slot(now - timedelta(hours=hours), 5)
    kinds = []
    while (found := ask(now, last_delta, last_full)) is not None:
        kind, slot = found
        kinds.append(kind)
        assert slot <= now
        last_full, last_delta = (slot, last_delta) if kind == "full" else (last_full, slot)
        assert len(kinds) <= 2
    assert sorted(kinds) in (["delta"], ["delta", "full"])
