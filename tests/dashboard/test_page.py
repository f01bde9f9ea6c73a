"""The page without a browser: what it shows of a database, and what a press does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock, patch

import pytest
import streamlit as st
from streamlit.runtime.context import ContextProxy
from streamlit.testing.v1 import AppTest

from common.access import Role
from common.codes import CODES
from common.config import WebSettings
from common.errors import DatabaseAway
from common.insights import overview
from common.store import people
from common.store.database import Database
from dashboard import services
from dashboard.services import services_for
from tests.dashboard import seed
from tests.truth import rows

Page = Callable[..., AppTest]


def _script() -> None:
    from dashboard.views import integrations

    integrations.page()


@pytest.fixture
def page(database: Database, tmp_path: Path) -> Iterator[Page]:
    """Opens the page as somebody of a role, on what this test has put into the database."""

    def open_page(role: Role | None = Role.ADMIN, **changes: Any) -> AppTest:
        settings = WebSettings(icc_data_dir=tmp_path, database_url=database.url, icc_secret_key="k" * 32, **changes)
        own = services_for(settings, database, {})
        own.is_ready = True
        services.install(own)
        with database.transaction() as link:
            known = people.by_name(link, "ana")
        person_id = known.id if known else seed.person(database, "ana", role)
        with database.transaction() as link:
            token = people.start_session(link, person_id, seconds=600, address="127.0.0.1")
        cookies.return_value = {"hc_session": token}
        return AppTest.from_function(_script, default_timeout=30).run()

    st.cache_data.clear()
    cookies = Mock(return_value={})
    with patch.object(ContextProxy, "cookies", property(cookies)):
        yield open_page
    services.install(None)
    st.cache_data.clear()


def text_of(app: AppTest) -> str:
    """Every text that our components draw, in order."""
    words: list[str] = []

    def walk(node: Any) -> None:
        if isinstance(node, str):
            words.append(node)
        elif isinstance(node, list):
            for child in node[2:]:
                walk(child)

    for element in app.get("bidi_component"):
        data = json.loads(element.proto.json)
        for node in data.get("tree", []):
            walk(node)
    return " ".join(" ".join(words).replace("\xa0", " ").split())


def commands(database: Database) -> list[dict[str, Any]]:
    """What stands in the command table."""
    with database.transaction() as link:
        return link.execute("SELECT action, payload, state, actor FROM control.commands ORDER BY created_at").fetchall()


def test_a_good_day_at_a_glance(page: Page, database: Database) -> None:
    """Verdict, entities, runs and rail say what is so; the log comes over its own stream."""
    seed.good_day(database)
    app = page()
    assert not app.exception
    text = text_of(app)
    for said in (
        "DoorLoop is well.",
        "1 204",
        "48 210",
        "counted here",
        "35 of 50",
        "1 alive",
        "no findings",
    ):
        assert said in text, said
    assert "Drill data" not in text


def test_drill_says_so(page: Page, database: Database) -> None:
    """Rows of the drill server are never taken for the real account."""
    seed.account(database, kind="drill")
    assert "Drill data: this is not your DoorLoop account" in text_of(page())


def test_without_a_daemon_the_press_is_refused_with_the_cure(page: Page, database: Database) -> None:
    """It says plainly that nobody works, and a press says so again instead of waiting for nobody."""
    app = page()
    assert "daemon not running" in text_of(app)
    app.button(key="ping").click().run()
    app.button(key="run_now").click().run()
    text = text_of(app)
    assert "Ping refused:" in text
    assert "Run refused:" in text
    assert text.count("No daemon is running, so nobody would do it.") == 2
    assert commands(database) == []


def test_a_press_becomes_one_sealed_command(page: Page, database: Database) -> None:
    """What was chosen is what is asked for; pressing twice asks once and says who did."""
    seed.daemon(database)
    app = page()
    app.button_group(key="run_mode").set_value("backfill")
    app.multiselect(key="run_entities").set_value(["owners", "leases"])
    app.toggle(key="run_dry").set_value(True)
    app.button(key="run_now").click().run()
    assert "Waiting for the daemon to take it." in text_of(app)
    app.button(key="run_now").click().run()
    assert "started by ana" in text_of(app)
    (command,) = commands(database)
    assert (command["action"], command["actor"]) == ("run", "ana")
    asked = {"mode": "backfill", "entities": ["owners", "leases"], "since": None, "dry_run": True, "source": "page"}
    assert asked.items() <= command["payload"].items()


def test_stop_is_offered_while_something_runs(page: Page, database: Database) -> None:
    """The progress moves and can be stopped; once asked, it says that it is stopping and by whom."""
    daemon_id = seed.daemon(database)
    run_id = seed.active_run(database, daemon_id)
    seed.events(database, run_id)
    app = page()
    text = text_of(app)
    assert "page 42 of 100, 8 400 rows" in text
    assert "rows/s" in text
    app.button(key="run_stop").click().run()
    assert [command["action"] for command in commands(database)] == ["stop"]
    with database.transaction() as link:
        link.execute("UPDATE control.runs SET state = 'stopping', stop_requested_at = now(), stop_requested_by = 'ana'")
    st.cache_data.clear()
    app.run()
    assert "stopping, asked by ana" in text_of(app)
    assert app.button(key="run_stop").disabled


def test_a_viewer_sees_everything_and_may_press_nothing(page: Page, database: Database) -> None:
    """Buttons are off with the reason; the numbers are the same."""
    seed.bad_day(database)
    app = page(Role.VIEWER)
    assert app.button
    assert all(button.disabled for button in app.button if button.key != "open_last_run")
    text = text_of(app)
    assert "Only an admin may do this; you are signed in as viewer." in text
    assert "DoorLoop refused the API key (401)" in text


def test_without_a_role_one_learns_whom_to_ask(page: Page, database: Database) -> None:
    """Signed in, but nobody has said what for: the face says so and shows nothing else."""
    seed.good_day(database)
    text = text_of(page(None, icc_access_contact="it@firm.example"))
    assert "ana, you have no role here yet" in text
    assert "Ask it@firm.example to give you one" in text
    assert "python -m common.accounts role ana viewer" in text
    assert "DoorLoop" not in text


PERSONAL = "Lindqvist & Daughters"


@pytest.mark.parametrize("first", [Role.ADMIN, Role.VIEWER])
def test_a_viewer_reads_no_personal_value_and_an_admin_does(page: Page, database: Database, first: Role) -> None:
    """Both look at the same moment, in either order: what is cached for one is never shown to the other."""
    seed.daemon(database)
    facts = {"before": PERSONAL, "now": "Someone Else"}
    entry = CODES["ACCOUNT_CHANGED"]
    error = {"code": entry.key, "cause": entry.cause_with(facts), "remedy": entry.remedy, "facts": facts}
    run_id = seed.run(database, "failed", error=error)
    seed.question(
        database, "account_changed", None, before={"companyName": PERSONAL}, now={"companyName": "Someone Else"}
    )
    seed.line(database, run_id, code=entry.key, msg=f"{error['cause']} {error['remedy']}")
    second = Role.VIEWER if first is Role.ADMIN else Role.ADMIN
    for role in (first, second, first):
        with database.transaction() as link:
            link.execute("UPDATE control.people SET role = %s", [role.value])
        app = page(role)
        app.session_state["open_run"] = run_id
        text = text_of(app.run())
        seen, hidden = text.count(PERSONAL), text.count("•••")
        assert (seen >= 4, hidden) == (True, 0) if role is Role.ADMIN else (seen == 0 and hidden >= 4), text
        assert "than the rows here" in text


def test_a_session_that_ended_ends_the_page(page: Page, database: Database) -> None:
    """The next tick knows: nothing more is shown, and the way back leads here."""
    seed.good_day(database)
    app = page()
    with database.transaction() as link:
        link.execute("UPDATE control.sessions SET ended_at = now()")
    app.run()
    text = text_of(app)
    assert "Your session has ended" in text
    assert "is well" not in text
    assert not app.button


def test_backfills_are_off_with_their_reason(page: Page, database: Database) -> None:
    """ALLOW_MANUAL_BACKFILL=false: not offered, and why."""
    seed.daemon(database)
    app = page(allow_manual_backfill=False)
    assert CODES["BACKFILL_NOT_ALLOWED"].cause in text_of(app)
    assert app.button_group(key="run_mode").options == ["Delta"]


def test_backfills_that_the_daemon_refuses_are_not_offered(page: Page, database: Database) -> None:
    """Its setting counts as well as this process's own; what a daemon of old had set does not."""
    seed.account(database, backfills_refused_by=[seed.daemon(database, silent_seconds=500)])
    seed.daemon(database)
    assert page().button_group(key="run_mode").options == ["Delta", "Backfill"]
    seed.account(database, backfills_refused_by=[seed.daemon(database)])
    st.cache_data.clear()
    app = page()
    assert CODES["BACKFILL_NOT_ALLOWED"].cause in text_of(app)
    assert app.button_group(key="run_mode").options == ["Delta"]


