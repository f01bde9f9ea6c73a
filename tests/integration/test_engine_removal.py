"""Law 4 and the guards against the worst day: what is marked removed, and what an admin is asked first."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from common.errors import Refused
from common.store.database import Database
from daemon.integrations.doorloop.drill import DrillServer
from daemon.sync.entity import MOST_LOOKS
from daemon.sync.list_copy import ListCopy
from daemon.sync.sorting import SortedPage
from tests.harness import Engine, Outcome, engine
from tests.integration.small_vendor import SmallVendor, tenant
from tests.truth import assert_tables_equal_truth, one, rows, table


@pytest.fixture
def drill() -> Iterator[DrillServer]:
    """A vendor with sixty owners."""
    with DrillServer(rows=60, seed=5) as server:
        yield server


@pytest.fixture
def copier(drill: DrillServer, database_url: str) -> Iterator[Engine]:
    """An engine that has copied them once."""
    with engine(drill, database_url) as running:
        assert running.run().state == "succeeded"
        yield running


def removed(database: Database) -> set[str]:
    """Ids of owners marked removed."""
    return {id_ for id_, row in table(database, "owners").items() if row["_removed_at"] is not None}


def test_a_complete_backfill_marks_what_is_gone_and_revives_what_is_back(
    copier: Engine, drill: DrillServer, database: Database
) -> None:
    """Law 4: rows are marked removed only by a full pass; a record that comes back loses the mark."""
    gone = drill.mutate("owners", delete=5).deleted
    assert copier.run("delta").counts("owners") == (0, 0, 55, 0, 0)
    assert removed(database) == set()
    assert copier.run().counts("owners") == (0, 0, 55, 5, 0)
    assert removed(database) == set(gone)
    assert_tables_equal_truth(database, drill, ["owners"], gone=gone)
    marked = table(database, "owners")[gone[0]]["_removed_at"]
    copier.run()
    assert table(database, "owners")[gone[0]]["_removed_at"] == marked
    drill.mutate("owners", restore_ids=gone[:2])
    assert copier.run("delta").counts("owners")[:2] == (0, 2)
    assert removed(database) == set(gone[2:])
    assert_tables_equal_truth(database, drill, ["owners"])


def test_a_mass_removal_marks_none_and_asks(copier: Engine, drill: DrillServer, database: Database) -> None:
    """Law 4: over 10 % and 20 rows wait for an admin; the confirmation marks exactly them, once."""
    gone = drill.mutate("owners", delete=25).deleted
    run = copier.run()
    assert (run.state, run.code, run.error("owners")) == ("incomplete", "MASS_REMOVAL", "MASS_REMOVAL")
    assert removed(database) == set()
    (question,) = copier.questions()
    assert (question["kind"], question["entity"]) == ("mass_removal", "owners")
    assert question["details"]["missing"] == 25
    assert set(question["details"]["sample_ids"]) <= set(gone)
    assert copier.confirm(str(question["id"]))["removed"] == 25
    assert removed(database) == set(gone)
    assert_tables_equal_truth(database, drill, ["owners"])
    with pytest.raises(Refused) as refusal:
        copier.confirm(str(question["id"]))
    assert refusal.value.code == "UNKNOWN_CONFIRMATION"
    assert copier.run().state == "succeeded"


def test_twenty_rows_or_ten_percent_are_no_mass(copier: Engine, drill: DrillServer, database: Database) -> None:
    """Law 4: twenty rows are marked without a question, however large their share."""
    drill.mutate("owners", delete=20)
    assert copier.run().counts("owners")[3] == 20
    assert len(removed(database)) == 20


def test_a_rejected_mass_removal_marks_none(copier: Engine, drill: DrillServer, database: Database) -> None:
    """Law 4: an admin's no leaves every row; the next backfill asks again."""
    drill.mutate("owners", delete=30)
    copier.run()
    (question,) = copier.questions()
    copier.confirm(str(question["id"]), "rejected", "they are coming back")
    answered = one(database, "SELECT * FROM control.confirmations")
    assert (answered["state"], answered["answered_by"], answered["answer_reason"]) == (
        "rejected",
        "tester",
        "they are coming back",
    )
    assert removed(database) == set()
    assert copier.run().state == "incomplete"
    assert len(copier.questions()) == 1


