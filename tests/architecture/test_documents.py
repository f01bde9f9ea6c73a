"""Words and code change together: every setting, code, command and target is written down."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from common.codes import CODES
from common.config import (
    ChannelSettings,
    DaemonSettings,
    DoorLoopSettings,
    ScheduleSettings,
    WebSettings,
    documented_settings,
)
from tests.architecture.sources import ROOT, Source, sources

ENV_LINE = re.compile(r"^#? ?([A-Z][A-Z0-9_]*)=(.*)$")
DAEMON_ROOT = "daemon/__main__.py"


def example() -> dict[str, str]:
    """``.env.example``: every variable and the value shown."""
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    return {match[1]: match[2] for line in lines if (match := ENV_LINE.match(line))}


@cache
def readme() -> str:
    """The first page."""
    return (ROOT / "README.md").read_text(encoding="utf-8")


def is_named(word: str) -> bool:
    """Whether the first page names it, as a word of its own."""
    return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", readme()) is not None


def test_the_example_names_every_setting_and_no_other() -> None:
    """A variable that the code does not read would be a promise nobody keeps."""
    assert set(example()) == set(documented_settings())


def test_the_example_is_a_working_start() -> None:
    """Copied as it is, it changes nothing: every line is commented out."""
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if line and not line.startswith("#")]


def test_the_example_shows_the_defaults() -> None:
    """What stands behind the = is what you get without it."""
    shown = example()
    for model in (WebSettings, DaemonSettings, DoorLoopSettings, ScheduleSettings, ChannelSettings):
        for name, info in model.model_fields.items():
            default = "" if info.default is None else str(info.default)
            expected = default.lower() if default in ("True", "False") else default
            assert shown[name.upper()] == expected, name


def test_each_variable_of_the_example_is_explained() -> None:
    """A sentence stands above each."""
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    for before, line in zip(["", *lines], lines, strict=False):
        if ENV_LINE.match(line):
            assert re.match(r"^# \S.{8,}[.)]$", before), f"{before!r} above {line!r}"


@pytest.mark.parametrize("name", sorted(documented_settings()))
def test_the_readme_names_every_setting(name: str) -> None:
    """The issue: README names every variable."""
    assert is_named(name)


@pytest.mark.parametrize("key", sorted(CODES))
def test_the_readme_names_every_code(key: str) -> None:
    """Law 8: whoever meets a code on the page or in a log finds it on the first page."""
    assert is_named(key)


def told_events() -> set[str]:
    """The names under which the daemon tells of a run's course."""
    calls = (node for source in sources() for node in ast.walk(source.tree) if isinstance(node, ast.Call))
    named = (call.args[1] for call in calls if getattr(call.func, "attr", None) == "event" and len(call.args) == 3)
    return {str(name.value) for name in named if isinstance(name, ast.Constant)}


def test_the_readme_names_every_event() -> None:
    """What stands in control.events under no code of the catalogue is explained as well."""
    assert len(told_events()) > 10
    assert {name for name in told_events() if f"`{name}`" not in readme()} == set()


def make_targets() -> list[str]:
    """The Makefile's targets for people."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return re.findall(r"^([a-z][a-z-]*):.*?## ", text, re.MULTILINE)


@pytest.mark.parametrize("target", make_targets())
def test_the_readme_names_every_make_target(target: str) -> None:
    """What can be run is written down."""
    assert f"make {target}" in readme()


def daemon_commands() -> list[str]:
    """The words after ``python -m daemon``."""
    tree = Source(ROOT / DAEMON_ROOT).tree
    return [
        str(ast.literal_eval(node.args[0]))
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_parser"
    ]


def daemon_options() -> list[str]:
    """Their options."""
    tree = Source(ROOT / DAEMON_ROOT).tree
    words = [
        str(ast.literal_eval(node.args[0]))
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument"
    ]
    return sorted({word for word in words if word.startswith("--")})


@pytest.mark.parametrize("command", [name for name in daemon_commands() if name != "run"])
def test_the_readme_names_every_command_of_the_daemon(command: str) -> None:
    """`python -m daemon check`, `once`, `confirm` …; `run` is the daemon without a word."""
    assert f"python -m daemon {command}" in readme()


@pytest.mark.parametrize("option", daemon_options())
def test_the_readme_names_every_option_of_the_daemon(option: str) -> None:
    """No option has to be found by reading code."""
    assert option in readme()


def test_the_makefile_lists_its_targets_honestly() -> None:
    """Every phony target exists."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert phony
    defined = set(re.findall(r"^([a-z][a-z-]*):", text, re.MULTILINE))
    assert set(phony[1].split()) == defined


ERRORS = (
    "SettingsError",
    "VendorFault",
    "TransientFault",
    "RateLimited",
    "EntityRefused",
    "PagesUnreliable",
    "RunFault",
    "BreakerHolds",
    "BadRecord",
    "Refused",
    "Unusable",
    "IccError",
    "Finding",
)
PLACEHOLDER = re.compile(r"\{(\w+)\}")


def raised() -> list[tuple[str, str, set[str] | None]]:
    """Every place that names a code: (where, code, the facts given there or None when they come in a dict)."""
    found = []
    for source in sources():
        for node in ast.walk(source.tree):
            if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
                continue
            called = ast.unparse(node.func).split(".")[-1]
            code = node.args[0].value
            if not isinstance(code, str) or not (called in ERRORS or called in ("warn", "_warn", "Deferred")):
                continue
            names = {keyword.arg for keyword in node.keywords}
            plain = called != "Finding" and None not in names
            found.append((f"{source.name}:{node.lineno}", code, {str(name) for name in names} if plain else None))
    return found


def test_every_code_used_is_in_the_catalogue() -> None:
    """A code without an entry would be a KeyError at the worst moment."""
    strays = [f"{where} {code}" for where, code, _ in raised() if code.isupper() and code not in CODES]
    assert not strays


def test_every_sentence_gets_its_facts() -> None:
    """A missing fact shows as "?": each raise gives what its code's sentences name."""
    given_by_hand = {"entity"}  # the run's own `_warn` adds the entity
    missing = []
    for where, code, facts in raised():
        if facts is None or code not in CODES:
            continue
        wanted = set(PLACEHOLDER.findall(CODES[code].cause + CODES[code].remedy))
        if wanted - facts - given_by_hand:
            missing.append(f"{where} {code} lacks {sorted(wanted - facts)}")
    assert not missing, "\n".join(missing)
