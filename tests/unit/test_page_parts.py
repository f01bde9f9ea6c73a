"""Outside text stays text, colours have one source, and a state is never colour alone."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from common import passwords
from common.rules.verdict import EntityHealth
from common.states import Chip, EntityState, RunState
from dashboard import theme
from dashboard.components.marks import TONES, chip
from dashboard.components.tree import el, prose, visible

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = "<script>alert(1)</script>\x1b[31m\u202egnp.exe [x](http://evil)"


def test_the_theme_is_made_of_the_tokens() -> None:
    """One source of colour: config.toml says what tokens.css says."""
    configured = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    assert configured["theme"] == theme.theme()


def _luminance(colour: str) -> float:
    parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(first: str, second: str) -> float:
    high, low = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("side", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("text", "ground"),
    [("text", "bg"), ("text", "surface"), ("text", "idle-bg"), ("text", "bad-bg"), ("text", "warn-bg"),
     ("text", "ok-bg"), ("muted", "bg"), ("muted", "surface"), ("muted", "idle-bg"), ("muted", "bad-bg"),
     ("muted", "warn-bg"), ("primary-text", "surface"), ("primary-text", "idle-bg"), ("on-primary", "primary"),
     ("idle", "idle-bg"),
     ("ok", "ok-bg"), ("warn", "warn-bg"), ("bad", "bad-bg"), ("ok", "surface"), ("warn", "surface"),
     ("bad", "surface"),
     ("terminal-text", "terminal"), ("terminal-muted", "terminal"), ("terminal-warn", "terminal"),
     ("terminal-bad", "terminal")],
)  # fmt: skip
def test_every_pair_can_be_read(text: str, ground: str, side: int) -> None:
    """WCAG AA: 4.5 to 1 for each text on each ground it stands on."""
    own = theme.tokens()
    assert _contrast(own[text][side], own[ground][side]) >= 4.5


def test_every_state_has_a_shape_and_a_word() -> None:
    """No state by colour alone: two that share a tone differ in shape or are said in words."""
    for state in [*Chip, *EntityHealth, *RunState, *EntityState]:
        shape, tone = TONES[state]
        assert shape
        assert tone in {"ok", "warn", "bad", "idle", "run"}
        assert chip(state)[-1] == state.value


def test_outside_text_shows_what_it_hides() -> None:
    """Escape and direction characters become marks; nothing of a text is markup."""
    shown = visible(HOSTILE)
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "␛" in shown
    assert "<script>" in shown
    assert el("p", HOSTILE) == ["p", {}, shown]


def test_a_remedy_sets_its_commands_as_code() -> None:
    """What stands between backticks is code; the rest is text."""
    assert prose("Start it: `make run` (laptop).") == ["Start it: ", ["code", {}, "make run"], " (laptop)."]


def test_no_markup_leaves_our_hands() -> None:
    """No unsafe HTML, no inner HTML, no inline style in any source of the page: texts become text nodes."""
    for path in (ROOT / "dashboard").rglob("*"):
        if path.suffix not in (".py", ".js", ".html", ".css", ".svg"):
            continue
        source = path.read_text()
        for forbidden in ("unsafe_allow", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert forbidden not in source, (path.name, forbidden)
        if path.suffix in (".html", ".js", ".py"):
            assert not re.search(r"\sstyle\s*=\s*[\"']", source), path.name
            assert ".style." not in source, path.name


def test_passwords_are_hashed_readable_and_compared_in_vain_for_nobody() -> None:
    """A stored hash tells nothing; nobody's password matches nothing."""
    first, second = passwords.readable(), passwords.readable()
    assert first != second
    assert re.fullmatch(r"([a-z2-9]{4}-){4}[a-z2-9]{4}", first)
    stored = passwords.hashed(first)
    assert first not in stored
    assert passwords.matches(stored, first)
    assert not passwords.matches(stored, second)
    assert not passwords.matches(None, first)
    assert not passwords.matches("not a hash", first)
    assert passwords.problem_with("short") is not None
    assert passwords.problem_with(first) is None