def test_a_question_is_answered_with_a_reason(page: Page, database: Database) -> None:
    """Confirming a mass removal needs a reason; the answer goes through the gate."""
    seed.daemon(database)
    question_id = seed.question(database)
    app = page()
    assert "4 200 of 34 375 tenants are missing" in text_of(app)
    app.button(key=f"confirmed_{question_id}").click().run()
    assert "Say why first" in text_of(app)
    assert commands(database) == []
    app.text_input(key=f"reason_{question_id}").set_value("They sold the building")
    app.button(key=f"confirmed_{question_id}").click().run()
    (command,) = commands(database)
    assert command["payload"] == {
        "confirmation_id": question_id,
        "answer": "confirmed",
        "reason": "They sold the building",
        "source": "page",
    }


def test_a_tick_changes_nothing_that_was_chosen(page: Page, database: Database) -> None:
    """What a person has set stands over every look of the timer."""
    seed.good_day(database)
    app = page()
    app.multiselect(key="run_entities").set_value(["units"]).run()
    app.button_group(key="run_mode").set_value("backfill").run()
    app.run()
    app.run()
    assert app.multiselect(key="run_entities").value == ["units"]
    assert "Backfill · units" in text_of(app)


def test_a_run_opens_with_its_entities(page: Page, database: Database) -> None:
    """The drawer tells what a run did, entity by entity, with errors and cures."""
    seed.bad_day(database)
    app = page()
    app.session_state["open_run"] = seed.run(database, "incomplete", parts={"leases": "forbidden"}, minutes_ago=0)
    st.cache_data.clear()
    text = text_of(app.run())
    assert "129, 0 retries" in text
    assert "leases ⊘ forbidden" in text


