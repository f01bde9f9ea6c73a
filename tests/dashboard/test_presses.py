"""What a press leaves on the page, and for how long; and that nothing is offered which can do nothing."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import streamlit as st
from streamlit.runtime.context import ContextProxy

from common.access import Role
from common.store import anonymous
from common.store.database import Database
from dashboard import services
from tests.dashboard import seed
from tests.dashboard.test_page import Page, page, text_of
from tests.unguarded import unguarded

__all__ = ["page"]


def _done(database: Database, result: str, *, seconds_ago: float = 0) -> None:
    """The daemon has done what was asked."""
    with unguarded(database) as link:
        link.execute(
            """UPDATE control.commands SET state = 'claimed', claimed_at = now(),
                      claimed_by = (SELECT id FROM control.daemons) WHERE state = 'pending'"""
        )
        link.execute(
            """UPDATE control.commands SET state = 'done', result = %s::jsonb,
                      finished_at = clock_timestamp() - make_interval(secs => %s)""",
            [result, seconds_ago],
        )
    st.cache_data.clear()


def test_a_press_after_the_sign_out_is_in_the_audit_log(page: Page, database: Database) -> None:
    """Over a websocket that was open already: nothing is done, and it counts among what came without a session."""
    seed.daemon(database)
    app = page()
    with database.transaction() as link:
        link.execute("UPDATE control.sessions SET ended_at = now()")
    app.button(key="run_now").click()
    with patch.object(ContextProxy, "ip_address", "203.0.113.9"):
        app.button(key="ping").click().run()
    assert "Your session has ended" in text_of(app)
    services.current().tally.flush(database)
    with database.transaction() as link:
        anonymous.close_minutes(link, patience_seconds=-90)
        (row,) = link.execute("SELECT actor, action, address, summary FROM control.admin_logs").fetchall()
        assert link.execute("SELECT FROM control.commands").fetchall() == []
    assert row.pop("summary")["requests"] == 2
    action = "press on a page whose session has ended"
    assert row == {"actor": "anonymous", "action": action, "address": "203.0.113.9"}


def _keys(app: Any) -> set[str]:
    return {button.key for button in app.button}


def test_a_run_that_the_list_has_not_met_yet_has_been_answered(page: Page, database: Database) -> None:
    """A daemon faster than the page's look leaves no press without an answer."""
    seed.daemon(database)
    app = page()
    app.button(key="run_now").click().run()
    _done(database, '{"run_id": "00000000-0000-4000-8000-000000000001"}')
    assert "The run has started." in text_of(app.run())


def test_what_went_well_is_told_for_a_while(page: Page, database: Database) -> None:
    """A ping's answer is news for some seconds; afterwards the card says the same."""
    seed.daemon(database)
    seed.account(database)
    app = page()
    app.button(key="ping").click().run()
    _done(database, '{"ok": true, "elapsed_ms": 12}')
    assert "It answered in 12 ms." in text_of(app.run())
    _done(database, '{"ok": true, "elapsed_ms": 12}', seconds_ago=60)
    assert "It answered in 12 ms." not in text_of(app.run())


def test_nothing_is_offered_that_can_do_nothing(page: Page, database: Database) -> None:
    """Without a schedule nothing can be paused; without a force or lowering nothing can be lifted."""
    seed.good_day(database)
    assert {"breaker_open", "limits_lower", "schedule_set"} <= _keys(page())
    assert not {"breaker_none", "limits_lift"} & _keys(page())
    with database.transaction() as link:
        link.execute("""UPDATE control.accounts_synced SET settings = settings || '{"auto_sync_enabled": "false"}'""")
    st.cache_data.clear()
    assert "schedule_set" not in _keys(page())


def test_a_viewer_is_offered_no_form(page: Page, database: Database) -> None:
    """What a viewer may not do is not a form to fill in first."""
    seed.good_day(database)
    assert not {"breaker_open", "limits_lower", "schedule_set"} & _keys(page(Role.VIEWER))


def test_a_failure_is_said_once(page: Page, database: Database) -> None:
    """What the verdict has said with its cure, the connection's card does not say again."""
    seed.bad_day(database)
    text = text_of(page())
    assert "DoorLoop is failing: DoorLoop refused the API key (401)." in text
    assert "Ping failed" not in text
