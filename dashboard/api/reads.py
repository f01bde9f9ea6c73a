"""Routes that read, on the insights of the screens. Each runs in a thread; `as_seen` keeps values of records for
admins."""

from __future__ import annotations

from pydantic.alias_generators import to_camel

from common.access import Action, sight_of
from common.catalog import CATALOG
from common.errors import Refused
from common.insights import control, findings, runs
from common.insights.overview import Overview, overview
from common.insights.sight import as_seen
from common.wishes import catalog_entry
from dashboard.api import answers, state_answers
from dashboard.api.answers import CommandTold
from dashboard.api.frame import BASE, Answer, Call
from dashboard.api.state_answers import DaemonTold
from dashboard.api.wanted import OfIntegration, RunsQuery

BULKS = (Action.REQUEUE, Action.DISCARD)
"""A bulk action has its command's id."""


def only_one() -> str:
    """The integration that is meant when none is named: the catalogue's first and, today, only one."""
    return next(iter(CATALOG))


def integration_of(asked: OfIntegration) -> str:
    """The integration that is meant."""
    return asked.integration or only_one()


def seen(call: Call) -> Overview:
    """The first look of the page, as this caller may see it."""
    with call.own.reading() as database:
        return as_seen(overview(database, call.own.counter), sight_of(call.caller.role))


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
        found = as_seen(findings.schema_diffs(database, entry.key), sight_of(call.caller.role))
    told = [state_answers.SchemaDiffTold.model_validate(one) for one in found]
    return Answer(state_answers.SchemaDiffsTold(integration=entry.key, entities=told))


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
    found = as_seen(found, sight_of(call.caller.role))
    more = found[-1].queued_at if len(found) == query.limit else None
    return Answer(answers.RunsTold(runs=[answers.RunTold.model_validate(run) for run in found], next_before=more))


def run_detail(call: Call) -> Answer:
    """One run, what it did with each entity, and of a dry run what it would change."""
    sight = sight_of(call.caller.role)
    with call.own.reading() as database:
        found = as_seen(runs.detail(database, call.path["id"]), sight)
        delta = as_seen(findings.dry_run(database, call.path["id"]), sight)
    if found is None:
        raise Refused("NO_SUCH_THING", thing="run", id=call.path["id"])
    return Answer(
        answers.RunDetailTold(
            run=answers.RunTold.model_validate(found.run),
            parts=[answers.RunPartTold.model_validate(part) for part in found.parts],
            delta=[answers.EntityDeltaTold.model_validate(one) for one in delta],
        )
    )


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
            details=dict(question.details),
            created_at=question.created_at,
        )
        for account in seen(call).accounts
        for question in account.questions
    ]
    return Answer(state_answers.QuestionsTold(questions=told))


def command(call: Call) -> Answer:
    """What became of a command."""
    with call.own.reading() as database:
        view = as_seen(control.command_state(database, call.path["id"]), sight_of(call.caller.role))
    if view is None:
        raise Refused("NO_SUCH_THING", thing="command", id=call.path["id"])
    return Answer(told_command(view))


def told_command(view: control.CommandView) -> CommandTold:
    """A command as programs see it."""
    fields = {name: getattr(view, name) for name in CommandTold.model_fields if hasattr(view, name)}
    run_address = f"{BASE}sync/runs/{view.run_id}" if view.run_id else None
    bulk_address = f"{BASE}sync/bulk?id={view.id}" if view.action in BULKS else None
    addresses = {"address": f"{BASE}commands/{view.id}", "run_address": run_address, "bulk_address": bulk_address}
    fields["result"] = {to_camel(key): value for key, value in view.result.items()}
    return CommandTold.model_validate({**fields, **addresses}, by_name=True)
