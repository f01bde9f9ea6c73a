"""Law 9 and the one gate: permission, sealed command and audit row are one step; a refusal is a row too."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from common.access import Action, Role
from common.errors import Refused
from common.operator_actions import Actor, Gate, Receipt
from common.store.database import Database, sql
from common.wishes import Wish, check_wish, run_wish
from daemon.integrations.doorloop.drill import DrillServer
from daemon.scheduler import SCHEDULER
from tests.harness import ADMIN, Engine, engine
from tests.truth import Record, one, rows
from tests.unguarded import unguarded


@pytest.fixture(scope="module")
def drill() -> Iterator[DrillServer]:
    """A vendor with one page."""
    with DrillServer(rows=10, seed=1) as server:
        yield server


@pytest.fixture
def house(drill: DrillServer, database_url: str) -> Iterator[Engine]:
    """A daemon that serves."""
    with engine(drill, database_url) as running:
        serve(running.database)
        yield running


def serve(database: Database) -> None:
    """This process counts as a service, so that commands to any daemon are accepted."""
    with database.transaction() as link:
        link.execute("UPDATE control.daemons SET kind = 'service', heartbeat_at = now()")


def audit(database: Database) -> list[Record]:
    """The audit log, oldest first."""
    return rows(database, "SELECT * FROM control.admin_logs ORDER BY id")


def wish_for(action: Action) -> Wish:
    """A wish that is nonsense in nothing but who asks."""
    if action is Action.RUN:
        return run_wish("doorloop", mode="backfill", entities=("owners",))
    if action is Action.CHECK:
        return check_wish("doorloop", endpoint="owners")
    return Wish(action, "doorloop")


@pytest.mark.parametrize("action", list(Action))
@pytest.mark.parametrize("role", [Role.VIEWER, None], ids=["viewer", "nobody"])
def test_who_may_not_is_refused_and_recorded(
    house: Engine, database: Database, action: Action, role: Role | None
) -> None:
    """Law 9: every refusal is a row in the audit log, and no command comes of it."""
    actor = Actor("curious", role, "page", "203.0.113.9")
    with pytest.raises(Refused) as refusal:
        house.gate.submit(wish_for(action), actor)
    assert refusal.value.code == "NOT_PERMITTED"
    (row,) = audit(database)
    assert (row["actor"], row["action"], row["result"], row["source"]) == ("curious", action, "refused", "page")
    assert (row["role"], row["address"]) == (role.value if role else None, "203.0.113.9")
    assert "may not" in row["reason"]
    assert rows(database, "SELECT 1 FROM control.commands") == []


def test_an_accepted_wish_is_one_command_and_one_audit_row_and_its_outcome_another(
    house: Engine, database: Database
) -> None:
    """Law 9: accepted and outcome are two rows that point at the same command."""
    receipt = house.gate.submit(wish_for(Action.PING), ADMIN)
    command = one(database, "SELECT * FROM control.commands")
    assert (str(command["id"]), command["state"], command["actor"]) == (receipt.command_id, "pending", "tester")
    result = house.commands.take(receipt.command_id)
    assert isinstance(result, dict)
    assert result["ok"] is True
    accepted, outcome = audit(database)
    assert (accepted["result"], outcome["result"], outcome["outcome_of"]) == ("accepted", "done", accepted["id"])
    assert {str(accepted["command_id"]), str(outcome["command_id"])} == {receipt.command_id}
    assert one(database, "SELECT ok FROM control.pings")["ok"] is True


def test_the_audit_log_only_grows(house: Engine, database: Database) -> None:
    """Law 9: nobody changes or removes a row, the tables' owner included."""
    house.gate.submit(wish_for(Action.PING), ADMIN)
    for statement in (
        "UPDATE control.admin_logs SET actor = 'x'",
        "DELETE FROM control.admin_logs",
        "TRUNCATE control.admin_logs CASCADE",
    ):
        with pytest.raises(Exception, match="append-only"):
            rows(database, statement)
    assert len(audit(database)) == 1


def refusal_of(house: Engine, wish: Wish, actor: Actor = ADMIN) -> Refused:
    """The refusal of a wish, which must be in the audit log."""
    with pytest.raises(Refused) as refusal:
        house.gate.submit(wish, actor)
    last = audit(house.database)[-1]
    assert (last["result"], last["reason"]) == ("refused", refusal.value.cause)
    return refusal.value