def test_a_hostile_vendor_stays_text(page: Page, database: Database) -> None:
    """Whatever a vendor answers is shown as it is, in our one component, and nowhere as Markdown."""
    hostile = "<img src=x onerror=alert(1)> [click](http://evil.example) \x1b[2J \u202egnp"
    seed.daemon(database)
    seed.run(database, "failed", error={"code": "VENDOR_ERROR", "cause": hostile, "remedy": hostile})
    app = page()
    assert "␛[2J ⟨Right-To-Left Override⟩gnp" in text_of(app)
    for element in [*app.markdown, *app.caption, *app.error, *app.warning, *app.info]:
        assert "evil.example" not in element.value


def test_the_database_going_away_keeps_the_last_picture(page: Page, database: Database) -> None:
    """Numbers never flash to nothing: what was seen stands, with its time, until the database is back."""
    seed.good_day(database)
    app = page()
    st.cache_data.clear()
    with patch.object(type(database), "transaction", side_effect=DatabaseAway("gone fishing")):
        text = text_of(app.run())
    assert "The database is away. What you see is as of" in text
    assert "1 204" in text
    st.cache_data.clear()
    services.current()._away = None
    assert "The database is away" not in text_of(app.run())


def test_many_viewers_cost_one_look(page: Page, database: Database) -> None:
    """Reads are shared: ten pages within a second ask the database for one overview."""
    seed.good_day(database)
    app = page()
    st.cache_data.clear()
    with patch("dashboard.reads.overview.overview", wraps=overview.overview) as asked:
        for _ in range(5):
            app.run()
    assert asked.call_count <= 2


