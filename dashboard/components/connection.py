"""Whether the vendor can be reached: the last ping, its address, the key, the breaker, and until when we wait."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from datetime import datetime

from common.insights.overview import AccountOverview
from dashboard.components.marks import chip
from dashboard.components.notices import problem_node
from dashboard.components.tree import Node, el
from dashboard.format import NONE, ago, clock, exact_span

_BREAKER_WORDS = {
    None: "closed",
    "half_open": "trying again",
    "forced_open": "forced open",
    "forced_closed": "forced closed",
}


def connection_tree(
    account: AccountOverview, now: datetime, *, said_codes: AbstractSet[str | None] = frozenset()
) -> list[Node | None]:
    """The card; its Ping button stands beneath it. ``said_codes``: what verdict or press tell already."""
    ping = account.ping
    state = chip("unknown", "never pinged") if ping is None else chip("ok" if ping.ok else "failing", _word(account))
    facts: list[tuple[str, str]] = []
    if ping is not None:
        facts = [
            ("Last ping", f"{ago(ping.at, now)} by {ping.requested_by}"),
            ("Answered in", exact_span(ping.elapsed_seconds)),
            ("Address", ping.base_url),
            ("Key", {True: "accepted", False: "refused", None: "not known"}[ping.authenticated]),
        ]
    facts.append(("Breaker", _breaker(account, now)))
    if account.breaker_forced:
        facts.append(("Forced by", f"{account.breaker_forced.by}: {account.breaker_forced.reason}"))
    if account.blocked_until:
        facts.append(("Waits until", clock(account.blocked_until, now)))
    trouble = ping.problem if ping and ping.problem and ping.problem.code not in said_codes else None
    return [
        el("div", el("h2", "Connection"), el("span", cls="sp"), state, cls="top"),
        el("dl", *(node for label, text in facts for node in (el("dt", label), el("dd", text)))),
        el("div", problem_node(trouble, heading="Ping failed"), cls="stack below") if trouble else None,
    ]


def _word(account: AccountOverview) -> str:
    assert account.ping is not None
    return "reachable" if account.ping.ok else "failed"


def _breaker(account: AccountOverview, now: datetime) -> str:
    state = account.breaker_state
    word = _BREAKER_WORDS.get(state, state or NONE)
    until = account.breaker_until
    return f"{word} until {clock(until, now)}" if until and until > now and state != "closed" else word
