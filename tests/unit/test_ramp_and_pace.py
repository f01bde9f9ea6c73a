"""How many requests at a time, and how fast when the vendor says that little is left: pure rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.rules.pace import LONGEST_GAP_SECONDS, gap_seconds
from common.rules.ramp import Ramp, answered_badly, answered_well, limited


def climbed(answers: int, most: int) -> Ramp:
    """After so many good answers in a row."""
    ramp = Ramp()
    for _ in range(answers):
        ramp = answered_well(ramp, most, sent_at=0.0)
    return ramp


def test_it_climbs_from_one_a_step_per_clean_batch() -> None:
    """Issue 3: ramp-up of concurrency from 1, one step per clean batch of pages."""
    lanes = [climbed(answers, 8).lanes for answers in range(8)]
    assert lanes == [1, 2, 2, 3, 3, 3, 4, 4]
    assert climbed(500, 8).lanes == 8
    assert climbed(500, 1).lanes == 1


def test_a_failure_spoils_its_batch() -> None:
    """Only a clean batch opens a lane: after a failure it is counted from the start."""
    nearly = climbed(5, 8)
    assert (nearly.lanes, nearly.clean) == (3, 2)
    assert answered_well(nearly, 8, sent_at=0.0).lanes == 4
    assert answered_well(answered_badly(nearly), 8, sent_at=0.0).lanes == 3


def test_a_429_halves_it_once_for_a_burst() -> None:
    """Issue 3: halved on a 429. Eight requests that were under way together bring one halving, a later one another."""
    ramp = climbed(100, 8)
    for _ in range(8):
        ramp = limited(ramp, sent_at=10.0, now=11.0)
    assert ramp.lanes == 4
    assert limited(ramp, sent_at=12.0, now=13.0).lanes == 2
    assert limited(Ramp(), sent_at=1.0, now=2.0).lanes == 1
    for _ in range(8):  # good answers to requests from before say nothing of the lanes since
        ramp = answered_well(ramp, 8, sent_at=10.5)
    assert (ramp.lanes, ramp.clean) == (4, 0)


@given(st.lists(st.sampled_from(["well", "badly", "limited"]), max_size=80), st.integers(1, 16))
def test_it_never_leaves_its_bounds(answers: list[str], most: int) -> None:
    """Whatever is answered: at least one lane, at most what is set."""
    ramp = Ramp()
    for at, answer in enumerate(answers):
        if answer == "limited":
            ramp = limited(ramp, sent_at=at, now=at + 0.5)
        else:
            ramp = answered_well(ramp, most, sent_at=at) if answer == "well" else answered_badly(ramp)
        assert 1 <= ramp.lanes <= most


@pytest.mark.parametrize(
    ("share_left", "remaining", "seconds_to_reset", "gap"),
    [
        (None, None, None, 0.0),
        (0.5, 50, 60.0, 0.0),
        (0.11, 11, 60.0, 0.0),
        (0.1, 9, 60.0, 6.0),
        (0.02, 1, 3600.0, LONGEST_GAP_SECONDS),
        (0.0, 0, 4.0, 4.0),
        (0.0, 0, 3600.0, LONGEST_GAP_SECONDS),
        (0.05, 5, None, 1.0),
        (0.05, None, None, 1.0),
        (None, 40, 60.0, 0.0),
        (None, 2, 3.0, 1.0),
        (0.0, 0, -5.0, 0.0),
    ],
)
def test_the_pace_follows_what_the_vendor_says_is_left(
    share_left: float | None, remaining: int | None, seconds_to_reset: float | None, gap: float
) -> None:
    """From a tenth downwards the rest is spread until the reset, at most 10 s apart; what is unknown slows nothing."""
    assert gap_seconds(share_left=share_left, remaining=remaining, seconds_to_reset=seconds_to_reset) == gap
