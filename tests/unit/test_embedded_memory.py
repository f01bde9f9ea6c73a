"""How much memory the embedded Postgres takes: what the container allows, never all of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from common.store.embedded import memory


@pytest.mark.parametrize(
    ("limit", "megabytes"),
    [
        ("512000000", memory.LEAST_MEGABYTES),  # the smallest dyno
        ("1600000000", 200),
        ("999000000000000000", memory.MOST_MEGABYTES),
        ("max", memory.MOST_MEGABYTES),
        (None, memory.MOST_MEGABYTES),
    ],
)
def test_the_smaller_of_machine_and_container_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: str | None, megabytes: int
) -> None:
    """A container's limit is not the machine's memory, and where there is none the machine's own counts."""
    told = tmp_path / "memory.max"
    if limit is not None:
        told.write_text(f"{limit}\n")
    monkeypatch.setattr(memory, "_LIMITS", (told,))
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 16_000_000}.__getitem__)
    assert memory.shared_buffers_megabytes() == megabytes