def test_without_a_daemon_nothing_is_promised(house: Engine, database: Database) -> None:
    """Law 8: when nobody would do it, it is refused at once, with the cure."""
    with database.transaction() as link:
        link.execute("UPDATE control.daemons SET heartbeat_at = now() - interval '5 minutes'")
    refusal = refusal_of(house, wish_for(Action.PING))
    assert refusal.code == "NO_DAEMON"
    assert "make run" in refusal.remedy


def test_a_stop_with_nothing_running_is_refused(house: Engine) -> None:
    """Law 6: Stop with nothing running says so."""
    assert refusal_of(house, Wish(Action.STOP, "doorloop")).code == "NOTHING_RUNNING"


def test_an_unknown_integration_is_refused(house: Engine) -> None:
    """The gate knows what there is."""
    assert refusal_of(house, Wish(Action.PING, "doorlop")).code == "UNKNOWN_INTEGRATION"


def test_the_same_run_twice_starts_one(house: Engine, database: Database) -> None:
    """Law 1: pressing Run twice starts one run, whether the first one waits or runs."""
    first = house.gate.submit(wish_for(Action.RUN), ADMIN)
    assert refusal_of(house, wish_for(Action.RUN)).code == "ALREADY_RUNNING"
    plan = house.commands.take(first.command_id)
    refusal = refusal_of(house, wish_for(Action.RUN))
    assert (refusal.code, "tester" in refusal.cause) == ("ALREADY_RUNNING", True)
    assert not isinstance(plan, dict)
    house.finish(plan)
    assert len(rows(database, "SELECT 1 FROM control.runs")) == 1
    house.gate.submit(wish_for(Action.RUN), ADMIN)


def test_two_people_pressing_at_once_start_one(house: Engine, database: Database) -> None:
    """Law 1: of many presses in the same moment one is accepted; each refusal is recorded."""

    def press(number: int) -> Receipt | Refused:
        try:
            return house.gate.submit(wish_for(Action.RUN), Actor(f"person {number}", Role.ADMIN, "page"))
        except Refused as refused:
            return refused

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(press, range(6)))
    assert sum(isinstance(answer, Receipt) for answer in answers) == 1
    assert {answer.code for answer in answers if isinstance(answer, Refused)} == {"ALREADY_RUNNING"}
    assert sorted(row["result"] for row in audit(database)) == ["accepted"] + ["refused"] * 5


def test_the_same_question_is_asked_once(house: Engine, database: Database) -> None:
    """A ping under way, or answered within ten seconds, answers everybody; another question, or later, is a new one."""
    first = house.gate.submit(wish_for(Action.PING), ADMIN)
    second = house.gate.submit(wish_for(Action.PING), Actor("ana", Role.ADMIN, "page"))
    assert second.command_id == first.command_id
    house.commands.take(first.command_id)
    assert house.gate.submit(wish_for(Action.PING), ADMIN).command_id == first.command_id
    assert house.gate.submit(wish_for(Action.CHECK), ADMIN).command_id != first.command_id
    with unguarded(database) as link:
        link.execute("UPDATE control.commands SET finished_at = now() - interval '11 seconds' WHERE state = 'done'")
    assert house.gate.submit(wish_for(Action.PING), ADMIN).command_id != first.command_id
    asked = [(row["actor"], row["result"]) for row in audit(database) if row["source"] != "daemon"]
    assert asked == [
        ("tester", "accepted"),
        ("ana", "shared"),
        ("tester", "shared"),
        ("tester", "accepted"),
        ("tester", "accepted"),
    ]


def test_an_answer_that_the_gate_did_not_ask_for_is_not_shared(house: Engine, database: Database) -> None:
    """A row of SQL that looks like a ping just answered, or a copy of one, misleads nobody."""
    first = house.gate.submit(wish_for(Action.PING), ADMIN)
    house.commands.take(first.command_id)
    with unguarded(database) as link:
        link.execute(
            "INSERT INTO control.commands (id, integration, action, payload, actor, audit_id, expires_at, seal, state, "
            "finished_at, result) SELECT gen_random_uuid(), integration, action, payload, actor, audit_id, expires_at, "
            "seal, state, now(), '{\"ok\": false}' FROM control.commands"
        )
    assert house.gate.submit(wish_for(Action.PING), ADMIN).command_id == first.command_id


