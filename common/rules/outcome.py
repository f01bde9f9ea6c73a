"""From what happened to the entities to the state of the run."""

from __future__ import annotations

from collections.abc import Iterable

from common.states import EntityState, RunState

_ALL_LOST = (EntityState.FAILED, EntityState.FORBIDDEN)


def run_state(entities: Iterable[tuple[EntityState, int]]) -> RunState:
    """The end of a run that nobody stopped. ``entities``: (state, new dead letters) of each.

    All complete without a new dead letter: succeeded. None could be read at all: failed. Else incomplete.
    """
    pairs = list(entities)
    states = [state for state, _ in pairs]
    if states and all(state in _ALL_LOST for state in states):
        return RunState.FAILED
    if all(state is EntityState.COMPLETE for state in states) and not any(new for _, new in pairs):
        return RunState.SUCCEEDED
    return RunState.INCOMPLETE


def is_mass_removal(missing: int, here: int) -> bool:
    """Over 10 % of an entity and over 20 rows: an admin decides (law 4)."""
    return missing > 20 and missing * 10 > here
