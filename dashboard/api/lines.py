"""The log's lines as a stream says them: each encoded once, however many read it; and what a reader wants to hear.

The form is that of server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from common.access import Sight
from common.insights.sight import line_as_seen
from common.insights.streams import LEVELS, LogLine
from common.redact import mask


@dataclass(frozen=True, slots=True)
class Line:
    """One line, ready to be sent, with what filters ask of it. ``level`` is its place in ``LEVELS``.

    ``masked`` is what a viewer gets; mostly it is ``whole`` itself.
    """

    id: int
    level: int
    entity: str | None
    run_id: str | None
    whole: bytes
    masked: bytes


@dataclass(frozen=True)
class Wanted:
    """What one reader wants: lines at ``level`` and above, of one entity, of one run (None: of all), and may see."""

    level: int = 0
    entity: str | None = None
    run_id: str | None = None
    is_masked: bool = True

    def admits(self, line: Line) -> bool:
        """Whether the line is wanted."""
        return (
            line.level >= self.level
            and self.entity in (None, line.entity)
            and (self.run_id is None or self.run_id == line.run_id)
        )

    def of(self, lines: Iterable[Line]) -> list[Line]:
        """The wanted ones among these."""
        return [line for line in lines if self.admits(line)]

    def joined(self, lines: Iterable[Line]) -> bytes:
        """These lines in one piece, as this reader may see them."""
        return b"".join(line.masked if self.is_masked else line.whole for line in lines)


def encoded(line: LogLine) -> Line:
    """A line of the log as it is sent to everybody who reads it."""
    said: dict[str, Any] = {
        "type": line.code,
        "ts": _moment(line.ts),
        "entity": line.entity,
        "page": line.page,
        "rows": line.rows,
        "level": line.level,
        "msg": mask(line.msg),
        "runId": line.run_id,
    }
    if line.rate_limit is not None:
        said["rateLimit"] = line.rate_limit
    whole = masked = event(said, event_id=line.id)
    seen = mask(line_as_seen(line.code, line.msg, Sight.MASKED))
    if seen != said["msg"]:
        masked = event({**said, "msg": seen}, event_id=line.id)
    return Line(line.id, LEVELS.index(line.level), line.entity, line.run_id, whole, masked)


def event(said: dict[str, Any], *, name: str | None = None, event_id: int | None = None) -> bytes:
    """One event of the stream. Without a ``name`` it is a message; ``event_id`` is what a reconnect goes on after."""
    head = b"" if event_id is None else b"id: %d\n" % event_id
    if name is not None:
        head += b"event: %s\n" % name.encode()
    # JSON in one line: a line break inside a text is written as \n, so no text can end an event or begin another.
    return head + b"data: " + orjson.dumps(said) + b"\n\n"


def notice(kind: str, now: datetime, *, event_id: int | None = None, **said: Any) -> bytes:
    """An event about the stream itself: ``state``, ``resync`` or ``heartbeat``."""
    return event({"type": kind, "ts": _moment(now), **said}, name=kind, event_id=event_id)


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
