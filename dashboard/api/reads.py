"""Routes that read, on the insights of the screens. Each runs in a thread; values of records are for admins."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from common.access import Role
from common.codes import CODES
from common.errors import Refused
from common.insights import control, dead_letters, runs, shapes
from common.insights.dead_letters import Letter
from common.insights.overview import Overview, overview
from common.operator_actions import Actor
from common.redact import HIDDEN
from common.wishes import catalog_entry
from dashboard.api import answers, state_answers
from dashboard.api.answers import CommandTold
from dashboard.api.frame import BASE, Answer, Call
from dashboard.api.shapes import for_caller
from dashboard.api.state_answers import DaemonTold
from dashboard.api.wanted import DeadLettersQuery, RunsQuery


def seen(call: Call) -> Overview:
    """The first look of the page."""
    with call.own.reading() as database:
        return overview(database, call.own.counter)


def daemons(call: Call) -> Answer:
    """Which daemons live, since when, on which version, and what each is doing."""
    look = seen(call)
    return Answer(state_answers.DaemonsTold(now=look.now, alive=look.daemon_is_alive, daemons=daemons_of(look)))


def daemons_of(look: Overview) -> list[DaemonTold]:
    """The daemons of a look."""
    return [DaemonTold.model_validate(daemon) for daemon in look.daemons]


def schema_diff(call: Call) -> Answer:
    """What the latest sampled records hold against our columns: keys without a column, columns never seen, types that
    drifted. Nothing is lost by any of it: every record is kept whole in `raw`."""
    entry = catalog_entry(call.path["key"])
    with call.own.reading() as database:
        found = shapes.shape_diffs(database, entry.key)
    told = [
        state_answers.ShapeDiffTold.model_validate(replace(one, drift=for_caller(call.caller, dict(one.drift))))
        for one in found
    ]
    return Answer(state_answers.ShapeDiffsTold(integration=entry.key, entities=told))


def run_list(call: Call) -> Answer:
    """The latest runs, newest first."""
    query: RunsQuery = call.query
    with call.own.reading() as database:
        found = runs.found_runs(
            database,
            integration=query.integration,
            state=query.state,
            mode=query.mode,
            entity=query.entity,
            before=query.before,
            limit=query.limit,
        )
    more = found[-1].queued_at if len(found) == query.limit else None
    return Answer(answers.RunsTold(runs=[answers.RunTold.model_validate(run) for run in found], next_before=more))


def run_detail(call: Call) -> Answer:
    """One run, and what it did with each entity."""
    with call.own.reading() as database:
        found = runs.detail(database, call.path["id"])
    if found is None:
        raise Refused("NO_SUCH_THING", thing="run", id=call.path["id"])
    return Answer(answers.RunDetailTold.model_validate(found))


def letter_list(call: Call) -> Answer:
    """Records that could not be stored, with the reason; `GET sync/dlq?state=open` is what waits for somebody."""
    query: DeadLettersQuery = call.query
    with call.own.reading() as database:
        found = dead_letters.letters(database, **query.model_dump())
    more = found[-1].id if len(found) == query.limit else None
    return Answer(state_answers.DeadLettersTold(letters=[_letter(call.caller, one) for one in found], next_before=more))


def _letter(caller: Actor, letter: Letter) -> state_answers.DeadLetterTold:
    if caller.role is not Role.ADMIN:
        # The reason quotes the record ("field holds value"), so a viewer reads the code's own sentence.
        cause = CODES[letter.problem.code or ""].cause.format_map(defaultdict(lambda: HIDDEN))
        letter = replace(letter, payload=HIDDEN, problem=replace(letter.problem, cause=cause))
    return state_answers.DeadLetterTold.model_validate(letter)


def questions(call: Call) -> Answer:
    """Questions that only an admin may answer: a mass removal, a changed vendor account."""
    told = [
        state_answers.QuestionTold(
            id=question.id,
            integration=account.integration,
            account_key=account.account_key,
            kind=question.kind,
            entity=question.entity,
            run_id=question.run_id,
            details=for_caller(call.caller, dict(question.details)),
            created_at=question.created_at,
        )
        for account in seen(call).accounts
        for question in account.questions
    ]
    return Answer(state_answers.QuestionsTold(questions=told))


def command(call: Call) -> Answer:
    """What became of a command."""
    with call.own.reading() as database:
        view = control.command_state(database, call.path["id"])
    if view is None:
        raise Refused("NO_SUCH_THING", thing="command", id=call.path["id"])
    return Answer(told_command(view))


def told_command(view: control.CommandView) -> CommandTold:
    """A command as programs see it."""
    fields = {name: getattr(view, name) for name in CommandTold.model_fields if hasattr(view, name)}
    run_address = f"{BASE}sync/runs/{view.run_id}" if view.run_id else None
    return CommandTold.model_validate(
        {**fields, "address": f"{BASE}commands/{view.id}", "run_address": run_address}, by_name=True
    )
