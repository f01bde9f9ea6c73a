"""Routes on dead letters: read them, requeue or discard them, and what became of that.

A filter means "all that match now", so that nothing is touched that came later: what is counted is carried to the
daemon. Whoever has shown the number to a person sends `counted` and `lastId` as `GET sync/dlq` told them; else the
route counts in the same moment.
"""

from __future__ import annotations

from common.access import Sight, sight_of
from common.errors import Refused
from common.insights import findings, letters
from common.insights.letters import LetterCount, LetterFilter
from common.insights.sight import as_seen
from common.letter_wishes import Matching, cancel_wish, discard_wish, requeue_wish
from common.wishes import catalog_entry
from dashboard.api import letter_answers as told
from dashboard.api.acts import given, settled
from dashboard.api.frame import Answer, Call, Follow
from dashboard.api.reads import integration_of
from dashboard.api.wanted import BulkQuery, DiscardBody, ErrorsQuery, GroupsQuery, LettersBody, LettersQuery


def letter_list(call: Call) -> Answer:
    """Records that could not be stored, with the reason; without a `state` those that wait for somebody. `counted` and
    `lastId` are of all that match: what a requeue or discard of them may carry."""
    query: LettersQuery = call.query
    key = catalog_entry(integration_of(query)).key
    which = LetterFilter(query.entity, query.code, query.fingerprint, query.state)
    with call.own.reading() as database:
        found = letters.letters(database, key, which=which, limit=query.limit, before=query.before)
        counted = letters.count(database, key, which=which)
    seen = as_seen(found, sight_of(call.caller.role))
    return Answer(
        told.LettersTold(
            integration=key,
            letters=[told.LetterTold.model_validate(one) for one in seen],
            next_before=seen[-1].id if len(seen) == query.limit else None,
            counted=counted.number,
            last_id=counted.last_id,
        )
    )


def letter_groups(call: Call) -> Answer:
    """Records put aside by entity and cause, the largest group first; counted among the newest ten thousand."""
    query: GroupsQuery = call.query
    key = catalog_entry(integration_of(query)).key
    with call.own.reading() as database:
        found = as_seen(letters.groups(database, key, state=query.state, limit=query.limit), sight_of(call.caller.role))
    return Answer(
        told.LetterGroupsTold(integration=key, groups=[told.LetterGroupTold.model_validate(one) for one in found])
    )


def letter_detail(call: Call) -> Answer:
    """One record put aside, with its payload; a viewer sees the types of personal fields, not their values."""
    sight = sight_of(call.caller.role)
    with call.own.reading() as database:
        found = letters.letter(database, int(call.path["letter"]), whole=sight is Sight.WHOLE)
    if found is None:
        raise Refused("NO_SUCH_THING", thing="letter", id=call.path["letter"])
    return Answer(told.LetterDetailTold.model_validate(as_seen(found, sight)))


def requeue(call: Call) -> Follow:
    """Read the records of these open letters again: `id`, `ids`, or all that match a `filter` now. 202 with the bulk
    action, whose progress and verdict `GET sync/bulk` tells."""
    body: LettersBody = call.body
    key, which = integration_of(body), _which(body)
    counted = _counted(call, body, key, which)
    return given(call, requeue_wish(key, which, counted=counted.number, last_id=counted.last_id))


def discard(call: Call) -> Follow:
    """Close these open letters for good, until their record comes with another content: `id`, `ids`, or all that match
    a `filter` now. The reason is kept with each."""
    body: DiscardBody = call.body
    key, which = integration_of(body), _which(body)
    counted = _counted(call, body, key, which)
    return given(call, discard_wish(key, which, reason=body.reason, counted=counted.number, last_id=counted.last_id))


def _which(body: LettersBody) -> Matching:
    if body.filter is not None:
        return Matching(body.filter.entity, body.filter.code, body.filter.fingerprint)
    return Matching(ids=(body.id,) if body.id is not None else body.ids)


def _counted(call: Call, body: LettersBody, key: str, which: Matching) -> LetterCount:
    """What the wish carries. Where nothing matches it names no letter either: the gate and the daemon refuse it, so
    that this try is decided and written down as any other."""
    if which.ids is not None:
        return LetterCount(len(which.ids), None)
    if body.counted is not None:
        return LetterCount(body.counted, body.last_id)
    catalog_entry(key)
    with call.own.reading() as database:
        found = letters.count(database, key, which=LetterFilter(which.entity, which.code, which.fingerprint))
    return LetterCount(max(1, found.number), found.last_id or 0)


def bulk_list(call: Call) -> Answer:
    """The latest requeues and discards, newest first: how many letters, how many are done and how each ended, and the
    verdict once it is over; or the one with this `id`."""
    query: BulkQuery = call.query
    key = catalog_entry(integration_of(query)).key
    with call.own.reading() as database:
        found = letters.bulk_actions(
            database, key, limit=query.limit, before=query.before, bulk_id=str(query.id) if query.id else None
        )
    more = found[-1].created_at if len(found) == query.limit else None
    return Answer(told.BulksTold(actions=[told.BulkTold.model_validate(one) for one in found], next_before=more))


def cancel(call: Call) -> Follow:
    """End a requeue or discard where it is; what it did stays done, the other letters are open as before."""
    wish = cancel_wish(integration_of(call.body), call.path["id"])
    return settled(call, wish)


def error_groups(call: Call) -> Answer:
    """Alike errors, the latest first, with the runs that they touched. The snippet of the answer is for admins."""
    query: ErrorsQuery = call.query
    key = catalog_entry(integration_of(query)).key
    with call.own.reading() as database:
        found = findings.error_groups(database, key, limit=query.limit, hours=query.hours)
    seen = as_seen(found, sight_of(call.caller.role))
    return Answer(told.ErrorsTold(integration=key, groups=[told.ErrorGroupTold.model_validate(one) for one in seen]))
