"""The live stream over real HTTP, with writers as two daemons are: no line lost, none doubled, nobody waited for."""

from __future__ import annotations

import json
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import psutil
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from common.access import Role
from common.store import api_tokens, people
from common.store.database import Database
from dashboard.api.answers import LineTold
from dashboard.api.follower import KEPT_LINES
from dashboard.api.hub import MOST_PER_CALLER
from tests.dashboard import seed
from tests.dashboard.conftest import Web, start_web, stop_web
from tests.dashboard.sse import PATH, StreamReader, Writer, write
from tests.waiting import wait_for


@dataclass
class Door:
    """A person's way to the stream of one web process; what it opened is closed after the test."""

    port: int
    token: str
    stack: ExitStack = field(default_factory=ExitStack)

    def open(self, query: str = "", **headers: str) -> StreamReader:
        """One more stream, open and told its state."""
        reader = self.stack.enter_context(StreamReader(self.port, self.token, query, **headers))
        wait_for(reader.said, "the stream is open")
        return reader

    @property
    def address(self) -> str:
        """The stream's."""
        return f"http://127.0.0.1:{self.port}{PATH}"

    @property
    def cookies(self) -> dict[str, str]:
        """What a browser would send."""
        return {"hc_session": self.token}

    def status(self, query: str = "") -> httpx.Response:
        """What a request is answered that does not become a stream."""
        return httpx.get(self.address + query, cookies=self.cookies, timeout=30)


def token_of(database: Database, person_id: str) -> str:
    """A session's token."""
    with database.transaction() as link:
        return people.start_session(link, person_id, seconds=600, address=None)


@pytest.fixture
def door(house: Web, shared_database: Database) -> Iterator[Door]:
    """The stream of the shared web process, for a viewer."""
    person_id = seed.person(shared_database, "vito", Role.VIEWER)
    with ExitStack() as stack:
        yield Door(house.port, token_of(shared_database, person_id), stack)