@pytest.mark.parametrize(
    "columns",
    [
        "seal = 'x'",
        "expires_at = 'infinity'",
        "expires_at = now() + interval '10 years'",
        "created_at = '-infinity'",
        "payload = jsonb_set(payload, '{digits}', '1e5000')",
        "payload = to_jsonb('just text'::text)",
        "audit_id = NULL",
    ],
)
def test_a_waiting_run_that_the_gate_did_not_ask_for_keeps_nobody_from_running(
    house: Engine, database: Database, columns: str
) -> None:
    """A run that somebody wrote into the table, addressed to nobody, is not "already running"; ours behind it is."""
    planned = house.gate.submit(wish_for(Action.RUN), ADMIN).command_id
    with unguarded(database) as link:
        link.execute("UPDATE control.commands SET id = gen_random_uuid(), addressed_to = gen_random_uuid()")
        link.execute(sql(f"UPDATE control.commands SET {columns}"))
    receipt = house.gate.submit(wish_for(Action.RUN), ADMIN)
    assert receipt.command_id != planned
    refusal = refusal_of(house, wish_for(Action.RUN))
    assert (refusal.code, "tester" in refusal.cause) == ("ALREADY_RUNNING", True)


def test_a_run_that_was_done_and_is_written_again_keeps_nobody_from_running(house: Engine, database: Database) -> None:
    """A finished run's row, put back as it was given, is not waiting: its outcome is in the audit log."""
    plan = house.commands.take(house.gate.submit(wish_for(Action.RUN), ADMIN).command_id)
    assert not isinstance(plan, dict)
    house.finish(plan)
    with unguarded(database) as link:
        link.execute("ALTER TABLE control.commands DISABLE TRIGGER commands_legal_moves")
        link.execute(
            "UPDATE control.commands SET state = 'pending', claimed_by = NULL, claimed_at = NULL, finished_at = NULL, "
            "addressed_to = gen_random_uuid()"
        )
        link.execute("ALTER TABLE control.commands ENABLE TRIGGER commands_legal_moves")
    house.gate.submit(wish_for(Action.RUN), ADMIN)


def test_a_planned_command_that_somebody_wrote_first_is_not_taken_for_it(house: Engine, database: Database) -> None:
    """A row under the id of a request that is to come is not a receipt for it."""
    planned = "7c1f1d1e-0000-4000-8000-000000000010"
    house.gate.submit(wish_for(Action.PING), ADMIN)
    rows(database, "UPDATE control.commands SET id = %s", planned)
    with pytest.raises(Refused) as refusal:
        house.gate.submit(wish_for(Action.PING), ADMIN, command_id=planned)
    assert refusal.value.code == "NOT_FROM_GATE"


def test_a_command_planned_ahead_is_given_once(house: Engine, database: Database) -> None:
    """Whoever asks again with the same planned id gets the same receipt, even while its own run is active."""
    planned = "7c1f1d1e-0000-4000-8000-000000000009"
    first = house.gate.submit(wish_for(Action.RUN), ADMIN, command_id=planned)
    assert first.command_id == planned
    assert house.gate.submit(wish_for(Action.RUN), ADMIN, command_id=planned) == first
    plan = house.commands.take(planned)
    assert house.gate.submit(wish_for(Action.RUN), ADMIN, command_id=planned) == first
    assert not isinstance(plan, dict)
    house.finish(plan)
    with pytest.raises(Refused):
        house.gate.submit(wish_for(Action.RUN), Actor("curious", Role.VIEWER, "api"), command_id=planned)
    assert len(rows(database, "SELECT 1 FROM control.commands")) == 1


def test_backfills_by_hand_can_be_switched_off(drill: DrillServer, database_url: str, database: Database) -> None:
    """Issue 2: ALLOW_MANUAL_BACKFILL=false refuses a person's backfill, not a delta and not the schedule's."""
    with engine(drill, database_url, ALLOW_MANUAL_BACKFILL="false") as house:
        serve(database)
        assert refusal_of(house, wish_for(Action.RUN)).code == "BACKFILL_NOT_ALLOWED"
        assert house.run("delta").state == "succeeded"
        assert house.run("backfill", actor=SCHEDULER).state == "succeeded"


