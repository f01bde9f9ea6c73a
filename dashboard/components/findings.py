"""What runs found besides rows: alike errors, keys against columns, and what a dry run would change."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from common.excerpt import excerpt
from common.insights.findings import EntityDelta, ErrorGroup, SampledChange, SchemaDiff
from common.rules.wording import clock, count, plural
from dashboard.components.marks import chip
from dashboard.components.tree import Node, el
from dashboard.format import ago

MOST_CHARACTERS = 160


def errors_tree(groups: tuple[ErrorGroup, ...], now: datetime) -> list[Node | None]:
    """Errors by fingerprint, the latest first; a button sends the latest run that one touched."""
    if not groups:
        return [el("div", el("h2", "Errors"), el("span", cls="sp"), chip("ok", "none this week"), cls="top lonely")]
    head = el(
        "div",
        el("h2", "Errors"),
        el("span", cls="sp"),
        el("span", f"{plural(len(groups), 'kind')} this week", cls="muted small"),
        cls="top",
    )
    return [head, el("ul", *(_error(group, now) for group in groups), cls="stack")]


def _error(group: ErrorGroup, now: datetime) -> Node:
    what = " ".join(filter(None, (str(group.status or ""), group.path_template or "")))
    runs = plural(len(group.run_ids), "run")
    touched = el(
        "button",
        runs,
        type="button",
        cls="link",
        data_send="open",
        data_value=group.run_ids[0],
        aria_label=f"Open the latest run with {group.code}",
    ) if group.run_ids else None  # fmt: skip
    return el(
        "li",
        el("p", el("strong", group.code), f" × {count(group.count)}", el("span", f" {what}", cls="muted"), cls="wraps"),
        el("p", excerpt(group.snippet, MOST_CHARACTERS), cls="muted small wraps"),
        el(
            "p",
            f"{ago(group.last_seen_at, now)}, first {clock(group.first_seen_at, now)} · ",
            touched,
            cls="small",
        ),
        key=group.fingerprint,
    )


def schema_tree(diffs: tuple[SchemaDiff, ...], now: datetime) -> list[Node | None]:
    """Per entity what the vendor sends and we keep no column for, and the other way round."""
    if not diffs:
        return [el("div", el("h2", "Schema"), el("span", "no sample yet", cls="muted small"), cls="top lonely")]
    drifting = sum(len(diff.drift) for diff in diffs)
    state = chip("info", plural(drifting, "type drift")) if drifting else chip("ok", "types fit")
    return [
        el("div", el("h2", "Schema"), el("span", cls="sp"), state, cls="top"),
        *(_entity(diff, now) for diff in diffs),
    ]


def _entity(diff: SchemaDiff, now: datetime) -> Node:
    parts = (
        ("Another type", _examples(diff.drift)),
        ("Keys without a column", _examples(diff.unmapped)),
        ("Columns never seen", [(name, "") for name in diff.never_seen]),
    )
    lists = [_list(title, pairs) for title, pairs in parts if pairs]
    sampled = f"{plural(diff.sampled, 'record')} sampled {ago(diff.sampled_at, now)}; every key is kept in column raw."
    return el(
        "details",
        el("summary", el("strong", diff.entity), f" {plural(diff.differences, 'difference')}"),
        *lists,
        el("p", sampled, cls="muted small"),
        key=diff.entity,
    )


def _examples(found: Mapping[str, Mapping[str, tuple[str, ...]]]) -> list[tuple[str, str]]:
    return [
        (name, "; ".join(f"{kind}: {', '.join(examples)}" if examples else kind for kind, examples in types.items()))
        for name, types in found.items()
    ]


def _list(title: str, pairs: list[tuple[str, str]]) -> Node:
    items = [
        el("li", el("code", name), el("span", f" {words}", cls="muted") if words else None) for name, words in pairs
    ]
    return el("div", el("h3", title, cls="above"), el("ul", *items, cls="small wraps"))


def samples_tree(deltas: tuple[EntityDelta, ...]) -> list[Node | None]:
    """Some of what a dry run would change; how many of each stands in the run's own table."""
    sampled = [one for one in deltas if one.samples]
    return [el("h3", "What would change, sampled", cls="above"), *map(_samples, sampled)] if sampled else []


def _samples(one: EntityDelta) -> Node:
    fields = sum(len(sample.fields) for sample in one.samples)
    return el(
        "details",
        el("summary", el("strong", one.entity), f" {plural(fields, 'sampled change')}"),
        *(_sample(sample) for sample in one.samples),
        key=f"{one.entity} samples",
    )


def _sample(sample: SampledChange) -> Node:
    pairs = [
        node
        for field, (before, after) in sample.fields.items()
        for node in (el("dt", field), el("dd", f"{before} → {after}"))
    ]
    back = " comes back" if sample.was_removed else ""
    return el(
        "div", el("p", el("code", sample.record_id), back, cls="small"), el("dl", *pairs, cls="plain"), cls="above"
    )
