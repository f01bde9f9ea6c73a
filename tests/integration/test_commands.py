"""Commands: sealed, claimed once, done once, expired with a sentence; forged ones refused and traced."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC
from typing import Any

import psycopg
import pytest

from common.access import Action
from common.errors import Refused
from common.store import accounts, commands
from common.store.database import Database, Link, Row, sql
from common.store.listener import Listener
from common.wishes import Wish, check_wish, run_wish
from daemon.integrations.doorloop.drill import DrillServer
from daemon.sync.run import RunPlan
from tests.children import held
from tests.harness import ADMIN, Engine, engine
from tests.truth import Record, assert_tables_equal_truth, one, rows
from tests.unguarded import unguarded
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def drill() -> Iterator[DrillServer]:
    """A vendor with two pages."""
    with DrillServer(rows=30, seed=1) as server:
        yield server


@pytest.fixture
def house(drill: DrillServer, database_url: str) -> Iterator[Engine]:
    """A daemon that serves."""
    with engine(drill, database_url) as running:
        with running.database.transaction() as link:
            link.execute("UPDATE control.daemons SET kind = 'service', heartbeat_at = now()")
        yield running


def insert(database: Database, **changes: Any) -> str:
    """A command row by SQL, past the gate."""
    values: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "integration": "doorloop",
        "action": "ping",
        "payload": "{}",
        "actor": "tester",
        "audit_id": None,
        "expires_at": "now + 1 minute",
        "seal": "0" * 64,
        "addressed_to": None,
    }
    values |= changes
    expires = {"now + 1 minute": "now() + interval '1 minute'"}.get(values["expires_at"], f"'{values['expires_at']}'")
    with database.transaction() as link:
        link.execute(
            "INSERT INTO control.commands (id, integration, action, payload, actor, audit_id, expires_at, seal, "
            "addressed_to) VALUES (%(id)s, %(integration)s, %(action)s, %(payload)s, %(actor)s, %(audit_id)s, "
            f"{expires}, %(seal)s, %(addressed_to)s)",
            values,
        )
    return str(values["id"])


def insert_again(database: Database, *, addressed_to: str | None = None) -> None:
    """Delete the only command and insert it as it was given, by one whom the table's guard does not stop."""
    with unguarded(database) as link:
        link.execute("CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM control.commands")
        link.execute("UPDATE control.runs SET command_id = NULL")
        link.execute("DELETE FROM control.commands")
        link.execute(
            "INSERT INTO control.commands (id, integration, account_key, action, payload, actor, audit_id, expires_at, "
            "seal, addressed_to) SELECT id, integration, account_key, action, payload, actor, audit_id, expires_at, "
            "seal, %s FROM kept",
            (addressed_to,),
        )


def command(database: Database, command_id: str) -> Record:
    """A command as it is now."""
    return one(database, "SELECT id, state, result FROM control.commands WHERE id = %s", command_id)


def assert_refused_as_forged(database: Database, command_id: str) -> None:
    """Refused, and the audit log says by which database user the row was written."""
    found = command(database, command_id)
    assert (found["state"], found["result"]["code"]) == ("refused", "NOT_FROM_GATE")
    row = one(database, "SELECT * FROM control.admin_logs WHERE command_id = %s AND result = 'refused'", command_id)
    user = one(database, "SELECT session_user::text AS name")["name"]
    assert (row["source"], row["actor"], row["summary"]["session_user"]) == ("database", f"database:{user}", user)
    assert "gate" in row["reason"]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"action": "run", "payload": '{"mode": "backfill", "entities": ["owners"]}'},
        {"action": "drop everything"},
        {"seal": "ü" * 64},
        {"seal": ""},
        {"expires_at": "infinity"},
        {"expires_at": "25000-01-01"},
        {"payload": "[" * 3000 + "]" * 3000},
        {"payload": '{"digits": 1e5000}'},
        {"payload": '"just text"'},
        {"integration": "elsewhere"},
        {"actor": "\U0001f600"},
    ],
    ids=str,
)
def test_an_inserted_row_is_refused_and_stops_nobody(
    house: Engine, database: Database, changes: dict[str, Any]
) -> None:
    """Issue 2: who can write the table by SQL still cannot make the daemon act, nor keep it from the next command."""
    forged = insert(database, **changes)
    honest = house.gate.submit(Wish(Action.PING, "doorloop"), ADMIN).command_id
    assert house.commands.run_once() == 2
    assert_refused_as_forged(database, forged)
    wait_for(lambda: command(database, honest)["state"] == "done", "the honest command is done")
    assert rows(database, "SELECT 1 FROM control.runs") == []


