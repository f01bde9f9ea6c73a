"""The streams' hub says what is so: "live" only from where nothing is missed."""

from __future__ import annotations

import asyncio

import pytest

from common.errors import DatabaseAway
from common.store.database import Database
from dashboard.api import hub as module
from dashboard.api.hub import Hub, Reader
from dashboard.api.lines import Wanted


class NotYet:
    """A follower that has not come to the database so far."""

    def __init__(self, *_: object) -> None:
        """Nothing is begun."""

    def start(self) -> NotYet:
        """Begin, and come no further."""
        return self


@pytest.mark.parametrize("is_away", [False, True])
def test_a_reader_is_told_live_when_the_logs_end_is_known(monkeypatch: pytest.MonkeyPatch, is_away: bool) -> None:
    """A line written after that word is shown, also to one that wants no older lines."""
    monkeypatch.setattr(module, "Follower", NotYet)

    async def told() -> list[bytes]:
        hub = Hub(Database("postgresql://nobody@nowhere/nothing"))
        reader = Reader("ana", Wanted(), after=None, tail=0)
        hub.join(reader)
        taking = asyncio.ensure_future(reader.take())
        await asyncio.sleep(0)
        assert not taking.done()
        if is_away:
            hub.waits(DatabaseAway("gone"))
            first = await taking
            hub.begins([], 7)
            hub.waits(None)
            return [first or b"", await reader.take() or b""]
        hub.begins([], 7)
        return [await taking or b""]

    said = asyncio.run(told())
    states = [b"database_away", b"live"] if is_away else [b"live"]
    assert [piece.count(b'"state": "') + piece.count(b'"state":"') for piece in said] == [1] * len(states)
    assert all(state in piece for state, piece in zip(states, said, strict=True))
