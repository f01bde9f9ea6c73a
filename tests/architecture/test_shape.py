"""Small rooms, named for what happens in them; the numbers here may only get smaller."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.architecture.sources import ROOT, Source, sources

MOST_LINES_OF_A_FILE = 350
MOST_LINES_OF_A_FUNCTION = 60
LONG_FUNCTION_LINES = 30
MOST_LONG_FUNCTIONS = 15

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(source: Source) -> Iterator[Function]:
    """Every function and method of a file."""
    return (node for node in ast.walk(source.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def length(function: Function) -> int:
    """Its lines from ``def`` to its end."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def test_no_file_grows_without_end() -> None:
    """Rooms of 80 to 300 lines: a longer one is parted by noun."""
    long = {
        source.name: source.text.count("\n") for source in sources() if source.text.count("\n") > MOST_LINES_OF_A_FILE
    }
    assert not long


def test_no_function_is_longer_than_a_screen() -> None:
    """What does not fit on a screen cannot be read at once."""
    long = [
        f"{source.name}:{function.lineno} {function.name} ({length(function)})"
        for source in sources()
        for function in functions(source)
        if length(function) > MOST_LINES_OF_A_FUNCTION
    ]
    assert not long


def test_long_functions_only_become_fewer() -> None:
    """Functions mostly under 30 lines. This number is a ratchet: lower it when you can, never raise it."""
    long = [
        f"{source.name}:{function.lineno} {function.name} ({length(function)})"
        for source in sources()
        for function in functions(source)
        if length(function) > LONG_FUNCTION_LINES
    ]
    assert len(long) <= MOST_LONG_FUNCTIONS, "\n".join(long)


def test_nothing_is_called_utils() -> None:
    """A name that says nothing collects everything."""
    vague = re.compile(r"^(utils?|helpers?|misc|common_?utils?|tools)$")
    assert not [
        source.name for source in sources() if vague.match(source.path.stem) or vague.match(source.path.parent.name)
    ]


def test_nothing_is_printed() -> None:
    """Processes log through the mask; a command line writes to stdout on purpose."""
    prints = [
        f"{source.name}:{node.lineno}"
        for source in sources()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("print", "pprint")
    ]
    assert not prints


def test_everything_public_says_what_it_is() -> None:
    """Every module with code, public class and public function has a docstring."""
    silent: list[str] = []
    for source in sources():
        if source.tree.body and not ast.get_docstring(source.tree):
            silent.append(source.name)
        silent.extend(
            f"{source.name}:{node.lineno} {node.name}" for node in _public(source.tree) if not ast.get_docstring(node)
        )
    assert not silent, "\n".join(silent)


def _public(within: ast.Module | ast.ClassDef) -> Iterator[Function | ast.ClassDef]:
    for node in within.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield node
            yield from _public(node)
        elif (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and not node.name.startswith("_")
            and not _overload(node)
        ):
            yield node


def _overload(function: Function) -> bool:
    return any(ast.unparse(decorator) in ("overload", "override") for decorator in function.decorator_list)


def test_every_test_says_which_law_it_keeps() -> None:
    """Each test function's first line is the behaviour it holds."""
    silent: list[str] = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        source = Source(path)
        silent.extend(
            f"{source.name}:{function.lineno} {function.name}"
            for function in functions(source)
            if function.name.startswith("test_") and not ast.get_docstring(function)
        )
    assert not silent, "\n".join(silent)


def test_every_waiver_says_why() -> None:
    """A check is switched off for a reason that stands beside it."""
    waiver = re.compile(
        r"#\s*(noqa(?!:\s*[A-Z]+\d+(,\s*[A-Z]+\d+)*\s+\S)|type: ignore(?!\[[a-z-]+(,\s*[a-z-]+)*\]\s+#\s*\S))"
    )
    bare = [
        f"{source.name}:{number}"
        for source in sources()
        for number, line in enumerate(source.text.splitlines(), 1)
        if waiver.search(line)
    ]
    assert not bare, "\n".join(bare)
