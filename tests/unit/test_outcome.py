"""From what happened to the entities to the state of the run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.rules.outcome import is_mass_removal, run_state
from common.states import ENDED_RUN_STATES, EntityState, RunState

COMPLETE, PARTIAL, FAILED, FORBIDDEN, SKIPPED = (
    EntityState.COMPLETE,
    EntityState.PARTIAL,
    EntityState.FAILED,
    EntityState.FORBIDDEN,
    EntityState.SKIPPED,
)


@pytest.mark.parametrize(
    ("entities", "expected"),
    [
        ([(COMPLETE, 0)], RunState.SUCCEEDED),
        ([(COMPLETE, 0), (COMPLETE, 0)], RunState.SUCCEEDED),
        ([(COMPLETE, 1)], RunState.INCOMPLETE),
        ([(COMPLETE, 0), (COMPLETE, 3)], RunState.INCOMPLETE),
        ([(COMPLETE, 0), (PARTIAL, 0)], RunState.INCOMPLETE),
        ([(COMPLETE, 0), (FORBIDDEN, 0)], RunState.INCOMPLETE),
        ([(COMPLETE, 0), (FAILED, 0)], RunState.INCOMPLETE),
        ([(COMPLETE, 0), (SKIPPED, 0)], RunState.INCOMPLETE),
        ([(FORBIDDEN, 0), (FAILED, 0)], RunState.FAILED),
        ([(FORBIDDEN, 0)], RunState.FAILED),
        ([(FAILED, 0), (PARTIAL, 0)], RunState.INCOMPLETE),
    ],
)
def test_the_runs_state_follows_its_entities(entities: list[tuple[EntityState, int]], expected: RunState) -> None:
    """All complete without a new dead letter: succeeded; none readable: failed; anything between: incomplete."""
    assert run_state(iter(entities)) is expected


@given(st.lists(st.tuples(st.sampled_from(list(EntityState)), st.integers(0, 5)), min_size=1))
def test_a_run_always_ends_and_never_hides_a_loss(entities: list[tuple[EntityState, int]]) -> None:
    """Whatever happened there is an end state, and `succeeded` only when nothing is missing."""
    state = run_state(entities)
    assert state in ENDED_RUN_STATES
    whole = all(kind is COMPLETE and new == 0 for kind, new in entities)
    assert (state is RunState.SUCCEEDED) == whole


@pytest.mark.parametrize(
    ("missing", "here", "asked"),
    [
        (20, 20, False),
        (21, 200, True),
        (21, 209, True),
        (21, 210, False),
        (21, 211, False),
        (0, 0, False),
        (1000, 1000, True),
    ],
)
def test_a_mass_removal_is_over_ten_percent_and_over_twenty_rows(missing: int, here: int, asked: bool) -> None:
    """Law 4: both bounds must be crossed before an admin is asked."""
    assert is_mass_removal(missing, here) is asked
