"""What the drill was asked, for tests and for the operator: counts, the recent requests, how many at once.

The key itself is never kept, only whether one was sent.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import asdict, dataclass
from threading import Lock
from time import monotonic
from typing import Any

from .wire import Request

KEPT_REQUESTS = 20_000


@dataclass(slots=True)
class Entry:
    """One request. Times are monotonic seconds; `status` is 0 when no answer went out, None while it is open."""

    method: str
    path: str
    query: str
    host: str
    key_sent: bool
    started: float
    status: int | None = None
    ended: float | None = None
    faults: tuple[str, ...] = ()


class RequestLog:
    """Keeps the last 20 000 requests to the API (control requests excluded). Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._recent: deque[Entry] = deque(maxlen=KEPT_REQUESTS)
            self._counts: Counter[tuple[str, int]] = Counter()
            self._open = 0
            self._most_open = 0

    def begin(self, request: Request) -> Entry:
        """Note a request that just arrived."""
        headers = request.headers
        host, key_sent = headers.get("host", ""), "authorization" in headers
        entry = Entry(request.method, request.path, request.query, host, key_sent, monotonic())
        with self._lock:
            self._recent.append(entry)
            self._open += 1
            self._most_open = max(self._most_open, self._open)
        return entry

    def end(self, entry: Entry, status: int, faults: tuple[str, ...]) -> None:
        """Note how a request ended; status 0 means that no status line went out."""
        entry.ended, entry.status, entry.faults = monotonic(), status, faults
        with self._lock:
            self._counts[entry.path, status] += 1
            self._open = max(0, self._open - 1)

    def entries(self) -> list[Entry]:
        """Return the recent requests, oldest first."""
        with self._lock:
            return list(self._recent)

    @property
    def most_at_once(self) -> int:
        """Return the highest number of requests that were open at the same time."""
        return self._most_open

    def summary(self, recent: int) -> dict[str, Any]:
        """Return counts per path and status, and the last `recent` requests."""
        with self._lock:
            counts: dict[str, dict[str, int]] = {}
            for (path, status), count in self._counts.items():
                counts.setdefault(path, {})[str(status)] = count
            kept = list(self._recent)[-recent:] if recent else []
            return {
                "total": sum(self._counts.values()),
                "open": self._open,
                "most_at_once": self._most_open,
                "monotonic_now": monotonic(),
                "counts": counts,
                "recent": [asdict(entry) for entry in kept],
            }
