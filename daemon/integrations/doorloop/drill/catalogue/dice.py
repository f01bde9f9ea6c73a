"""Seeded choices that come out the same in every process."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")

BLOCK_BYTES = 64


class Dice:
    """A short stream of choices, closed-form in (key, index): record 900 000 needs none of the others.

    `random.Random` would do the same, but seeding it costs ten times what a whole record costs.
    """

    __slots__ = ("_at", "_block", "_key")

    def __init__(self, key: bytes, index: int) -> None:
        self._key = key
        self._block = blake2b(index.to_bytes(8, "big"), key=key, digest_size=BLOCK_BYTES).digest()
        self._at = 0

    def roll(self) -> int:
        """Return the next number in 0..65535."""
        at = self._at
        if at == BLOCK_BYTES:
            self._block = blake2b(self._block, key=self._key, digest_size=BLOCK_BYTES).digest()
            at = 0
        self._at = at + 2
        return self._block[at] << 8 | self._block[at + 1]

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
