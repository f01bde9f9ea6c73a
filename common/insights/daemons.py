"""Which daemons live, since when, on which version, and what each is doing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from common.rules.verdict import is_silent
from common.store.database import Link
from common.store.statements import statements

SQL = statements("insights")
MOST_DAEMONS = 10


@dataclass(frozen=True)
class DaemonView:
    """One daemon process. ``alive`` by the same rule as the gate's; ``age_seconds`` of its last heartbeat."""

    id: str
    kind: str
    hostname: str
    pid: int
    version: str
    started_at: datetime
    heartbeat_at: datetime
    heartbeat_seconds: float
    age_seconds: float
    stopped_at: datetime | None
    doing: str
    alive: bool


def daemons(link: Link, now: datetime) -> tuple[DaemonView, ...]:
    """The daemons of the last week: living ones first, and the last that stopped when none lives."""
    rows = link.execute(SQL["daemons"], {"limit": MOST_DAEMONS}).fetchall()
    views = [_view(row, now) for row in rows]
    living = tuple(view for view in views if view.alive)
    return living or tuple(sorted(views, key=lambda view: view.heartbeat_at, reverse=True)[:1])


def service_heartbeat(views: tuple[DaemonView, ...]) -> tuple[float | None, float]:
    """Age of the youngest heartbeat of a daemon that takes commands (None: there was none), and its interval."""
    services = [view for view in views if view.kind == "service"]
    if not services:
        return None, 10.0
    # A daemon that said goodbye is gone at once, however young its last heartbeat.
    youngest = min(services, key=lambda view: (view.stopped_at is not None, view.age_seconds))
    if youngest.stopped_at is not None:
        return max(youngest.age_seconds, 5 * youngest.heartbeat_seconds), youngest.heartbeat_seconds
    return youngest.age_seconds, youngest.heartbeat_seconds


def _view(row: dict[str, object], now: datetime) -> DaemonView:
    heartbeat_at, seconds = row["heartbeat_at"], row["heartbeat_seconds"]
    assert isinstance(heartbeat_at, datetime)
    assert isinstance(seconds, float)
    age = max(0.0, (now - heartbeat_at).total_seconds())
    fields = {name: row[name] for name in DaemonView.__dataclass_fields__ if name in row}
    fields["id"] = str(row["id"])
    alive = row["stopped_at"] is None and not is_silent(age, seconds)
    return DaemonView(**fields, age_seconds=age, alive=alive)  # type: ignore[arg-type]  # a row's columns are what they are
