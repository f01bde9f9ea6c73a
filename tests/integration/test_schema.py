"""The database forbids what the state tables forbid, whatever the code believes (design §4, style 9)."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from common.states import MOVES
from common.store.database import Database, Link
from daemon.integrations.base import POSTGRES_TYPES
from daemon.integrations.doorloop.entities import ENTITIES
from tests.integration.state_rows import ACCOUNT, BASE, IN_STATE, NOW, PARENT, RUN, change, insert, prepare
from tests.unguarded import unguarded


class _Undo(Exception):
    """Ends a savepoint without keeping what it did."""


def outcome(link: Link, act: Any) -> psycopg.Error | None:
    """Do something in a savepoint that is undone; the error it met, if any."""
    try:
        with link.transaction():
            act()
            raise _Undo
    except _Undo:
        return None
    except psycopg.Error as error:
        return error


def states_of(table: str) -> list[str]:
    """Every state of a table that moves at all."""
    return sorted({state for move in MOVES[table] for state in move})


# --- moves


@pytest.mark.parametrize("table", sorted(MOVES))
def test_exactly_the_drawn_moves_are_possible(database: Database, table: str) -> None:
    """Each pair of states is tried: those in common/states.MOVES succeed, every other is refused by its trigger."""
    with unguarded(database) as link:
        prepare(link)
        for before in states_of(table):
            for after in states_of(table):
                if before == after:
                    continue
                row = {**BASE[table], **IN_STATE[table](before)}

                def move(row: dict[str, Any] = row, after: str = after) -> None:
                    insert(link, table, row)
                    assert change(link, table, IN_STATE[table](after), of=row) == 1

                error = outcome(link, move)
                if (before, after) in MOVES[table]:
                    assert error is None, f"{table}: {before} → {after}: {error}"
                else:
                    assert error is not None, f"{table}: {before} → {after} was not refused"
                    assert error.diag.constraint_name == f"{table}_legal_moves", f"{table}: {before} → {after}: {error}"


@pytest.mark.parametrize("table", sorted(MOVES))
def test_staying_in_a_state_is_no_move(database: Database, table: str) -> None:
    """Writing the same state again is allowed: counters of a run are updated all the time."""
    with database.transaction() as link:
        prepare(link)
        for state in states_of(table):
            row = {**BASE[table], **IN_STATE[table](state)}

            def stay(row: dict[str, Any] = row, state: str = state) -> None:
                insert(link, table, row)
                change(link, table, IN_STATE[table](state), of=row)

            assert outcome(link, stay) is None


# --- checks

BROKEN: dict[str, tuple[str, dict[str, Any]]] = {
    "integrations_key_check": ("integrations", {"key": "Not A Key"}),
    "accounts_synced_source_kind_check": ("accounts_synced", {"source_kind": "guess"}),
    "accounts_synced_pause_is_whole": ("accounts_synced", {"paused_at": NOW}),
    "accounts_synced_block_is_whole": ("accounts_synced", {"blocked_until": NOW}),
    "daemons_kind_check": ("daemons", {"kind": "pet"}),
    "admin_logs_source_check": ("admin_logs", {"source": "rumour"}),
    "commands_state_check": ("commands", {"state": "lost"}),
    "commands_claim_is_whole": ("commands", {**IN_STATE["commands"]("claimed"), "claimed_at": None}),
    "commands_claimed_has_claimer": (
        "commands",
        {**IN_STATE["commands"]("claimed"), "claimed_by": None, "claimed_at": None},
    ),
    "commands_pending_has_none": ("commands", {"claimed_by": RUN, "claimed_at": NOW}),
    "commands_end_has_time": ("commands", {**IN_STATE["commands"]("done"), "finished_at": None}),
    "runs_mode_check": ("runs", {"mode": "sideways"}),
    "runs_entities_check": ("runs", {"entities": []}),
    "runs_state_check": ("runs", {"state": "lost"}),
    "runs_trigger_check": ("runs", {"trigger": "itself"}),
    "runs_since_has_time": ("runs", {"mode": "since"}),
    "runs_queued_not_started": ("runs", {"started_at": NOW}),
    "runs_active_has_lease": ("runs", {**IN_STATE["runs"]("running"), "term": None}),
    "runs_stopping_was_asked": ("runs", {**IN_STATE["runs"]("stopping"), "stop_requested_at": None}),
    "runs_end_has_time": ("runs", {**IN_STATE["runs"]("succeeded"), "finished_at": None}),
    "runs_failed_says_why": ("runs", {**IN_STATE["runs"]("failed"), "error": None}),
    "runs_deferred_says_until": ("runs", {**IN_STATE["runs"]("deferred"), "blocked_until": None}),
    "passes_mode_check": ("passes", {"mode": "requeue"}),
    "passes_state_check": ("passes", {"state": "lost", "finished_at": NOW}),
    "passes_page_size_check": ("passes", {"page_size": 1001}),
    "passes_next_page_check": ("passes", {"next_page": 0}),
    "passes_end_has_time": ("passes", {"state": "complete"}),
    "run_entities_state_check": ("run_entities", {"state": "lost"}),
    "run_entities_waiting_not_started": ("run_entities", {"started_at": NOW}),
    "run_entities_running_has_start": ("run_entities", {"state": "running"}),
    "run_entities_end_has_time": ("run_entities", {"state": "partial"}),
    "run_entities_failed_says_why": ("run_entities", {**IN_STATE["run_entities"]("forbidden"), "error": None}),
    "leases_hold_is_whole": ("leases", {"holder": RUN}),
    "breakers_state_check": ("breakers", {"state": "ajar"}),
    "breakers_open_has_time": ("breakers", {"state": "open"}),
    "breakers_force_is_explained": ("breakers", {**IN_STATE["breakers"]("forced_open"), "forced_reason": None}),
    "breakers_probe_is_whole": ("breakers", {"probe_token": RUN}),
    "schedule_slots_kind_check": ("schedule_slots", {"kind": "whim"}),
    "schedule_slots_outcome_check": ("schedule_slots", {"outcome": "forgotten"}),
    "schedule_slots_skip_says_why": ("schedule_slots", {"outcome": "skipped"}),
    "confirmations_kind_check": ("confirmations", {"kind": "other", "entity": None}),
    "confirmations_state_check": ("confirmations", {"state": "perhaps", "answered_at": NOW}),
    "confirmations_removal_names_entity": ("confirmations", {"entity": None}),
    "confirmations_answer_is_whole": ("confirmations", {"answered_at": NOW}),
    "confirmations_answer_has_person": (
        "confirmations",
        {**IN_STATE["confirmations"]("confirmed"), "answered_by": None},
    ),
    "pings_failure_says_why": ("pings", {"ok": False, "code": "X"}),
    "event_head_only_row_check": ("event_head", {"only_row": False}),
    "events_level_check": ("events", {"level": "loud"}),
    "rate_limit_samples_decision_check": ("rate_limit_samples", {"decision": "guessed"}),
    "rate_limit_samples_source_check": ("rate_limit_samples", {"source": "guessed"}),
    "dead_letters_state_check": ("dead_letters", {"state": "lost"}),
    "dead_letters_end_has_time": ("dead_letters", {**IN_STATE["dead_letters"]("recovered"), "finished_at": None}),
    "dead_letters_discard_says_why": ("dead_letters", {**IN_STATE["dead_letters"]("discarded"), "finish_reason": None}),
    "bulk_actions_action_check": ("bulk_actions", {"action": "forget"}),
    "bulk_actions_state_check": ("bulk_actions", {"state": "lost"}),
    "bulk_actions_end_has_time": ("bulk_actions", {"state": "done"}),
    "bulk_actions_discard_says_why": ("bulk_actions", {"action": "discard"}),
    "bulk_actions_source_check": ("bulk_actions", {"source": "schedule"}),
    "bulk_letters_outcome_check": ("bulk_letters", {"outcome": "lost"}),
    "alerts_state_check": ("alerts", {"state": "quiet"}),
    "alerts_resolved_has_time": ("alerts", {"state": "resolved"}),
    "alerts_acknowledged_has_person": ("alerts", {"state": "acknowledged"}),
    "alert_deliveries_kind_check": ("alert_deliveries", {"kind": "rumour"}),
    "people_role_check": ("people", {"role": "owner"}),
    "people_local_has_password": ("people", {"password_hash": None}),
    "people_role_from_check": ("people", {"issuer": "https://idp", "password_hash": None, "role_from": "rumour"}),
    "people_local_role_by_hand": ("people", {"role_from": "provider"}),
    "anonymous_tally_requests_check": ("anonymous_tally", {"requests": 0}),
    "api_tokens_role_check": ("api_tokens", {"role": "owner"}),
}
"""Each check of schema control → a row that breaks it and nothing else."""


def test_every_check_refuses_what_it_should(database: Database) -> None:
    """State and timestamps belong together; each check is broken once, alone."""
    with unguarded(database) as link:
        prepare(link)
        for constraint, (table, broken) in BROKEN.items():
            row = {**BASE[table], **broken}
            error = outcome(link, lambda table=table, row=row: insert(link, table, row))
            assert error is not None, f"{constraint} let {broken} pass"
            assert error.diag.constraint_name == constraint, f"{constraint}: {error}"


def test_every_row_to_break_is_whole_before(database: Database) -> None:
    """Otherwise the test above would prove nothing."""
    with unguarded(database) as link:
        prepare(link)
        for table, row in BASE.items():
            if table != "event_head":  # the migration has put its one row there
                assert outcome(link, lambda table=table, row=row: insert(link, table, row)) is None, table


def test_no_check_is_left_untried(database: Database) -> None:
    """A check added by a migration is added to the list here."""
    with database.transaction() as link:
        rows = link.execute(
            "SELECT k.conname FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.conrelid "
            "WHERE k.contype = 'c' AND c.relnamespace = 'control'::regnamespace AND NOT c.relispartition"
        ).fetchall()
    assert {row["conname"] for row in rows} == set(BROKEN)


# --- uniqueness

TWICE: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "runs_one_active": ("runs", IN_STATE["runs"]("running"), {"id": PARENT[:-1] + "f", **IN_STATE["runs"]("stopping")}),
    "passes_one_open": ("passes", {}, {"page_size": 7}),
    "dead_letters_one_open": ("dead_letters", {}, {"payload_hash": "another", **IN_STATE["dead_letters"]("queued")}),
    "confirmations_one_open": ("confirmations", {}, {"id": PARENT}),
    "alerts_one_firing": ("alerts", {}, {"id": PARENT, **IN_STATE["alerts"]("acknowledged")}),
    "schedule_slots_pkey": ("schedule_slots", {}, {"outcome": "skipped", "reason": "r"}),
    "leases_pkey": ("leases", {}, {}),
    "people_issuer_subject_key": ("people", {}, {"id": PARENT}),
    "people_name": ("people", {}, {"id": PARENT, "subject": "another", "name": "ANN"}),
}


@pytest.mark.parametrize("index", sorted(TWICE))
def test_what_may_be_there_once_is_there_once(database: Database, index: str) -> None:
    """Law 1 and its kin: one active run, one open pass, one open letter, one due time, guaranteed by an index."""
    table, first, second = TWICE[index]

    def both() -> None:
        insert(link, table, {**BASE[table], **first})
        insert(link, table, {**BASE[table], **first, **second})

    with database.transaction() as link:
        prepare(link)
        error = outcome(link, both)
    assert isinstance(error, psycopg.errors.UniqueViolation)
    assert error.diag.constraint_name == index


def test_what_ended_makes_room(database: Database) -> None:
    """After its end another run, pass, letter, question or alert may begin; another account is another world."""
    with database.transaction() as link:
        prepare(link)
        for table, state in (("runs", "failed"), ("passes", "complete"), ("dead_letters", "recovered")):
            ended = {**BASE[table], **IN_STATE[table](state)}
            insert(link, table, ended)
        insert(link, "runs", {**BASE["runs"], "id": PARENT[:-1] + "e", **IN_STATE["runs"]("running")})
        elsewhere = {**ACCOUNT, "account_key": "second", "id": PARENT[:-1] + "f"}
        insert(link, "runs", {**BASE["runs"], **elsewhere, **IN_STATE["runs"]("running")})
        insert(link, "passes", BASE["passes"])
        insert(link, "passes", {**BASE["passes"], "mode": "delta"})
        insert(link, "dead_letters", BASE["dead_letters"])


def test_a_letter_without_an_id_is_known_by_its_payload(database: Database) -> None:
    """Unique per account, entity and id, else payload hash, while open."""
    nameless = {**BASE["dead_letters"], "record_id": None}
    with database.transaction() as link:
        prepare(link)
        insert(link, "dead_letters", nameless)
        insert(link, "dead_letters", {**nameless, "payload_hash": "another"})
        error = outcome(link, lambda: insert(link, "dead_letters", nameless))
    assert isinstance(error, psycopg.errors.UniqueViolation)


# --- the audit log


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE control.admin_logs SET actor = 'nobody'",
        "UPDATE control.admin_logs SET actor = 'nobody' WHERE false",
        "DELETE FROM control.admin_logs",
        "TRUNCATE control.admin_logs CASCADE",
    ],
)
def test_the_audit_log_only_grows(database: Database, statement: str) -> None:
    """Law 9: nobody changes or removes a row, the tables' owner included."""
    with database.transaction() as link:
        insert(link, "admin_logs", BASE["admin_logs"])
        error = outcome(link, lambda: link.execute(statement.encode()))
        assert error is not None
        assert "append-only" in str(error)
        assert link.execute("SELECT count(*) AS n, min(actor) AS who FROM control.admin_logs").fetchone() == {
            "n": 1,
            "who": "ann",
        }


