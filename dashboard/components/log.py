"""The tail of the log, as in a terminal."""

from __future__ import annotations

from common.insights.streams import EventLine
from dashboard.components.tree import Node, el
from dashboard.format import second


def log_tree(lines: tuple[EventLine, ...]) -> list[Node | None]:
    """The lines, oldest first; it stays at its end unless somebody scrolls up."""
    return [
        el(
            "div",
            el("ol", *(_line(line) for line in lines)),
            cls="term",
            role="log",
            aria_label="Log lines, UTC",
            tabindex=0,
            data_stick="end",
        )
    ]


def _line(line: EventLine) -> Node:
    return el(
        "li",
        el("span", second(line.ts), cls="t"),
        el("span", line.level.upper() if line.level != "info" else "info", cls=f"l {line.level}"),
        el("span", line.entity or "", cls="e"),
        el("span", line.msg, cls=f"m {line.level}"),
        key=line.id,
    )
