"""The panel of dead letters without a browser: what it shows to whom, and what a press asks for."""

from __future__ import annotations

from typing import Any

from common.access import Role
from common.store.database import Database
from dashboard import state
from tests.dashboard import letter_seed, seed
from tests.dashboard.test_page import Page, commands, page, text_of

__all__ = ["page"]


def labels(app: Any) -> list[str]:
    """What stands on the buttons."""
    return [button.label for button in app.button]


def test_nothing_aside_says_so(page: Page, database: Database) -> None:
    """An empty panel is not a broken one."""
    seed.daemon(database)
    assert "none open" in text_of(page())


def test_an_admin_requeues_a_group_with_its_count(page: Page, database: Database) -> None:
    """Issue 3: the count is shown first, and the wish carries it with the newest letter that was shown."""
    seed.daemon(database)
    ids = letter_seed.letters(database, 12)
    letter_seed.letters(database, 2, entity="owners", fingerprint="other")
    app = page()
    assert "14 open" in text_of(app)
    assert letter_seed.RENT in text_of(app)
    app.session_state[state.CHOSEN_LETTERS] = "group|units|rent"
    app.run()
    assert "12 letters of units" in text_of(app)
    app.button(key="letters_requeue").click().run()
    (command,) = commands(database)
    assert (command["action"], command["actor"]) == ("requeue", "ana")
    payload = command["payload"]
    assert (payload["counted"], payload["last_id"]) == (12, ids[-1])
    assert payload["filter"] == {"entity": "units", "code": "RECORD_TYPE", "fingerprint": "rent", "ids": None}
    assert "Waiting for the daemon to take it." in text_of(app)
    assert "Requeue 12" not in labels(app)


def test_a_discard_asks_for_a_reason(page: Page, database: Database) -> None:
    """Issue 3: discard asks for a reason; without one nothing is asked of the daemon."""
    seed.daemon(database)
    letter_seed.letters(database, 3)
    app = page()
    app.session_state[state.CHOSEN_LETTERS] = "all"
    app.run()
    app.button(key="letters_discard").click().run()
    assert "Say why first" in text_of(app)
    assert commands(database) == []
    app.text_input(key="discard_reason").input("test data").run()
    app.button(key="letters_discard").click().run()
    (command,) = commands(database)
    assert (command["action"], command["payload"]["reason"], command["payload"]["counted"]) == (
        "discard",
        "test data",
        3,
    )


def test_one_letter_is_shown_whole_to_an_admin(page: Page, database: Database) -> None:
    """One letter: its payload, and a press for it alone."""
    seed.daemon(database)
    ids = letter_seed.letters(database, 3)
    app = page()
    app.session_state[state.CHOSEN_LETTERS] = f"letter|{ids[1]}"
    app.run()
    assert "Anna's unit" in text_of(app)
    app.button(key="letters_requeue").click().run()
    assert commands(database)[0]["payload"]["filter"]["ids"] == [ids[1]]


def test_a_viewer_sees_masked_payloads_and_no_buttons(page: Page, database: Database) -> None:
    """Issue 4: a viewer reads; personal fields are hidden; nothing to press, not even Cancel."""
    seed.daemon(database)
    ids = letter_seed.letters(database, 3)
    letter_seed.action(database, ids)
    app = page(Role.VIEWER)
    app.session_state[state.CHOSEN_LETTERS] = f"letter|{ids[0]}"
    app.run()
    text = text_of(app)
    assert "Anna" not in text
    assert "••• (text)" in text
    assert "Only an admin may do this" in text
    assert "1 of 3 done" in text
    assert not {"Requeue 1", "Discard 1", "Cancel"} & set(labels(app))


def test_an_action_shows_its_progress_and_can_be_cancelled(page: Page, database: Database) -> None:
    """Issue 3: progress, verdict, Cancel."""
    seed.daemon(database)
    ids = letter_seed.letters(database, 10)
    letter_seed.action(database, ids[:4], "done", verdict="2 of 4 recovered, 2 the same error")
    running = letter_seed.action(database, ids)
    app = page()
    assert "2 of 4 recovered, 2 the same error" in text_of(app)
    assert "5 of 10 done." in text_of(app)
    app.button(key=f"bulk_cancel_{running}").click().run()
    (command,) = commands(database)
    assert (command["action"], command["payload"]["bulk_id"]) == ("cancel_bulk", running)


def test_a_choice_that_is_gone_is_no_choice(page: Page, database: Database) -> None:
    """Recovered while the page was open: nothing to press remains."""
    seed.daemon(database)
    letter_seed.letters(database, 2)
    app = page()
    app.session_state[state.CHOSEN_LETTERS] = "group|units|rent"
    app.run()
    assert "Requeue 2" in labels(app)
    with database.transaction() as link:
        link.execute("UPDATE control.dead_letters SET state = 'recovered', finished_at = now()")
    app.session_state["run_dry"] = True
    import streamlit as st

    st.cache_data.clear()
    app.run()
    assert "Requeue 2" not in labels(app)


def test_errors_and_schema_have_their_places(page: Page, database: Database) -> None:
    """Issue 3: errors grouped with count and runs; keys without a column, columns never seen, drift, with examples."""
    seed.daemon(database)
    run_id = seed.run(database)
    letter_seed.errors(database, run_id)
    letter_seed.schema(database)
    letter_seed.dry_run(database, run_id)
    app = page()
    text = text_of(app)
    for words in ("VENDOR_ERROR × 1 204", "502 /leases/{id}", "1 type drift", "petsPolicy object: keys cats, dogs"):
        assert words in text
    app.session_state[state.OPEN_RUN] = run_id
    app.run()
    assert "What a run would do" in text_of(app)
    assert "1200 → 1250" in text_of(app)


def test_a_viewer_reads_no_value_in_schema_and_dry_run(page: Page, database: Database) -> None:
    """Names, types and counts stay; an admin who looks at the same moment reads the values."""
    seed.daemon(database)
    run_id = seed.run(database)
    letter_seed.schema(database)
    letter_seed.dry_run(database, run_id)
    values = ("1200", "12, 13", "cats, dogs")
    for role in (Role.ADMIN, Role.VIEWER, Role.ADMIN):
        with database.transaction() as link:
            link.execute("UPDATE control.people SET role = %s", [role.value])
        app = page(role)
        app.session_state[state.OPEN_RUN] = run_id
        text = text_of(app.run())
        assert [value in text for value in values] == [role is Role.ADMIN] * 3
        assert all(name in text for name in ("petsPolicy object:", "score number:", "market_rent text:", "marketRent"))