def test_the_audit_log_numbers_and_signs_itself(database: Database) -> None:
    """Id and the database user's name cannot be chosen: a row written by hand shows who wrote it."""
    with database.transaction() as link:
        error = outcome(link, lambda: insert(link, "admin_logs", {**BASE["admin_logs"], "id": 7}))
        assert isinstance(error, psycopg.errors.GeneratedAlways)
        insert(link, "admin_logs", BASE["admin_logs"])
        row = link.execute("SELECT session_user_name = session_user AS own, at FROM control.admin_logs").fetchone()
    assert row is not None
    assert row["own"]


# --- shape


def columns_of(link: Link, schema: str, table: str) -> list[tuple[str, str]]:
    """Name and type of every column, in order."""
    rows = link.execute(
        "SELECT attname, format_type(atttypid, atttypmod) AS type FROM pg_attribute "
        "WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        (f"{schema}.{table}",),
    ).fetchall()
    return [(row["attname"], row["type"]) for row in rows]


PROVENANCE = [
    ("raw", "jsonb"),
    ("_raw_escaped", "boolean"),
    ("_source", "text"),
    ("_run_id", "uuid"),
    ("_payload_hash", "bytea"),
    ("_fetched_at", "timestamp with time zone"),
    ("_first_seen_at", "timestamp with time zone"),
    ("_removed_at", "timestamp with time zone"),
]


