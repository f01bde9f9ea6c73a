"""Design §4: a run continues where the last one stopped, if the list is still the one it was reading."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from common.errors import DatabaseAway
from common.store.database import Database, Link
from daemon.integrations.doorloop.drill import DrillServer
from daemon.sync.writer import PageWriter
from tests.harness import Engine, Outcome, engine
from tests.truth import assert_tables_equal_truth, one, rows
from tests.waiting import wait_for


@pytest.fixture
def drill() -> Iterator[DrillServer]:
    """A vendor with five pages."""
    with DrillServer(rows=90, seed=8) as server:
        yield server


@pytest.fixture
def copier(drill: DrillServer, database_url: str) -> Iterator[Engine]:
    """An engine that does not try twice."""
    with engine(drill, database_url, ICC_RETRY_ATTEMPTS="1", DOORLOOP_MAX_CONCURRENCY="1") as running:
        yield running


def cut(copier: Engine, drill: DrillServer, *, page: int, mode: str = "backfill") -> Outcome:
    """A run that reads the pages before ``page`` and no further."""
    drill.set_fault("http_500", entity="owners", only_page=page)
    run = copier.run(mode)
    assert (run.state, run.entities["owners"]["page"]) == ("incomplete", page - 1)
    drill.clear_faults()
    drill.log.clear()
    return run


def asked(drill: DrillServer) -> list[int]:
    """The pages of owners that were asked for, in order."""
    queries = [entry.query for entry in drill.log.entries() if entry.path.endswith("/owners")]
    return [int(query.split("page_number=")[1].split("&")[0]) for query in queries]


def test_a_resume_re_reads_the_page_before(copier: Engine, drill: DrillServer, database: Database) -> None:
    """Design §4: the page before is read again; when its ids are the same, the reading goes on after it."""
    cut(copier, drill, page=4)
    run = copier.run()
    assert asked(drill) == [3, 4, 5]
    assert (run.state, run.entities["owners"]["resumed_at_page"], run.warnings("owners")) == ("succeeded", 4, [])
    assert run.entities["owners"]["received"] == 30
    assert_tables_equal_truth(database, drill, ["owners"])
    assert rows(database, "SELECT state FROM control.passes") == [{"state": "complete"}]


@pytest.mark.parametrize(
    ("fault", "state", "code"),
    [
        ("http_500", "failed", "VENDOR_ERROR"),
        ("forbidden_role", "forbidden", "ROLE_FORBIDDEN"),
        ("wrong_envelope", "failed", "WRONG_ENVELOPE"),
    ],
)
def test_a_page_before_that_cannot_be_read_says_why(
    copier: Engine, drill: DrillServer, database: Database, fault: str, state: str, code: str
) -> None:
    """The first request of a run that goes on may fail like any other: by its own name, and the next run goes on."""
    cut(copier, drill, page=4)
    drill.set_fault(fault, entity="owners", only_page=3)
    run = copier.run()
    assert run.run["error"]["code"] != "INTERNAL_ERROR", run.run["error"]
    assert (run.entities["owners"]["state"], run.entities["owners"]["error"]["code"]) == (state, code)
    drill.clear_faults()
    drill.log.clear()
    assert copier.run().state == "succeeded"
    assert asked(drill) == [3, 4, 5]
    assert_tables_equal_truth(database, drill, ["owners"])


def test_a_changed_list_is_read_from_its_start(copier: Engine, drill: DrillServer, database: Database) -> None:
    """Design §4: when the page before has other ids, the reading starts again and says so; nothing is lost."""
    cut(copier, drill, page=4)
    drill.mutate("owners", delete=10)
    drill.log.clear()
    run = copier.run()
    # The fourth is full now, and nothing stands behind it. It brought new ones while others are gone: a second look.
    assert asked(drill) == [3, 1, 2, 3, 4, 5, 1, 2, 3, 4]
    assert (run.state, run.warnings("owners")) == ("succeeded", ["PASS_RESTARTED"])
    warning = run.entities["owners"]["warnings"][0]
    assert "owners" in warning["cause"]
    assert "?" not in warning["cause"]
    assert_tables_equal_truth(database, drill, ["owners"])
    assert run.counts("owners")[3] > 0


def test_a_pass_too_old_is_not_continued(copier: Engine, drill: DrillServer, database: Database) -> None:
    """Design §4: an unfinished reading over 24 h old starts again."""
    cut(copier, drill, page=4)
    with database.transaction() as link:
        link.execute("UPDATE control.passes SET started_at = now() - interval '25 hours'")
    run = copier.run()
    assert asked(drill) == [1, 2, 3, 4, 5]
    assert run.warnings("owners") == ["PASS_RESTARTED"]
    assert_tables_equal_truth(database, drill, ["owners"])


def test_another_page_size_starts_again(
    copier: Engine, drill: DrillServer, database: Database, database_url: str
) -> None:
    """Design §4: page numbers mean something else with another page size."""
    cut(copier, drill, page=4)
    with engine(drill, database_url, DOORLOOP_PAGE_SIZE="30", DOORLOOP_MAX_CONCURRENCY="1") as other:
        run = other.run()
        assert asked(drill) == [1, 2, 3, 4]  # the third is full, and nothing stands behind it
        assert run.warnings("owners") == ["PASS_RESTARTED"]
        assert_tables_equal_truth(database, drill, ["owners"])


def test_seen_ids_lost_in_a_crash_start_again(copier: Engine, drill: DrillServer, database: Database) -> None:
    """Law 4: after a crash of the database the proof of absence is gone, so a backfill does not go on."""
    cut(copier, drill, page=4)
    with database.transaction() as link:
        link.execute("TRUNCATE control.seen_ids")
    run = copier.run()
    assert (asked(drill), run.warnings("owners")) == ([1, 2, 3, 4, 5], ["PASS_RESTARTED"])
    assert run.counts("owners")[3] == 0
    assert_tables_equal_truth(database, drill, ["owners"])


def test_seen_ids_lost_in_mid_run_are_met_again(copier: Engine, drill: DrillServer, database: Database) -> None:
    """Law 4: a run that outlives a crash of the database reads its list anew, and says so; what is gone is marked."""
    copier.run()
    drill.mutate("owners", delete=3)
    drill.set_fault("slow", entity="owners", only_page=4, delay_seconds=1)
    plan = copier.begin()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(copier.finish, plan)
        seen = "SELECT count(*) AS pages FROM control.seen_ids AS s JOIN control.passes AS p ON p.id = s.pass_id "
        wait_for(lambda: one(database, f"{seen} WHERE p.state = 'open'")["pages"] == 3, "three pages")
        with database.transaction() as link:
            link.execute("TRUNCATE control.seen_ids")
        run = running.result(60)
    assert (run.state, run.warnings("owners"), run.counts("owners")[3]) == ("succeeded", ["PASS_RESTARTED"], 3)
    assert_tables_equal_truth(database, drill, ["owners"])


def test_delta_and_backfill_never_resume_each_other(copier: Engine, drill: DrillServer, database: Database) -> None:
    """Design §4: each mode has its own unfinished reading."""
    cut(copier, drill, page=4)
    assert copier.run("delta").entities["owners"]["resumed_at_page"] is None
    assert asked(drill) == [1, 2, 3, 4, 5]
    assert copier.run().entities["owners"]["resumed_at_page"] == 4
    assert_tables_equal_truth(database, drill, ["owners"])


def test_a_dry_run_neither_resumes_nor_disturbs(copier: Engine, drill: DrillServer, database: Database) -> None:
    """Law 5: a dry run reads from page 1 and leaves the unfinished reading alone."""
    cut(copier, drill, page=4)
    copier.run(dry_run=True)
    assert asked(drill) == [1, 2, 3, 4, 5]
    assert copier.run().entities["owners"]["resumed_at_page"] == 4
    assert_tables_equal_truth(database, drill, ["owners"])


def test_an_unproven_delta_goes_on_in_its_whole_list(copier: Engine, drill: DrillServer, database: Database) -> None:
    """Design §6: the whole list that an unproven order asked for is continued, not begun with every run."""
    copier.run()
    drill.mutate("owners", change=30)
    drill.set_fault("ignore_sort")
    drill.set_fault("http_500", entity="owners", only_page=4)
    assert copier.run("delta").state == "incomplete"
    drill.clear_fault("http_500")
    drill.log.clear()
    run = copier.run("delta")
    assert asked(drill) == [3, 4, 5]
    assert run.state == "succeeded"
    assert_tables_equal_truth(database, drill, ["owners"])


@pytest.mark.parametrize("moved", ["never stopped", "before the stop", "after it"])
def test_a_list_that_moved_is_no_proof_over_a_stop_either(
    copier: Engine, drill: DrillServer, database: Database, moved: str
) -> None:
    """Law 4: a list that gained one record and lost another keeps its total while a third moves past the reader: what a
    reading knows of births outlives the run."""
    assert copier.run().state == "succeeded"
    shift = {"entity": "owners", "insert": 1, "delete": 1}
    if moved == "before the stop":
        drill.set_fault("shifting_rows", only_page=2, **shift)
    if moved != "never stopped":
        cut(copier, drill, page=4)
    if moved != "before the stop":
        drill.set_fault("shifting_rows", only_page=5, **shift)
    run = copier.run()
    assert (run.state, run.warnings("owners"), run.counts("owners")[3]) == ("succeeded", ["ABSENCE_NOT_PROVEN"], 0)
    drill.clear_faults()
    assert copier.run().state == "succeeded"
    assert_tables_equal_truth(database, drill, ["owners"])


def losing_answers(monkeypatch: pytest.MonkeyPatch) -> list[PageWriter]:
    """Break the connection after the first two COMMITs of pages; who lost their answers."""
    real = PageWriter.transaction
    lost: list[PageWriter] = []

    @contextmanager
    def losing(self: PageWriter) -> Iterator[Link]:
        with real(self) as link:
            yield link
        if len(lost) < 2 and (self._attempted or self._counted):
            lost.append(self)
            raise DatabaseAway("the connection broke after COMMIT")

    monkeypatch.setattr(PageWriter, "transaction", losing)
    return lost


def test_a_dry_run_counts_no_page_twice(copier: Engine, drill: DrillServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Law 5: its counters are all that it leaves, and a lost answer to a COMMIT changes none of them."""
    lost = losing_answers(monkeypatch)
    run = copier.run(dry_run=True)
    assert len(lost) == 2
    assert (run.state, run.counts("owners")) == ("succeeded", (90, 0, 0, 0, 0))
    assert run.entities["owners"]["received"] == 90


