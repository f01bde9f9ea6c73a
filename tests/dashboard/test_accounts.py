"""Accounts from a terminal: made, changed and listed, each change audited."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from common import passwords
from common.access import Role
from common.accounts import main
from common.store import people
from common.store.database import Database

ROOT = Path(__file__).resolve().parents[2]
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def accounts(database_url: str) -> Command:
    """Runs ``python -m common.accounts`` with what is typed."""

    def run(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "DATABASE_URL": database_url, "ICC_SECRET_KEY": "k" * 32}
        command = [sys.executable, "-m", "common.accounts", *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=environment, input=typed, text=True, capture_output=True, timeout=60, check=False
        )

    return run


def test_a_person_from_first_to_last(accounts: Command, database: Database) -> None:
    """Added with a password from stdin, given another role, another password, shut out, let in, listed, audited."""
    added = accounts("add", "Ana Lima", "--role", "admin", typed="a-long-password\n")
    assert (added.returncode, added.stdout) == (0, "Added Ana Lima as admin.\n")
    with database.transaction() as link:
        ana = people.by_name(link, "ANA LIMA")
        assert ana is not None
        assert ana.role is Role.ADMIN
        assert passwords.matches(ana.password_hash, "a-long-password")
        token = people.start_session(link, ana.id, seconds=60, address=None)
    assert accounts("role", "ana lima", "viewer").returncode == 0
    with database.transaction() as link:
        assert people.session(link, token, idle_seconds=60) is None
    assert accounts("passwd", "ana lima", typed="another-password\n").returncode == 0
    assert accounts("disable", "ana lima").returncode == 0
    assert "disabled" in accounts("list").stdout
    assert accounts("enable", "ana lima").returncode == 0
    assert "Ana Lima" in accounts("list").stdout
    with database.transaction() as link:
        rows = link.execute("SELECT action, source, summary::text FROM control.admin_logs ORDER BY id").fetchall()
    verbs = ["add", "role", "passwd", "disable", "enable"]
    assert [row["action"] for row in rows] == [f"account {verb}" for verb in verbs]
    assert all("password" not in row["summary"] for row in rows)


@pytest.fixture
def here(database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The same within this process, where a command takes no second."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("ICC_SECRET_KEY", "k" * 32)

    def run(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        code = main(arguments)
        told = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, code, told.out, told.err)

    return run


def test_people_of_a_provider_are_managed_by_the_same_commands(here: Command, database: Database) -> None:
    """Listed with who vouches for them; role, none, provider, disable and enable work, a password does not."""
    with database.transaction() as link:
        sam = people.add_provided(link, "https://idp.example", "s-1", "Sam O'Neil · Firm", Role.ADMIN)
        token = people.start_session(link, sam.id, seconds=60, address=None)
    assert here("role", "sam o'neil · firm", "viewer").returncode == 0
    listed = here("list").stdout
    assert "Sam O'Neil · Firm" in listed
    assert "viewer   active    0 sessions   https://idp.example, role by hand" in listed
    with database.transaction() as link:
        assert people.session(link, token, idle_seconds=60) is None
        known = people.provided(link, "https://idp.example", "s-1")
    assert known is not None
    assert (known.role, known.role_by_hand) == (Role.VIEWER, True)
    back = here("role", "Sam O'Neil · Firm", "provider")
    assert "the role that https://idp.example says" in back.stdout
    assert "no role  active    0 sessions   https://idp.example\n" in here("list").stdout
    assert here("role", "Sam O'Neil · Firm", "none").returncode == 0
    assert here("disable", "Sam O'Neil · Firm").returncode == 0
    assert "disabled" in here("list").stdout
    refused = here("passwd", "Sam O'Neil · Firm", typed="a-long-password\n")
    assert (refused.returncode, "https://idp.example vouches for them" in refused.stderr) == (1, True)
    assert here("add", "sam o'neil · FIRM", typed="a-long-password\n").returncode == 1
    with database.transaction() as link:
        rows = link.execute("SELECT actor, action, source, result FROM control.admin_logs ORDER BY id").fetchall()
    tried = [(row["action"], row["result"]) for row in rows]
    refused_ones = [("account passwd", "refused"), ("account add", "refused")]
    assert tried == [*[("account role", "done")] * 3, ("account disable", "done"), *refused_ones]
    assert {row["source"] for row in rows} == {"cli"}
    assert all(row["actor"].endswith("(terminal)") for row in rows)


def test_mistakes_are_sentences(accounts: Command) -> None:
    """A short password, a name taken, nobody of that name: exit 1 and one sentence, no traceback."""
    short = accounts("add", "ana", typed="short\n")
    assert (short.returncode, "at least 10 characters" in short.stderr) == (1, True)
    assert accounts("add", "ana", typed="a-long-password\n").returncode == 0
    twice = accounts("add", "ANA", typed="a-long-password\n")
    assert (twice.returncode, "already" in twice.stderr) == (1, True)
    nobody = accounts("role", "nobody", "admin")
    assert (nobody.returncode, "There is no person nobody" in nobody.stderr) == (1, True)
    local = accounts("role", "ana", "provider")
    assert (local.returncode, "has a local account" in local.stderr) == (1, True)
    assert "Traceback" not in short.stderr + twice.stderr + nobody.stderr