def test_another_list_is_a_mass_removal_however_long_it_is(
    copier: Engine, drill: DrillServer, database: Database
) -> None:
    """Law 4: the share is of the rows that were here before; the reading's own new ones do not make it small."""
    drill.mutate("owners", delete=30, add=400)
    run = copier.run()
    assert (run.state, run.error("owners")) == ("incomplete", "MASS_REMOVAL")
    assert removed(database) == set()
    (question,) = copier.questions()
    assert (question["details"]["missing"], question["details"]["here"]) == (30, 60)
    assert "30 of 60 owners are missing" in run.entities["owners"]["error"]["cause"]


def test_a_question_goes_when_the_rows_are_back(copier: Engine, drill: DrillServer, database: Database) -> None:
    """A full copy that misses nothing any more settles what an earlier one asked."""
    gone = drill.mutate("owners", delete=30).deleted
    copier.run()
    (question,) = copier.questions()
    drill.mutate("owners", restore_ids=gone)
    assert copier.run().state == "succeeded"
    assert copier.questions() == []
    with pytest.raises(Refused) as refusal:
        copier.confirm(str(question["id"]))
    assert refusal.value.code == "UNKNOWN_CONFIRMATION"
    assert removed(database) == set()


def test_an_outdated_question_is_refused(copier: Engine, drill: DrillServer, database: Database) -> None:
    """Law 4: an answer counts for the full copy it was asked about, not for a newer one that proves nothing."""
    drill.mutate("owners", delete=30)
    copier.run()
    (question,) = copier.questions()
    drill.set_fault("total_off_by", rows=1, entity="owners")
    assert copier.run().warnings("owners") == ["COUNT_DRIFT"]
    with pytest.raises(Refused) as refusal:
        copier.confirm(str(question["id"]))
    assert refusal.value.code == "MASS_REMOVAL_OUTDATED"
    assert removed(database) == set()


@pytest.mark.parametrize("odd", ["123", "", "x" * 500])
def test_an_answer_to_no_question_is_refused(copier: Engine, odd: str) -> None:
    """Bad input has its own sentence, whatever it is."""
    with pytest.raises(Refused) as refusal:
        copier.confirm(odd)
    assert refusal.value.code == "UNKNOWN_CONFIRMATION"


def test_rows_that_came_after_the_question_are_not_removed_by_its_answer(
    copier: Engine, drill: DrillServer, database: Database
) -> None:
    """Law 4: a confirmation removes what the full pass missed, not what a delta brought or changed since."""
    gone = drill.mutate("owners", delete=30).deleted
    copier.run()
    (question,) = copier.questions()
    added = drill.mutate("owners", add=3).added
    drill.mutate("owners", restore_ids=gone[:2])
    copier.run("delta")
    assert set(added) <= set(table(database, "owners"))
    assert copier.confirm(str(question["id"]))["removed"] == 28
    assert removed(database) == set(gone[2:])
    assert_tables_equal_truth(database, drill, ["owners"])


def test_seen_ids_lost_in_a_crash_make_an_answer_impossible(
    copier: Engine, drill: DrillServer, database: Database
) -> None:
    """Law 4: without the proof of absence (an unlogged table, empty after a crash) nothing is marked."""
    drill.mutate("owners", delete=30)
    copier.run()
    (question,) = copier.questions()
    with database.transaction() as link:
        link.execute("TRUNCATE control.seen_ids")
    with pytest.raises(Refused):
        copier.confirm(str(question["id"]))
    assert removed(database) == set()


