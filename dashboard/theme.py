"""Streamlit's theme, made from ``assets/tokens.css``: ``python -m dashboard.theme`` prints config.toml's part."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

TOKENS: Final = Path(__file__).resolve().parent / "assets" / "tokens.css"
_TOKEN = re.compile(r"--([a-z-]+):\s*(?:light-dark\((#[0-9a-f]+),\s*(#[0-9a-f]+)\)|([^;]+));")
_COLOURS = {
    "primaryColor": "primary",
    "backgroundColor": "bg",
    "secondaryBackgroundColor": "idle-bg",
    "textColor": "text",
    "borderColor": "line-strong",
    "linkColor": "primary-text",
    "codeBackgroundColor": "idle-bg",
    "codeTextColor": "text",
}
_SHARED: dict[str, str | int | bool | list[str]] = {
    "baseRadius": "8px",
    "buttonRadius": "8px",
    "baseFontSize": 16,  # below it a target of the multiselect falls under 24 px
    "headingFontSizes": ["1.375rem", "1.125rem", "1rem", "0.9375rem", "0.9375rem", "0.875rem"],
    "showWidgetBorder": True,
}


def tokens() -> dict[str, tuple[str, str]]:
    """Every token as (light, dark)."""
    found = _TOKEN.findall(TOKENS.read_text())
    return {name: (light or plain.strip(), dark or plain.strip()) for name, light, dark, plain in found}


def theme() -> dict[str, object]:
    """The ``[theme]`` table of Streamlit's configuration."""
    own = tokens()
    sides = {
        side: {option: own[token][index] for option, token in _COLOURS.items()}
        for index, side in enumerate(("light", "dark"))
    }
    return {**_SHARED, **sides}


def as_toml() -> str:
    """The same as text for ``.streamlit/config.toml``."""
    lines = ["[theme]", *(f"{name} = {_toml(value)}" for name, value in _SHARED.items())]
    for side in ("light", "dark"):
        table = theme()[side]
        assert isinstance(table, dict)
        lines += ["", f"[theme.{side}]", *(f"{name} = {_toml(value)}" for name, value in table.items())]
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(_toml(inner) for inner in value)}]"
    return f'"{value}"' if isinstance(value, str) else str(value)


if __name__ == "__main__":
    sys.stdout.write(as_toml())
