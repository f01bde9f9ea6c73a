"""Law 2: killing the process at any instant loses nothing and doubles nothing."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import psycopg

from common.insights import runs as insights
from common.states import RunState
from common.store.database import Database
from daemon.integrations.doorloop.drill import DrillServer
from tests.children import Child, Yard, held, waits_for_a_lock
from tests.truth import assert_tables_equal_truth, moment, one, rows
from tests.waiting import wait_for

PAGES, ROWS_PER_PAGE = 20, 20

LOCKS = {
    "before the hashes are read": "LOCK TABLE doorloop.owners IN ACCESS EXCLUSIVE MODE",
    "before the checkpoint": "SELECT 1 FROM control.passes FOR UPDATE",
    "before COPY": "LOCK TABLE doorloop.owners IN SHARE MODE",
    "before COPY of what changed": "LOCK TABLE doorloop.staging_owners IN ACCESS EXCLUSIVE MODE",
    "before letters are put aside": "LOCK TABLE control.dead_letters IN SHARE MODE",
    "before the seen ids": "LOCK TABLE control.seen_ids IN SHARE MODE",
    "before the counters": "SELECT 1 FROM control.run_entities FOR UPDATE",
    "before the fence": "SELECT 1 FROM control.leases FOR UPDATE",
}
"""Where a lock on what the next statement touches holds the page's transaction."""

GATES = {
    "inside the upsert of what changed": "TRIGGER {} BEFORE UPDATE ON doorloop.owners FOR EACH ROW",
    "before staging gives up what changed": "TRIGGER {} BEFORE DELETE ON doorloop.staging_owners FOR EACH STATEMENT",
    "before letters are recovered": "TRIGGER {} BEFORE UPDATE ON control.dead_letters FOR EACH STATEMENT",
    "before the page's digest": "TRIGGER {} BEFORE UPDATE OF last_page_digest ON control.passes FOR EACH STATEMENT",
    "inside COMMIT": "CONSTRAINT TRIGGER {} AFTER UPDATE ON control.run_entities DEFERRABLE INITIALLY DEFERRED "
    "FOR EACH ROW",
}
"""Where two statements touch the same rows, a trigger of the test's own takes the lock that the test holds."""
GATE_KEY = 230_711


@contextmanager
def standing(database_url: str, place: str) -> Generator[psycopg.Connection[Any]]:
    """Whoever comes to this place in a page's transaction stands there until the block ends."""
    if place in LOCKS:
        with held(database_url, LOCKS[place]) as link:
            yield link
        return
    with psycopg.connect(database_url, autocommit=True) as link:
        link.execute(
            "CREATE OR REPLACE FUNCTION public.icc_test_gate() RETURNS trigger LANGUAGE plpgsql AS "
            f"'BEGIN PERFORM pg_advisory_xact_lock_shared({GATE_KEY}); RETURN coalesce(NEW, OLD); END'"
        )
        link.execute(f"CREATE {GATES[place].format('icc_test_gate')} EXECUTE FUNCTION public.icc_test_gate()".encode())
    with held(database_url, "SELECT pg_advisory_xact_lock(%s)", GATE_KEY) as link:
        yield link
    with psycopg.connect(database_url, autocommit=True) as link:
        link.execute("DROP FUNCTION public.icc_test_gate() CASCADE")


def assert_page_is_whole_or_undone(database: Database, at_least: int) -> None:
    """The rows are those of the pages up to the checkpoint, which is not before page ``at_least``, and no others."""
    found = one(
        database,
        "SELECT next_page - 1 AS page, received, "
        "(SELECT count(*) FROM doorloop.owners WHERE _payload_hash <> '\\x00') AS here, "
        "(SELECT count(*) FROM doorloop.staging_owners) AS staged, "
        "(SELECT array_agg(page ORDER BY page) FROM control.seen_ids) AS seen FROM control.passes",
    )
    assert found["page"] >= at_least
    assert found["received"] == found["here"] == found["page"] * ROWS_PER_PAGE, found
    assert (found["seen"] or []) == list(range(1, found["page"] + 1))
    assert found["staged"] == 0