@pytest.mark.parametrize("name", list(ENTITIES))
def test_a_synced_table_is_its_entitys_definition(database: Database, name: str) -> None:
    """Same columns, same types, in the table and in its staging; key (account_key, id); staging writes no WAL."""
    typed = [(column.name, POSTGRES_TYPES[column.kind]) for column in ENTITIES[name].columns]
    expected = [("account_key", "text"), ("id", "text"), *typed, *PROVENANCE]
    with database.transaction() as link:
        assert columns_of(link, "doorloop", name) == expected
        assert columns_of(link, "doorloop", f"staging_{name}") == expected
        facts = link.execute(
            "SELECT pg_get_constraintdef(k.oid) AS key, (SELECT relpersistence FROM pg_class "
            "WHERE oid = to_regclass(%s)) AS staging FROM pg_constraint AS k "
            "WHERE k.conrelid = to_regclass(%s) AND k.contype = 'p'",
            (f"doorloop.staging_{name}", f"doorloop.{name}"),
        ).fetchone()
    assert facts == {"key": "PRIMARY KEY (account_key, id)", "staging": "u"}


def test_schema_doorloop_holds_its_entities_and_nothing_else(database: Database) -> None:
    """A table nobody fills would look like data that is missing."""
    with database.transaction() as link:
        rows = link.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'doorloop'::regnamespace "
            "AND relkind IN ('r', 'p', 'v', 'm')"
        ).fetchall()
    assert {row["relname"] for row in rows} == {*ENTITIES, *(f"staging_{name}" for name in ENTITIES)}


