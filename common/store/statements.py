"""Named SQL from ``sql/queries/<noun>.sql``.

In a file each statement stands under ``-- name: the_name`` and a sentence; the file's first line says who may commit.
Optional filters are written "null or equal", so nothing is ever glued together.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import LiteralString

from common.store.database import sql

SQL_FOLDER = Path(__file__).resolve().parents[2] / "sql"

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


@cache
def statements(noun: str) -> dict[str, LiteralString]:
    """Every statement of ``sql/queries/<noun>.sql`` by its name. Raises ``KeyError``-friendly dict misses only."""
    parts = _NAME.split((SQL_FOLDER / "queries" / f"{noun}.sql").read_text(encoding="utf-8"))
    return {name: sql(body.strip()) for name, body in zip(parts[1::2], parts[2::2], strict=True)}
