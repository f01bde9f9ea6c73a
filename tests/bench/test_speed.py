"""How fast a copy is, as a ratio in one run to the plain loop a user would write. Prints; never asserts a time."""

from __future__ import annotations

import pytest

from common.store.database import Database
from tests.bench.measured import copy, plain_loop, tell, vendor

ROWS = 100_000
pytestmark = [pytest.mark.bench, pytest.mark.timeout(1800)]


@pytest.mark.parametrize("page_size", [100, 1000])
@pytest.mark.parametrize(("latency_seconds", "connections"), [(0.0, 2), (0.05, 8)], ids=["no latency", "50 ms"])
def test_full_identical_and_changed(
    database: Database, page_size: int, latency_seconds: float, connections: int
) -> None:
    """Issue "An engine …": full load ≤ 0.55 ×, identical ≤ 0.25 ×, with every law and all telemetry on."""
    with vendor(ROWS, page_size, latency_seconds) as url:
        plain, again = plain_loop(url, database, page_size), plain_loop(url, database, page_size)
        full, same = copy(url, database, page_size, connections), copy(url, database, page_size, connections)
        tell(url, "change?share=0.01")
        changed = copy(url, database, page_size, connections)
    print(f"\n{ROWS} rows, page size {page_size}, {latency_seconds * 1000:.0f} ms latency, {connections} connections")
    print(plain.told("plain loop, full", ROWS))
    print(again.told("plain loop, again", ROWS))
    print(full.told("full load", ROWS, plain))
    print(same.told("identical again", ROWS, again))
    print(changed.told("1 % changed", ROWS, again))


def test_latency_is_overlapped(database: Database) -> None:
    """50 ms latency with 8 connections: ≤ 1.25 × ideal + 0.3 s."""
    rows, page_size, latency_seconds, connections = 20_000, 100, 0.05, 8
    with vendor(rows, page_size, latency_seconds) as url:
        plain = plain_loop(url, database, page_size)
        full, same = copy(url, database, page_size, connections), copy(url, database, page_size, connections)
    ideal_seconds = rows / page_size * latency_seconds / connections
    print(
        f"\n{rows} rows, page size {page_size}, 50 ms latency, {connections} connections, ideal {ideal_seconds:.2f} s"
    )
    print(f"to reach: {1.25 * ideal_seconds + 0.3:.2f} s")
    print(plain.told("plain loop, full", rows))
    print(full.told("full load", rows, plain))
    print(same.told("identical again", rows, plain))


def test_what_a_failed_request_costs(database: Database) -> None:
    """On average ≤ 0.5 s added per HTTP 500."""
    rows, page_size, every = 40_000, 100, 20
    with vendor(rows, page_size) as url:
        smooth = copy(url, database, page_size)
        tell(url, f"fail?every={every}")
        rough = copy(url, database, page_size)
        tell(url, "fail?every=0")
        smooth_again = copy(url, database, page_size)
    errors = rows // page_size // every
    added = (rough.seconds - smooth_again.seconds) / errors
    print(f"\n{errors} answers of 500: {smooth.seconds:.2f} s, {rough.seconds:.2f} s, {smooth_again.seconds:.2f} s")
    print(f"added for each: {added:.2f} s")