def test_every_table_of_an_integration_names_the_account(database: Database) -> None:
    """Design §4: each row that belongs to an account carries (integration, account_key)."""
    with database.transaction() as link:
        rows = link.execute(
            "SELECT table_name, array_agg(column_name::text) AS columns FROM information_schema.columns "
            "WHERE table_schema = 'control' GROUP BY table_name"
        ).fetchall()
    lacking = [
        row["table_name"] for row in rows if "integration" in row["columns"] and "account_key" not in row["columns"]
    ]
    assert lacking == []
    named = {row["table_name"] for row in rows if "integration" in row["columns"]}
    assert {"runs", "commands", "passes", "leases", "events", "dead_letters", "alerts", "pings"} <= named


def test_nothing_of_ours_is_in_public(database: Database) -> None:
    """Managed Postgres vendors publish that schema over HTTP; yoyo's own tables are in control too."""
    with database.transaction() as link:
        row = link.execute(
            "SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace) AS relations, "
            "(SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace) AS functions, "
            "(SELECT count(*) FROM pg_type WHERE typnamespace = 'public'::regnamespace) AS types"
        ).fetchone()
        homes = link.execute(
            "SELECT DISTINCT n.nspname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
            "WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'"
        ).fetchall()
    assert row == {"relations": 0, "functions": 0, "types": 0}
    assert {home["nspname"] for home in homes} == {"control", "doorloop", "report"}


