"""Waits before the next try: bounded, jittered, never below what the server asked for."""

from __future__ import annotations

import itertools
import random

from hypothesis import given
from hypothesis import strategies as st

from common.rules.retry import at_least, waits


@given(seed=st.integers(0, 2**32))
def test_every_wait_is_between_zero_and_its_ceiling(seed: int) -> None:
    """Base 500 ms, factor 1.8, cap 20 s, full jitter: each wait lies between zero and its step, for any seed."""
    ceilings = [min(20.0, 0.5 * 1.8**step) for step in range(30)]
    drawn = list(itertools.islice(waits(random.Random(seed)), 30))
    assert all(0 <= wait <= ceiling + 1e-9 for wait, ceiling in zip(drawn, ceilings, strict=True))


def test_the_jitter_is_full() -> None:
    """The draws fill their whole range, so that many clients do not return together."""
    first = [next(waits(random.Random(seed))) for seed in range(400)]
    assert min(first) < 0.05
    assert max(first) > 0.45
    assert 0.2 < sum(first) / len(first) < 0.3


def test_progress_starts_the_waits_again() -> None:
    """A new request begins at the first step: each call of ``waits`` is a fresh sequence."""
    seed = 7
    assert next(waits(random.Random(seed))) == next(waits(random.Random(seed)))
    assert next(waits(random.Random(seed))) <= 0.5


@given(drawn=st.floats(0, 20), server=st.floats(0, 86_400), seed=st.integers(0, 999))
def test_a_wait_is_never_below_what_the_server_asked(drawn: float, server: float, seed: int) -> None:
    """Retry-After is a floor; what is added on top is under a second."""
    wait = at_least(drawn, server, random.Random(seed))
    assert wait >= server
    assert wait >= drawn
    assert wait <= max(drawn, server + 0.25)


def test_without_a_hint_the_draw_stands() -> None:
    """No Retry-After: the back-off alone decides."""
    assert at_least(1.25, None, random.Random(1)) == 1.25
