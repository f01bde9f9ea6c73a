"""What may be wished for, before the gate is asked: nonsense is refused with what would be accepted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.access import Action
from common.catalog import DOORLOOP
from common.errors import Refused
from common.wishes import MODES, parse_since, run_wish


def test_a_plain_wish_means_all_entities_in_their_order() -> None:
    """No entities named: all, in reading order."""
    wish = run_wish("doorloop", mode="delta")
    assert wish.action is Action.RUN
    assert wish.payload["entities"] == list(DOORLOOP.entities)
    assert wish.payload["mode"] == "delta"
    assert (wish.payload["since"], wish.payload["dry_run"], wish.account_key) == (None, False, "main")


def test_chosen_entities_are_read_once_each_in_reading_order() -> None:
    """However they were named."""
    wish = run_wish("doorloop", mode="backfill", entities=("tenants", "owners", "tenants"))
    assert wish.payload["entities"] == ["owners", "tenants"]


def test_since_makes_it_a_since_run_in_utc() -> None:
    """A moment in any zone is stored in UTC."""
    since = datetime(2026, 11, 1, 2, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    wish = run_wish("doorloop", mode="delta", since=since)
    assert wish.payload["mode"] == "since"
    assert wish.payload["since"] == "2026-10-31T21:00:00+00:00"


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        ({"integration": "nobody", "mode": "delta"}, "UNKNOWN_INTEGRATION"),
        ({"integration": "doorloop", "mode": "requeue"}, "UNKNOWN_MODE"),
        ({"integration": "doorloop", "mode": ""}, "UNKNOWN_MODE"),
        ({"integration": "doorloop", "mode": "delta", "entities": ("owner",)}, "UNKNOWN_ENTITY"),
        ({"integration": "doorloop", "mode": "since"}, "SINCE_UNUSABLE"),
        ({"integration": "doorloop", "mode": "delta", "since": datetime(2026, 11, 1)}, "SINCE_UNUSABLE"),
        (
            {
                "integration": "doorloop",
                "mode": "delta",
                "since": datetime.min.replace(tzinfo=timezone(timedelta(hours=9))),
            },
            "SINCE_UNUSABLE",
        ),
    ],
)
def test_nonsense_is_refused_with_its_code(wish: dict[str, Any], code: str) -> None:
    """A refusal, never a crash and never a row the database would refuse later."""
    with pytest.raises(Refused) as caught:
        run_wish(**wish)
    assert caught.value.code == code
    assert "?" not in caught.value.cause + caught.value.remedy


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-01T00:00:00Z", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        (" 2026-11-01T05:30:00+05:30 ", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01 00:00", datetime(2026, 11, 1, tzinfo=UTC)),
    ],
)
def test_a_moment_is_read_as_utc_unless_it_says_otherwise(text: str, moment: datetime) -> None:
    """ISO date and time, with or without a zone."""
    assert parse_since(text) == moment
    assert parse_since(text).tzinfo is not None


@given(st.text(max_size=30) | st.datetimes(timezones=st.timezones()).map(lambda moment: moment.isoformat()))
def test_any_text_is_a_usable_moment_or_refused(text: str) -> None:
    """Nothing typed at the command line ends in a traceback."""
    try:
        wish = run_wish("doorloop", mode="delta", since=parse_since(text))
    except Refused:
        return
    assert wish.payload["mode"] in MODES
    assert datetime.fromisoformat(str(wish.payload["since"])).utcoffset() == timedelta(0)
