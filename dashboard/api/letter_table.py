"""The routes on dead letters and alike errors: entries of the table, parted by subject."""

from __future__ import annotations

from common.access import Action
from dashboard.api import letter_answers, letters, wanted
from dashboard.api.answers import CommandTold
from dashboard.api.frame import Endpoint, Example

A_LETTER = {"letter": "4711"}
A_BULK = {"id": "00000000-0000-4000-8000-000000000004"}
"""Ids of the examples; the tests put such rows into their database."""
_OF_LETTERS = ("NO_SUCH_LETTERS", "LETTERS_GREW", "LETTERS_UNCOUNTED", "UNKNOWN_ENTITY")

LETTER_ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "GET",
        "sync/dlq",
        "Records put aside",
        letters.letter_list,
        {200: letter_answers.LettersTold},
        (
            Example("Of owners", query={"entity": "owners"}),
            Example("What waits, by its reason", query={"code": "RECORD_TYPE", "limit": "20"}),
            Example("What was closed", query={"state": "discarded"}),
        ),
        query=wanted.LettersQuery,
        refusals=("UNKNOWN_INTEGRATION",),
    ),
    Endpoint(
        "GET",
        "sync/dlq/groups",
        "Records put aside, by cause",
        letters.letter_groups,
        {200: letter_answers.LetterGroupsTold},
        (Example("The largest first"),),
        query=wanted.GroupsQuery,
        refusals=("UNKNOWN_INTEGRATION",),
    ),
    Endpoint(
        "GET",
        "sync/dlq/{letter}",
        "One record put aside",
        letters.letter_detail,
        {200: letter_answers.LetterDetailTold},
        (Example("With its payload", A_LETTER),),
        refusals=("NO_SUCH_THING",),
    ),
    Endpoint(
        "POST",
        "sync/dlq/requeue",
        "Read records put aside again",
        letters.requeue,
        {202: CommandTold},
        (
            Example("One", body={"id": 4711}, status=202),
            Example("All of one cause", body={"filter": {"entity": "owners", "code": "RECORD_TYPE"}}, status=202),
            Example(
                "All of one cause, as they were counted",
                body={"filter": {"entity": "owners"}, "counted": 1, "lastId": 4711},
                status=202,
            ),
            Example("With none of them open", body={"ids": [1, 2, 3]}, status=409),
        ),
        body=wanted.LettersBody,
        action=Action.REQUEUE,
        refusals=_OF_LETTERS,
    ),
    Endpoint(
        "POST",
        "sync/dlq/discard",
        "Close records put aside",
        letters.discard,
        {202: CommandTold},
        (Example("One", body={"id": 4711, "reason": "a test record of the vendor's"}, status=202),),
        body=wanted.DiscardBody,
        action=Action.DISCARD,
        refusals=(*_OF_LETTERS, "REASON_MISSING"),
    ),
    Endpoint(
        "GET",
        "sync/bulk",
        "Requeues and discards",
        letters.bulk_list,
        {200: letter_answers.BulksTold},
        (Example("The latest"), Example("One", query=A_BULK)),
        query=wanted.BulkQuery,
        refusals=("UNKNOWN_INTEGRATION",),
    ),
    Endpoint(
        "POST",
        "sync/bulk/{id}/cancel",
        "End a requeue or discard",
        letters.cancel,
        {200: CommandTold, 202: CommandTold},
        (Example("One that has ended already", A_BULK, body={}, status=404),),
        body=wanted.WhichBody,
        action=Action.CANCEL_BULK,
        refusals=("UNKNOWN_BULK_ACTION",),
    ),
    Endpoint(
        "GET",
        "errors",
        "Alike errors",
        letters.error_groups,
        {200: letter_answers.ErrorsTold},
        (Example("Of the last day", query={"hours": "24"}),),
        query=wanted.ErrorsQuery,
        refusals=("UNKNOWN_INTEGRATION",),
    ),
)
