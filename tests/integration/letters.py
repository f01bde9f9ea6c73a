"""What the tests of requeue and discard share: pressing, waiting for the end, and looking at letters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from common.letter_wishes import Matching, cancel_wish, discard_wish, requeue_wish
from common.operator_actions import Actor
from common.store.database import Database
from daemon.integrations.doorloop.drill import DrillServer
from tests.harness import ADMIN, Engine, engine
from tests.truth import Record, one, rows
from tests.waiting import wait_for


def letters(database: Database, state: str = "open") -> list[Record]:
    """Dead letters in a state."""
    return rows(database, "SELECT * FROM control.dead_letters WHERE state = %s ORDER BY id", state)


@contextmanager
def vendor_of_bad_units(most: int) -> Iterator[DrillServer]:
    """A vendor with five pages, so many units of which are bad."""
    with DrillServer(rows=100, seed=4) as server:
        server.set_fault("bad_money", every=2, at_most=most, entity="units")
        yield server


@contextmanager
def serving(drill: DrillServer, database_url: str, **settings: str) -> Iterator[Engine]:
    """A daemon that serves."""
    with engine(drill, database_url, **settings) as house:
        serve(house.database)
        yield house


def serve(database: Database) -> None:
    """This process counts as a service, so that commands to any daemon are accepted."""
    with database.transaction() as link:
        link.execute("UPDATE control.daemons SET kind = 'service', heartbeat_at = now() WHERE stopped_at IS NULL")


def counted(database: Database, **which: str) -> Record:
    """How many letters are open, and the newest one's id."""
    wanted = " AND ".join(["state = 'open'", *(f"{name} = %s" for name in which)])
    statement = f"SELECT count(*) AS counted, max(id) AS last_id FROM control.dead_letters WHERE {wanted}"
    return one(database, statement, *which.values())


def press_requeue(house: Engine, which: Matching | None = None, *, actor: Actor = ADMIN, **changes: int) -> str:
    """Requeue all open letters (or ``which``) through the gate, and have the daemon take it; returns its id."""
    seen = counted(house.database) if which is None or which.ids is None else {}
    wish = requeue_wish("doorloop", which or Matching(), **{**seen, **changes})
    return _take(house, house.gate.submit(wish, actor, addressed_to=house.services.daemon_id).command_id)


def press_discard(house: Engine, which: Matching | None = None, reason: str = "known", **changes: int) -> str:
    """Discard all open letters (or ``which``) with a reason; returns its id."""
    seen = counted(house.database) if which is None or which.ids is None else {}
    wish = discard_wish("doorloop", which or Matching(), reason=reason, **{**seen, **changes})
    return _take(house, house.gate.submit(wish, ADMIN, addressed_to=house.services.daemon_id).command_id)


def press_cancel(house: Engine, bulk_id: str) -> None:
    """Cancel a requeue or discard."""
    wish = cancel_wish("doorloop", bulk_id)
    _take(house, house.gate.submit(wish, ADMIN, addressed_to=house.services.daemon_id).command_id)


def _take(house: Engine, command_id: str) -> str:
    result = house.commands.take(command_id)
    assert isinstance(result, dict)
    return command_id


def action(database: Database, bulk_id: str) -> Record:
    """A bulk action as it is now."""
    return one(database, "SELECT * FROM control.bulk_actions WHERE id = %s", bulk_id)


def ended(house: Engine, bulk_id: str, *, seconds: float = 30) -> Record:
    """The action once it has ended, with a turn of the desk at each look, as the daemon's metronome gives it."""

    def look() -> Record | None:
        house.commands.bulk.run_once()
        found = action(house.database, bulk_id)
        return found if found["finished_at"] else None

    return wait_for(look, f"the action has ended: {action(house.database, bulk_id)}", seconds=seconds)


def put_off(house: Engine, bulk_id: str) -> Record:
    """The action once its run has used up its share of the hour."""

    def look() -> Record | None:
        house.commands.bulk.run_once()
        found = action(house.database, bulk_id)
        return found if found["not_before"] else None

    return wait_for(look, "its share is used up", seconds=30)


def let_an_hour_pass(house: Engine) -> None:
    """For the request budget, for what requeues have spent, and for the moment to go on."""
    rows(house.database, "UPDATE control.budgets SET windows = '{}'")
    rows(house.database, "UPDATE control.runs SET finished_at = finished_at - interval '1 hour'")
    rows(house.database, "UPDATE control.bulk_actions SET not_before = now()")


def requests_by_id(house_log: list[str], entity: str) -> list[str]:
    """Of the requests' paths, those that asked for one record of an entity."""
    return [path for path in house_log if path.startswith(f"/api/{entity}/")]
