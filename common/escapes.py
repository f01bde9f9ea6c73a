"""Escapes of HTML, JSON and addresses, undone: what a text says, and where in it each character of that is written."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple


class Escape(NamedTuple):
    """A way to write characters otherwise: the sign it begins with, how it goes on, and the characters it means.

    Each sign has its own expression: one that begins with a fixed sign skips to it, ten times as fast as one for all
    three.
    """

    sign: str
    pattern: re.Pattern[str]
    meant: Callable[[re.Match[str]], str]


@lru_cache(maxsize=256)
def _marked(mark: str) -> str:
    """What a mark of HTML means; the same few come again and again."""
    return html.unescape(f"&{mark}")


# However often each was escaped again (&amp;#45; or %252D).
_ESCAPES = (
    # The code of a character in JSON; a sign that JSON may put a backslash before, a backslash among them.
    # Backslashes are taken by the run: begun at each of them, a text of nothing else would take hours.
    Escape(
        "\\",
        re.compile(r"(?i)\\(?:\\*+(?:(?:u00|x)([0-9a-f]{2})|([\"'/]))|(\\)\\*+)"),
        lambda found: found[2] or found[3] or chr(int(found[1], 16)),
    ),
    # The code of a byte in an address.
    Escape("%", re.compile(r"(?i)%(?:25)*([0-9a-f]{2})"), lambda found: chr(int(found[1], 16))),
    # A mark of HTML.
    Escape(
        "&",
        re.compile(r"(?i)&(?:amp;)*(#0{0,40}\d{1,7};?|#x0{0,40}[0-9a-f]{1,6};?|[a-z][a-z0-9]{1,31};)"),
        lambda found: _marked(found[1]),
    ),
)
_DEEPEST = 3
"""So many times are all of them undone at most, one within the other."""

Place = tuple[int, int]
"""Where a character stands in a text: from and to."""


def may_have_escapes(text: str) -> bool:
    """Whether a sign is in it that escapes begin with."""
    return "%" in text or "\\" in text or "&" in text


def undoings(text: str) -> Iterator[tuple[str, Sequence[Escape]]]:
    """The text with more and more of its escapes undone, those too that others spell; and which were, in turn."""
    undone: list[Escape] = []
    for _ in range(_DEEPEST):
        before = text
        for escape in _ESCAPES:
            if escape.sign in text:
                shown = escape.pattern.sub(escape.meant, text)
                if shown != text:
                    text = shown
                    undone.append(escape)
                    yield text, undone
        if text == before:
            return


def undone_in_place(text: str, places: list[Place], escape: Escape) -> tuple[str, list[Place]]:
    """The text with one kind of escape undone, and each character's place, of ``places``, the same for the text."""
    view: list[str] = []
    moved: list[Place] = []
    done = 0
    for found in escape.pattern.finditer(text):
        start, end = found.span()
        shown = escape.meant(found)
        view += (text[done:start], shown)
        moved += places[done:start]
        moved += [(places[start][0], places[end - 1][1])] * len(shown)
        done = end
    return "".join((*view, text[done:])), moved + places[done:]