def test_events_have_days_ahead_and_no_default_partition(database: Database) -> None:
    """Yesterday to a week from now, made ahead; making them again makes none."""
    with database.transaction() as link:
        rows = link.execute(
            "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) AS bound FROM pg_inherits AS i "
            "JOIN pg_class AS c ON c.oid = i.inhrelid WHERE i.inhparent = 'control.events'::regclass"
        ).fetchall()
        again = link.execute("SELECT control.make_event_partitions(7) AS made").fetchone()
        link.execute("SELECT control.make_event_partitions(9)")
    assert len(rows) == 9
    assert not [row for row in rows if row["bound"] == "DEFAULT"]
    assert again == {"made": 0}


def test_moments_have_a_zone_everywhere(database: Database) -> None:
    """Law 11: no column of ours holds a time without its zone."""
    with database.transaction() as link:
        rows = link.execute(
            "SELECT table_schema, table_name, column_name FROM information_schema.columns "
            "WHERE table_schema IN ('control', 'doorloop', 'report') AND data_type LIKE 'time% without time zone' "
            "AND table_name NOT LIKE '%yoyo%'"
        ).fetchall()
    assert rows == []


def test_every_table_says_what_it_is_for(database: Database) -> None:
    """The report views and the synced tables are what an analyst meets first."""
    with database.transaction() as link:
        rows = link.execute(
            "SELECT relname FROM pg_class WHERE relnamespace IN ('doorloop'::regnamespace, 'report'::regnamespace) "
            "AND relkind IN ('r', 'v') AND relname NOT LIKE 'staging%' AND obj_description(oid, 'pg_class') IS NULL"
        ).fetchall()
    assert rows == []
