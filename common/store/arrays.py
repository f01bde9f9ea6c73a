"""Many texts as one parameter: an array literal made in one sweep, where the driver would look at each by itself."""

from __future__ import annotations

from collections.abc import Sequence


def text_array(texts: Sequence[str]) -> str:
    """A Postgres literal of ``text[]``; the statement casts it (``%(ids)s::text[]``). No text may hold a NUL."""
    if not texts:
        return "{}"
    joined = "\x00".join(texts)
    if "\\" in joined or '"' in joined:
        joined = joined.replace("\\", "\\\\").replace('"', '\\"')
    return '{"' + joined.replace("\x00", '","') + '"}'
