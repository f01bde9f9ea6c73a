"""Delay, not lock-out: when an attempt to sign in is looked at."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest

from dashboard import turns
from dashboard.turns import LONGEST_DELAY_SECONDS, LONGEST_LINE_SECONDS, OF_ACCOUNT, OF_ADDRESS, Lines, Place, places

HEROKU_SECONDS = 30


def at(account: str, address: str, failures: int) -> tuple[Place, ...]:
    """The two lines of an attempt, after this many failures at both."""
    return places(account, address, of_account=failures, of_address=failures)


def joined(lines: Lines, places: Sequence[Place], now: float) -> float | None:
    """How long the attempt waits, or None when there is no room."""
    try:
        return lines.join(places, now)
    except turns.TooManyAtOnce:
        return None


def test_attempts_slow_down() -> None:
    """The first tries are free; then each doubles the wait, up to a limit that a person can sit through."""
    waits = [OF_ACCOUNT.delay_seconds(failures) for failures in range(12)]
    assert waits[:3] == [0, 0, 0]
    assert waits[3:6] == [0.5, 1, 2]
    assert waits == sorted(waits)
    assert max(waits) == OF_ACCOUNT.delay_seconds(10_000) == OF_ADDRESS.delay_seconds(10_000) == LONGEST_DELAY_SECONDS
    assert OF_ADDRESS.delay_seconds(9) == 0
    assert OF_ADDRESS.delay_seconds(11) == 1


def test_a_right_password_among_many_wrong_ones_has_its_turn() -> None:
    """Thirty guesses at once turn nobody away; whoever comes after them is looked at before a proxy gives up."""
    lines = Lines()
    waits = [joined(lines, at("ana", "203.0.113.1", number), 100.0) for number in range(31)]
    assert waits == sorted(wait for wait in waits if wait is not None)
    assert waits[-1] is not None
    assert waits[-1] < HEROKU_SECONDS - 4


def test_guessing_for_long_is_one_try_in_two_seconds() -> None:
    """However many come, from wherever, an account under attack is tried so often and no more."""
    lines, tried = Lines(), 0
    for tenth in range(10_000):
        tried += joined(lines, at("ana", f"203.0.113.{tenth}", 200)[:1], tenth / 10) is not None
    assert tried <= 1000 / 2 + LONGEST_LINE_SECONDS / 2 + 1


def test_who_does_not_guess_waits_for_nobody_elsewhere() -> None:
    """A line is an account's or an address's own, and a wait of one is not put on the next."""
    lines = Lines()
    for number in range(40):
        joined(lines, at("ana", "203.0.113.1", number), 100.0)
    assert lines.join(at("ben", "198.51.100.1", 0), 100.0) == 0
    lines = Lines()
    assert lines.join(at("ana", "203.0.113.1", 9), 100.0) == LONGEST_DELAY_SECONDS
    assert lines.join([Place("account ben", OF_ACCOUNT, 0), Place("address 203.0.113.1", OF_ADDRESS, 10)], 100.0) < 1


def test_one_address_never_fills_an_accounts_line() -> None:
    """While one address guesses as fast as it may, there is room for the account's person at another one."""
    lines = Lines()
    for tenth in range(3_000):
        now = tenth / 10
        joined(lines, at("ana", "203.0.113.1", 1_000), now)
    wait = joined(lines, at("ana", "198.51.100.1", 1_000)[:1], 300.0)
    assert wait is not None
    assert wait < HEROKU_SECONDS


@pytest.mark.parametrize("guessers", [2, 5, 40])
def test_a_few_addresses_leave_room_for_who_comes_anew(guessers: int) -> None:
    """They fill the line but for its end: the account's person, at an address never seen, has three tries."""
    lines, turned_away = Lines(), 0
    for tenth in range(3_000):
        address = f"203.0.113.{tenth % guessers}"
        turned_away += joined(lines, at("ana", address, 1_000), tenth / 10) is None
    assert turned_away > 2_500
    waits = [
        joined(lines, places("ana", "198.51.100.1", of_account=1_000, of_address=number), 300.0) for number in range(3)
    ]
    assert all(wait is not None and wait <= LONGEST_LINE_SECONDS for wait in waits)
    with pytest.raises(turns.TooManyAtOnce):
        lines.join(at("ana", "203.0.113.1", 1_000), 300.0)


def test_newcomers_too_make_no_more_than_one_try_in_two_seconds() -> None:
    """The room kept free is in the same line: who has addresses without end is no faster for it."""
    lines, tried = Lines(), 0
    for tenth in range(10_000):
        one = places("ana", f"203.0.113.{tenth}", of_account=200, of_address=tenth % 6)
        tried += joined(lines, one, tenth / 10) is not None
    assert tried <= 1000 / 2 + LONGEST_LINE_SECONDS / 2 + 1


def test_an_office_does_not_wait_for_a_colleague_who_fails() -> None:
    """Who has been at that address before has a line of their own there; tries at their own account slow it down."""
    lines = Lines()
    for _ in range(40):
        joined(lines, at("ben", "203.0.113.1", 1_000), 100.0)
    assert joined(lines, at("cleo", "203.0.113.1", 1_000), 100.0) is None
    assert lines.join(places("ana", "203.0.113.1", known=True, of_address=1_000), 100.0) == 0
    tried = 0
    for tenth in range(10_000):
        own = places("ana", "203.0.113.1", known=True, of_account=200)
        tried += joined(lines, own, 200.0 + tenth / 10) is not None
    assert tried <= 1000 / 2 + LONGEST_LINE_SECONDS / 2 + 1


def test_a_line_that_no_proxy_would_wait_for_takes_nobody_more() -> None:
    """It says when there may be room, and there is: nobody is locked out."""
    lines, waits = Lines(), []
    while True:
        try:
            waits.append(lines.join(at("ana", "203.0.113.1", 500), 100.0))
        except turns.TooManyAtOnce as crowd:
            again_at = 100.0 + crowd.retry_seconds
            break
    assert max(waits) <= LONGEST_LINE_SECONDS < HEROKU_SECONDS - 4
    assert lines.join(at("ana", "203.0.113.1", 500), again_at) <= LONGEST_LINE_SECONDS


def test_who_comes_by_a_provider_waits_for_a_seat(monkeypatch: pytest.MonkeyPatch) -> None:
    """More at once than there are seats are served one after the other; only a wait without end is turned away."""
    seated: list[int] = []

    async def sit(number: int) -> None:
        async with turns.seat("provider 203.0.113.1"):
            seated.append(number)
            await anyio.lowlevel.checkpoint()

    async def crowd() -> None:
        async with anyio.create_task_group() as group:
            for number in range(3 * turns.SEATS):
                group.start_soon(sit, number)
        monkeypatch.setattr(turns, "LONGEST_LINE_SECONDS", 0.01)
        async with anyio.create_task_group() as group:
            for _ in range(turns.SEATS):
                await group.start(hold)
            with pytest.raises(turns.TooManyAtOnce):
                await sit(-1)
            group.cancel_scope.cancel()

    async def hold(*, task_status: anyio.abc.TaskStatus[None]) -> None:
        async with turns.seat("provider 203.0.113.1"):
            task_status.started()
            await anyio.sleep_forever()

    anyio.run(crowd)
    assert seated == list(range(3 * turns.SEATS))
