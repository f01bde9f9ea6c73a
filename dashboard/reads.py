"""What the page reads, shared between viewers: N of them cost one set of queries a second, per role's sight.

While the database is away the last answers stand, marked with their time: numbers never flash to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import streamlit as st

from common.access import Sight
from common.errors import DatabaseAway
from common.insights import control, findings, letters, overview, runs, streams
from common.insights.control import CommandView
from common.insights.findings import EntityDelta, ErrorGroup, SchemaDiff
from common.insights.letters import BulkAction, LetterCount, LetterDetail, LetterFilter, LetterGroup, LetterRow
from common.insights.overview import AccountOverview, Overview
from common.insights.runs import ActiveRun, RunDetail, RunRow
from common.insights.sight import as_seen
from common.insights.streams import RateSample
from dashboard import services

SHARED_SECONDS = 1.0
RUNS_SHOWN = 20
LETTERS_SHOWN = 10
GROUPS_SHOWN = 8
ACTIONS_SHOWN = 3


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


@dataclass(frozen=True)
class LettersData:
    """Dead letters of one account: how many are open, by cause, the newest, and what was done with them last."""

    count: LetterCount
    groups: tuple[LetterGroup, ...]
    newest: tuple[LetterRow, ...]
    actions: tuple[BulkAction, ...]


@dataclass(frozen=True)
class FindingsData:
    """What runs of one account found besides rows."""

    errors: tuple[ErrorGroup, ...]
    schema: tuple[SchemaDiff, ...]


_last_good: dict[tuple[str, str, Sight], PageData] = {}


def page_data(integration: str, account_key: str, sight: Sight) -> PageData:
    """One look, as this reader may see it. Raises ``DatabaseAway`` when there has not been any yet."""
    key = (integration, account_key, sight)
    try:
        data = _page_data(*key)
    except DatabaseAway as away:
        if key not in _last_good:
            raise
        return replace(_last_good[key], away=away)
    _last_good[key] = data
    return data


@st.cache_data(ttl=SHARED_SECONDS, show_spinner=False, max_entries=32)
def _page_data(integration: str, account_key: str, sight: Sight) -> PageData:
    whole = _overview()
    account = next(one for one in whole.accounts if (one.integration, one.account_key) == (integration, account_key))
    with services.current().reading() as database:
        data = PageData(
            overview=whole,
            account=account,
            runs=runs.last_runs(database, integration, account_key, limit=RUNS_SHOWN),
            active=runs.active(database, integration, account_key) if account.active_run else None,
            samples=streams.rate_samples(database, integration, account_key),
        )
    return as_seen(data, sight)


@st.cache_data(ttl=SHARED_SECONDS, show_spinner=False, max_entries=4)
def _overview() -> Overview:
    own = services.current()
    with own.reading() as database:
        return overview.overview(database, own.counter)


@st.cache_data(ttl=SHARED_SECONDS, show_spinner=False, max_entries=64)
def run_detail(run_id: str, sight: Sight) -> RunDetail | None:
    """One run with its entities, as this reader may see it."""
    with services.current().reading() as database:
        return as_seen(runs.detail(database, run_id), sight)


@st.cache_data(ttl=SHARED_SECONDS, show_spinner=False, max_entries=8)
def dead_letters(integration: str, account_key: str, sight: Sight) -> LettersData:
    """The panel of dead letters, as this reader may see it. Raises ``DatabaseAway``."""
    with services.current().reading() as database:
        data = LettersData(
            count=letters.count(database, integration, account_key),
            groups=letters.groups(database, integration, account_key, limit=GROUPS_SHOWN),
            newest=letters.letters(database, integration, account_key, limit=LETTERS_SHOWN),
            actions=letters.bulk_actions(database, integration, account_key, limit=ACTIONS_SHOWN),
        )
    return as_seen(data, sight)


@st.cache_data(ttl=SHARED_SECONDS, show_spinner=False, max_entries=64)
def letter_count(integration: str, account_key: str, which: LetterFilter) -> LetterCount:
    """How many letters match, exactly: what a press would carry. Raises ``DatabaseAway``."""
    with services.current().reading() as database:
        return letters.count(database, integration, account_key, which=which)


@st.cache_data(ttl=SHARED_SECONDS, show_spinner=False, max_entries=64)
def letter(letter_id: int, sight: Sight) -> LetterDetail | None:
    """One letter with its payload, as this reader may see it. Raises ``DatabaseAway``."""
    with services.current().reading() as database:
        return as_seen(letters.letter(database, letter_id, whole=sight is Sight.WHOLE), sight)


@st.cache_data(ttl=SHARED_SECONDS, show_spinner=False, max_entries=8)
def found(integration: str, account_key: str, sight: Sight) -> FindingsData:
    """Alike errors, and keys against columns, as this reader may see them. Raises ``DatabaseAway``."""
    with services.current().reading() as database:
        data = FindingsData(
            findings.error_groups(database, integration, account_key, limit=GROUPS_SHOWN),
            findings.schema_diffs(database, integration, account_key),
        )
    return as_seen(data, sight)


@st.cache_data(ttl=SHARED_SECONDS, show_spinner=False, max_entries=64)
def dry_run(run_id: str, sight: Sight) -> tuple[EntityDelta, ...]:
    """What a dry run would change, as this reader may see it. Raises ``DatabaseAway``."""
    with services.current().reading() as database:
        return as_seen(findings.dry_run(database, run_id), sight)


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
    dead_letters.clear()
    letter_count.clear()
