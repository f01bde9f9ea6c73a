"""Plain trees of elements, drawn by ``assets/panel.js``: the one way outside text reaches a screen.

A tree is lists of ``[tag, attributes, child, …]`` and texts. Every text becomes a text node, so a vendor's sentence can
hold whatever it likes: nothing in it is markup, a link, or a way to leave its line.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

Node = str | list[Any]
"""A text, or ``[tag, attributes, child, …]``."""

ASSETS = Path(__file__).resolve().parents[1] / "assets"
_BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
MARKS = {
    **{code: chr(0x2400 + code) for code in range(32) if chr(code) not in "\n\t"},
    0x7F: "␡",
    **{ord(letter): f"⟨{unicodedata.name(letter).title()}⟩" for letter in _BIDI},
    **dict.fromkeys(range(128, 160), "�"),
    0xFEFF: "⟨BOM⟩",
}
"""Characters that would hide something, as marks that show it."""


def visible(text: str) -> str:
    """The text with control, escape and direction characters shown as marks."""
    return text.translate(MARKS)


def el(tag: str, *children: Node | None, **attributes: str | int | float | None) -> Node:
    """An element. ``cls`` is its class, ``data_send`` becomes ``data-send``; what is None falls away."""
    named = {
        ("class" if name == "cls" else name.replace("_", "-")): value
        for name, value in attributes.items()
        if value is not None
    }
    kept = [visible(child) if isinstance(child, str) else child for child in children if child is not None]
    return [tag, named, *kept]


def prose(text: str) -> list[Node]:
    """A sentence of our catalogue, what stands between backticks set as code."""
    return [el("code", part) if index % 2 else visible(part) for index, part in enumerate(text.split("`")) if part]


def nothing() -> None:
    """A callback that does nothing: Streamlit sets a trigger's result only when somebody listens."""


def show(
    tree: Sequence[Node | None], *, key: str, watch_seconds: float | None = None, focus: tuple[str, int] | None = None
) -> Any:
    """Draw a tree under a key of its own; returns Streamlit's result, whose ``open`` is what a row sent, or None.

    ``watch_seconds``: how often the page asks whether its session holds. ``focus``: give the focus back to the
    button that had sent this value, once for each number that comes with it.
    """
    data = {"tree": [node for node in tree if node is not None], "watch": watch_seconds, "focus": focus}
    return _panel()(key=key, data=data, on_open_change=nothing)


@cache
def _panel() -> Any:
    css = (ASSETS / "panel.css").read_text()
    return st.components.v2.component(
        "hc_panel", html='<div class="hc">\n</div>', css=css, js=(ASSETS / "panel.js").read_text()
    )