def test_every_reader_has_every_line_once(door: Door, shared_database: Database) -> None:
    """Two daemons write at once: twenty readers have each line once, in order, and cost one listener."""
    readers = [door.open() for _ in range(MOST_PER_CALLER)]
    writers = [Writer(shared_database, size=7, per_second=25, flushes=40) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    last_id = max(writer.commits[-1][0] for writer in writers)
    every = list(range(last_id - 559, last_id + 1))
    for reader in readers:
        wait_for(lambda reader=reader: reader.lines()[-1:] == [last_id], "the last line arrives")  # type: ignore[misc]  # bound early
        assert reader.lines() == every
    with shared_database.transaction() as link:
        listening = link.execute(
            "SELECT count(*) AS n FROM pg_stat_activity WHERE application_name = 'icc:listen' "
            "AND datname = current_database()"
        ).fetchone()
    assert listening == {"n": 1}


def test_a_line_says_what_was_promised(door: Door, shared_database: Database) -> None:
    """{type, ts, entity, page, rows, level, msg, runId, rateLimit?}, whatever its text holds."""
    reader = door.open()
    run_id = str(uuid.uuid4())
    hostile = "one\ndata: two\r\n\r\nid: 7 \u2028 \u202e <b>"
    rate = {"source": "counted", "usedMinute": 12}
    last_id = write(shared_database, msg=hostile, run_id=run_id, level="warn", data={"rateLimit": rate, "other": 1})
    wait_for(reader.lines, "it arrives")
    (said,) = [said for said in reader.said() if said.name == "message"]
    assert said.id == last_id
    assert said.data.pop("ts").endswith("Z")
    assert said.data == {
        "type": "page",
        "entity": "owners",
        "page": 1,
        "rows": 100,
        "level": "warn",
        "msg": hostile,
        "runId": run_id,
        "rateLimit": rate,
    }


def test_a_viewer_reads_no_values_of_records(door: Door, house: Web, shared_database: Database) -> None:
    """What a record holds is for admins; a viewer reads the same line without it, filtered or resumed all the same."""
    admin = Door(house.port, token_of(shared_database, seed.person(shared_database, "root")), door.stack)
    readers = [admin.open(), door.open(), door.open("?level=error")]
    secret = "email holds 'jane@example.com', which is no address. Mend it in DoorLoop; the next run brings it."
    last_id = write(shared_database, msg=secret, code="RECORD_TYPE", level="error")
    readers.append(door.open(Last_Event_ID=str(last_id - 1)))
    for reader in readers:
        wait_for(lambda reader=reader: reader.lines() == [last_id], "it arrives")  # type: ignore[misc]  # bound early
    told = [said.data["msg"] for reader in readers for said in reader.said() if said.name == "message"]
    masked = "••• holds •••, which is no •••. Mend it in DoorLoop; the next run brings it."
    assert told == [secret, masked, masked, masked]


def test_filters(door: Door, shared_database: Database) -> None:
    """Entity, level (and above) and run; a first connection may ask for the last lines there are."""
    run_id = str(uuid.uuid4())
    first_id = write(shared_database, entity="leases", level="debug")
    write(shared_database, entity="owners", level="warn")
    write(shared_database, entity="leases", level="error", run_id=run_id)
    write(shared_database, entity=None, level="info", run_id=run_id)
    wanted = {
        "?entity=leases": [0, 2],
        "?level=warn": [1, 2],
        "?level=info": [1, 2, 3],
        f"?runId={run_id}": [2, 3],
        f"?runId={run_id}&entity=leases&level=error": [2],
        "": [0, 1, 2, 3],
    }
    for query, places in wanted.items():
        reader = door.open(f"{query}{'&' if query else '?'}tail=4")
        ids = [first_id + place for place in places]
        wait_for(lambda reader=reader, ids=ids: reader.lines()[-len(ids) :] == ids, query)  # type: ignore[misc]  # bound early
        reader.close()
    live = door.open("?entity=leases&level=error")
    write(shared_database, 3, entity="owners", level="error")
    last_id = write(shared_database, entity="leases", level="error")
    wait_for(lambda: live.lines() == [last_id], "only the wanted line arrives")


def test_a_reader_goes_on_strictly_after_its_last_line(door: Door, shared_database: Database) -> None:
    """Last-Event-ID as a browser sends it, or in the address; the header is the newer word."""
    last_id = write(shared_database, 10)
    seen = door.open(Last_Event_ID=str(last_id - 4))
    wait_for(lambda: seen.lines() == list(range(last_id - 3, last_id + 1)), "what came after arrives")
    by_address = door.open(f"?lastEventId={last_id - 2}&tail=5")
    wait_for(lambda: by_address.lines() == [last_id - 1, last_id], "what came after arrives")
    both = door.open(f"?lastEventId={last_id - 8}", Last_Event_ID=str(last_id - 1))
    wait_for(lambda: both.lines() == [last_id], "what came after arrives")
    assert "resync" not in {said.name for said in [*seen.said(), *by_address.said(), *both.said()]}


def test_a_reader_may_know_more_than_we_do(door: Door, shared_database: Database) -> None:
    """Its last line is from elsewhere, or a moment old: we look before we say that there is no such line."""
    early, before = door.open(), write(shared_database)
    wait_for(lambda: early.lines() == [before], "the log is known so far")
    seed.events(shared_database, pages=1)  # five lines that wake nobody
    ahead = door.open(Last_Event_ID=str(before + 3))
    wait_for(lambda: ahead.lines() == [before + 4, before + 5], "what came after arrives")
    assert "resync" not in {said.name for said in ahead.said()}


@pytest.mark.parametrize("after", ["too old", "not yet"])
def test_out_of_reach_means_one_resync(door: Door, shared_database: Database, after: str) -> None:
    """Too far behind (or ahead of a log that was taken back): one event says so, and the stream goes on from there."""
    first_id = write(shared_database, 1)
    early = door.open()
    for _ in range(11 if after == "too old" else 0):
        newest_id = write(shared_database, KEPT_LINES // 10, level="debug")
        wait_for(lambda newest_id=newest_id: says(early, newest_id), "it is known")  # type: ignore[misc]  # bound early
    reader = door.open(Last_Event_ID=str(first_id if after == "too old" else first_id + 1_000_000))
    wait_for(lambda: [said.name for said in reader.said()] == ["state", "resync"], "it says so")
    last_id = write(shared_database)
    wait_for(lambda: reader.lines() == [last_id], "it goes on")
    (resync,) = [said for said in reader.said() if said.name == "resync"]
    assert resync.id == last_id - 1
    tail = door.open("?tail=3&lastEventId=0") if after == "too old" else door.open("?tail=3")
    wait_for(lambda: tail.lines() == [last_id - 2, last_id - 1, last_id], "the tail begins anew")


def test_after_a_restart_nothing_is_lost_or_doubled(database: Database) -> None:
    """Killed and started again: whoever goes on gets what was written meanwhile; over pruned lines one begins anew."""
    token = token_of(database, seed.person(database))
    settings = {"DATABASE_URL": database.url, "ICC_SECRET_KEY": "a-key-for-tests-only-0123456789"}
    web = start_web(**settings)  # type: ignore[arg-type]  # settings are strings by name
    try:
        write(database, 20)
        with ExitStack() as stack:
            before = Door(web.port, token, stack).open("?tail=5")
            wait_for(lambda: before.lines() == [16, 17, 18, 19, 20], "the tail arrives")
        web.process.kill()
        web.process.wait()
        write(database, 5)
        with database.transaction() as link:
            link.execute("DELETE FROM control.events WHERE id <= 10")
            link.execute("UPDATE control.event_head SET last_id = last_id + 100")  # a gap: ids given out, never seen
        web = start_web(web.port, **settings)  # type: ignore[arg-type]  # settings are strings by name
        with ExitStack() as stack:
            door = Door(web.port, token, stack)
            goes_on, pruned, from_the_edge = (door.open(Last_Event_ID=last) for last in ("20", "3", "10"))
            write(database, 2)
            wait_for(lambda: goes_on.lines() == [21, 22, 23, 24, 25, 126, 127], "it goes on")
            wait_for(lambda: pruned.lines() == [126, 127], "it begins anew")
            wait_for(lambda: from_the_edge.lines() == [*range(11, 26), 126, 127], "nothing after 10 is gone")
            assert [said.name for said in pruned.said()].count("resync") == 1
            assert "resync" not in {said.name for said in [*goes_on.said(), *from_the_edge.said()]}
    finally:
        stop_web(web)


def test_nobody_waits_for_a_slow_reader(start: Callable[..., Web], database: Database) -> None:
    """It is cut while another has every line, and comes back without a loss; nor does the end of the process wait."""
    web = start()
    token = token_of(database, seed.person(database))
    with ExitStack() as stack:
        door = Door(web.port, token, stack)
        quick, slow = door.open(), door.open()
        slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        port, last_id = slow.socket.getsockname()[1], write(database)
        wait_for(lambda: slow.lines() == [last_id], "the slow one listens at first")
        while is_held(web, port):
            assert last_id < 20_000, "never cut"
            last_id = write(database, 500, msg="x" * 2000)
            wait_for(lambda last_id=last_id: says(quick, last_id), "the quick reader has it")  # type: ignore[misc]  # bound early
        slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        wait_for(lambda: slow.take() or slow.has_ended, "the slow one reads what had been sent")  # type: ignore[func-returns-value]  # take, then look
        seen = slow.lines()
        back = door.open(Last_Event_ID=str(seen[-1]))
        wait_for(lambda: says(back, last_id), "it goes on")
        assert seen + back.lines() == quick.lines() == list(range(1, last_id + 1))

        stuck = door.open()
        stuck.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        last_id = write(database, 300, msg="x" * 3000)
        wait_for(lambda: says(quick, last_id), "the lines arrive")
        began = time.monotonic()
        web.process.terminate()
        web.process.wait(timeout=10)
        took_seconds = time.monotonic() - began
        quick.take()
        assert quick.arrived[-1][1].endswith(b"0\r\n\r\n"), "it ends as an answer should"
    assert took_seconds < 2, web.output


def says(reader: StreamReader, line_id: int) -> bool:
    """Whether the reader's latest piece has this line (without parsing megabytes again and again)."""
    reader.take()
    return b"id: %d\n" % line_id in b"".join(piece for _, piece in reader.arrived[-50:])


def is_held(web: Web, port: int) -> bool:
    """Whether the web process holds the connection that comes from this port."""
    held = psutil.Process(web.process.pid).net_connections("tcp")
    return any(one.raddr and one.raddr.port == port for one in held)


def test_a_session_that_ends_ends_its_stream(house: Web, shared_database: Database) -> None:
    """At the next heartbeat; a heartbeat also moves a filtered reader's place in the log."""
    with ExitStack() as stack:
        person_id = seed.person(shared_database, "gone", Role.VIEWER)
        gone = Door(house.port, token_of(shared_database, person_id), stack).open()
        stays = Door(house.port, token_of(shared_database, seed.person(shared_database, "here")), stack).open(
            "?level=error"
        )
        with shared_database.transaction() as link:
            people.set_disabled(link, person_id, disabled=True)
        last_id = write(shared_database, 5)
        wait_for(lambda: gone.said() and gone.has_ended, "the stream ends", seconds=30)
        assert gone.said()[-1].data["state"] == "signed_out"
        wait_for(lambda: last_id in [said.id for said in stays.said() if said.name == "heartbeat"], "it lives")
        assert not stays.has_ended


def test_the_database_away_is_said_and_outlived(start: Callable[..., Web], database: Database, server_url: str) -> None:
    """The stream stays, says that the database is away, and goes on by itself with what was written meanwhile."""
    web = start()
    token = token_of(database, seed.person(database))
    with ExitStack() as stack:
        reader = Door(web.port, token, stack).open()
        first_id = write(database)
        wait_for(lambda: reader.lines() == [first_id], "a line arrives")
        with shut(server_url, database):
            wait_for(lambda: states(reader)[-1] == "database_away", "it says so", seconds=60)
        # Through a fresh pool: the old one pauses for a while before it tries to connect again.
        with Database(database.url, name="icc:test") as back:
            last_id = write(back, 3)
        wait_for(lambda: reader.lines() == [first_id, last_id - 2, last_id - 1, last_id], "it goes on", seconds=60)
        assert states(reader) == ["live", "database_away", "live"]


def states(reader: StreamReader) -> list[str]:
    """What the stream said of itself."""
    return [said.data["state"] for said in reader.said() if said.name == "state"]


@contextmanager
def shut(server_url: str, database: Database) -> Iterator[None]:
    """The database refuses every connection for as long as the block lasts, as one that is away does."""
    own_name = str(conninfo_to_dict(database.url)["dbname"])
    with psycopg.connect(server_url, autocommit=True) as link:
        link.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(own_name)))
        link.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND usename = current_user",
            [own_name],
        )
        yield
        link.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(sql.Identifier(own_name)))


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("?level=loud", "level"),
        ("?entity=cats", "entity"),
        ("?runId=7", "runId"),
        ("?lastEventId=-1", "lastEventId"),
        ("?lastEventId=9999999999999999999", "lastEventId"),
        ("?tail=1001", "tail"),
        ("?token=secret", "token"),
    ],
)
def test_what_cannot_be_used_is_named(door: Door, query: str, named: str) -> None:
    """422 with cause and remedy, as application/problem+json."""
    problem = unusable(door.status(query))
    assert f"`{named}`" in problem["detail"]
    assert "secret" not in problem["detail"]