def test_an_admin_sets_the_pace_with_a_reason(page: Page, database: Database) -> None:
    """Pause, force and lower are each one sealed command with its reason and its end; without a reason, none."""
    seed.daemon(database)
    seed.account(database)
    app = page()
    app.button(key="schedule_set").click().run()
    assert "Schedule refused: No reason was given." in text_of(app)
    assert commands(database) == []
    (tried,) = rows(database, "SELECT action, source, integration, reason FROM control.admin_logs")
    assert tried == {
        "action": "schedule",
        "source": "page",
        "integration": "doorloop",
        "reason": "No reason was given.",
    }
    app.text_input(key="schedule_reason").set_value("month's end")
    app.button(key="schedule_set").click().run()
    app.text_input(key="breaker_reason").set_value("they move house")
    app.number_input(key="breaker_minutes").set_value(15)
    app.button(key="breaker_open").click().run()
    app.text_input(key="limits_reason").set_value("their support asked")
    app.button(key="limits_lower").click().run()
    assert "What to lower is empty." in text_of(app)
    app.number_input(key="limits_perMinute").set_value(10)
    app.button(key="limits_lower").click().run()
    asked = {command["action"]: command["payload"] for command in commands(database)}
    assert asked == {
        "schedule": {"paused": True, "reason": "month's end", "source": "page"},
        "force_breaker": {"state": "open", "minutes": 15, "reason": "they move house", "source": "page"},
        "lower_limits": {
            "to": {"perMinute": 10},
            "minutes": 60,
            "reason": "their support asked",
            "source": "page",
        },
    }


def test_the_rail_says_who_changed_the_pace_until_when_and_why(page: Page, database: Database) -> None:
    """A forced breaker, lowered limits and a paused schedule are never a riddle; an expired one is over."""
    seed.good_day(database)
    with database.transaction() as link:
        link.execute(
            """INSERT INTO control.breakers (integration, state, forced_by, forced_reason, forced_until, opened_at)
               VALUES ('doorloop', 'forced_open', 'ana', 'they move house', now() + interval '1 hour', now())"""
        )
        link.execute(
            """INSERT INTO control.budgets (integration, lowered_to, lowered_until, lowered_by, lowered_reason)
               VALUES ('doorloop', '{"perMinute": 10, "concurrency": 1}', now() + interval '1 hour', 'bo',
                       'they asked')"""
        )
    text = text_of(page())
    for said in (
        "forced open until",
        "ana: they move house",
        "DoorLoop is paused by ana",
        "10 a minute, 1 at a time until",
        "bo: they asked",
    ):
        assert said in text, said
    with database.transaction() as link:
        link.execute("UPDATE control.breakers SET forced_until = now() - interval '1 second'")
        link.execute("UPDATE control.budgets SET lowered_until = now() - interval '1 second'")
        link.execute(
            """UPDATE control.accounts_synced
               SET paused_at = now(), paused_by = 'cy', paused_reason = 'month''s end'"""
        )
    st.cache_data.clear()
    app = page()
    text = text_of(app)
    assert "Forced by" not in text
    assert "Lowered to" not in text
    assert "Paused by cy," in text
    assert "ago: month's end" in text
    assert app.button(key="schedule_set").label == "Resume"
