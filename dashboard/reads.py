"""What the page reads, shared between viewers: N of them cost one set of queries a second.

While the database is away the last answers stand, marked with their time: numbers never flash to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import streamlit as st

from common.errors import DatabaseAway
from common.insights import control, overview, runs, streams
from common.insights.control import CommandView
from common.insights.overview import AccountOverview, Overview
from common.insights.runs import ActiveRun, RunDetail, RunRow
from common.insights.streams import RateSample
from dashboard import services

SHARED_SECONDS = 1.0
RUNS_SHOWN = 20


@dataclass(frozen=True)
class PageData:
    """Everything of one look at one account. ``away`` says why it is an old one, None: it is of now."""

    overview: Overview
    account: AccountOverview
    runs: tuple[RunRow, ...]
    active: ActiveRun | None
    samples: tuple[RateSample, ...]
    away: DatabaseAway | None = None

    @property
    def now(self) -> datetime:
        """The database's clock when this was read."""
        return self.overview.now


_last_good: dict[tuple[str, str], PageData] = {}


def page_data(integration: str, account_key: str) -> PageData:
    """One look. Raises ``DatabaseAway`` when there has not been any yet."""
    key = (integration, account_key)
    try:
        data = _page_data(*key)
    except DatabaseAway as away:
        if key not in _last_good:
            raise
        return replace(_last_good[key], away=away)
    _last_good[key] = data
    return data


@st.cache_data(ttl=SHARED_SECONDS, show_spinner=False, max_entries=32)
def _page_data(integration: str, account_key: str) -> PageData:
    whole = _overview()
    account = next(one for one in whole.accounts if (one.integration, one.account_key) == (integration, account_key))
    with services.current().reading() as database:
        return PageData(
            overview=whole,
            account=account,
            runs=runs.last_runs(database, integration, account_key, limit=RUNS_SHOWN),
            active=runs.active(database, integration, account_key) if account.active_run else None,
            samples=streams.rate_samples(database, integration, account_key),
        )


@st.cache_data(ttl=SHARED_SECONDS, show_spinner=False, max_entries=4)
def _overview() -> Overview:
    own = services.current()
    with own.reading() as database:
        return overview.overview(database, own.counter)


@st.cache_data(ttl=SHARED_SECONDS, show_spinner=False, max_entries=64)
def run_detail(run_id: str) -> RunDetail | None:
    """One run with its entities."""
    with services.current().reading() as database:
        return runs.detail(database, run_id)


def command(command_id: str) -> CommandView | None:
    """What became of a command: read by its giver only, so it is not shared. None while the database is away."""
    try:
        with services.current().reading() as database:
            return control.command_state(database, command_id)
    except DatabaseAway:
        return None


def forget() -> None:
    """After a press the next look must be a new one."""
    _overview.clear()
    _page_data.clear()