@pytest.mark.parametrize("last", ["-1", "seven", "9999999999999999999"])
def test_a_last_event_id_that_is_none_is_named(door: Door, last: str) -> None:
    """A header that cannot be gone on after is refused, and not read as if there were none."""
    answer = httpx.get(door.address, cookies=door.cookies, headers={"Last-Event-ID": last}, timeout=30)
    assert "`Last-Event-ID`" in unusable(answer)["detail"]


def unusable(answer: httpx.Response) -> dict[str, Any]:
    """The problem that says so."""
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    problem: dict[str, Any] = answer.json()
    assert problem["code"] == "REQUEST_UNUSABLE"
    assert problem["remedy"]
    return problem


def test_streams_per_person_are_capped(door: Door, house: Web, shared_database: Database) -> None:
    """One more than allowed is refused with the remedy; it concerns nobody else, and a closed one makes room."""
    readers = [door.open() for _ in range(MOST_PER_CALLER)]
    answer = door.status()
    assert answer.status_code == 429
    assert answer.headers["retry-after"]
    assert answer.json()["code"] == "TOO_MANY_STREAMS"
    assert str(MOST_PER_CALLER) in answer.json()["detail"]
    other = Door(house.port, token_of(shared_database, seed.person(shared_database, "other")), door.stack)
    assert other.open().answer()[0] == 200
    readers[0].close()
    wait_for(lambda: opens(door), "there is room again")


