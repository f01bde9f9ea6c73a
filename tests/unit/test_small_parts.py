"""The progress bar, the last line of a run that did not begin, and the identity of a process."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.codes import CODES
from common.errors import BadRecord, DatabaseAway, IccError, SettingsError
from common.store import records
from common.store.embedded import EmbeddedPostgresError
from common.store.embedded.errors import disk_is_wiped
from daemon.once import report_no_run
from daemon.process_identity import as_row, is_gone, this_process
from daemon.progress_bar import WIDTH, ProgressBar, line
from daemon.sync.letters import letter_of


def entity(state: str, page: int = 0, expected: int | None = None, received: int = 0) -> dict[str, Any]:
    """An entity's progress."""
    return {"entity": "owners", "state": state, "page": page, "pages_expected": expected, "received": received}


entities = st.lists(
    st.builds(
        entity,
        st.sampled_from(["waiting", "running", "complete", "partial", "failed", "forbidden", "skipped"]),
        st.integers(0, 300),
        st.none() | st.integers(0, 200),
        st.integers(0, 10**7),
    ),
    max_size=5,
)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (disk_is_wiped(), "EMBEDDED_DATABASE", "DYNO is set"),
        (SettingsError("SETTING_MISSING", setting="ICC_SECRET_KEY", expected="any 32"), "SETTING_MISSING", "not set"),
        (DatabaseAway("gone"), "DATABASE_AWAY", "gone"),
    ],
)
def test_whatever_keeps_a_run_from_beginning_is_in_the_catalogue(
    error: IccError | EmbeddedPostgresError, code: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Law 8: the last line of `once` names a code that stands in the README, and says its sentences."""
    assert report_no_run(error) == 1
    said = json.loads(capsys.readouterr().out)["error"]
    assert (said["code"], said["remedy"]) == (code, error.remedy)
    assert words in said["cause"]
    assert said["cause"].startswith(CODES[code].cause.split("{")[0])


@given(entities)
def test_the_bar_is_never_longer_or_shorter_than_itself(given_entities: list[dict[str, Any]]) -> None:
    """Pages beyond those expected, unknown totals, no entities at all: the share stays between 0 and 100 %."""
    text = line(given_entities)
    bar, share = text[:WIDTH], text[WIDTH:].split("%")[0]
    assert set(bar) <= {"█", "░"}
    assert 0 <= int(share) <= 100
    assert "\n" not in text


def test_the_bar_says_where_the_run_is() -> None:
    """Entity, page of pages, rows."""
    text = line([entity("complete", 2, 2, 150), entity("running", 1, 4, 100)])
    assert "62%" in text
    assert "owners page 1/4" in text
    assert "250 rows" in text
    assert "page 1/?" in line([entity("running", 1, None, 5)])
    assert "finishing" in line([entity("complete")])


def test_the_bar_draws_over_itself_on_one_line() -> None:
    """One line, replaced; the last one stays."""
    terminal = io.StringIO()
    bar = ProgressBar(terminal)
    bar.draw([entity("running", 1, 4)])
    bar.draw([entity("running", 2, 4)])
    bar.end()
    assert terminal.getvalue().count("\n") == 1
    assert terminal.getvalue().count("\r\x1b[K") == 2


def test_this_process_is_not_gone() -> None:
    """Its own start time is recognised."""
    me = this_process()
    assert me.pid == os.getpid()
    assert not is_gone(me.pid, me.process_started_at)
    assert this_process() == me


def test_a_pid_that_belongs_to_another_by_now_is_gone() -> None:
    """The number alone is not the process."""
    me = this_process()
    assert is_gone(me.pid, me.process_started_at - timedelta(hours=1))


def test_an_ended_process_is_gone_even_while_nobody_has_collected_it() -> None:
    """A zombie holds its pid and does nothing."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert child.stdin is not None
    from daemon.process_identity import _started_at  # its start, as that child itself would have stored it

    started_at = _started_at(child.pid)
    assert not is_gone(child.pid, started_at)
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert is_gone(child.pid, started_at)
    child.wait()
    assert is_gone(child.pid, started_at)


@pytest.mark.parametrize("kind", ["service", "once"])
def test_a_daemons_row_is_whole(kind: str) -> None:
    """Every column a new row of control.daemons needs."""
    row = as_row(this_process(), kind=kind, version="1", heartbeat_seconds=10)
    own = {"id", "kind", "version", "heartbeat_seconds"}
    assert set(row) == own | {"hostname", "boot_id", "pid", "process_started_at"}
    assert all(value not in (None, "") for value in row.values())


def test_what_is_refused_for_another_reason_is_another_error() -> None:
    """Issue 3, dead letters: by SQLSTATE and constraint, since what Postgres says may quote the record."""

    def of(detail: str, **facts: str) -> str:
        return letter_of({"id": "a"}, BadRecord("RECORD_REFUSED", detail=detail, **facts)).fingerprint

    assert of("name Alice is not allowed", kind="P0001 ") == of("name Bob Miller is not allowed", kind="P0001 ")
    assert of("value overflows", kind="22003 ") != of("name Bob is not allowed", kind="P0001 ")
    assert of("out of range", kind="23514 positive") != of("out of range", kind="23514 short")
    refused = [records.refusal_of(kind("it says so")) for kind in (psycopg.errors.CheckViolation, psycopg.DataError)]
    assert refused[0].facts["kind"].startswith("23514")
    assert len({letter_of({"id": "a"}, error).fingerprint for error in refused}) == 2
    assert of("It is nested too deeply.") != of("unexpected end at 5")
    assert of("unexpected end at 7") == of("unexpected end at 5")
