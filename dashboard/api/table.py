"""Every route of the admin API: add an entry here and it is routed, checked, audited and documented.

Those on dead letters stand in ``letter_table.py``.
"""

from __future__ import annotations

from common.access import Action
from dashboard.api import acts, answers, reads, standing, state_answers, stream, wanted
from dashboard.api.frame import Endpoint, Example
from dashboard.api.letter_table import LETTER_ENDPOINTS

DOORLOOP = {"key": "doorloop"}
A_RUN = {"id": "00000000-0000-4000-8000-000000000001"}
A_COMMAND = {"id": "00000000-0000-4000-8000-000000000002"}
A_QUESTION = {"id": "00000000-0000-4000-8000-000000000003"}
"""Ids of the examples; the tests put such rows into their database."""
_OF_RUNS = ("ALREADY_RUNNING", "ACCOUNT_HELD", "BLOCKED_UNTIL", "DRILL_AND_REAL_ROWS", "BACKFILL_NOT_ALLOWED")
_OF_PACE = ("VALUE_UNUSABLE", "NOTHING_TO_LIFT", "REASON_MISSING")

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "GET",
        "integrations",
        "How every integration is",
        standing.integrations,
        {200: state_answers.IntegrationsTold},
        (Example("All of them"),),
    ),
    Endpoint(
        "GET",
        "integrations/{key}/ping",
        "Ping a vendor",
        acts.ping,
        {200: answers.PingTold, 202: answers.CommandTold},
        (Example("Ask DoorLoop", DOORLOOP),),
        action=Action.PING,
    ),
    Endpoint(
        "GET",
        "integrations/{key}/check",
        "Read one page of a vendor's list",
        acts.check,
        {200: answers.CheckTold, 202: answers.CommandTold},
        (Example("One owner", DOORLOOP, {"endpoint": "owners", "page_size": "1"}),),
        query=wanted.CheckQuery,
        action=Action.CHECK,
        refusals=("UNKNOWN_ENTITY",),
    ),
    Endpoint(
        "GET",
        "integrations/{key}/schema-diff",
        "Records against columns",
        reads.schema_diff,
        {200: state_answers.SchemaDiffsTold},
        (Example("Of DoorLoop", DOORLOOP),),
        refusals=("UNKNOWN_INTEGRATION",),
    ),
    Endpoint(
        "POST",
        "integrations/{key}/breaker",
        "Force the circuit breaker",
        acts.breaker,
        {200: answers.CommandTold, 202: answers.CommandTold},
        (
            Example(
                "Hold every run back for half an hour",
                DOORLOOP,
                body={"state": "open", "minutes": 30, "reason": "the vendor asked us to wait"},
            ),
            Example("Lift a force", DOORLOOP, body={"state": "none", "reason": "all is well again"}, status=409),
        ),
        body=wanted.BreakerBody,
        action=Action.FORCE_BREAKER,
        refusals=_OF_PACE,
    ),
    Endpoint(
        "POST",
        "integrations/{key}/limits",
        "Lower limits for a while",
        acts.limits,
        {200: answers.CommandTold, 202: answers.CommandTold},
        (
            Example(
                "Twenty requests a minute, one at a time, for an hour",
                DOORLOOP,
                body={
                    "to": {"perMinute": 20, "concurrency": 1},
                    "minutes": 60,
                    "reason": "another program needs the rest",
                },
            ),
            Example("Lift what was lowered", DOORLOOP, body={"to": {}, "reason": "it has ended"}, status=409),
        ),
        body=wanted.LimitsBody,
        action=Action.LOWER_LIMITS,
        refusals=_OF_PACE,
    ),
    Endpoint(
        "GET",
        "sync/status",
        "Where the copying stands",
        standing.sync_state,
        {200: state_answers.StatusTold},
        (Example("Of everything"), Example("Of DoorLoop", query={"integration": "doorloop"})),
        query=wanted.StatusQuery,
        refusals=("UNKNOWN_INTEGRATION",),
    ),
    Endpoint(
        "POST",
        "sync/run",
        "Start a run",
        acts.run,
        {202: answers.CommandTold},
        (
            Example("What changed", body={"entities": ["owners", "units"], "mode": "delta"}, status=202),
            Example("Count what a full copy would do", body={"mode": "backfill", "dryRun": True}, status=202),
            Example("What changed since a moment", body={"mode": "delta", "since": "2026-11-01T00:00:00Z"}, status=202),
        ),
        body=wanted.RunBody,
        action=Action.RUN,
        refusals=(*_OF_RUNS, "UNKNOWN_ENTITY", "SINCE_UNUSABLE"),
    ),
    Endpoint(
        "POST",
        "sync/stop",
        "Stop the active run",
        acts.stop,
        {202: answers.CommandTold},
        (Example("With nothing running", body={}, status=409),),
        body=wanted.WhichBody,
        action=Action.STOP,
        refusals=("NOTHING_RUNNING",),
    ),
    Endpoint(
        "GET",
        "sync/runs",
        "The latest runs",
        reads.run_list,
        {200: answers.RunsTold},
        (
            Example("The last fifty", query={"limit": "50"}),
            Example("Failed backfills of units", query={"state": "failed", "mode": "backfill", "entity": "units"}),
            Example("Older ones", query={"before": "2026-11-01T00:00:00Z", "limit": "10"}),
        ),
        query=wanted.RunsQuery,
    ),
    Endpoint(
        "GET",
        "sync/runs/{id}",
        "One run",
        reads.run_detail,
        {200: answers.RunDetailTold},
        (Example("With its entities", A_RUN),),
        refusals=("NO_SUCH_THING",),
    ),
    Endpoint(
        "GET",
        "sync/logs/stream",
        "The live log",
        stream.log_lines,
        {200: answers.LineTold},
        (
            Example("Warnings and errors, the last twenty first", query={"level": "warn", "tail": "20"}),
            Example("Of owners, after the line that was read last", query={"entity": "owners", "lastEventId": "0"}),
        ),
        query=wanted.LogQuery,
        refusals=("TOO_MANY_STREAMS",),
        is_stream=True,
    ),
    Endpoint(
        "POST",
        "sync/schedule",
        "Pause the schedule, or let it go on",
        acts.schedule,
        {200: answers.CommandTold, 202: answers.CommandTold},
        (
            Example("Pause it", body={"paused": True, "reason": "the vendor moves house tonight"}),
            Example("Let it go on", body={"paused": False, "reason": "all is well again"}, status=409),
        ),
        body=wanted.ScheduleBody,
        action=Action.SCHEDULE,
        refusals=("NOTHING_TO_LIFT", "REASON_MISSING"),
    ),
    *LETTER_ENDPOINTS,
    Endpoint(
        "GET",
        "daemons",
        "The daemons",
        reads.daemons,
        {200: state_answers.DaemonsTold},
        (Example("All of them"),),
    ),
    Endpoint(
        "GET",
        "confirmations",
        "Open questions",
        reads.questions,
        {200: state_answers.QuestionsTold},
        (Example("All of them"),),
    ),
    Endpoint(
        "POST",
        "confirmations/{id}",
        "Answer a question",
        acts.answer,
        {202: answers.CommandTold},
        (
            Example(
                "Do not remove", A_QUESTION, body={"answer": "reject", "reason": "a filter was left on"}, status=202
            ),
        ),
        body=wanted.AnswerBody,
        action=Action.CONFIRM,
        refusals=("UNKNOWN_CONFIRMATION", "MASS_REMOVAL_OUTDATED", "ALREADY_RUNNING"),
    ),
    Endpoint(
        "POST",
        "alerts/test",
        "Send a test alert",
        acts.test_alert,
        {200: answers.TestAlertTold, 202: answers.CommandTold},
        (Example("To the Teams webhook", body={}),),
        body=wanted.WhichBody,
        action=Action.TEST_ALERT,
        refusals=("WEBHOOK_MISSING", "WEBHOOK_UNUSABLE"),
    ),
    Endpoint(
        "GET",
        "commands/{id}",
        "What became of a command",
        reads.command,
        {200: answers.CommandTold},
        (Example("By the address that an act gave", A_COMMAND),),
        refusals=("NO_SUCH_THING",),
    ),
)
