"""A state in shape, word and colour together, so that none of the three has to carry it alone."""

from __future__ import annotations

from typing import Final

from common.insights.entities import Mark
from common.rules.verdict import EntityHealth
from common.states import Chip, EntityState, RunState
from dashboard.components.tree import Node, el

TONES: Final[dict[str, tuple[str, str]]] = {
    Chip.OK: ("✓", "ok"),
    Chip.DEGRADED: ("▲", "warn"),
    Chip.FAILING: ("✕", "bad"),
    Chip.UNKNOWN: ("?", "idle"),
    Chip.PAUSED: ("‖", "idle"),
    EntityHealth.FRESH: ("✓", "ok"),
    EntityHealth.STALE: ("▲", "warn"),
    EntityHealth.NEVER: ("○", "idle"),
    EntityHealth.PARTIAL: ("◐", "warn"),
    EntityHealth.FAILED: ("✕", "bad"),
    EntityHealth.FORBIDDEN: ("⊘", "bad"),
    RunState.QUEUED: ("○", "idle"),
    RunState.RUNNING: ("●", "run"),
    RunState.STOPPING: ("■", "warn"),
    RunState.SUCCEEDED: ("✓", "ok"),
    RunState.INCOMPLETE: ("◐", "warn"),
    RunState.STOPPED: ("■", "idle"),
    RunState.INTERRUPTED: ("↯", "warn"),
    RunState.DEFERRED: ("»", "idle"),
    EntityState.WAITING: ("○", "idle"),
    EntityState.COMPLETE: ("✓", "ok"),
    EntityState.SKIPPED: ("–", "idle"),
    "done": ("✓", "ok"),
    "cancelled": ("■", "idle"),
    "error": ("✕", "bad"),
    "warning": ("▲", "warn"),
    "info": ("i", "idle"),
}
"""A state's word → its shape and its tone (a class of panel.css)."""


def chip(word: str, label: str | None = None) -> Node:
    """A state's chip; ``label`` when its word alone would not say enough."""
    shape, tone = TONES.get(word, ("?", "idle"))
    return el("span", el("span", shape, aria_hidden="true"), " ", label or word, cls=f"chip {tone}")


def mark(one: Mark) -> Node:
    """What one run did with an entity: a shape whose word is read aloud."""
    word = "interrupted" if one.interrupted else one.state.value
    shape, tone = TONES.get(word, ("?", "idle"))
    return el("span", shape, cls=f"mark {tone}", title=word, role="img", aria_label=word, key=one.run_id)
