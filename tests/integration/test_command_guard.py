"""What becomes of a command is written by the daemon that did it, whoever else can write its table."""

from __future__ import annotations

import uuid

import pytest

from common.access import Action
from common.store import commands
from common.store.database import Database, sql
from common.wishes import Wish
from tests.harness import ADMIN, Engine
from tests.integration.test_commands import assert_refused_as_forged, command, drill, house
from tests.truth import one, rows

__all__ = ["drill", "house"]

_FORGED = {
    "done": "UPDATE control.commands SET state = 'done', claimed_by = gen_random_uuid(), claimed_at = now(), "
    "finished_at = now(), result = '{\"ok\": true}'",
    "refused": "UPDATE control.commands SET state = 'refused', finished_at = now()",
    "claimed": "UPDATE control.commands SET state = 'claimed', claimed_at = now(), claimed_by = (SELECT id FROM "
    "control.daemons)",
    "deleted": "DELETE FROM control.commands",
    "sent elsewhere": "UPDATE control.commands SET addressed_to = gen_random_uuid()",
    "put last": "UPDATE control.commands SET created_at = now() + interval '1 year'",
}


@pytest.mark.parametrize("forged", _FORGED)
def test_no_end_and_no_claim_is_forged(house: Engine, database: Database, forged: str) -> None:
    """Law 9: by SQL a waiting command is neither ended, nor claimed, nor taken away: each try is a line in the audit
    log that names the database user, and the command is done as it was given."""
    command_id = house.gate.submit(Wish(Action.PING, "doorloop"), ADMIN).command_id
    for _ in range(2):
        rows(database, _FORGED[forged])
        assert command(database, command_id)["state"] == "pending"
    tries = rows(database, "SELECT * FROM control.admin_logs WHERE action = 'alter_command'")
    assert [(str(row["command_id"]), row["result"], row["actor"]) for row in tries] == [
        (command_id, "refused", f"database:{row['session_user_name']}") for row in tries
    ]
    assert len(tries) == 2
    house.commands.take(command_id)
    assert command(database, command_id)["state"] == "done"


def test_what_has_ended_stays_as_it_ended(house: Engine, database: Database) -> None:
    """Law 9: an answer that people are shown cannot be written over by SQL; it may be deleted when it is old."""
    command_id = house.gate.submit(Wish(Action.PING, "doorloop"), ADMIN).command_id
    house.commands.take(command_id)
    ended = one(database, "SELECT * FROM control.commands")
    for change in ("result = '{\"ok\": false}'", "actor = 'somebody'", "state = 'failed'", "finished_at = now()"):
        rows(database, f"UPDATE control.commands SET {change}")
        assert one(database, "SELECT * FROM control.commands") == ended
    assert one(database, "SELECT count(*) AS n FROM control.admin_logs WHERE action = 'alter_command'")["n"] == 4
    rows(database, "DELETE FROM control.commands")
    assert rows(database, "SELECT 1 FROM control.commands") == []


@pytest.mark.parametrize("state", ["claimed", "done", "expired"])
def test_a_row_is_born_waiting_whatever_was_written(house: Engine, database: Database, state: str) -> None:
    """Law 9: a row inserted as if it had been done has its seal looked at like any other."""
    ended = state in ("done", "expired")
    forged = str(uuid.uuid4())
    rows(
        database,
        "INSERT INTO control.commands (id, integration, action, actor, expires_at, seal, state, claimed_by, "
        "claimed_at, finished_at, result) VALUES (%s, 'doorloop', 'ping', 'tester', now() + interval '1 minute', "
        "'x', %s, gen_random_uuid(), now(), CASE WHEN %s THEN now() END, '{\"ok\": true}')",
        forged,
        state,
        ended,
    )
    assert house.commands.run_once() == 1
    assert_refused_as_forged(database, forged)


def test_an_emptied_table_is_written_down(house: Engine, database: Database) -> None:
    """Law 9: TRUNCATE cannot leave the waiting rows out; who made it, and what waited, is in the audit log."""
    command_id = house.gate.submit(Wish(Action.PING, "doorloop"), ADMIN).command_id
    rows(database, "TRUNCATE control.commands CASCADE")
    (noted,) = rows(database, "SELECT command_id::text, result FROM control.admin_logs WHERE action = 'alter_command'")
    assert noted == {"command_id": command_id, "result": "removed"}


@pytest.mark.parametrize("by", ["somebody's SQL", "a lost COMMIT"])
def test_a_command_claimed_in_our_name_but_not_in_our_hands_has_an_end(
    house: Engine, database: Database, by: str
) -> None:
    """Law 6: nobody waits for ever for what no daemon does: neither after a forged claim nor after one whose answer was
    lost with the connection."""
    command_id = house.gate.submit(Wish(Action.PING, "doorloop"), ADMIN).command_id
    with database.transaction() as link:
        if by == "a lost COMMIT":
            assert commands.claim(link, house.services.daemon_id) is not None
        else:
            link.execute(
                "INSERT INTO control.claims (command_id, daemon_id) "
                "SELECT c.id, d.id FROM control.commands AS c, control.daemons AS d"
            )
            link.execute(sql(_FORGED["claimed"]))
    assert command(database, command_id)["state"] == "claimed"
    assert house.commands.tidy() == {"given_back": 0, "expired": 0, "refused": 1}
    found = command(database, command_id)
    assert (found["state"], found["result"]["code"]) == ("refused", "COMMAND_LOST")
    (told,) = rows(database, "SELECT actor, result FROM control.admin_logs WHERE outcome_of IS NOT NULL")
    assert told == {"actor": ADMIN.name, "result": "refused"}
