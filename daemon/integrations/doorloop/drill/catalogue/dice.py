"""Seeded choices that come out the same in every process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b, shake_128
from struct import Struct
from typing import TypeVar

T = TypeVar("T")

ROLLS = 128
_NUMBERS = Struct(f">{ROLLS}H")


class Dice:
    """128 choices, closed-form in (key, index): record 900 000 needs none of the others.

    `random.Random` would do the same, but seeding it costs as much as writing half a record. No record needs more than
    some 90 rolls; running out is a programming error and raises StopIteration.
    """

    __slots__ = ("roll",)

    roll: Callable[[], int]
    """Return the next number in 0..65535. An attribute, not a method: it is called 50 times per record."""

    def __init__(self, key: bytes, index: int) -> None:
        block = shake_128(key + index.to_bytes(8, "big")).digest(_NUMBERS.size)
        self.roll = iter(_NUMBERS.unpack(block)).__next__

    def below(self, limit: int) -> int:
        """Return a number in 0..limit-1, limit at most 65 536."""
        return self.roll() % limit

    def chance(self, percent: int) -> bool:
        """Return True in about `percent` of 100 rolls."""
        return self.roll() % 100 < percent

    def pick(self, options: Sequence[T]) -> T:
        """Return one of the options."""
        return options[self.roll() % len(options)]


def key_of(*parts: object) -> bytes:
    """Return 32 bytes that stand for the parts, the same in every process."""
    return blake2b(":".join(map(str, parts)).encode(), digest_size=32).digest()