def test_a_page_of_bad_records_is_counted_once(
    copier: Engine, drill: DrillServer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law 3: it ends its entity, with each letter once, however often its COMMIT had to be tried."""
    drill.set_fault("null_id", every=1)
    lost = losing_answers(monkeypatch)
    run = copier.run()
    assert len(lost) == 2
    assert (run.error("owners"), run.counts("owners")[4]) == ("ALL_RECORDS_BAD", 20)
    assert run.entities["owners"]["received"] == 20
    assert one(database, "SELECT count(*) AS n FROM control.dead_letters")["n"] == 20


@pytest.mark.parametrize("fault", [None, "null_id"])
def test_an_answer_to_a_commit_that_is_lost_changes_no_count(
    copier: Engine, drill: DrillServer, database: Database, monkeypatch: pytest.MonkeyPatch, fault: str | None
) -> None:
    """Laws 2 and 3: the pages are committed, so what they did is told: rows in events, new dead letters in the end."""
    if fault:
        drill.set_fault(fault, every=50)
    lost = losing_answers(monkeypatch)
    run = copier.run()
    assert len(lost) == 2
    letters = one(database, "SELECT count(*) AS n FROM control.dead_letters")["n"]
    assert (run.state, run.counts("owners")) == (
        "incomplete" if fault else "succeeded",
        (90 - letters, 0, 0, 0, letters),
    )
    told = rows(database, "SELECT page, rows, msg FROM control.events WHERE code = 'page' ORDER BY id")[:5]
    assert [(row["page"], row["rows"]) for row in told] == [(1, 20), (2, 20), (3, 20), (4, 20), (5, 10)]
    assert not [row for row in told if "unchanged" in row["msg"]]


def test_a_lost_answer_to_the_commit_that_ends_a_reading_costs_no_second_one(
    copier: Engine, drill: DrillServer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Laws 2 and 4: what it settled is settled; read again, the list would count twice and its removals not at all."""
    copier.run()
    gone = drill.mutate("owners", delete=2).deleted
    drill.log.clear()
    ended, real = "SELECT count(*) AS n FROM control.passes WHERE state = 'complete'", PageWriter.transaction
    lost: list[PageWriter] = []
    before = one(database, ended)["n"]

    @contextmanager
    def losing(self: PageWriter) -> Iterator[Link]:
        with real(self) as link:
            yield link
        if not lost and one(database, ended)["n"] > before:
            lost.append(self)
            raise DatabaseAway("the connection broke after COMMIT")

    monkeypatch.setattr(PageWriter, "transaction", losing)
    run = copier.run()
    assert len(lost) == 1
    assert run.counts("owners") == (0, 0, 90 - len(gone), len(gone), 0)
    assert asked(drill) == [1, 2, 3, 4, 5] * 2  # since rows are missing


def test_a_page_committed_twice_counts_once(copier: Engine, drill: DrillServer, database: Database) -> None:
    """Law 2: a page whose commit was answered into a cut connection is not counted a second time."""
    cut(copier, drill, page=4)
    copier.run()
    whole = one(database, "SELECT received FROM control.passes WHERE mode = 'backfill'")
    assert whole["received"] == 90
    assert one(database, "SELECT sum(received) AS all FROM control.run_entities")["all"] == 90


def test_pages_that_a_crashed_server_took_back_are_read_again(
    copier: Engine, drill: DrillServer, database: Database
) -> None:
    """Law 2: pages commit with their checkpoint without waiting for the disk, so a crash takes back both or neither."""
    drill.set_fault("slow", entity="owners", only_page=5, delay_seconds=2)
    plan = copier.begin()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(copier.finish, plan)
        wait_for(lambda: one(database, "SELECT max(page) AS page FROM control.run_entities")["page"] == 4, "four pages")
        with database.transaction() as link:  # as after a crash that lost the last two
            link.execute("UPDATE control.passes SET next_page = 3")
            taken_back = "SELECT unnest(ids) FROM control.seen_ids WHERE page > 2"
            gone = link.execute(f"DELETE FROM doorloop.owners WHERE id IN ({taken_back})".encode())
            assert gone.rowcount == 40
            link.execute("DELETE FROM control.seen_ids WHERE page > 2")
        outcome = running.result(60)
    assert outcome.state == "succeeded"
    assert_tables_equal_truth(database, drill, ["owners"])