def opens(door: Door) -> bool:
    """Whether one more stream may be opened."""
    with httpx.stream("GET", door.address, cookies=door.cookies, timeout=30) as answer:
        return answer.status_code == 200


def test_a_program_reads_with_its_token(door: Door, house: Web, shared_database: Database) -> None:
    """A bearer token opens the stream as a session does: masked by its role, counted by itself, out once revoked."""
    with shared_database.transaction() as link:
        tokens = {role: api_tokens.add(link, f"reader {role}", role, days=1, created_by="tests") for role in Role}
    readers = {
        role: door.stack.enter_context(StreamReader(house.port, "none", Authorization=f"Bearer {token}"))
        for role, token in tokens.items()
    }
    for reader in readers.values():
        wait_for(reader.said, "the stream is open")
    for _ in range(MOST_PER_CALLER):  # somebody else's streams take no place of theirs
        door.open()
    last_id = write(shared_database, msg="email holds 'jane@example.com', which is no address.", code="RECORD_TYPE")
    for role, reader in readers.items():
        wait_for(lambda reader=reader: reader.lines() == [last_id], "it arrives")  # type: ignore[misc]  # bound early
        (said,) = [said.data for said in reader.said() if said.name == "message"]
        assert ("jane@example.com" in said["msg"]) is (role is Role.ADMIN)
        LineTold.model_validate_json(json.dumps(said))  # as it is documented
    with shared_database.transaction() as link:
        revoked = api_tokens.lookup(link, tokens[Role.VIEWER])
        assert revoked is not None
        api_tokens.revoke(link, revoked.id)
    gone = readers[Role.VIEWER]
    wait_for(lambda: gone.said() and gone.has_ended, "the stream ends", seconds=30)
    assert (gone.said()[-1].data["state"], "token" in gone.said()[-1].data["msg"]) == ("signed_out", True)
    wait_for(lambda: "heartbeat" in {one.name for one in readers[Role.ADMIN].said()}, "the other one lives", seconds=30)


def test_the_stream_is_closed_to_whoever_may_not_read(house: Web, shared_database: Database) -> None:
    """401 without a session, 403 with one that has no role."""
    assert httpx.get(f"{house.address}{PATH}").status_code == 401
    nobody = Door(house.port, token_of(shared_database, seed.person(shared_database, "nobody", None)))
    assert nobody.status().status_code == 403
    assert nobody.status().json()["code"] == "NO_ROLE"
