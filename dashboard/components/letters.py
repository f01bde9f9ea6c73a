"""Records put aside: by cause, the newest, one of them in full, and what was done with them."""

from __future__ import annotations

from datetime import datetime

from common.insights.letters import BulkAction, LetterCount, LetterDetail, LetterGroup, LetterRow
from common.rules.wording import clock, count, plural
from dashboard.components.marks import chip
from dashboard.components.tree import Node, el
from dashboard.format import ago

ALL = "all"
FEW = 5


def head_tree(found: LetterCount, *, may_choose: bool) -> list[Node | None]:
    """How many are open, and the choice of all of them."""
    state = chip("warning", f"{count(found.number)} open") if found.number else chip("ok", "none open")
    choose = _choose(ALL, "choose all", "Choose all open letters") if may_choose and found.number else None
    what = None if found.number else el("span", "Records that cannot be stored are kept here.", cls="muted small")
    return [el("div", el("h2", "Dead letters"), state, what, el("span", cls="sp"), choose, cls="top lonely")]


def letters_tree(
    groups: tuple[LetterGroup, ...], newest: tuple[LetterRow, ...], now: datetime, *, may_choose: bool
) -> list[Node | None]:
    """Two tables; a button sends ``group|entity|fingerprint`` or ``letter|id``.

    More than a few letters one by one would push the rest of the page away: then they wait behind a line.
    """
    by_cause = [_group_row(group, now, may_choose=may_choose) for group in groups]
    by_age = [_letter_row(letter, now) for letter in newest]
    columns = ("Entity", "Reason", "Last seen")
    one_by_one = _table("The newest letters", ("Record", *columns), by_age)
    title = f"The newest {len(newest)}, one by one"
    return [
        _table("Letters by cause", ("Letters", *columns), by_cause, may_choose=may_choose),
        el("h3", "One by one", cls="above") if len(newest) <= FEW else None,
        one_by_one if len(newest) <= FEW else el("details", el("summary", title), one_by_one, cls="above"),
    ]


def _table(label: str, columns: tuple[str, ...], rows: list[Node], *, may_choose: bool = True) -> Node:
    head = [el("th", name, scope="col", cls="wide" if name == "Last seen" else None) for name in columns]
    choose = el("th", "Choose", scope="col", cls="right") if may_choose else None
    table = el(
        "table",
        el("thead", el("tr", *head, choose)),
        el("tbody", *rows),
        cls="letters",
    )
    return el("div", table, cls="scrolls", tabindex=0, role="region", aria_label=label)


def _group_row(group: LetterGroup, now: datetime, *, may_choose: bool) -> Node:
    sends = f"group|{group.entity}|{group.fingerprint}"
    label = f"Choose {plural(group.number, 'letter')} of {group.entity}: {group.reason}"
    return el(
        "tr",
        el("td", count(group.number), cls="num"),
        el("td", group.entity),
        el("td", group.reason, el("span", f" {group.code}", cls="muted small wide"), cls="wraps"),
        el("td", ago(group.last_seen_at, now), cls="num wide", title=f"First seen {clock(group.first_seen_at, now)}"),
        el("td", _choose(sends, "choose", label), cls="right") if may_choose else None,
        key=sends,
    )


def _letter_row(letter: LetterRow, now: datetime) -> Node:
    name = letter.record_id or "without id"
    seen = f" Seen {letter.attempts} times." if letter.attempts > 1 else ""
    return el(
        "tr",
        el("td", name, cls="wraps small"),
        el("td", letter.entity),
        el("td", letter.reason, el("span", seen, cls="muted"), cls="wraps"),
        el("td", ago(letter.last_seen_at, now), cls="num wide"),
        el("td", _choose(f"letter|{letter.id}", "show", f"Show the letter of {name}"), cls="right"),
        key=letter.id,
    )


def _choose(sends: str, word: str, label: str) -> Node:
    return el("button", word, type="button", cls="link", data_send="open", data_value=sends, aria_label=label)


def chosen_tree(title: str, detail: LetterDetail | None, now: datetime) -> list[Node | None]:
    """What a press would act on, and of one letter its payload."""
    if detail is None:
        return [el("h3", title)]
    letter = detail.letter
    facts = [
        ("Put aside", f"{clock(letter.first_seen_at, now)}, page {letter.page or '?'}"),
        ("Seen", f"{plural(letter.attempts, 'time')}, last {ago(letter.last_seen_at, now)}"),
        ("Run", letter.run_id or "not known"),
    ]
    hidden = "Personal fields are hidden from viewers." if not detail.is_whole else None
    return [
        el("h3", title),
        el("p", letter.reason, el("span", f" {letter.code}", cls="muted small"), cls="wraps"),
        el("dl", *(node for label, text in facts for node in (el("dt", label), el("dd", text))), cls="plain"),
        el("code", detail.payload, cls="payload", tabindex=0, role="region", aria_label="Payload"),
        el("p", hidden, cls="muted small") if hidden else None,
    ]


def action_tree(action: BulkAction, now: datetime) -> list[Node | None]:
    """A requeue or discard: who, how far, and its verdict."""
    what = f"{action.action.capitalize()} of {plural(action.counted, 'letter')}"
    head = el(
        "div",
        chip(action.state),
        el("span", el("strong", what), f" by {action.actor} {ago(action.created_at, now)}"),
        cls="row",
    )
    bar = el("progress", value=action.done, max=max(1, action.counted), aria_label=f"{what}: {action.done} done")
    reason = el("p", f"Reason: {action.reason}", cls="muted small wraps") if action.reason else None
    return [
        el(
            "div",
            head,
            bar if action.is_unfinished else None,
            el("p", _how_far(action, now), cls="small wraps"),
            reason,
            cls="stack",
        )
    ]


def _how_far(action: BulkAction, now: datetime) -> str:
    if action.verdict is not None:
        return action.verdict
    far = f"{count(action.done)} of {count(action.counted)} done"
    if action.cancel_asked_by:
        return f"{far}; being cancelled by {action.cancel_asked_by}."
    if action.state == "running":
        return f"{far}."
    if action.why and action.not_before:
        return f"{far}; {action.why}, it goes on by itself at {clock(action.not_before, now)}."
    if action.why:
        return f"{far}; {action.why}"
    return f"{far}; it begins by itself when no other run is active."