@pytest.mark.parametrize(
    ("fault", "parameters"),
    [
        ("total_off_by", {"rows": 3}),
        ("total_off_by", {"rows": -3}),
        ("total_off_by", {"rows": -16}),  # by whole pages: two of three seem to be all
        ("moving_total", {}),
        ("moving_total", {"per": "request"}),
        ("bare_array", {}),
        ("wrong_envelope", {"mode": "total_missing"}),
        ("wrong_envelope", {"mode": "total_text"}),
        ("missing_id", {"every": 20}),
        ("duplicate_row_across_pages", {"replace": True}),
        ("shifting_rows", {"delete": 1}),
        ("shifting_rows", {"delete": 1, "insert": 1}),  # total and ids agree all the time; a second look does not
    ],
)
def test_a_count_that_does_not_fit_removes_nothing(
    copier: Engine, drill: DrillServer, database: Database, fault: str, parameters: dict[str, Any]
) -> None:
    """Law 4: unless distinct ids match the vendor's total, nothing is marked removed, and a warning says so."""
    drill.mutate("owners", delete=4)
    drill.set_fault(fault, **parameters)
    run = copier.run()
    assert run.counts("owners")[3] == 0
    assert removed(database) == set()
    expected = {"bare_array": "BARE_ARRAY", "wrong_envelope": "TOTAL_UNUSABLE"}.get(fault, "COUNT_DRIFT")
    assert run.warnings("owners") == ["ABSENCE_NOT_PROVEN" if "insert" in parameters else expected]
    assert run.entities["owners"]["state"] == "complete"
    drill.clear_faults()
    assert copier.run().counts("owners")[3] >= 4
    assert_tables_equal_truth(database, drill, ["owners"])


@pytest.mark.parametrize("without_always", [(), ("updatedAt",)])
def test_a_new_record_that_does_not_say_when_it_came_may_have_come_in_mid_reading(
    drill: DrillServer, database_url: str, database: Database, monkeypatch: pytest.MonkeyPatch, without_always: Any
) -> None:
    """Law 4: with it the list may have lost another one and hidden a third, though its total is what it was.

    So it is in a list without any ``updatedAt``, which leaves no watermark behind: it was read before all the same.
    """
    known = {record["id"] for record in drill.records("owners")}
    send_without(drill, monkeypatch, lambda id_: {*without_always, *(() if id_ in known else ("createdAt",))})
    with engine(drill, database_url) as copier:
        assert copier.run().warnings("owners") == []
        drill.set_fault("shifting_rows", delete=1, insert=1)
        run = copier.run()
    assert run.counts("owners")[0] > 0
    assert run.warnings("owners") == ["ABSENCE_NOT_PROVEN"]
    assert removed(database) == set()


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("size", ["100", "10"], ids=["one page", "three pages"])
@pytest.mark.parametrize("created", [None, "2016-12-31T23:59:60Z"], ids=["unknown", "bad"])
def test_a_record_that_does_not_say_when_it_came_keeps_nothing_from_being_removed(
    database_url: str, database: Database, created: str | None, size: str, dry_run: bool
) -> None:
    """Law 4 the other way: neither an old one of the same page as a new one, nor the new one itself, for ever."""
    undated = tenant(500, createdAt=created)
    with (
        SmallVendor([*map(tenant, range(25)), undated]) as vendor,
        engine(None, database_url, DOORLOOP_PAGE_SIZE=size, **vendor.reach) as copier,
    ):
        copier.run(entities=["tenants"])
        for number, changes in ((100, {}), (101, {"createdAt": None})):
            gone, *vendor.records = [*vendor.records, tenant(number, **changes)]
            told = [copier.run(dry_run=True, entities=["tenants"])] if dry_run else []
            for run in (*told, copier.run(entities=["tenants"])):
                assert (run.counts("tenants")[0], run.counts("tenants")[3]) == (1, 1)
                assert set(run.warnings("tenants")) <= {"KNOWN_DEAD_LETTERS"}
            assert table(database, "tenants")[gone["id"]]["_removed_at"] is not None