def test_a_copied_row_is_refused(house: Engine, database: Database) -> None:
    """Issue 2: a seal is good for one row only."""
    house.gate.submit(Wish(Action.PING, "doorloop"), ADMIN)
    copy = str(uuid.uuid4())
    rows(
        database,
        "INSERT INTO control.commands (id, integration, action, payload, actor, audit_id, expires_at, seal) "
        "SELECT %s, integration, action, payload, actor, audit_id, expires_at, seal FROM control.commands",
        copy,
    )
    house.commands.run_once()
    assert_refused_as_forged(database, copy)


@pytest.mark.parametrize(
    "wish",
    [Wish(Action.PING, "doorloop"), run_wish("doorloop", mode="delta", entities=("owners",))],
    ids=["ping", "run"],
)
def test_a_finished_command_inserted_again_is_not_done_again(house: Engine, database: Database, wish: Wish) -> None:
    """Law 1: a command is done once. Its outcome stays in the audit log, whatever becomes of its row."""
    command_id = house.gate.submit(wish, ADMIN).command_id
    done = house.commands.take(command_id)
    if isinstance(done, RunPlan):
        house.finish(done)
    insert_again(database)
    assert command(database, command_id)["state"] == "pending"
    assert house.commands.run_once() == 1
    assert_refused_as_forged(database, command_id)
    counted = one(database, "SELECT (SELECT count(*) FROM control.pings) + (SELECT count(*) FROM control.runs) AS done")
    assert counted["done"] == 1


@pytest.mark.parametrize("others", [False, True], ids=["itself", "another daemon"])
@pytest.mark.parametrize("again", ["inserted", "set back"])
def test_a_command_under_way_is_not_done_again(
    drill: DrillServer, database_url: str, database: Database, again: str, others: bool
) -> None:
    """Law 1: a row written again, or set back, while its command is being done is refused; its outcome is told once,
    of whom the seal names."""
    drill.set_fault("hang")
    with engine(drill, database_url) as first, engine(drill, database_url) as second:
        rows(database, "UPDATE control.daemons SET kind = 'service', heartbeat_at = now()")
        command_id = first.gate.submit(Wish(Action.PING, "doorloop"), ADMIN).command_id
        assert first.commands.run_once() == 1
        wait_for(lambda: rows(database, "SELECT 1 FROM control.claims"), "it is under way")
        if again == "inserted":
            insert_again(database)
        else:
            rows(database, "UPDATE control.commands SET state = 'pending', claimed_by = NULL, claimed_at = NULL")
        assert (second if others else first).commands.run_once() == 1
        assert_refused_as_forged(database, command_id)
        with unguarded(database) as link:
            link.execute("UPDATE control.commands SET actor = 'somebody else'")
        drill.clear_faults()
        outcomes = "SELECT actor, result FROM control.admin_logs WHERE outcome_of IS NOT NULL"
        wait_for(lambda: rows(database, outcomes), "the first one is done")
        assert [row["actor"] for row in rows(database, outcomes)] == [ADMIN.name]
        assert one(database, "SELECT count(*) AS n FROM control.pings")["n"] == 1


def test_what_a_daemon_did_is_written_down_whatever_became_of_its_row(
    house: Engine, drill: DrillServer, database: Database
) -> None:
    """Law 9: the outcome stands in the audit log even when somebody deleted the command meanwhile."""
    drill.set_fault("hang")
    house.gate.submit(Wish(Action.PING, "doorloop"), ADMIN)
    assert house.commands.run_once() == 1
    with unguarded(database) as link:
        link.execute("DELETE FROM control.commands")
    drill.clear_faults()
    outcome = "SELECT actor, source FROM control.admin_logs WHERE outcome_of IS NOT NULL"
    wait_for(lambda: rows(database, outcome), "its outcome is told")
    assert rows(database, outcome) == [{"actor": ADMIN.name, "source": "daemon"}]


