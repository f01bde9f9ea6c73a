"""The live log: a terminal over the stream, with its own filters. Its lines never pass through Streamlit."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import streamlit as st

from common.insights.runs import RunRow
from dashboard.api.frame import BASE
from dashboard.components.tree import ASSETS, MARKS
from dashboard.format import iso, short_id

PATH = f"{BASE}sync/logs/stream"
_ONE_LINE = {ord("\n"): "␊", ord("\t"): "␉"}
"""A line of the log stays one line, whatever is in it."""


def terminal(entities: Iterable[str], runs: Iterable[RunRow]) -> None:
    """Draw it; ``entities`` and ``runs`` are what its filters offer. The same arguments draw nothing anew."""
    data = {
        "url": PATH,
        "entities": list(entities),
        "runs": [(run.id, f"{short_id(run.id)} · {run.mode} · {iso(run.queued_at)[5:16]}") for run in runs],
        "marks": {**MARKS, **_ONE_LINE},
    }
    _component()(key="terminal", data=data)


@cache
def _component() -> Any:
    css = (ASSETS / "panel.css").read_text() + (ASSETS / "terminal.css").read_text()
    html, js = ((ASSETS / f"terminal.{kind}").read_text() for kind in ("html", "js"))
    return st.components.v2.component("hc_terminal", html=html, css=css, js=js)
