"""One catalogue of everything that can be said to be wrong: code, cause, remedy, outcome.

Page, API, logs, findings and alerts take their words from here, so that an oddity has one name everywhere (law 8).
Sentences may hold ``{fact}`` placeholders, filled from the facts an error or finding carries; a missing one shows "?".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Outcome = Literal[
    "start refused",
    "finding",
    "retried",
    "run failed",
    "run deferred",
    "run stopped",
    "run interrupted",
    "run incomplete",
    "entity forbidden",
    "entity failed",
    "entity partial",
    "warning",
    "record put aside",
    "refused",
    "ends without writing",
]


@dataclass(frozen=True)
class Code:
    """One thing that can go wrong."""

    key: str
    outcome: Outcome
    cause: str
    remedy: str

    def cause_with(self, facts: Mapping[str, Any]) -> str:
        """The cause with its facts filled in."""
        return self.cause.format_map(defaultdict(lambda: "?", facts))

    def remedy_with(self, facts: Mapping[str, Any]) -> str:
        """The remedy with its facts filled in."""
        return self.remedy.format_map(defaultdict(lambda: "?", facts))


_ALL = (
    # --- settings
    Code(
        "SETTING_INVALID",
        "finding",
        "{setting} is {problem}.",
        "Set {setting} to {expected}; it takes effect at the next start.",
    ),
    Code("SETTING_MISSING", "start refused", "{setting} is not set.", "Set {setting}: {expected}."),
    Code("SETTING_UNUSABLE", "start refused", "{setting} is {problem}.", "Set {setting} to {expected}."),
    Code(
        "BASE_URL_NOT_API",
        "finding",
        "DOORLOOP_BASE_URL points at {problem}, not at the API.",
        "Set DOORLOOP_BASE_URL=https://app.doorloop.com/api and restart the daemon.",
    ),
    Code(
        "BASE_URL_NOT_ENCRYPTED",
        "finding",
        "DOORLOOP_BASE_URL uses plain http to another machine, which would send the API key readable.",
        "Use https in DOORLOOP_BASE_URL; plain http is accepted for this machine only.",
    ),
    Code(
        "DRILL_DATA",
        "finding",
        "No DOORLOOP_API_KEY is set, so the bundled drill server stands in for DoorLoop.",
        "Set DOORLOOP_API_KEY (DoorLoop → Settings → Zapier & API Keys) and restart the daemon.",
    ),
    Code(
        "KEY_MISSING",
        "finding",
        "No DOORLOOP_API_KEY is set, and the drill server is not allowed on this database.",
        "Set DOORLOOP_API_KEY and restart the daemon (or ICC_DRILL=1 to rehearse on an empty database).",
    ),
    Code(
        "DRILL_AND_REAL_ROWS",
        "finding",
        "This database holds {held} rows; {wanted} rows are never mixed with them.",
        "Use another database (DATABASE_URL, or another ICC_DATA_DIR) for the {wanted} data, or set the key that belongs here; `python -m daemon forget-drill` deletes drill rows.",
    ),
    Code(
        "NOT_DRILL_ROWS",
        "refused",
        "This database holds no drill rows.",
        "Nothing to do; real rows are never deleted by this command.",
    ),
    Code(
        "WEBHOOK_UNUSABLE",
        "finding",
        "INTEGRATIONS_TEAMS_WEBHOOK is {problem}.",
        'Paste the address of a Teams workflow ("When a Teams webhook request is received") and restart.',
    ),
    Code(
        "WEBHOOK_RETIRED",
        "finding",
        "INTEGRATIONS_TEAMS_WEBHOOK is an Office 365 connector address; Microsoft has retired those.",
        "Create a Workflows webhook in Teams and set its address instead.",
    ),
    Code(
        "SCHEDULE_OVER_BUDGET",
        "finding",
        "The present schedule needs about {needed} requests an hour; DoorLoop allows {allowed}.",
        "Set DOORLOOP_PAGE_SIZE=1000, or AUTO_SYNC_INTERVAL_MINUTES={minutes}.",
    ),
    # --- database
    Code(
        "DATABASE_AWAY",
        "retried",
        "The database cannot be reached: {detail}.",
        "Nothing was lost; work goes on when it is back. Check DATABASE_URL and the server.",
    ),
    Code(
        "LEASE_LOST",
        "ends without writing",
        "Another run took this account over: {detail}.",
        "Nothing to do: the newer run continues where this one stopped.",
    ),
    # --- vendor, whole run
    Code(
        "KEY_REFUSED",
        "run failed",
        "DoorLoop refused the API key (401).",
        "Set DOORLOOP_API_KEY to a valid key (DoorLoop → Settings → Zapier & API Keys), then restart the daemon.",
    ),
    Code(
        "HTML_FROM_DOCS_HOST",
        "run failed",
        "DOORLOOP_BASE_URL points at the documentation site, which answers web pages instead of data.",
        "Set DOORLOOP_BASE_URL=https://app.doorloop.com/api and restart the daemon.",
    ),
    Code(
        "HTML_FROM_APP",
        "run failed",
        "DOORLOOP_BASE_URL answers with DoorLoop's web application instead of data: the path /api is missing.",
        "Set DOORLOOP_BASE_URL=https://app.doorloop.com/api and restart the daemon.",
    ),
    Code(
        "HTML_LOGIN_PAGE",
        "run failed",
        "A sign-in page came instead of data.",
        "Check DOORLOOP_BASE_URL (https://app.doorloop.com/api) and DOORLOOP_API_KEY, and any proxy in between; then restart the daemon.",
    ),
    Code(
        "NOT_JSON",
        "run failed",
        "A {content_type} answer came instead of JSON.",
        "Check DOORLOOP_BASE_URL: it must be https://app.doorloop.com/api.",
    ),
    Code(
        "REDIRECT_REFUSED",
        "run failed",
        "The vendor redirected to another address ({location}); the key is never sent there.",
        "Set DOORLOOP_BASE_URL to the API's own address (https://app.doorloop.com/api).",
    ),
    Code(
        "ACCOUNT_CHANGED",
        "run failed",
        "The key now belongs to another vendor account ({now}) than the rows here ({before}).",
        "Confirm the change on the page or by `python -m daemon confirm`, or set the right DOORLOOP_API_KEY.",
    ),
    # --- vendor, one entity
    Code(
        "ROLE_FORBIDDEN",
        "entity forbidden",
        "This key's role may not read {entity} ({status}).",
        "Give the key's user a role that may read {entity}, or leave it out of SYNC_ENTITIES.",
    ),
    Code(
        "NOT_FOUND", "entity failed", "DoorLoop knows no {path} (404).", "Check DOORLOOP_BASE_URL; it must end in /api."
    ),
    Code(
        "REQUEST_REFUSED",
        "entity failed",
        "DoorLoop refused the request for {path} ({status}).",
        "See the answer's text in the run; the vendor may have changed its API.",
    ),
    Code(
        "VENDOR_ERROR",
        "retried",
        "DoorLoop answered {status} at {path}.",
        "Nothing to do at first: it is tried again. If it lasts, see status.doorloop.com.",
    ),
    Code(
        "VENDOR_TIMEOUT",
        "retried",
        "DoorLoop did not answer {path} in time.",
        "Nothing to do at first: it is tried again. If it lasts, see status.doorloop.com.",
    ),
    Code(
        "NETWORK_FAULT",
        "retried",
        "The connection to {host} failed: {detail}.",
        "It is tried again. If it lasts, check the network, a firewall, and DOORLOOP_BASE_URL.",
    ),
    Code(
        "TRUNCATED_BODY",
        "retried",
        "The answer at {path} ended early.",
        "It is tried again; a proxy in between may cut answers.",
    ),
    Code(
        "INVALID_JSON",
        "retried",
        "The answer at {path} is not valid JSON.",
        "It is tried again; if it lasts, report it to the vendor with the run's id.",
    ),
    Code(
        "BODY_TOO_LARGE",
        "entity failed",
        "The answer at {path} is larger than {limit_mb} MB.",
        "Lower DOORLOOP_PAGE_SIZE.",
    ),
    Code(
        "RATE_LIMITED",
        "retried",
        "DoorLoop asked us to slow down (429).",
        "Nothing to do: the run waits, or goes on by itself later.",
    ),
    Code(
        "BUDGET_SPENT",
        "run deferred",
        "This hour's requests to DoorLoop are used up.",
        "Nothing to do: the run goes on by itself. DOORLOOP_PAGE_SIZE=1000 needs fewer requests.",
    ),
    Code(
        "BREAKER_OPEN",
        "run incomplete",
        "Too many requests failed in a row; the circuit breaker holds further ones back.",
        "It tries again by itself after its cool-down; look at the last error for the cause.",
    ),
    Code(
        "WRONG_ENVELOPE",
        "entity failed",
        "The answer at {path} is not a list: {problem}.",
        "The vendor changed its API, or a proxy answers; nothing was written from it.",
    ),
    Code(
        "BARE_ARRAY",
        "warning",
        "The list at {path} came without its envelope, so its total is unknown.",
        "Rows are stored; nothing is marked removed until the envelope is back.",
    ),
    Code(
        "REPEATED_PAGE",
        "entity partial",
        "Page {page} brought the same records as an earlier page.",
        "The vendor ignores paging at the moment; a later run reads it again.",
    ),
    Code(
        "NO_NEW_IDS",
        "entity partial",
        "Page {page} brought only records of earlier pages.",
        "The vendor's paging is unreliable at the moment; a later run reads it again.",
    ),
    Code(
        "EMPTY_PAGE_EARLY",
        "entity partial",
        "Page {page} of {pages} is empty although more records should follow.",
        "A later run reads the list again.",
    ),
    Code(
        "COUNT_DRIFT",
        "warning",
        "{ids} distinct records arrived but DoorLoop counts {total}.",
        "The list changed while it was read; nothing is marked removed, the next full run settles it.",
    ),
    Code(
        "ORDER_NOT_PROVEN",
        "warning",
        "The list is not ordered by updatedAt although asked, so the whole list is read.",
        "Nothing to do; delta runs cost as many requests as a full one.",
    ),
    Code(
        "IDENTITY_UNKNOWN",
        "warning",
        "Whose account this is could not be read ({status} at /users/me).",
        "Let the key's role read /users/me, so that a swapped key is noticed.",
    ),
    Code(
        "MASS_REMOVAL",
        "run incomplete",
        "{removed} of {held} {entity} are missing in DoorLoop's full list; none was marked removed.",
        "If that is right, confirm it on the page or by `python -m daemon confirm`.",
    ),
    Code(
        "MASS_REMOVAL_OUTDATED",
        "refused",
        "Since the question was asked, a newer full copy of {entity} has run.",
        "Answer the newer question, or run a backfill.",
    ),
    Code(
        "PASS_RESTARTED",
        "warning",
        "The earlier reading of {entity} could not be continued: {why}.",
        "Nothing to do; the list is read from its first page.",
    ),
    # --- records
    Code(
        "RECORD_WITHOUT_ID",
        "record put aside",
        "A record has no usable id.",
        "Mend it in DoorLoop; the next run brings it.",
    ),
    Code(
        "RECORD_NOT_OBJECT",
        "record put aside",
        "An item of the list is not a record.",
        "Report it to the vendor; the next run looks again.",
    ),
    Code(
        "RECORD_TYPE",
        "record put aside",
        "{field} holds {value}, which is no {kind}.",
        "Mend {field} in DoorLoop; the next run brings it.",
    ),
    Code(
        "RECORD_REFUSED",
        "record put aside",
        "The database refused the record: {detail}.",
        "See the record's payload; the next run tries again.",
    ),
    Code(
        "ALL_RECORDS_BAD",
        "entity failed",
        "All {count} records of page {page} are unusable.",
        "The vendor's format has probably changed; see the dead letters.",
    ),
    Code(
        "NEW_DEAD_LETTERS",
        "run incomplete",
        "{count} records were put aside.",
        "See the dead letters for each one's reason.",
    ),
    # --- runs and commands
    Code("ENTITIES_FAILED", "run failed", "None of the entities could be read.", "See each entity's error."),
    Code(
        "INTERRUPTED",
        "run interrupted",
        "The process died at page {page} of {entity}.",
        "The next run goes on at its page by itself.",
    ),
    Code("STOPPED", "run stopped", "Stopped by {by}.", "The next run goes on where this one stopped."),
    Code(
        "INTERNAL_ERROR",
        "run failed",
        "An error of ours: {detail}.",
        "See the daemon's log for the traceback, and report it.",
    ),
    Code(
        "ALREADY_RUNNING",
        "refused",
        "A run is active since {since}, started by {by}.",
        "Follow that run, or stop it first.",
    ),
    Code(
        "NO_DAEMON",
        "refused",
        "No daemon is running, so nobody would do it.",
        "Start it: `make run` (laptop), `heroku ps:scale worker=1`, or Replit's Run.",
    ),
    Code(
        "COMMAND_EXPIRED",
        "refused",
        "No daemon took the command within {seconds} s: the daemon is down.",
        "Start it: `make run` (laptop), `heroku ps:scale worker=1`, or Replit's Run.",
    ),
    Code("NOT_PERMITTED", "refused", "{actor} may not {action}.", "Ask an admin."),
    Code(
        "NOT_FROM_GATE",
        "refused",
        "The command was not from the gate: its seal does not match.",
        "Give commands on the page, by the API or the CLI only; check ICC_SECRET_KEY is the same for web and worker.",
    ),
    Code(
        "BACKFILL_NOT_ALLOWED",
        "refused",
        "Backfills by hand are switched off (ALLOW_MANUAL_BACKFILL=false).",
        "Run a delta, or wait for the nightly full run.",
    ),
    Code("ACCOUNT_HELD", "refused", "{integration} is held by its settings: {finding}", "{remedy}"),
    Code(
        "BLOCKED_UNTIL",
        "refused",
        "The vendor's budget is used up until {until}.",
        "Nothing to do: the run goes on by itself then.",
    ),
    Code("NOTHING_RUNNING", "refused", "Nothing is running.", "Nothing to do."),
    Code("UNKNOWN_INTEGRATION", "refused", "There is no integration {integration}.", "Use one of: {known}."),
    Code("UNKNOWN_ENTITY", "refused", "There is no entity {entity}.", "Use some of: {known}."),
    Code("UNKNOWN_MODE", "refused", "There is no mode {mode}.", "Use backfill, delta, or delta with a since."),
    Code("UNKNOWN_CONFIRMATION", "refused", "There is no open question {id}.", "It may have been answered already."),
    Code(
        "SINCE_UNUSABLE",
        "refused",
        "{value} is not a moment in time.",
        "Give an ISO date and time, such as 2026-11-01T00:00:00Z.",
    ),
)

CODES: Mapping[str, Code] = {code.key: code for code in _ALL}
"""Every code by its key."""