def assert_nothing_lost_or_doubled(database: Database, drill: DrillServer, last: Child) -> None:
    """Every record once, counted once, in one reading that many runs went on with."""
    assert last.end() == 0, last.stdout + last.stderr
    assert_tables_equal_truth(database, drill, ["owners"])
    counted = one(
        database, "SELECT sum(received) AS received, sum(inserted + updated) AS written FROM control.run_entities"
    )
    assert counted == {"received": PAGES * ROWS_PER_PAGE, "written": PAGES * ROWS_PER_PAGE}
    assert one(database, "SELECT count(*) AS n FROM control.passes")["n"] == 1


def test_kill_at_every_page_and_go_on(yard: Yard, drill: DrillServer, database: Database) -> None:
    """Law 2: killed once at each of twenty pages, every run is `interrupted`, says where, and the next one resumes."""
    for page in range(1, PAGES + 1):
        drill.set_fault("hang", entity="owners", only_page=page)
        child = yard.once()
        yard.wait_for_page(page - 1, child)
        child.kill()
        assert_page_is_whole_or_undone(database, page - 1)
        drill.clear_faults()
    last = yard.once()
    assert_nothing_lost_or_doubled(database, drill, last)
    *killed, finished = yard.runs()
    assert [run["state"] for run in killed] == ["interrupted"] * PAGES
    assert finished["state"] == "succeeded"
    for page, run in enumerate(killed, start=1):
        assert run["error"]["code"] == "INTERRUPTED"
        assert f"page {page - 1} of owners" in run["error"]["cause"]
    began = rows(
        database,
        "SELECT e.resumed_at_page AS page FROM control.run_entities AS e JOIN control.runs AS r ON r.id = e.run_id "
        "ORDER BY r.queued_at",
    )
    assert [row["page"] for row in began] == [None, None, *range(2, PAGES + 1)]
    assert last.last_line()["entities"]["owners"]["received"] == ROWS_PER_PAGE


def test_kill_between_any_two_statements(yard: Yard, drill: DrillServer, database: Database, database_url: str) -> None:
    """Law 2: a kill between any two statements of the page transaction leaves the page whole or undone."""
    places = [*LOCKS, *GATES]
    for page, place in enumerate(places, start=3):
        drill.set_fault("hang", entity="owners", only_page=page)
        if "put aside" in place:
            drill.set_fault("bad_date", entity="owners", ids=[an_id_of(drill, page)])
        elif "recovered" in place:
            insert_letter(database, an_id_of(drill, page))
        elif "changed" in place:
            insert_row(database, an_id_of(drill, page))
        child = yard.once()
        yard.wait_for_page(page - 1, child)
        with standing(database_url, place):
            drill.clear_fault("hang")
            wait_for(lambda: waits_for_a_lock(database), f"the writer stands {place}")
            child.kill()
        assert_page_is_whole_or_undone(database, page - 1)
        drill.clear_faults()
    assert_nothing_lost_or_doubled(database, drill, yard.once())
    assert [run["state"] for run in yard.runs()] == ["interrupted"] * len(places) + ["succeeded"]
    assert rows(database, "SELECT state FROM control.dead_letters WHERE state <> 'recovered'") == []