def gate_of_another_process(house: Engine) -> Gate:
    """With its own setting, which allows backfills."""
    return Gate(house.database, house.services.key, expiry_seconds=60, allow_backfill=True)


def test_a_daemon_that_refuses_backfills_is_heeded_by_every_gate(
    drill: DrillServer, database_url: str, database: Database
) -> None:
    """ALLOW_MANUAL_BACKFILL=false of a serving daemon counts for a page and a shell that have it on, while it lives,
    whatever others publish meanwhile."""
    since = run_wish("doorloop", mode="delta", since=datetime(1970, 1, 1, tzinfo=UTC))
    with engine(drill, database_url, ALLOW_MANUAL_BACKFILL="false") as house:
        serve(database)
        with engine(drill, database_url) as shell:
            for wish in (wish_for(Action.RUN), since):
                for addressed_to in (None, shell.services.daemon_id):
                    with pytest.raises(Refused) as refusal:
                        shell.gate.submit(wish, ADMIN, addressed_to=addressed_to)
                    assert refusal.value.code == "BACKFILL_NOT_ALLOWED"
            assert shell.run("delta").state == "succeeded"
            assert shell.run("backfill", actor=SCHEDULER).state == "succeeded"
        assert {row["result"] for row in audit(database) if row["command_id"] is None} == {"refused"}
        silent = "UPDATE control.daemons SET heartbeat_at = now() - interval '1 hour'"
        rows(database, f"{silent} WHERE id = %s", house.services.daemon_id)
        with engine(drill, database_url) as shell:
            assert shell.run("backfill").state == "succeeded"
    with engine(drill, database_url) as mended:
        serve(database)
        assert mended.run("backfill").state == "succeeded"


@pytest.mark.parametrize("since", [None, datetime(1970, 1, 1, tzinfo=UTC)], ids=["backfill", "since"])
def test_a_daemon_refuses_backfills_that_another_gate_let_through(
    drill: DrillServer, database_url: str, database: Database, since: datetime | None
) -> None:
    """Its own setting counts when it takes the command, too; the refusal is the command's outcome in the audit log."""
    with engine(drill, database_url, ALLOW_MANUAL_BACKFILL="false") as house:
        own = house.services.daemon_id  # of a foreground run's kind, so that no gate heeds what it has published
        wish = run_wish("doorloop", mode="backfill", entities=("owners",), since=since)
        receipt = gate_of_another_process(house).submit(wish, ADMIN, addressed_to=own)
        with pytest.raises(Refused) as refusal:
            house.commands.take(receipt.command_id)
        assert refusal.value.code == "BACKFILL_NOT_ALLOWED"
        assert rows(database, "SELECT 1 FROM control.runs") == []
        accepted, outcome = audit(database)
        assert (accepted["result"], outcome["result"], outcome["actor"]) == ("accepted", "refused", "tester")
        assert (outcome["outcome_of"], outcome["reason"]) == (accepted["id"], refusal.value.cause)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"DOORLOOP_BASE_URL": "https://api.doorloop.com"}, "documentation"),
        ({"DOORLOOP_BASE_URL": "https://app.doorloop.com"}, "/api"),
        ({"DOORLOOP_BASE_URL": "http://198.51.100.7/api"}, "plain http"),
        ({"DOORLOOP_PAGE_SIZE": "5000"}, "DOORLOOP_PAGE_SIZE"),
    ],
    ids=["docs host", "app host", "plain http", "page size"],
)
def test_a_held_account_does_not_run(
    drill: DrillServer, database_url: str, database: Database, settings: dict[str, Any], word: str
) -> None:
    """Issue 2: a wrong vendor setting holds the account, with cause and cure; the daemon starts all the same."""
    with engine(drill, database_url, **settings) as house:
        serve(database)
        refusal = refusal_of(house, wish_for(Action.RUN))
        assert refusal.code == "ACCOUNT_HELD"
        assert word in refusal.cause
        assert refusal.remedy
        account = one(database, "SELECT held, findings FROM control.accounts_synced")
        assert (account["held"], [one["holds"] for one in account["findings"] if one["severity"] == "error"]) == (
            True,
            [True],
        )
    with engine(drill, database_url) as mended:
        assert mended.run().state == "succeeded"