def test_a_daemon_gives_back_nothing_of_its_own(house: Engine, drill: DrillServer, database: Database) -> None:
    """One that was frozen so long that it seems dead has its commands still under way."""
    drill.set_fault("hang")
    house.gate.submit(Wish(Action.PING, "doorloop"), ADMIN)
    assert house.commands.run_once() == 1
    rows(database, "UPDATE control.daemons SET heartbeat_at = now() - interval '1 hour'")
    assert house.commands.tidy() == {"given_back": 0, "expired": 0, "refused": 0}
    with database.transaction() as link:
        assert commands.give_back(link, str(uuid.uuid4())) == 1
    drill.clear_faults()


def test_a_stop_is_taken_before_whatever_waits(house: Engine, database: Database) -> None:
    """Law 6: four hundred questions that were there first kept it waiting for three seconds."""
    house.begin()
    others = [house.gate.submit(check_wish("doorloop", endpoint="owners", page_size=n), ADMIN) for n in (1, 2, 3)]
    stop = house.gate.submit(Wish(Action.STOP, "doorloop"), ADMIN)
    with database.transaction() as link:
        claimed = [commands.claim(link, house.services.daemon_id) for _ in range(4)]
    expected = [stop.command_id, *(other.command_id for other in others)]
    assert [str(one_of["id"]) for one_of in claimed if one_of] == expected


