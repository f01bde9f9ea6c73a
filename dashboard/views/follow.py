"""What became of what a person pressed, for as long as that is news."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from common.insights.control import CommandView
from dashboard import reads, state
from dashboard.state import Pressed

NEWS_SECONDS = 15.0


def followed(*actions: str, now: datetime) -> Iterator[tuple[Pressed, CommandView | None]]:
    """The last press of each action with its command; one that went well is told for a while, no longer."""
    for pressed in state.pressed(*actions):
        view = reads.command(pressed.command_id) if pressed.command_id else None
        went_well_at = view.finished_at if view is not None and view.problem is None else None
        if went_well_at is not None and (now - went_well_at).total_seconds() > NEWS_SECONDS:
            state.forget_pressed(pressed.action)
            continue
        yield pressed, view