def an_id_of(drill: DrillServer, page: int) -> str:
    """The id of a record in the middle of a page, as the list comes while it is copied."""
    ordered = sorted(drill.records("owners"), key=lambda record: str(moment(record["createdAt"])))
    return str(ordered[(page - 1) * ROWS_PER_PAGE + ROWS_PER_PAGE // 2]["id"])


def insert_row(database: Database, record_id: str) -> None:
    """A record that is here already, as it was before it changed."""
    rows(
        database,
        "INSERT INTO doorloop.owners (id, raw, _source, _run_id, _payload_hash, _fetched_at) "
        "SELECT %s, '{}', 'doorloop', id, '\\x00', now() FROM control.runs LIMIT 1",
        record_id,
    )


def insert_letter(database: Database, record_id: str) -> None:
    """A record that was put aside by an earlier run."""
    rows(
        database,
        "INSERT INTO control.dead_letters (integration, entity, record_id, payload, payload_hash, code, reason, "
        "fingerprint, page, run_id) SELECT 'doorloop', 'owners', %s, %s, 'h', 'RECORD_TYPE', 'r', 'f', 1, id "
        "FROM control.runs LIMIT 1",
        record_id,
        json.dumps({"id": record_id}),
    )


def test_a_silent_run_is_interrupted_though_no_daemon_lives(yard: Yard, drill: DrillServer, database: Database) -> None:
    """Design §4: a run silent for three heartbeats is `interrupted` with its last page; it is derived, not written.

    Its lease may be set to last much longer.
    """
    drill.set_fault("hang", entity="owners", only_page=7)
    child = yard.once(ICC_LEASE_SECONDS="300")
    yard.wait_for_page(6, child)
    (running,) = insights.last_runs(database, "doorloop")
    assert (running.state, running.error) == (RunState.RUNNING, None)
    assert insights.active(database, "doorloop") is not None
    child.kill()

    def interrupted() -> insights.RunRow | None:
        (run,) = insights.last_runs(database, "doorloop")
        return run if run.state is RunState.INTERRUPTED else None

    silent = wait_for(interrupted, "its silence is noticed")
    assert silent.error is not None
    assert silent.error.code == "INTERRUPTED"
    assert "page 6 of owners" in silent.error.cause
    assert insights.active(database, "doorloop") is None
    assert yard.runs()[0]["state"] == "running"  # nobody has written anything


def test_the_service_rescues_what_its_killed_self_left(yard: Yard, drill: DrillServer, database: Database) -> None:
    """Law 2: a service killed in mid-run ends that run when it starts again, at once, and can run anew.

    The killed run's row says how many requests it had sent, as far as they were told.
    """
    drill.set_fault("hang", entity="owners", only_page=5)
    first = yard.service(ICC_LEASE_SECONDS="300")
    yard.press_run()
    yard.wait_for_page(4, first)
    sent = "SELECT 1 FROM control.rate_limit_samples WHERE decision = 'sent'"
    wait_for(lambda: len(rows(database, sent)) >= 5, "whose account it is and four pages are told")
    first.kill()
    drill.clear_faults()
    yard.service(ICC_LEASE_SECONDS="300")
    killed = yard.runs()[0]
    assert (killed["state"], killed["requests"], killed["retries"]) == ("interrupted", len(rows(database, sent)), 0)
    yard.press_run()
    yard.wait_for_state("succeeded")
    assert_tables_equal_truth(database, drill, ["owners"])
    assert one(database, "SELECT count(*) AS n FROM control.daemons WHERE doing = 'died'")["n"] == 1


def test_a_reader_of_old_events_keeps_no_run_from_being_rescued(
    yard: Yard, drill: DrillServer, database: Database, database_url: str
) -> None:
    """Law 8: an analyst's long transaction held up the janitor, and with it rescue, schedule and expiry, in silence."""
    rows(
        database,
        "CREATE TABLE control.events_20200101 PARTITION OF control.events "
        "FOR VALUES FROM ('2020-01-01 00:00+00') TO ('2020-01-02 00:00+00')",
    )
    drill.set_fault("hang", entity="owners", only_page=5)
    with held(database_url, "SELECT count(*) FROM control.events"):
        yard.service()
        wait_for(lambda: waits_for_a_lock(database), "the janitor waits for the reader")
        child = yard.once()
        yard.wait_for_page(4, child)
        child.kill()
        yard.wait_for_state("interrupted")
