"""Our own source, read once: files, syntax trees and imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("common", "daemon", "dashboard")


@dataclass(frozen=True)
class Import:
    """One imported module, and the line that does it."""

    module: str
    line: int


@dataclass(frozen=True)
class Source:
    """One Python file of ours."""

    path: Path

    @property
    def name(self) -> str:
        """Its path from the root, with slashes."""
        return self.path.relative_to(ROOT).as_posix()

    @property
    def module(self) -> str:
        """Its dotted name."""
        parts = self.path.relative_to(ROOT).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @cached_property
    def text(self) -> str:
        """What it says."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        """Its syntax tree."""
        return ast.parse(self.text, self.name)

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        """Every import in it, late ones and those for types included; relative ones spelt out."""
        return tuple(self._imports())

    def _imports(self) -> Iterator[Import]:
        package = self.module.split(".") if self.path.name == "__init__.py" else self.module.split(".")[:-1]
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (Import(alias.name, node.lineno) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = package[: len(package) - node.level + 1] if node.level else []
                stem = ".".join([*base, *([node.module] if node.module else [])])
                for alias in node.names:
                    inner = f"{stem}.{alias.name}"
                    yield Import(inner if inner in modules() else stem, node.lineno)


@cache
def sources(*rooms: str) -> tuple[Source, ...]:
    """Every file of these rooms, default all three."""
    found = (path for room in rooms or ROOMS for path in sorted((ROOT / room).rglob("*.py")))
    return tuple(Source(path) for path in found)


@cache
def modules() -> frozenset[str]:
    """The dotted names of all our modules and packages."""
    return frozenset(source.module for source in sources())


def importers(package: str, *rooms: str) -> set[str]:
    """The files that import a package or anything in it."""
    return {
        source.name
        for source in sources(*rooms)
        for found in source.imports
        if found.module == package or found.module.startswith(package + ".")
    }