def test_what_is_done_while_it_is_looked_for_is_not_told_as_lost(
    house: Engine,
    drill: DrillServer,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A warning that a command was lost, of one that has just been done, sends an admin looking for nothing."""
    drill.set_fault("hang")
    command_id = house.gate.submit(Wish(Action.PING, "doorloop"), ADMIN).command_id
    assert house.commands.run_once() == 1
    real = commands.claimed_by

    def then_done(link: Link, daemon_id: str) -> list[Row]:
        found = list(real(link, daemon_id))
        drill.clear_faults()
        wait_for(lambda: command(database, command_id)["state"] == "done", "it is done meanwhile")
        wait_for(lambda: command_id not in house.commands._in_hand, "it is let go")
        return found

    monkeypatch.setattr(commands, "claimed_by", then_done)
    assert house.commands.tidy() == {"given_back": 0, "expired": 0, "refused": 0}
    assert "COMMAND_LOST" not in capsys.readouterr().out


def test_whether_a_command_was_done_is_found_by_an_index(house: Engine, database: Database) -> None:
    """Each claim and each end looks into the audit log, which only grows: a million rows must not slow it."""
    with database.transaction() as link:
        link.execute(
            "INSERT INTO control.admin_logs (actor, source, action, result, command_id) "
            "SELECT 'somebody', 'page', 'ping', 'accepted', gen_random_uuid() FROM generate_series(1, 5000)"
        )
        link.execute("ANALYZE control.admin_logs")
        plan = link.execute(sql("EXPLAIN " + commands.SQL["sealed_part"]), {"id": str(uuid.uuid4())}).fetchall()
    assert "admin_logs_command" in str(plan)


@pytest.mark.parametrize("expires_at", ["2020-01-01", "-infinity", "4000-01-01 BC"])
def test_a_forged_row_does_not_expire_in_somebodys_name(house: Engine, database: Database, expires_at: str) -> None:
    """Law 9: a row written after its expiry is refused as forged; the audit row it points at gets no outcome."""
    house.gate.submit(Wish(Action.PING, "doorloop"), ADMIN)
    audit_id = one(database, "SELECT id FROM control.admin_logs")["id"]
    forged = insert(database, expires_at=expires_at, audit_id=audit_id)
    assert house.commands.tidy() == {"given_back": 0, "expired": 0, "refused": 1}
    assert_refused_as_forged(database, forged)
    assert rows(database, "SELECT 1 FROM control.admin_logs WHERE outcome_of IS NOT NULL") == []


def test_a_finished_command_inserted_again_run_out_or_for_somebody_else_is_refused(
    house: Engine, database: Database
) -> None:
    """Law 9: one command has one outcome; a row that nobody would claim is looked at all the same."""
    command_id = house.gate.submit(Wish(Action.PING, "doorloop"), ADMIN).command_id
    house.commands.take(command_id)
    insert_again(database, addressed_to=str(uuid.uuid4()))
    assert house.commands.tidy()["refused"] == 1
    assert_refused_as_forged(database, command_id)
    outcomes = rows(database, "SELECT result FROM control.admin_logs WHERE outcome_of IS NOT NULL")
    assert [row["result"] for row in outcomes] == ["done"]


@pytest.mark.parametrize(
    "changes",
    [{}, {"payload": "[" * 3000 + "]" * 3000}, {"expires_at": "infinity"}],
    ids=["plain", "deep", "for ever"],
)
def test_a_forged_row_addressed_to_nobody_is_refused(
    house: Engine, database: Database, changes: dict[str, Any]
) -> None:
    """Issue 2: whoever a forged row is addressed to, it is refused; what the gate addressed is left alone."""
    elsewhere = str(uuid.uuid4())
    honest = house.gate.submit(Wish(Action.PING, "doorloop"), ADMIN, addressed_to=elsewhere).command_id
    values = {"action": "run", "expires_at": "2036-01-01", **changes}
    forged = insert(database, addressed_to=elsewhere, **values)
    assert house.commands.run_once() == 0
    assert house.commands.tidy() == {"given_back": 0, "expired": 0, "refused": 1}
    assert_refused_as_forged(database, forged)
    assert house.commands.tidy()["refused"] == 0
    found = one(database, "SELECT state, addressed_to::text FROM control.commands WHERE id = %s", honest)
    assert found == {"state": "pending", "addressed_to": elsewhere}


def test_tidying_keeps_no_command_from_whom_it_is_addressed_to(house: Engine, database: Database) -> None:
    """Law 6: a claim skips what is locked, so one daemon's tidying locks nothing that is another's to take."""
    own = house.services.daemon_id
    receipt = house.gate.submit(Wish(Action.PING, "doorloop"), ADMIN, addressed_to=own)
    with database.transaction() as link:
        (seen,) = commands.unclaimed(link)
        assert str(seen["id"]) == receipt.command_id
        result = house.commands.take(receipt.command_id)
    assert isinstance(result, dict)


@pytest.mark.parametrize(
    "change",
    [
        "action = 'stop'",
        "payload = jsonb_set(payload, '{entities}', '[\"tenants\"]')",
        "payload = jsonb_set(payload, '{dry_run}', 'true')",
        "actor = 'somebody else'",
        "expires_at = expires_at + interval '1 hour'",
        "account_key = 'other'",
    ],
)
def test_an_altered_row_is_refused(house: Engine, database: Database, change: str) -> None:
    """Issue 2: everything that decides what the daemon does is under the seal; who changed it is recorded."""
    wish = run_wish("doorloop", mode="delta", entities=("owners",))
    receipt = house.gate.submit(wish, ADMIN)
    rows(database, f"UPDATE control.commands SET {change}")
    house.commands.run_once()
    assert_refused_as_forged(database, receipt.command_id)
    assert rows(database, "SELECT 1 FROM control.runs") == []


def test_the_writer_of_a_row_cannot_be_chosen(house: Engine, database: Database) -> None:
    """Issue 2: the column that names the database user is filled in by the database."""
    forged = insert(database)
    rows(database, "UPDATE control.commands SET written_by = 'the chief' WHERE id = %s", forged)
    house.commands.run_once()
    assert_refused_as_forged(database, forged)


def test_a_command_nobody_takes_expires_with_a_sentence(
    drill: DrillServer, database_url: str, database: Database
) -> None:
    """Issue 2: an unclaimed command expires with a sentence that says the daemon is down; so does its audit row."""
    with engine(drill, database_url, ICC_COMMAND_EXPIRY_SECONDS="0.3") as house:
        receipt = house.gate.submit(Wish(Action.PING, "doorloop"), ADMIN, addressed_to=str(uuid.uuid4()))
        wait_for(lambda: house.commands.tidy()["expired"], "it expires", seconds=5)
        found = command(database, receipt.command_id)
        assert (found["state"], found["result"]["code"]) == ("expired", "COMMAND_EXPIRED")
        assert "the daemon is down" in found["result"]["cause"]
        assert found["result"]["remedy"]
        assert one(database, "SELECT 1 AS n FROM control.admin_logs WHERE result = 'expired'")
        with pytest.raises(Refused):
            house.commands.take(receipt.command_id)


def test_a_dead_daemons_command_goes_back_to_the_queue(house: Engine, database: Database) -> None:
    """Design §4: claimed → pending when its claimer died; another daemon does it."""
    receipt = house.gate.submit(Wish(Action.PING, "doorloop"), ADMIN)
    dead = str(uuid.uuid4())
    rows(
        database,
        "INSERT INTO control.daemons (id, kind, hostname, boot_id, pid, process_started_at, version, heartbeat_at, "
        "heartbeat_seconds) VALUES (%s, 'service', 'elsewhere', 'x', 1, now(), '0', now() - interval '1 hour', 10)",
        dead,
    )
    with database.transaction() as link:
        assert commands.claim(link, dead) is not None
    assert house.commands.run_once() == 0
    assert house.commands.tidy()["given_back"] == 1
    assert house.commands.run_once() == 1
    wait_for(lambda: command(database, receipt.command_id)["state"] == "done", "it is done")


def test_two_daemons_take_each_command_once(
    house: Engine, drill: DrillServer, database_url: str, database: Database
) -> None:
    """Design §2: SKIP LOCKED: a command is claimed by one daemon, and done once."""
    with engine(drill, database_url) as second:
        wishes = [check_wish("doorloop", endpoint="owners", page_size=size) for size in range(1, 13)]
        ids = [house.gate.submit(wish, ADMIN).command_id for wish in wishes]
        with ThreadPoolExecutor(4) as pool:
            taken = sum(pool.map(lambda desk: desk.run_once(), [house.commands, second.commands] * 2))
        assert taken == len(ids)
        wait_for(
            lambda: {row["state"] for row in rows(database, "SELECT state FROM control.commands")} == {"done"},
            "all are done",
        )
        done = rows(database, "SELECT 1 FROM control.admin_logs WHERE outcome_of IS NOT NULL AND result = 'done'")
        assert len(done) == len(ids)


def test_two_daemons_start_one_run(house: Engine, drill: DrillServer, database_url: str, database: Database) -> None:
    """Law 1: claim, lease and run row are one transaction; of two daemons one runs."""
    with engine(drill, database_url) as second:
        plan = house.begin()
        with pytest.raises(Refused) as refusal:
            second.begin()
        assert refusal.value.code == "ALREADY_RUNNING"
        assert house.finish(plan).state == "succeeded"
        assert second.run().state == "succeeded"
        assert_tables_equal_truth(database, drill, ["owners"])


@pytest.mark.parametrize(
    "lease",
    ["expires_at = now() - interval '1 second'", "term = term + 1, holder = NULL, run_id = NULL, expires_at = NULL"],
    ids=["ran out", "gone"],
)
def test_a_run_of_a_machine_that_died_does_not_stand_in_the_way(
    house: Engine, drill: DrillServer, database_url: str, database: Database, lease: str
) -> None:
    """Law 1: a lease that ran out is taken over by the next run, on whatever machine its holder was."""
    lost = house.begin()
    rows(database, "UPDATE control.daemons SET hostname = 'elsewhere'")
    rows(database, f"UPDATE control.leases SET {lease}")
    with engine(drill, database_url) as second:
        assert second.run().state == "succeeded"
    found = one(database, "SELECT state, error FROM control.runs WHERE id = %s", lost.lease.run_id)
    assert (found["state"], found["error"]["code"]) == ("interrupted", "INTERRUPTED")
    late = house.finish(lost)
    assert late.state == "interrupted"
    assert_tables_equal_truth(database, drill, ["owners"])


def test_a_run_ended_by_hand_holds_its_lease_no_longer_than_that(house: Engine, database: Database) -> None:
    """A tired person ends a stuck run with SQL, and forgets its lease: once that has run out, the next run begins."""
    stuck = house.begin()
    ended = "UPDATE control.runs SET state = 'interrupted', finished_at = now() WHERE id = %s RETURNING id"
    assert one(database, ended, stuck.lease.run_id)
    rows(database, "UPDATE control.leases SET expires_at = now() - interval '1 second'")
    assert house.run().state == "succeeded"


def test_a_run_deleted_by_hand_is_still_a_run_in_the_way(house: Engine, database: Database) -> None:
    """While its lease lasts; the refusal says what it can."""
    stuck = house.begin()
    rows(database, "DELETE FROM control.run_entities")
    rows(database, "DELETE FROM control.runs WHERE id = %s", stuck.lease.run_id)
    with pytest.raises(Refused) as refusal:
        house.begin()
    assert (refusal.value.code, "deleted" in refusal.value.cause) == ("ALREADY_RUNNING", True)


def test_an_account_whose_row_was_deleted_is_known_again(house: Engine, database: Database) -> None:
    """A run is not refused as if another one held it."""
    rows(database, "DELETE FROM control.accounts_synced")
    assert house.run().state == "succeeded"


def test_a_refused_run_leaves_nothing_behind(house: Engine, database: Database) -> None:
    """Which kind of rows an account has is decided by a run that begins, not by one that may not."""
    plan = house.begin()
    rows(database, "UPDATE control.accounts_synced SET source_kind = NULL")
    with pytest.raises(Refused):
        house.begin("delta")
    assert one(database, "SELECT source_kind FROM control.accounts_synced")["source_kind"] is None
    assert house.finish(plan).state == "succeeded"


def test_the_listener_works_only_when_it_has_heard_itself(database_url: str, server_url: str) -> None:
    """Design §2: a LISTEN that a pooler swallows does not count as working; one that hears its own nonce does."""
    heard: list[tuple[str, str]] = []
    with Database(database_url) as direct:
        listener = Listener(direct, ("icc_commands",), lambda *note: heard.append(note))
        assert not listener.working
        listener.start()
        wait_for(lambda: listener.working, "it hears its nonce")
        rows(direct, "SELECT pg_notify('icc_commands', 'hello')")
        wait_for(lambda: heard, "it hears a note")
        listener.close()
    assert heard == [("icc_commands", "hello")]
    # Listening on another database of the server hears nothing of this one: to us it looks like a swallowing pooler.
    with Database(database_url, direct_url=server_url) as swallowed:
        listener = Listener(swallowed, ("icc_commands",), lambda *note: heard.append(note)).start()
        wait_for(lambda: is_listening(server_url), "it listens")
        rows(swallowed, "SELECT pg_notify('icc_commands', 'lost')")
        assert not listener.working
        listener.close()
    assert len(heard) == 1


def test_only_a_session_of_its_own_keeps_statements_prepared(database_url: str, server_url: str) -> None:
    """Design §2: what is prepared lives on one server; where connections may go from server to server nothing is."""
    for direct_url, kept in ((database_url, 1), (server_url, 0)):
        with Database(database_url, direct_url=direct_url, most=1) as pool:
            pool.heard(notes=True)
            assert prepared(pool) == kept
            pool.heard(notes=False)
            assert prepared(pool, "DEALLOCATE ALL") == 0


def test_a_server_that_does_not_know_a_statement_is_asked_without_it(database_url: str) -> None:
    """Design §2: should a connection have gone to another server after all, one try is lost, and no more."""
    with Database(database_url, most=1) as pool:
        pool.heard(notes=True)
        assert prepared(pool) == 1
        with pool.statement() as link:
            link.pgconn.exec_(b"DEALLOCATE ALL")  # where psycopg does not see it
        with pytest.raises(psycopg.errors.InvalidSqlStatementName):
            prepared(pool)
        assert prepared(pool) == 0


def prepared(pool: Database, before: str = "SELECT") -> int:
    """How many statements a connection keeps after a claim that finds nothing."""
    with pool.statement() as link:
        link.execute(before)
        assert commands.claim(link, str(uuid.uuid4())) is None
        found = link.execute("SELECT count(*) AS kept FROM pg_prepared_statements").fetchone()
    assert found is not None
    return int(found["kept"])


def test_a_cut_listening_connection_is_noticed_and_mended(database_url: str, database: Database) -> None:
    """Design §2: when its connection is cut the listener says that it does not work, and comes back by itself."""
    with Database(database_url) as direct:
        listener = Listener(direct, ("icc_commands",), lambda *_: None).start()
        wait_for(lambda: listener.working, "it works")
        rows(
            database,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'icc:listen' "
            "AND datname = current_database()",
        )
        wait_for(lambda: not listener.working, "it notices")
        wait_for(lambda: listener.working, "it works again")
        listener.close()


def is_listening(url: str) -> bool:
    """Whether a listener has its connection to this database."""
    with psycopg.connect(url, autocommit=True) as link:
        row = link.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'icc:listen' "
            "AND datname = current_database() AND query LIKE 'LISTEN%icc_nonce%'"
        ).fetchone()
    return bool(row and row[0])


def test_many_questions_to_a_silent_vendor_hold_up_nothing_else(
    drill: DrillServer, database_url: str, database: Database
) -> None:
    """Law 6: what waits for the vendor has threads of its own; a stop, or an answer to a question, need not wait."""
    drill.set_fault("hang")
    with engine(drill, database_url, ICC_REQUEST_TIMEOUT_SECONDS="3") as house:
        rows(database, "UPDATE control.daemons SET kind = 'service', heartbeat_at = now()")
        for size in range(1, 6):
            house.gate.submit(check_wish("doorloop", endpoint="owners", page_size=size), ADMIN)
        answer = Wish(Action.CONFIRM, "doorloop", payload={"confirmation_id": str(uuid.uuid4()), "answer": "rejected"})
        house.gate.submit(answer, ADMIN)
        assert house.commands.run_once() == 6
        wait_for(
            lambda: not rows(database, "SELECT 1 FROM control.commands WHERE state = 'claimed'"),
            "all ended",
            seconds=60,
        )
    drill.clear_faults()
    ended = "SELECT action FROM control.commands ORDER BY finished_at"
    assert [row["action"] for row in rows(database, ended)] == ["confirm"] + ["check"] * 5


def test_a_check_tells_keys_and_counts_but_no_value(house: Engine, database: Database) -> None:
    """One request; nothing of the record's values is stored in the command or the audit log."""
    receipt = house.gate.submit(check_wish("doorloop", endpoint="tenants", page_size=3), ADMIN)
    result = house.commands.take(receipt.command_id)
    assert isinstance(result, dict)
    assert (result["ok"], result["status"], result["count"]) == (True, 200, 3)
    assert {"id", "firstName", "updatedAt"} <= set(result["keys"])
    stored = str(rows(database, "SELECT result::text FROM control.commands")) + str(
        rows(database, "SELECT summary::text FROM control.admin_logs")
    )
    assert "@" not in stored


def test_without_a_webhook_a_test_alert_is_refused_with_the_cure(house: Engine) -> None:
    """Nobody to tell is a refusal that says how to make a webhook, not a silence."""
    receipt = house.gate.submit(Wish(Action.TEST_ALERT, "doorloop"), ADMIN)
    with pytest.raises(Refused) as refusal:
        house.commands.take(receipt.command_id)
    assert refusal.value.code == "WEBHOOK_MISSING"
    assert "INTEGRATIONS_TEAMS_WEBHOOK" in refusal.value.remedy


def test_what_must_not_meet_a_run_says_whose_run_it_is(house: Engine, database: Database) -> None:
    """Neither drill rows nor missing ones go beneath a run; it is told who started it and when, as `once` tells it."""
    plan = house.begin()
    rows(database, "UPDATE control.accounts_synced SET source_kind = 'drill'")
    with database.transaction() as link:
        question = accounts.ask_admin(link, "doorloop", "main", "mass_removal", {}, entity="owners")
    started = one(database, "SELECT started_at FROM control.runs")["started_at"].astimezone(UTC)
    answer = {"confirmation_id": question, "answer": "confirmed", "reason": "so it is"}
    for wish in (Wish(Action.FORGET_DRILL, "doorloop"), Wish(Action.CONFIRM, "doorloop", payload=answer)):
        with pytest.raises(Refused) as refusal:
            house.commands.take(house.gate.submit(wish, ADMIN).command_id)
        assert refusal.value.cause == f"A run is active since {started:%H:%M:%S} UTC, started by tester."
    house.finish(plan)
    house.commands.take(house.gate.submit(Wish(Action.FORGET_DRILL, "doorloop"), ADMIN).command_id)
    assert rows(database, "SELECT 1 FROM doorloop.owners") == []


def test_tidying_waits_for_nobodys_lock(drill: DrillServer, database_url: str, database: Database) -> None:
    """A row that somebody looks at is tidied another time; the connections are wanted for what ends runs."""
    with engine(drill, database_url, ICC_COMMAND_EXPIRY_SECONDS="0.3") as house:
        ids = [
            house.gate.submit(Wish(Action.PING, "doorloop"), ADMIN, addressed_to=str(uuid.uuid4())).command_id
            for _ in range(2)
        ]
        wait_for(lambda: rows(database, "SELECT 1 FROM control.commands WHERE expires_at < now()"), "they run out")
        with held(database_url, "SELECT 1 FROM control.commands WHERE id = %s FOR UPDATE", ids[0]):
            wait_for(lambda: house.commands.tidy()["expired"], "the other one expires")
            assert [command(database, one_id)["state"] for one_id in ids] == ["pending", "expired"]
        assert house.commands.tidy()["expired"] == 1
