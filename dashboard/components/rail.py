"""The right rail: daemons, schedule, request budget, settings' findings, records put aside."""

from __future__ import annotations

from datetime import datetime

from common.insights.daemons import DaemonView
from common.insights.overview import AccountOverview
from common.insights.streams import RateSample
from common.rules.wording import count, span
from dashboard.components.marks import chip
from dashboard.components.notices import problem_node
from dashboard.components.tree import Node, el
from dashboard.format import NONE, ago, clock, plural

OLD_SAMPLE_SECONDS = 60


def _card_head(title: str, beside: Node | None, *, lonely: bool = False) -> Node:
    return el("div", el("h2", title), el("span", cls="sp"), beside, cls="top lonely" if lonely else "top")


def _facts(pairs: list[tuple[str, str]]) -> Node:
    return el("dl", *(node for label, text in pairs for node in (el("dt", label), el("dd", text))))


def daemons_tree(daemons: tuple[DaemonView, ...], now: datetime) -> list[Node | None]:
    """Who does the work: alive or not, since when, on which version, doing what."""
    living = [view for view in daemons if view.alive]
    state = chip("ok", plural(len(living), "alive", "alive")) if living else chip("failing", "not running")
    body: list[Node | None] = []
    for view in daemons:
        pairs = [("Doing", view.doing if view.alive else f"last seen {ago(view.heartbeat_at, now)}")]
        if view.stopped_at:
            pairs = [("Stopped", ago(view.stopped_at, now))]
        pairs += [
            ("Since", clock(view.started_at, now)),
            ("Where", f"{view.hostname}, process {view.pid}"),
            ("Version", view.version),
        ]
        body.append(_facts(pairs))
    return [_card_head("Daemon", state, lonely=not body), *body]


def schedule_tree(account: AccountOverview, now: datetime) -> list[Node | None]:
    """What starts by itself, and when next."""
    schedule = account.schedule
    if schedule.enabled is None:
        return [_card_head("Scheduler", chip("unknown", "not published"), lonely=True)]
    state = chip("ok", "on") if schedule.enabled else chip("paused", "off")
    if account.paused:
        state = chip("paused")
    elif account.held:
        state = chip("degraded", "held")
    every = f"{schedule.interval_minutes:g} min" if schedule.interval_minutes else NONE
    nightly = f"{schedule.full_at_hour_utc:02d}:00 UTC" if schedule.full_at_hour_utc is not None else NONE
    due = clock(schedule.next_delta_at, now) if schedule.next_delta_at else f"within {every}"
    pairs = [("Every", every), ("Nightly full", nightly)]
    if schedule.enabled:
        pairs.insert(1, ("Next", "when it goes on" if account.paused else due))
    if account.paused:
        paused = account.paused
        pairs.append(("Paused by", f"{paused.by}, {ago(paused.since, now)}: {paused.reason}"))
    off = el(
        "p",
        "Set AUTO_SYNC_ENABLED=true and restart the daemon to let runs start by themselves.",
        cls="muted small below",
    )
    return [_card_head("Scheduler", state), _facts(pairs), None if schedule.enabled else off]


def budget_tree(account: AccountOverview, samples: tuple[RateSample, ...], now: datetime) -> list[Node | None]:
    """How much of the vendor's limits is used, by its own word or by our count, and what an admin has lowered."""
    lowered = _lowered(account, now)
    reduced = _facts(lowered) if lowered else None
    if not samples:
        return [
            _card_head("Request budget", el("span", "no request yet", cls="muted small"), lonely=True),
            reduced,
        ]
    last = samples[-1]
    age = (now - last.ts).total_seconds()
    counts = (
        ("This minute", last.used_minute, last.limit_minute),
        ("This hour", last.used_hour, last.limit_hour),
    )
    pairs = [(label, _of(used, limit)) for label, used, limit in counts if used is not None]
    source = "counted here" if pairs else "as the vendor says"
    if not pairs and last.remaining is None:
        return [_card_head("Request budget", el("span", "no limit set", cls="muted small"), lonely=True), reduced]
    if last.remaining is not None:
        # The vendor's word beside our own count: it must not be taken for it.
        pairs.append(("Vendor says" if pairs else "Remaining", f"{_of(last.remaining, last.limit)} left"))
    if age > OLD_SAMPLE_SECONDS:
        # The minute has passed since: showing its count as of now would be untrue.
        pairs = [("Last request", f"{span(age)} ago"), *(pair for pair in pairs if pair[0] != "This minute")]
    head = _card_head("Request budget", el("span", source, cls="muted small"))
    return [head, _spark(samples), _facts([*pairs, *lowered])]


def _lowered(account: AccountOverview, now: datetime) -> list[tuple[str, str]]:
    lowered = account.lowered
    if lowered is None:
        return []
    names = (
        (lowered.to.per_minute, "a minute"),
        (lowered.to.per_hour, "an hour"),
        (lowered.to.concurrency, "at a time"),
    )
    what = ", ".join(f"{count(number)} {unit}" for number, unit in names if number is not None)
    return [("Lowered to", f"{what} until {clock(lowered.until, now)}"), ("By", f"{lowered.by}: {lowered.reason}")]


def _of(used: int | None, limit: int | None) -> str:
    if used is None:
        return NONE
    return f"{count(used)} of {count(limit)}" if limit else count(used)


def _spark(samples: tuple[RateSample, ...]) -> Node | None:
    used = [sample.used_minute for sample in samples if sample.used_minute is not None]
    if len(used) < 3:
        return None
    top = max(*used, *(sample.limit_minute or 0 for sample in samples), 1)
    step = 100 / (len(used) - 1)
    points = " ".join(f"{index * step:.1f},{40 - 38 * number / top:.1f}" for index, number in enumerate(used))
    label = f"Requests a minute over the last {len(used)} samples, at most {max(used)}"
    return el(
        "svg",
        el("polyline", points=points),
        cls="spark",
        viewBox="0 0 100 42",
        preserveAspectRatio="none",
        role="img",
        aria_label=label,
    )


def findings_tree(account: AccountOverview) -> list[Node | None]:
    """What is wrong with the settings, worst first, each with its cure."""
    if account.published_at is None:
        return [_card_head("Settings", chip("unknown", "not published"), lonely=True)]
    errors = sum(one.severity == "error" for one in account.findings)
    if not account.findings:
        return [_card_head("Settings", chip("ok", "no findings"), lonely=True)]
    worst = account.findings[0].severity
    state = chip(worst, plural(errors, "error") if errors else plural(len(account.findings), "finding"))
    return [
        _card_head("Settings", state),
        el("div", *(problem_node(one) for one in account.findings[:10]), cls="stack small"),
    ]
