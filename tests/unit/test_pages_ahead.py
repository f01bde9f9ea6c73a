"""How far a list is fetched ahead of what is written: far enough for its connections, and no memory full of pages."""

from __future__ import annotations

import pytest

from daemon.sync.list_copy import ROWS_AHEAD, pages_ahead


@pytest.mark.parametrize("connections", [1, 2, 8, 16])
@pytest.mark.parametrize("page_size", [1, 20, 100, 500, 1000])
def test_memory_holds_so_many_rows_at_most(page_size: int, connections: int) -> None:
    """Issue 3: at most 150 MB, with eight connections and a thousand records a page, too; one page at least."""
    window = connections + pages_ahead(page_size, connections)
    assert window >= 1
    assert window * page_size <= ROWS_AHEAD


def test_small_pages_keep_every_connection_busy() -> None:
    """A batch of them is written while the next one comes."""
    assert pages_ahead(100, 8) == 40
    assert pages_ahead(1000, 2) == 3
