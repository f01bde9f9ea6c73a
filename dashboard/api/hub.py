"""The streams' hub: one follower of the log, and everybody who reads it.

Everything here happens in the event loop, so joining, hearing and leaving never overlap: a reader gets what is kept
after its last line and then each new batch, without a line lost or doubled in between. Nobody is waited for: who reads
slower than the log is written is cut, and comes back with the id of its last line.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from functools import partial

from common.clock import SystemClock
from common.errors import DatabaseAway
from common.insights.streams import LogLine
from common.store.database import Database
from dashboard.api.follower import KEPT_LINES, Follower
from dashboard.api.lines import Line, Wanted, encoded, notice

MOST_WAITING_BYTES = 1_000_000
"""What may wait for one reader: some seconds of a busy log. Readers of the same lines share the bytes."""
ENDING_SECONDS = 1.0
LOOKS_BEFORE_RESYNC = 2
"""The first look may have begun before the reader came; after the second, what it claims to know is not in the log."""
MOST_PER_CALLER = 20
"""A browser opens one per visible tab; more than this is a script that forgets to close."""


TAKEN_BACK = "The database server took back lines that it had not written to its disk yet."
NOT_YET = "The log has no such line yet."
TOO_OLD = "That line is too old: what came after it is not all kept here."


class Reader:
    """One open stream: what waits to be sent to it.

    ``after``: go on after the line of this id; None: begin with the last ``tail`` lines.
    """

    def __init__(self, caller: str, wanted: Wanted, *, after: int | None, tail: int) -> None:
        self.caller = caller
        self.wanted = wanted
        self.after = after
        self.tail = tail
        self.told_id = after or 0
        self.knows_state = False
        self.is_cut = False
        self.on_cut: Callable[[], None] = lambda: None
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._is_over = False
        self._wake = asyncio.Event()

    def put(self, chunk: bytes, *, told_id: int | None = None, is_owed: bool = False) -> None:
        """Something to send. Cuts a reader with too much waiting; what ``is_owed`` since before it joined is free."""
        if self._bytes > MOST_WAITING_BYTES:
            self.cut()
        if self.is_cut:
            return
        self._waiting.append(chunk)
        self._bytes += 0 if is_owed else len(chunk)
        if told_id is not None:
            self.told_id = told_id
        self._wake.set()

    def cut(self) -> None:
        """Wait for this reader no longer."""
        self.is_cut = True
        self._waiting.clear()
        self.on_cut()

    def end(self) -> None:
        """The last thing has been put; there is a moment left to send it."""
        self._is_over = True
        self._wake.set()
        asyncio.get_running_loop().call_later(ENDING_SECONDS, self.cut)

    async def take(self) -> bytes | None:
        """All that waits, in one piece; None at the end."""
        while not self._waiting:
            if self._is_over:
                return None
            self._wake.clear()
            await self._wake.wait()
        whole = b"".join(self._waiting)
        self._waiting.clear()
        self._bytes = 0
        return whole


class Hub:
    """Keeps the last lines, ready to send, and hands each batch to every reader. It begins with its first reader."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._clock = SystemClock()
        self._follower: Follower | None = None
        self._kept: deque[Line] = deque(maxlen=KEPT_LINES)
        self._position: int | None = None
        self._away: DatabaseAway | None = None
        self._readers: dict[Wanted, set[Reader]] = {}
        self._waiting: dict[Reader, int] = {}
        self._per_caller: Counter[str] = Counter()
        self._is_over = False

    def is_full(self, caller: str) -> bool:
        """Whether this person or program has as many streams open as anybody may."""
        return self._per_caller[caller] >= MOST_PER_CALLER

    def join(self, reader: Reader) -> None:
        """From now on the reader gets everything it wants after its last line."""
        if self._follower is None and not self._is_over:
            self._follower = Follower(self._database, _FromThread(self, asyncio.get_running_loop())).start()
        self._per_caller[reader.caller] += 1
        if self._away is not None:
            self._tell_state(reader)
        self._waiting[reader] = LOOKS_BEFORE_RESYNC
        self._let_in()
        if self._is_over:
            reader.end()

    def leave(self, reader: Reader) -> None:
        """The reader is gone."""
        self._waiting.pop(reader, None)
        group = self._readers.get(reader.wanted, set())
        group.discard(reader)
        if not group:
            self._readers.pop(reader.wanted, None)
        self._per_caller[reader.caller] -= 1
        if not self._per_caller[reader.caller]:
            del self._per_caller[reader.caller]

    def heartbeat(self, reader: Reader) -> None:
        """A sign of life. With the log's position when the reader's filter has let lines pass since its last one."""
        moved = self._position is not None and self._position > reader.told_id
        position = self._position if moved else None
        reader.put(notice("heartbeat", self._clock.now(), event_id=position), told_id=position)

    def end_streams(self) -> None:
        """The process is to end: every stream ends after what waits for it."""
        self._is_over = True
        for reader in self._everybody():
            reader.end()

    def close(self) -> None:
        """Stop following. Called outside the event loop; takes up to two seconds."""
        if self._follower is not None:
            self._follower.close()

    def begins(self, lines: Sequence[Line], position: int) -> None:
        """The log is known from its last lines on; who was reading before begins anew with them."""
        self._kept.clear()
        self._kept.extend(lines)
        self._position = position
        for group in self._readers.values():
            for reader in group:
                self._resync(reader, position, TAKEN_BACK)
        self._let_in()

    def hears(self, lines: Sequence[Line], position: int) -> None:
        """The next lines, to everybody who wants them: joined once for all who want the same."""
        self._kept.extend(lines)
        self._position = position
        for wanted, group in self._readers.items():
            lines_of_group = wanted.of(lines)
            if lines_of_group:
                chunk = wanted.joined(lines_of_group)
                for reader in tuple(group):
                    reader.put(chunk, told_id=lines_of_group[-1].id)
        self._let_in()

    def rests(self) -> None:
        """All there was has been heard: who waits for a line that is not there has one look less to wait for."""
        self._waiting = {reader: looks - 1 for reader, looks in self._waiting.items()}
        self._let_in()

    def waits(self, away: DatabaseAway | None) -> None:
        """The database is away, or back: every stream says so and stays."""
        self._away = away
        for reader in self._everybody():
            self._tell_state(reader)

    def _let_in(self) -> None:
        """Whoever can be told where it goes on. One that is ahead has its last line from elsewhere: look first."""
        if self._position is None:
            return
        for reader, looks in tuple(self._waiting.items()):
            if looks > 0 and reader.after is not None and reader.after > self._position:
                if self._follower is not None:
                    self._follower.look()
                continue
            del self._waiting[reader]
            self._readers.setdefault(reader.wanted, set()).add(reader)
            self._open(reader, self._position)

    def _open(self, reader: Reader, position: int) -> None:
        if not reader.knows_state:  # not sooner: what is written after "live" must come, and here its part begins
            self._tell_state(reader)
        first_kept = self._kept[0].id if self._kept else position + 1
        if reader.after is None:
            self._send(reader, self._tail(reader))
        elif reader.after > position:
            self._resync(reader, position, NOT_YET)
        elif reader.after < first_kept - 1:
            self._resync(reader, position, TOO_OLD)
        else:
            self._send(reader, reader.wanted.of(line for line in self._kept if line.id > (reader.after or 0)))

    def _resync(self, reader: Reader, position: int, why: str) -> None:
        lines = self._tail(reader)
        goes_on_after = lines[0].id - 1 if lines else position
        said = notice("resync", self._clock.now(), event_id=goes_on_after, goesOnAfter=goes_on_after, msg=why)
        reader.put(said, told_id=goes_on_after)
        self._send(reader, lines)

    def _tail(self, reader: Reader) -> list[Line]:
        return reader.wanted.of(self._kept)[-reader.tail :] if reader.tail else []

    def _send(self, reader: Reader, lines: list[Line]) -> None:
        if lines:
            reader.put(reader.wanted.joined(lines), told_id=lines[-1].id, is_owed=True)

    def _tell_state(self, reader: Reader) -> None:
        reader.knows_state = True
        reader.put(self._state())

    def _state(self) -> bytes:
        now = self._clock.now()
        if self._away is None:
            return notice("state", now, state="live", msg="New lines come as they are written.")
        return notice("state", now, state="database_away", msg=f"The database is away. {self._away.remedy}")

    def _everybody(self) -> list[Reader]:
        return [*self._waiting, *(reader for group in self._readers.values() for reader in group)]


class _FromThread:
    """Carries what the follower says into the event loop; lines are encoded on the way, in the follower's thread."""

    def __init__(self, hub: Hub, loop: asyncio.AbstractEventLoop) -> None:
        self._hub = hub
        self._loop = loop

    def begins(self, lines: Sequence[LogLine], position: int) -> None:
        self._call(partial(self._hub.begins, [encoded(line) for line in lines], position))

    def hears(self, lines: Sequence[LogLine], position: int) -> None:
        self._call(partial(self._hub.hears, [encoded(line) for line in lines], position))

    def rests(self) -> None:
        self._call(self._hub.rests)

    def waits(self, away: DatabaseAway | None) -> None:
        self._call(partial(self._hub.waits, away))

    def _call(self, what: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(what)
        except RuntimeError:  # the loop has ended, and with it everybody who listened
            return
