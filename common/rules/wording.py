"""How numbers, moments and lists are said, everywhere the same: page, alerts, terminal. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

FIXED_SPACE = "\u00a0"
"""Groups digits and never breaks a line."""

_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def count(number: int) -> str:
    """A whole number with its thousands set apart: 48 210."""
    return f"{number:,}".replace(",", FIXED_SPACE)


def number_word(number: int) -> str:
    """Small numbers as words ("five"), others as digits."""
    return _WORDS[number] if 0 <= number < len(_WORDS) else count(number)


def plural(number: int, one: str, many: str | None = None) -> str:
    """The number with its noun: 1 row, 2 rows."""
    return f"{count(number)} {one if number == 1 else many or one + 's'}"


def listing(names: Sequence[str]) -> str:
    """Names as a person would say them: a, b and c."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def span(seconds: float) -> str:
    """A length of time in its two largest units: 4 s, 12 min, 5 h 10 min, 3 d 4 h. Negative ones count as none."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes = whole // 60
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 24 * 60:
        return f"{minutes // 60} h" + (f" {minutes % 60} min" if minutes % 60 else "")
    hours = minutes // 60
    return f"{hours // 24} d" + (f" {hours % 24} h" if hours % 24 else "")


def exact_span(seconds: float) -> str:
    """A length of time as finely as it was measured: 312 ms, 4.2 s, 41 s, 6 min 12 s."""
    if seconds < 1:
        return f"{max(0, round(seconds * 1000))} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")
    return span(seconds)


def clock(moment: datetime, now: datetime) -> str:
    """A moment as 14:32 UTC; with its day when that is not today."""
    moment, now = moment.astimezone(UTC), now.astimezone(UTC)
    if moment.date() == now.date():
        return f"{moment:%H:%M} UTC"
    if moment.year == now.year:
        return f"{moment.day} {moment:%b %H:%M} UTC"
    return f"{moment.day} {moment:%b %Y %H:%M} UTC"
