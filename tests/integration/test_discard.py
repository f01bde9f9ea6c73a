"""Issue 3: discard asks for a reason, closes letters in batches, can be cancelled, and ends with a verdict."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from common import redact
from common.errors import Refused
from common.letter_wishes import Matching, cancel_wish, discard_wish, requeue_wish
from common.store.database import Database
from daemon import bulk
from daemon.integrations.doorloop.drill import DrillServer
from tests.harness import ADMIN, Engine
from tests.integration.letters import (
    action,
    ended,
    letters,
    press_cancel,
    press_discard,
    press_requeue,
    serving,
    vendor_of_bad_units,
)
from tests.truth import one, rows


@pytest.fixture
def drill() -> Iterator[DrillServer]:
    """A vendor of which six units are bad."""
    with vendor_of_bad_units(6) as server:
        yield server


@pytest.fixture
def house(drill: DrillServer, database_url: str) -> Iterator[Engine]:
    """A daemon with six letters."""
    with serving(drill, database_url) as running:
        running.run(entities=["units"])
        assert len(letters(running.database)) == 6
        yield running


def test_a_discard_closes_letters_with_who_and_why(house: Engine, database: Database) -> None:
    """Issue 3: discard asks for a reason; each letter keeps it, and stays closed while its record stays as it is."""
    bulk_id = press_discard(house, reason="  test data ")
    found = action(database, bulk_id)
    assert (found["state"], found["verdict"], found["done"]) == ("done", "6 of 6 discarded", 6)
    closed = letters(database, "discarded")
    assert {(letter["finished_by"], letter["finish_reason"]) for letter in closed} == {("tester", "test data")}
    assert house.run(entities=["units"]).state == "succeeded"
    assert letters(database) == []


def test_a_key_in_the_reason_stays_out_of_what_the_daemon_writes(
    house: Engine, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law 10: the web process that took the reason knows no vendor's key; the daemon does, and hides it."""
    key = "planted-Key-7f3a9b2c"
    chosen = Matching(ids=(letters(database)[0]["id"],))
    wish = discard_wish("doorloop", chosen, reason=f"because {key}")
    bulk_id = house.gate.submit(wish, ADMIN, addressed_to=house.services.daemon_id).command_id
    monkeypatch.setattr(redact, "_held", redact._held)  # forgotten again after this test
    redact.register(key)
    house.commands.take(bulk_id)
    assert action(database, bulk_id)["reason"] == "because •••"
    (closed,) = letters(database, "discarded")
    assert closed["finish_reason"] == "because •••"
    # What the gate wrote is sealed, or may only be appended to: there it stays as it was pasted.
    outcomes = rows(database, "SELECT summary, reason FROM control.admin_logs WHERE outcome_of IS NOT NULL")
    assert key not in str(outcomes)


def test_it_closes_what_was_chosen_only(house: Engine, database: Database) -> None:
    """Issue 3: for one, a selection, or all that match a filter."""
    first, second, *_ = (letter["id"] for letter in letters(database))
    press_discard(house, Matching(ids=(first, second)))
    assert {letter["id"] for letter in letters(database, "discarded")} == {first, second}
    with pytest.raises(Refused) as refusal:
        press_discard(house, Matching(ids=(first,)))
    assert refusal.value.code == "NO_SUCH_LETTERS"


def test_many_are_closed_in_batches(house: Engine, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A discard of any size holds no lock for long: each batch is a transaction."""
    monkeypatch.setattr(bulk, "BATCH", 4)
    assert ended(house, press_discard(house))["verdict"] == "6 of 6 discarded"


def test_a_discard_goes_on_where_a_dead_daemon_left_it(house: Engine, database: Database) -> None:
    """Issue 3: surviving restarts: what one daemon had accepted, another finishes."""
    bulk_id = press_discard(house, Matching(ids=(letters(database)[0]["id"],)))
    waiting = [letter["id"] for letter in letters(database)]
    rows(database, "UPDATE control.dead_letters SET state = 'queued' WHERE id = ANY (%s)", waiting)
    other = "00000000-0000-4000-8000-0000000000aa"
    rows(
        database,
        "INSERT INTO control.bulk_actions (id, integration, action, filter, reason, actor, counted, state) "
        "SELECT %s, integration, action, filter, 'known', actor, 5, 'running' FROM control.bulk_actions WHERE id = %s",
        other,
        bulk_id,
    )
    rows(
        database,
        "INSERT INTO control.bulk_letters (bulk_id, letter_id) SELECT %s, unnest(%s::bigint[])",
        other,
        waiting,
    )
    assert house.commands.bulk.run_once() == 1
    assert action(database, other)["verdict"] == "5 of 5 discarded"


def test_a_discard_that_was_asked_to_end_leaves_the_rest_open(house: Engine, database: Database) -> None:
    """Issue 3: cancellable: what was closed stays closed, the rest is open as before."""
    other = house.begin("backfill", ["owners"])
    bulk_id = press_requeue(house)
    rows(database, "UPDATE control.bulk_actions SET action = 'discard', reason = 'known', cancel_asked_by = 'ana'")
    found = ended(house, bulk_id)
    assert (found["state"], found["verdict"]) == ("cancelled", "Cancelled by ana: 0 of 6 discarded, 6 left open")
    assert len(letters(database)) == 6
    house.finish(other)
    with pytest.raises(Refused):
        press_cancel(house, bulk_id)


def test_a_discarded_letter_stays_out_of_a_requeue(house: Engine, drill: DrillServer, database: Database) -> None:
    """Only open letters are taken; the others keep their state."""
    first = letters(database)[0]["id"]
    press_discard(house, Matching(ids=(first,)))
    drill.clear_faults()
    assert ended(house, press_requeue(house))["verdict"] == "5 of 5 recovered"
    assert one(database, "SELECT state FROM control.dead_letters WHERE id = %s", first)["state"] == "discarded"


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: discard_wish("doorloop", Matching(ids=(1,)), reason="  "), "REASON_MISSING"),
        (lambda: discard_wish("doorloop", Matching(), reason="known"), "LETTERS_UNCOUNTED"),
        (lambda: requeue_wish("doorloop", Matching(), counted=0), "LETTERS_UNCOUNTED"),
        (lambda: requeue_wish("doorloop", Matching(ids=())), "LETTERS_UNCOUNTED"),
        (lambda: requeue_wish("doorloop", Matching(ids=tuple(range(1001)))), "LETTERS_UNCOUNTED"),
        (lambda: requeue_wish("doorloop", Matching(entity="cats"), counted=1), "UNKNOWN_ENTITY"),
        (lambda: requeue_wish("elsewhere", Matching(), counted=1), "UNKNOWN_INTEGRATION"),
        (lambda: cancel_wish("doorloop", "no id"), "UNKNOWN_BULK_ACTION"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_nonsense_is_refused_with_a_remedy(make: object, code: str) -> None:
    """Bad input gets a clear error before anything is stored."""
    assert callable(make)
    with pytest.raises(Refused) as refusal:
        make()
    assert refusal.value.code == code
    assert "?" not in refusal.value.cause + refusal.value.remedy
