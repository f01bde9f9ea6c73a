"""The last runs, and one of them in full."""

from __future__ import annotations

from datetime import datetime

from common.insights.problems import Problem
from common.insights.runs import RunDetail, RunPart, RunRow, Totals
from common.rules.wording import clock, count, exact_span, listing, plural
from common.states import RunState
from dashboard.components.marks import chip
from dashboard.components.notices import problem_node
from dashboard.components.tree import Node, el
from dashboard.format import NONE, second, short_id

_COLUMNS = (("Started", ""), ("Mode", ""), ("Rows", "right"), ("Changes", "wide"), ("Took", "right"), ("Result", ""))


def runs_tree(runs: tuple[RunRow, ...], now: datetime, *, entities: int) -> list[Node | None]:
    """The table; a row's button sends its run's id. ``entities`` is how many there are in all."""
    head = [el("th", label, scope="col", cls=cls or None) for label, cls in _COLUMNS]
    rows = [row for run in runs for row in _rows(run, now, entities)]
    return [
        el("div", el("h2", "Last runs"), cls="top"),
        el(
            "div",
            el(
                "table",
                el("thead", el("tr", *head, el("th", "By", scope="col", cls="wider"), el("th", "Run", scope="col"))),
                el("tbody", *rows),
                cls="runs",
            ),
            cls="scrolls",
            tabindex=0,
            role="region",
            aria_label=f"The last {len(runs)} runs",
        ),
    ]


def _rows(run: RunRow, now: datetime, entities: int) -> list[Node]:
    took = run.took_seconds(now)
    line = el(
        "tr",
        el("td", clock(run.started_at or run.queued_at, now), cls="num"),
        el("td", _mode(run, entities)),
        el("td", count(run.totals.received), cls="right num c-rows"),
        el("td", changes(run.totals), cls="wide small"),
        el("td", exact_span(took) if took is not None else NONE, cls="right num"),
        el("td", chip(run.state), cls="c-state"),
        el("td", run.requested_by, cls="wider wraps"),
        el(
            "td",
            el(
                "button",
                "open",
                type="button",
                cls="link",
                data_send="open",
                data_value=run.id,
                aria_label=f"Open run {short_id(run.id)}",
            ),
            cls="c-open",
        ),
        key=run.id,
        cls="open" if run.error else None,
    )
    if run.error is None:
        return [line]
    return [line, el("tr", el("td", run.error.cause, colspan=8, cls="why small"), key=f"{run.id} why")]


def _mode(run: RunRow, entities: int) -> str:
    parts = [run.mode]
    if len(run.entities) < entities:
        parts.append(listing(run.entities))
    if run.dry_run:
        parts.append("dry run")
    return " · ".join(parts)


def changes(totals: Totals) -> str:
    """What a run changed, leaving out what is nothing: 12 new, 3 changed."""
    named = (
        (totals.inserted, "new"),
        (totals.updated, "changed"),
        (totals.unchanged, "unchanged"),
        (totals.removed, "removed"),
        (totals.dead, "put aside"),
    )
    said = [f"{count(number)} {word}" for number, word in named if number]
    return ", ".join(said) or "nothing"


def detail_tree(detail: RunDetail, now: datetime) -> list[Node | None]:
    """One run: what was asked, what came of it, each entity."""
    run = detail.run
    took = run.took_seconds(now)
    facts = [
        ("Run", run.id),
        ("Asked by", f"{run.requested_by} ({run.trigger})"),
        ("Mode", f"{run.mode}{', dry run' if run.dry_run else ''}"),
        ("Since", f"{clock(run.since, now)}" if run.since else None),
        ("Started", f"{clock(run.started_at, now)} ({second(run.started_at)})" if run.started_at else "not yet"),
        ("Took", exact_span(took) if took is not None else NONE),
        ("Requests", f"{count(run.requests)}, {plural(run.retries, 'retry', 'retries')}"),
        ("Waited", exact_span(run.waited_seconds) if run.waited_seconds else "not at all"),
        ("Goes on", clock(run.blocked_until, now) if run.blocked_until else None),
        ("Stopped by", run.stop_requested_by),
        ("Version", run.version),
    ]
    troubles = (
        [problem_node(run.error if run.state is RunState.FAILED else _as_warning(run.error))] if run.error else []
    )
    troubles += [problem_node(_as_warning(one)) for one in run.warnings[:20]]
    return [
        el("div", chip(run.state), el("span", changes(run.totals), cls="muted"), cls="row top"),
        el("div", *troubles, cls="stack top") if troubles else None,
        el("dl", *(node for label, text in facts if text for node in (el("dt", label), el("dd", text))), cls="plain"),
        el("h3", "What a run would do" if run.dry_run else "Entities", cls="above"),
        _parts_table(detail.parts),
        el("div", *(_part_troubles(part, run.error) for part in detail.parts), cls="stack below"),
    ]


def _parts_table(parts: tuple[RunPart, ...]) -> Node:
    labels = ("Entity", "State", "Pages", "Rows", "New", "Changed", "Same", "Removed", "Aside")
    head = [el("th", label, scope="col", cls="right" if index > 1 else None) for index, label in enumerate(labels)]
    return el(
        "div",
        el("table", el("thead", el("tr", *head)), el("tbody", *(_part_row(part) for part in parts))),
        cls="scrolls",
        tabindex=0,
        role="region",
        aria_label="Entities of this run",
    )


def _part_row(part: RunPart) -> Node:
    pages = f"{count(part.page)}{f' of {count(part.pages_expected)}' if part.pages_expected else ''}"
    totals = part.totals
    numbers = (totals.received, totals.inserted, totals.updated, totals.unchanged, totals.removed, totals.dead)
    return el(
        "tr",
        el("th", part.entity, scope="row", cls="name"),
        el("td", chip(part.state)),
        el("td", pages, cls="right num"),
        *(el("td", count(number), cls="right num") for number in numbers),
        key=part.entity,
    )


def _part_troubles(part: RunPart, said: Problem | None) -> Node | None:
    """What is wrong with one entity, unless the run's own error has said so."""
    own = part.error if part.error and (said is None or said.code != part.error.code) else None
    found = [problem_node(own, heading=part.entity)] if own else []
    found += [problem_node(_as_warning(one), heading=part.entity) for one in part.warnings[:20]]
    if part.resumed_at_page:
        resumed = f"went on at page {count(part.resumed_at_page)}, where an earlier run had stopped."
        found.append(problem_node(Problem(None, resumed, None, "info"), heading=part.entity))
    return el("div", *found, cls="stack", key=f"{part.entity} troubles") if found else None


def _as_warning(one: Problem) -> Problem:
    return Problem(one.code, one.cause, one.remedy, "warning")
