"""Words from outside, made short: masked first and cut then, since of half a secret the mask knows nothing.

Whoever shortens what a vendor or a caller sent, to name it in a sentence, does it here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from common.redact import HIDDEN, mask, mask_value

MOST_CHARACTERS = 60
MOST_OF_A_NAME = 80


def excerpt(text: str, most: int = MOST_CHARACTERS) -> str:
    """The beginning of a text without secrets, at most so many characters; what is left out shows as ``…``."""
    masked = mask(text)
    if len(masked) <= most:
        return masked
    end = most - 1
    last = masked.rfind(HIDDEN, 0, end + len(HIDDEN) - 1)
    if last >= 0 and last + len(HIDDEN) > end:  # half a mask would not be known for one
        end = last
    return f"{masked[:end]}…"


def name_in_words(name: Any) -> str:
    """A key or name from outside, which may be a secret as well, or longer than a page."""
    return excerpt(str(name), MOST_OF_A_NAME)


def value_in_words(value: Any) -> str:
    """A value as a sentence shows it: text in quotation marks, the rest as it is written.

    Its texts are masked by themselves: quoted, a secret's own quotation marks and backslashes look different.
    """
    masked = mask_value(value)
    is_written = isinstance(value, str | Mapping | list | tuple)
    return excerpt(repr(masked) if is_written else str(masked))