def test_a_list_that_may_hide_a_record_says_so_where_none_is_missing(database_url: str, database: Database) -> None:
    """Nothing silent: one that came in mid-reading may hide another; the sentence says that and no more."""
    with (
        SmallVendor([tenant(number) for number in range(25)]) as vendor,
        engine(None, database_url, DOORLOOP_PAGE_SIZE="10", **vendor.reach) as copier,
    ):
        copier.run(entities=["tenants"])
        vendor.records.append(tenant(100, createdAt=None))
        (warning,) = copier.run(entities=["tenants"]).entities["tenants"]["warnings"]
    assert warning["code"] == "COUNT_DRIFT"
    assert "DoorLoop counts 26, having gained fewer than may have come meanwhile." in warning["cause"]


def test_a_first_reading_has_nothing_to_miss(
    drill: DrillServer, database_url: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law 4 the other way: where every record is new, those that do not say when they came tell of no moving list."""
    send_without(drill, monkeypatch, lambda _: {"createdAt", "updatedAt"})
    with engine(drill, database_url) as copier:
        assert copier.run("delta").warnings("owners") == []
        gone = drill.mutate("owners", delete=2).deleted
        run = copier.run()
    assert run.warnings("owners") == []
    assert removed(database) == set(gone)


OLD = {"createdAt": "2020-01-01T00:00:00.000Z"}


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(
    "gained",
    [OLD, {"dateOfBirth": "soon"}, "back", "unmissed"],
    ids=["old stamp", "bad", "back again", "back before it was missed"],
)
def test_a_record_hidden_by_a_gain_that_does_not_show_is_not_removed(
    drill: DrillServer,
    database_url: str,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    gained: dict[str, str] | str,
    dry_run: bool,
) -> None:
    """Law 4: a bad record, one that came back or one with an old stamp may have come in mid-reading as any other.

    The list is looked at once more, shows what was hidden, and nothing is removed.
    """
    known = {record["id"] for record in drill.records("owners")}
    with engine(drill, database_url, DOORLOOP_MAX_CONCURRENCY="1") as copier:
        copier.run()
        (back,) = drill.mutate("owners", delete=1).deleted
        if gained != "unmissed":
            assert copier.run().counts("owners")[3] == 1
        changes = {"id": back} if isinstance(gained, str) else gained
        send_as(drill, monkeypatch, lambda record: record if record["id"] in known else {**record, **changes})
        drill.set_fault("shifting_rows", delete=1, insert=1, only_page=3, times=1)
        run = copier.run(dry_run=dry_run)
    assert run.warnings("owners") == ["ABSENCE_NOT_PROVEN"]
    (told,) = rows(database, "SELECT msg FROM control.events WHERE code = 'ABSENCE_NOT_PROVEN'")
    assert "holds other records now" in told["msg"]
    assert run.counts("owners")[3] == 0
    assert removed(database) <= {back}


def test_what_a_backfill_was_not_shown_the_next_delta_reads(
    copier: Engine, drill: DrillServer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law 2: a whole list may hide a change from its reader, so it moves no watermark that is there."""
    drill.mutate("owners", add=30)
    copier.run()
    before = {record["id"]: record for record in drill.records("owners")}
    stale, *others = sorted(before)
    for hours_ago, ids in ((3, [stale]), (2, others[:69]), (1, others[69:])):
        stamp = time.time_ns() // 10**6 - hours_ago * 3_600_000
        monkeypatch.setattr(drill.vendor.populations["owners"], "_now_ms", partial(int, stamp))
        drill.mutate("owners", change_ids=ids)
    with monkeypatch.context() as patch:
        send_as(drill, patch, lambda record: before[stale] if record["id"] == stale else record)
        assert copier.run().counts("owners")[1] == 89
    assert copier.run("delta").counts("owners")[1] == 1
    assert_tables_equal_truth(database, drill, ["owners"])


def test_a_list_that_moves_under_the_second_look_too_proves_nothing(
    copier: Engine, drill: DrillServer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law 4: then nothing is removed, and a warning says so; when it stands still, what is gone is."""
    known = {record["id"] for record in drill.records("owners")}
    send_as(drill, monkeypatch, lambda record: record if record["id"] in known else {**record, **OLD})
    gone = drill.mutate("owners", delete=2, add=2).deleted
    real = ListCopy.pages_again

    def moving(self: ListCopy, *where: Any, **how: Any) -> Iterator[SortedPage]:
        pages = real(self, *where, **how)
        yield next(pages)
        drill.mutate("owners", delete=1, add=1)
        yield from pages

    with monkeypatch.context() as patch:
        patch.setattr(ListCopy, "pages_again", moving)
        run = copier.run()
    assert run.warnings("owners") == ["ABSENCE_NOT_PROVEN"]
    assert removed(database) == set()
    assert copier.run().counts("owners")[3] == 3
    assert removed(database) > set(gone)


def cut_second_looks(drill: DrillServer, patch: pytest.MonkeyPatch, *, kill: bool = False) -> None:
    """Have each second look met by a vendor that wants an hour's rest, or by a kill."""
    real = ListCopy.pages_again

    def cut(self: ListCopy, *where: Any, **how: Any) -> Iterator[SortedPage]:
        drill.set_fault("rate_limited", retry_after="3600", entity="owners")
        if kill:
            raise SystemExit("killed")
        yield from real(self, *where, **how)

    patch.setattr(ListCopy, "pages_again", cut)


def test_a_second_look_that_is_put_off_begins_anew_in_the_runs_continuation(
    copier: Engine, drill: DrillServer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Laws 2 and 4: nothing is removed then; the continuation reads the whole list for it, and none before.

    What came back in between, on whichever page, is met there.
    """
    back, *gone = drill.mutate("owners", delete=3, add=3).deleted
    with monkeypatch.context() as patch:
        cut_second_looks(drill, patch)
        assert copier.run().state == "deferred"
    assert removed(database) == set()
    drill.clear_faults()
    drill.log.clear()
    drill.mutate("owners", restore_ids=[back])
    run = copier.continue_by_schedule()
    assert run is not None
    assert len([entry for entry in drill.log.entries() if entry.path.endswith("/owners")]) == 4
    assert (run.state, run.warnings("owners"), run.counts("owners")[3]) == ("succeeded", [], 2)
    assert removed(database) == set(gone)


@pytest.mark.parametrize("kill", [False, True], ids=["deferred", "killed"])
def test_a_second_look_of_another_run_is_not_gone_on_with(
    copier: Engine, drill: DrillServer, database: Database, monkeypatch: pytest.MonkeyPatch, kill: bool
) -> None:
    """Law 2: who asks for a backfill gets the list read anew, not the end of one that was read hours ago."""
    gone = drill.mutate("owners", delete=2, add=2).deleted
    with monkeypatch.context() as patch:
        cut_second_looks(drill, patch, kill=kill)
        if kill:
            with pytest.raises(SystemExit):
                copier.run()
        else:
            assert copier.run().state == "deferred"
    assert removed(database) == set()
    let_it_begin(drill, database)
    (later,) = drill.mutate("owners", delete=1).deleted
    run = copier.run()
    assert (run.state, run.warnings("owners"), run.counts("owners")[3]) == ("succeeded", [], 3)
    assert removed(database) == {*gone, later}


def test_a_second_look_that_fits_into_no_run_holds_nothing_up(
    copier: Engine, drill: DrillServer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Laws 2 and 4: tried some times, as an hour may begin with few requests left in it, it is given up, and said so.

    Else a budget that is too small for it would be spent on it each hour, for ever.
    """
    gone = drill.mutate("owners", delete=2, add=2).deleted
    with monkeypatch.context() as patch:
        cut_second_looks(drill, patch)
        run: Outcome | None = copier.run()
        for _ in range(MOST_LOOKS - 1):
            assert run is not None
            assert run.state == "deferred"
            drill.clear_faults()
            run = copier.continue_by_schedule()
    assert run is not None
    assert (run.state, run.warnings("owners")) == ("succeeded", ["ABSENCE_NOT_PROVEN"])
    assert removed(database) == set()
    let_it_begin(drill, database)
    assert copier.run().counts("owners")[3] == 2
    assert removed(database) == set(gone)


def test_a_question_to_an_admin_is_not_read_again_by_a_continuation(
    copier: Engine, drill: DrillServer, database: Database
) -> None:
    """Issue 3: its list has come whole; read again each hour, it would take the requests of the one that is put off."""
    drill.mutate("owners", delete=25)
    drill.set_fault("rate_limited", retry_after="3600", entity="units")
    assert copier.run(entities=["owners", "units"]).state == "deferred"
    drill.clear_faults()
    drill.log.clear()
    run = copier.continue_by_schedule()
    assert run is not None
    assert (run.state, list(run.entities)) == ("succeeded", ["units"])


@pytest.mark.parametrize("dry_run", [False, True])
def test_what_comes_back_behind_the_second_reader_is_not_removed(
    copier: Engine, drill: DrillServer, database: Database, monkeypatch: pytest.MonkeyPatch, dry_run: bool
) -> None:
    """Law 4: a list that was short while it was read, and is whole again on pages that the second look has passed."""
    away = [record["id"] for record in drill.records("owners")][:15]
    drill.mutate("owners", delete_ids=away)
    real = ListCopy.pages_again

    def returning(self: ListCopy, *where: Any, **how: Any) -> Iterator[SortedPage]:
        pages = real(self, *where, **how)
        yield next(pages)
        drill.mutate("owners", restore_ids=away)
        yield from pages

    with monkeypatch.context() as patch:
        patch.setattr(ListCopy, "pages_again", returning)
        run = copier.run(dry_run=dry_run)
    assert (run.warnings("owners"), run.counts("owners")[3]) == (["ABSENCE_NOT_PROVEN"], 0)
    assert removed(database) == set()


def test_what_was_added_meanwhile_keeps_nothing_from_being_removed(
    copier: Engine, drill: DrillServer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law 4: a list that only grew between both readings has hidden nobody from the first; a busy one grows always."""
    away = drill.mutate("owners", delete=3).deleted
    real = ListCopy.pages_again

    def growing(self: ListCopy, *where: Any, **how: Any) -> Iterator[SortedPage]:
        drill.mutate("owners", add=1, restore_ids=away[:1])
        yield from real(self, *where, **how)

    with monkeypatch.context() as patch:
        patch.setattr(ListCopy, "pages_again", growing)
        run = copier.run()
    assert (run.warnings("owners"), run.counts("owners")[3]) == ([], 2)
    assert removed(database) == set(away[1:])
    copier.run("delta")
    assert_tables_equal_truth(database, drill, ["owners"])


def test_a_reading_put_off_before_its_first_page_begins_when_it_goes_on(
    copier: Engine, drill: DrillServer, database: Database
) -> None:
    """Law 4 the other way: what another run brought since, and is gone again, is not spared as newer than it."""
    drill.set_fault("rate_limited", retry_after="3600", entity="owners")
    assert copier.run().state == "deferred"
    drill.clear_faults()
    rows(database, "UPDATE control.accounts_synced SET blocked_until = NULL, blocked_code = NULL")
    gained = drill.mutate("owners", add=3).added
    assert copier.run("delta").counts("owners")[0] == 3
    drill.mutate("owners", delete_ids=gained)
    run = copier.run()
    assert (run.counts("owners")[3], run.warnings("owners")) == (3, [])
    assert removed(database) == set(gained)


@pytest.mark.parametrize("mode", ["delta", "backfill"])
def test_what_a_later_reading_met_is_not_removed_by_an_answer(
    copier: Engine, drill: DrillServer, database: Database, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """Law 4: rows that came back as they were, and were met so by a delta or by a backfill that was cut off."""
    before = {record["id"]: record for record in drill.records("owners")}
    gone = drill.mutate("owners", delete=30).deleted
    copier.run()
    (question,) = copier.questions()
    back = drill.mutate("owners", restore_ids=gone[:12]).restored
    send_as(drill, monkeypatch, lambda record: before[record["id"]] if record["id"] in back else record)
    if mode == "backfill":
        drill.set_fault("rate_limited", retry_after="3600", entity="owners", only_page=2)
    assert copier.run(mode).counts("owners")[:2] == (0, 0)
    spared = {row["id"] for row in rows(database, "SELECT unnest(ids) AS id FROM control.seen_ids")} & {*back}
    assert len(spared) == 12 if mode == "delta" else 0 < len(spared) < 12
    assert copier.confirm(str(question["id"]))["removed"] == 30 - len(spared)
    assert removed(database) == {*gone} - spared
    let_it_begin(drill, database)
    run = copier.run(mode)
    assert (run.state, run.warnings("owners")) == ("succeeded", ["ORDER_NOT_PROVEN"] if mode == "delta" else [])
    assert removed(database) == {*gone} - {*back}


def test_an_old_question_is_refused(copier: Engine, drill: DrillServer, database: Database) -> None:
    """Law 4: what was gone two days ago may have come back as it was, where no delta looks."""
    drill.mutate("owners", delete=30)
    copier.run()
    (question,) = copier.questions()
    rows(database, "UPDATE control.confirmations SET created_at = now() - interval '25 hours'")
    with pytest.raises(Refused, match="more than 24 hours ago") as refusal:
        copier.confirm(str(question["id"]))
    assert refusal.value.code == "MASS_REMOVAL_OUTDATED"
    assert removed(database) == set()


def let_it_begin(drill: DrillServer, database: Database) -> None:
    """The vendor is well again, the hour is over, and whoever held the lease is dead."""
    drill.clear_faults()
    drill.log.clear()
    with database.transaction() as link:
        link.execute("UPDATE control.accounts_synced SET blocked_until = NULL, blocked_code = NULL")
        link.execute("UPDATE control.leases SET expires_at = now() - interval '1 s' WHERE holder IS NOT NULL")


def send_without(drill: DrillServer, monkeypatch: pytest.MonkeyPatch, keys_of: Callable[[str], set[str]]) -> None:
    """Have the vendor's owners come without some of their keys."""
    send_as(drill, monkeypatch, lambda one: {k: v for k, v in one.items() if k not in keys_of(one["id"])})


def send_as(drill: DrillServer, monkeypatch: pytest.MonkeyPatch, sent: Callable[[dict[str, Any]], Any]) -> None:
    """Have the vendor's owners come otherwise."""
    owners = drill.vendor.populations["owners"]
    original = owners.many_bytes

    def many_bytes(indexes: Any) -> list[bytes]:
        return [json.dumps(sent(json.loads(record))).encode() for record in original(indexes)]

    monkeypatch.setattr(owners, "many_bytes", many_bytes)


def test_another_account_halts_until_an_admin_confirms(copier: Engine, drill: DrillServer, database: Database) -> None:
    """Issue 2: when the key belongs to another vendor account nothing is written until an admin says yes."""
    before = table(database, "owners")
    drill.mutate("owners", change=3)
    drill.set_fault("other_account")
    asked = set()
    for _ in range(2):
        run = copier.run()
        assert (run.state, run.code) == ("failed", "ACCOUNT_CHANGED")
        assert run.entities["owners"]["state"] == "skipped"
        (question,) = copier.questions()
        asked.add(question["id"])
    assert table(database, "owners") == before
    assert len(asked) == 1  # a question an admin may be reading does not change under them
    assert question["kind"] == "account_changed"
    copier.confirm(str(question["id"]))
    assert copier.run().state == "succeeded"
    assert_tables_equal_truth(database, drill, ["owners"])
    drill.clear_faults()
    assert copier.run().code == "ACCOUNT_CHANGED"
    assert len(copier.questions()) == 1
    drill.set_fault("other_account")  # the account that was said yes to is back: nothing is left to ask
    assert copier.run().state == "succeeded"
    assert copier.questions() == []


def test_a_role_that_may_not_ask_who_it_is_is_warned_about(
    copier: Engine, drill: DrillServer, database: Database
) -> None:
    """Issue 2: without an answer from /users/me the run goes on and says that a swapped key would go unnoticed."""
    drill.set_fault("forbidden_role", entity="users")
    run = copier.run()
    assert run.state == "succeeded"
    assert [warning["code"] for warning in run.run["warnings"]] == ["IDENTITY_UNKNOWN"]
    assert rows(database, "SELECT 1 FROM control.confirmations") == []
