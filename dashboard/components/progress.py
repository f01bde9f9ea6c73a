"""The active run, moving: entity by entity, page of pages, rows, speed, and when it may end."""

from __future__ import annotations

from datetime import datetime

from common.insights.runs import ActiveRun, RunPart
from common.rules.wording import count, exact_span, span
from common.states import EntityState, RunState
from dashboard.components.marks import TONES, chip
from dashboard.components.tree import Node, el
from dashboard.format import ago, short_id


def progress_tree(active: ActiveRun, now: datetime) -> list[Node | None]:
    """What it is doing now, a bar, and each entity's step."""
    run = active.run
    started = run.started_at or run.queued_at
    word = f"{run.mode}{', dry run' if run.dry_run else ''}"
    head = el(
        "div",
        chip(run.state),
        el("strong", f"{word} · started by {run.requested_by} {ago(started, now)}"),
        el("span", cls="sp"),
        el("span", f"run {short_id(run.id)}", cls="muted small num"),
        cls="row",
    )
    return [
        el("div", head, _bar(active), _facts(active, now), _steps(active.parts), cls="stack", aria_label="Progress")
    ]


def _bar(active: ActiveRun) -> Node:
    share = active.share_done if active.share_done is not None else _share_of_entities(active)
    return el("progress", value=round(share, 4), max=1, aria_label=f"{share:.0%} done")


def _share_of_entities(active: ActiveRun) -> float:
    """Without all totals each entity counts the same: the bar moves, and promises no more than is known."""
    return sum(_share_of(part) for part in active.parts) / max(1, len(active.parts))


def _share_of(part: RunPart) -> float:
    if part.is_finished:
        return 1.0
    return min(1.0, part.page / part.pages_expected) if part.pages_expected else 0.0


def _facts(active: ActiveRun, now: datetime) -> Node:
    run = active.run
    parts = [el("span", f"{count(run.totals.received)} rows", cls="num")]
    if active.rows_per_second is not None:
        parts.append(el("span", f"{count(round(active.rows_per_second))} rows/s", cls="num"))
    parts.append(el("span", f"time left: {_eta(active)}", cls="num"))
    started = run.started_at or run.queued_at
    parts.append(el("span", f"running {exact_span((now - started).total_seconds())}", cls="num"))
    if run.state is RunState.STOPPING:
        parts.append(el("strong", f"stopping, asked by {run.stop_requested_by or 'somebody'}"))
    elif active.waiting:
        parts.append(el("span", active.waiting, cls="muted wraps"))
    return el("div", *parts, cls="steps")


def _eta(active: ActiveRun) -> str:
    if active.eta_seconds is None:
        return active.no_eta_reason
    if active.eta_seconds[0] == 0 < active.eta_seconds[1]:
        return f"at most {span(active.eta_seconds[1])}"
    soonest, latest = (span(seconds) for seconds in active.eta_seconds)
    return soonest if soonest == latest else f"{soonest} to {latest}"


def _steps(parts: tuple[RunPart, ...]) -> Node:
    return el("ol", *(_step(part) for part in parts), cls="steps")


def _step(part: RunPart) -> Node:
    shape, tone = TONES.get(part.state, ("?", "idle"))
    return el(
        "li",
        el("span", f"{shape} ", cls=f"mark {tone}", aria_hidden="true"),
        el("strong", part.entity),
        el("span", f" {step_words(part)}", cls="muted num"),
        key=part.entity,
    )


def step_words(part: RunPart) -> str:
    """Where one entity stands, in words."""
    if part.state is EntityState.WAITING:
        return "waiting"
    if part.is_finished:
        return f"{part.state.value}, {count(part.totals.received)} rows"
    pages = f" of {count(part.pages_expected)}" if part.pages_expected else ""
    return f"page {count(part.page)}{pages}, {count(part.totals.received)} rows"
