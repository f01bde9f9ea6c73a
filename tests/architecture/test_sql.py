"""SQL is written as SQL, under a name: each statement is used, each used name exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from common.store.statements import statements
from tests.architecture.sources import ROOT, Source, sources

QUERIES = sorted(path.stem for path in (ROOT / "sql" / "queries").glob("*.sql"))
MIGRATIONS = sorted((ROOT / "sql" / "migrations").glob("*.sql"))
SCHEMAS = ("control", "doorloop", "report")


def nouns_of(source: Source) -> dict[str, str]:
    """Name of a variable → the noun whose statements it holds."""
    found = {}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and isinstance(node.targets[0], ast.Name):
            noun = noun_of_call(node.value)
            if noun is not None:
                found[node.targets[0].id] = noun
    return found


def noun_of_call(call: ast.expr) -> str | None:
    """The noun of ``statements("noun")``."""
    if isinstance(call, ast.Call) and ast.unparse(call.func).split(".")[-1] == "statements" and call.args:
        argument = call.args[0]
        return argument.value if isinstance(argument, ast.Constant) and isinstance(argument.value, str) else None
    return None


@cache
def uses() -> dict[str, set[str]]:
    """Noun → every name used of it. A variable index counts every text of its file, since one of them is meant."""
    found: dict[str, set[str]] = {noun: set() for noun in QUERIES}
    holders = {source.module: nouns_of(source) for source in sources()}
    for source in sources():
        own = holders[source.module]
        texts = {n.value for n in ast.walk(source.tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
        for node in ast.walk(source.tree):
            if not isinstance(node, ast.Subscript):
                continue
            noun = noun_of_call(node.value)
            if isinstance(node.value, ast.Name):
                noun = own.get(node.value.id)
            elif isinstance(node.value, ast.Attribute) and node.value.attr == "SQL":
                room = ast.unparse(node.value.value)
                noun = next((h["SQL"] for name, h in holders.items() if name.endswith(f".{room}") and "SQL" in h), None)
            if noun is None:
                continue
            constants = {
                n.value for n in ast.walk(node.slice) if isinstance(n, ast.Constant) and isinstance(n.value, str)
            }
            found[noun] |= constants or (texts & set(statements(noun)))
    return found


@pytest.mark.parametrize("noun", QUERIES)
def test_every_statement_is_used_and_every_used_name_exists(noun: str) -> None:
    """No dead SQL, and no KeyError waiting for its day."""
    used = uses()[noun]
    assert used - set(statements(noun)) == set(), "used but not written"
    assert set(statements(noun)) - used == set(), "written but not used"


@pytest.mark.parametrize("noun", QUERIES)
def test_a_query_file_says_who_commits_and_each_statement_what_for(noun: str) -> None:
    """The first line is the transaction notice; under each name stands a sentence."""
    text = (ROOT / "sql" / "queries" / f"{noun}.sql").read_text(encoding="utf-8")
    first = text.splitlines()[0]
    assert first.startswith("-- ")
    assert re.search(r"\b(commit|commits|transaction)\b", first), first
    silent = [name for name, body in statements(noun).items() if not body.startswith("-- ")]
    assert not silent


@pytest.mark.parametrize("path", MIGRATIONS, ids=lambda path: path.stem[:4])
def test_migrations_make_things_in_our_schemas_only(path: Path) -> None:
    """Nothing goes into ``public``: managed vendors publish that schema over HTTP."""
    text = re.sub(r"--[^\n]*", "", path.read_text(encoding="utf-8"))
    made = re.findall(
        r"\b(?:CREATE|ALTER|DROP)\s+(?:OR\s+REPLACE\s+)?(?:UNLOGGED\s+)?(?:MATERIALIZED\s+)?"
        r"(?:TABLE|VIEW|FUNCTION|SEQUENCE|TYPE|PROCEDURE)\s+(?:IF\s+(?:NOT\s+)?EXISTS\s+)?([\w.%]+)",
        text,
        re.IGNORECASE,
    )
    strays = [name for name in made if name.split(".")[0] not in SCHEMAS]
    assert not strays
    assert not re.search(r"\bpublic\.", text)


def test_migrations_follow_each_other() -> None:
    """Numbered without gaps, each naming the one before it."""
    numbers = [int(path.stem.split(".")[0]) for path in MIGRATIONS]
    assert numbers == list(range(1, len(numbers) + 1))
    for before, path in pairwise(MIGRATIONS):
        assert f"-- depends: {before.stem}" in path.read_text(encoding="utf-8")


def test_no_statement_is_glued_together() -> None:
    """No f-string, no %-format and no + where a connection executes: optional filters are "null or equal"."""
    glued = []
    for source in sources():
        for node in ast.walk(source.tree):
            called = node.func.attr if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else ""
            if not isinstance(node, ast.Call) or called not in ("execute", "executemany", "copy") or not node.args:
                continue
            if isinstance(node.args[0], ast.JoinedStr | ast.BinOp):
                glued.append(f"{source.name}:{node.lineno}")
    assert not glued


def test_a_run_asks_the_database_under_its_writers_name() -> None:
    """Law 6: by that name a forced stop finds what a run waits for in the database, and cuts it."""
    asked = [
        (source.name, node.lineno, [ast.unparse(argument) for argument in node.args])
        for source in sources()
        if source.module.startswith("daemon.sync.")
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("transaction", "connect")
        and "database" in ast.unparse(node.func.value)
    ]
    assert len(asked) > 10
    assert [place for place in asked if not "".join(place[2]).endswith("lease.writer_name")] == []
