"""Routes that act: each puts a wish before the one gate and tells what became of the command."""

from __future__ import annotations

from typing import Any

from common.access import Action
from common.errors import DatabaseAway
from common.insights.control import CommandView
from common.insights.sync_status import last_sample
from common.limit_wishes import force_breaker_wish, lower_limits_wish, schedule_wish
from common.rules.verdict import SLOWED_CODES
from common.states import Chip
from common.wishes import Wish, check_wish, run_wish
from dashboard.api import answers
from dashboard.api.frame import Answer, Call, Follow
from dashboard.api.reads import integration_of, only_one, seen, told_command
from dashboard.api.wanted import AnswerBody, BreakerBody, CheckQuery, LimitsBody, RunBody, ScheduleBody, WhichBody

VENDOR_SECONDS = 20.0
"""How long a question to a vendor (or to Workflows) is waited for; then its address is the answer."""
DAEMON_SECONDS = 3.0
"""How long the daemon itself is waited for."""
NEITHER = SLOWED_CODES | {"STOPPED", "BREAKER_OPEN"}
"""What kept a ping from being asked: no failure of the vendor (law 7)."""


def ping(call: Call) -> Follow:
    """Ask the vendor whether it is there, knows us and gives data (at most two requests). An answer younger than ten
    seconds is shared. Acts, so a viewer may not."""
    wish = Wish(Action.PING, call.path["key"])

    def told(view: CommandView) -> Answer:
        return Answer(_ping(call, view))

    return Follow(call.own.gate.submit(wish, call.caller), VENDOR_SECONDS, told)


def _ping(call: Call, view: CommandView) -> answers.PingTold:
    found: dict[str, Any] = dict(view.result)
    state = Chip.OK if found["ok"] else Chip.UNKNOWN if found.get("code") in NEITHER else Chip.FAILING
    try:
        with call.own.reading() as database:
            sample = last_sample(database, view.integration, "main")
    except DatabaseAway:
        sample = None
    return answers.PingTold(
        ok=found["ok"],
        state=state,
        code=found.get("code"),
        reason=found.get("reason"),
        remedy=found.get("remedy"),
        base_url=found["base_url"],
        authenticated=found.get("authenticated"),
        sample_count=found.get("sample_count"),
        elapsed_ms=found["elapsed_ms"],
        at=view.finished_at,
        rate_limit=answers.RateLimitTold.model_validate(sample) if sample else None,
    )


def check(call: Call) -> Follow:
    """Read the first page of one list: its status, its first record's keys, how many came. 401, 404 and 405 come with
    what they mean. An answer younger than ten seconds is shared. Acts, so a viewer may not."""
    query: CheckQuery = call.query
    wish = check_wish(call.path["key"], endpoint=query.endpoint, page_size=query.page_size)

    def told(view: CommandView) -> Answer:
        return Answer(answers.CheckTold.model_validate(view.result, by_name=True))

    return Follow(call.own.gate.submit(wish, call.caller), VENDOR_SECONDS, told)


def run(call: Call) -> Follow:
    """Start a run; 202 with the run it started. One run at a time: 409 says by whom the active one was started, and
    when."""
    body: RunBody = call.body
    wish = run_wish(
        integration_of(body),
        mode=body.mode,
        entities=body.entities,
        since=body.since,
        dry_run=body.dry_run,
    )
    return given(call, wish)


def stop(call: Call) -> Follow:
    """Stop the active run; it ends within a second."""
    body: WhichBody = call.body
    return given(call, Wish(Action.STOP, integration_of(body)))


def answer(call: Call) -> Follow:
    """Answer an open question."""
    body: AnswerBody = call.body
    asked = call.path["id"]
    place = next(
        (account for account in seen(call).accounts if asked in {question.id for question in account.questions}), None
    )
    payload = {
        "confirmation_id": asked,
        "answer": {"confirm": "confirmed", "reject": "rejected"}[body.answer],
        "reason": body.reason,
    }
    integration, account_key = (place.integration, place.account_key) if place else (only_one(), "main")
    return given(call, Wish(Action.CONFIRM, integration, account_key, payload))


def test_alert(call: Call) -> Follow:
    """Send one card to the Teams webhook and tell what Workflows answered: accepted is all that it ever says."""
    body: WhichBody = call.body
    wish = Wish(Action.TEST_ALERT, integration_of(body))

    def told(view: CommandView) -> Answer:
        return Answer(answers.TestAlertTold.model_validate(view.result, by_name=True))

    return Follow(call.own.gate.submit(wish, call.caller, command_id=call.command_id), VENDOR_SECONDS, told)


def breaker(call: Call) -> Follow:
    """Hold every run back (`open`), let every request through (`closed`), each for so many minutes, or lift that
    (`none`)."""
    body: BreakerBody = call.body
    wish = force_breaker_wish(call.path["key"], state=body.state, minutes=body.minutes, reason=body.reason)
    return settled(call, wish)


def limits(call: Call) -> Follow:
    """Allow less than is set, for so many minutes: requests a minute or an hour, concurrent ones. An empty `to` lifts
    what was lowered."""
    body: LimitsBody = call.body
    to = body.to.model_dump(by_alias=True, exclude_none=True)
    return settled(call, lower_limits_wish(call.path["key"], to=to, minutes=body.minutes, reason=body.reason))


def schedule(call: Call) -> Follow:
    """Pause what starts by itself, or let it go on. Runs and requeues by hand start all the same."""
    body: ScheduleBody = call.body
    return settled(call, schedule_wish(integration_of(body), paused=body.paused, reason=body.reason))


def given(call: Call, wish: Wish) -> Follow:
    """A command whose own end is the answer: 202, since what it set in motion goes on."""

    def told(view: CommandView) -> Answer:
        command = told_command(view)
        return Answer(command, 202, command.run_address or command.bulk_address or command.address)

    return Follow(call.own.gate.submit(wish, call.caller, command_id=call.command_id), DAEMON_SECONDS, told)


def settled(call: Call, wish: Wish) -> Follow:
    """A command that is done when it has ended: 200."""

    def told(view: CommandView) -> Answer:
        return Answer(told_command(view))

    return Follow(call.own.gate.submit(wish, call.caller, command_id=call.command_id), DAEMON_SECONDS, told)
