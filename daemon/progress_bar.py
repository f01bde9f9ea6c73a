"""A progress bar on a terminal: one line, drawn over itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TextIO

WIDTH = 28


class ProgressBar:
    """Draws how far the entities of a run are."""

    def __init__(self, terminal: TextIO) -> None:
        self._terminal = terminal

    def draw(self, entities: Sequence[dict[str, Any]]) -> None:
        """Show the entity being read and the share of all."""
        self._terminal.write("\r\x1b[K" + line(entities))
        self._terminal.flush()

    def end(self) -> None:
        """Leave the last line standing."""
        self._terminal.write("\n")
        self._terminal.flush()


def line(entities: Sequence[dict[str, Any]]) -> str:
    """The line: bar, share, and where the run is."""
    shares = [_share(entity) for entity in entities]
    share = sum(shares) / len(shares) if shares else 0.0
    filled = round(share * WIDTH)
    now = next((entity for entity in entities if entity["state"] == "running"), None)
    words = "finishing" if now is None else f"{now['entity']} page {now['page']}/{now['pages_expected'] or '?'}"
    rows = sum(entity["received"] for entity in entities)
    return f"{'█' * filled}{'░' * (WIDTH - filled)} {share:4.0%}  {words}  {rows} rows"


def _share(entity: dict[str, Any]) -> float:
    if entity["state"] not in ("waiting", "running"):
        return 1.0
    expected = entity["pages_expected"]
    return min(1.0, entity["page"] / expected) if expected else 0.0
