"""What the vendor and its lists can do wrong: for the whole run, or for one entity."""

from __future__ import annotations

from common.codes.code import Code

VENDOR = (
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
        frozenset({"before", "now"}),
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
        "Nothing to do at first: it is tried again, by the next run at the latest. If it lasts, see status.doorloop.com.",
    ),
    Code(
        "VENDOR_TIMEOUT",
        "retried",
        "DoorLoop did not answer {path} in time.",
        "Nothing to do at first: it is tried again, by the next run at the latest. If it lasts, see status.doorloop.com.",
    ),
    Code(
        "NETWORK_FAULT",
        "retried",
        "The connection to {host} failed: {detail}.",
        "It is tried again, by the next run at the latest. If it lasts, check the network, a firewall, and DOORLOOP_BASE_URL.",
    ),
    Code(
        "TRUNCATED_BODY",
        "retried",
        "The answer at {path} ended early.",
        "It is tried again, by the next run at the latest; a proxy in between may cut answers.",
    ),
    Code(
        "INVALID_JSON",
        "retried",
        "The answer at {path} is not valid JSON.",
        "It is tried again, by the next run at the latest; if it lasts, report it to the vendor with the run's id.",
    ),
    Code(
        "BODY_TOO_LARGE",
        "entity failed",
        "The answer at {path} is larger than {limit_mb} MB.",
        "Lower DOORLOOP_PAGE_SIZE.",
    ),
    Code(
        "TOO_MANY_VALUES",
        "entity failed",
        "The answer at {path} holds more than {most} million values.",
        "Lower DOORLOOP_PAGE_SIZE; if it is 50 already, report it to the vendor with the run's id.",
    ),
    Code(
        "PAGE_TOO_LONG",
        "entity failed",
        "A page of {path} brought {count} records where {asked} were asked for.",
        "The vendor did not heed the page size; nothing of the page was kept. Report it to the vendor with the run's id.",
    ),
    Code(
        "VENDOR_ASKED_LATER",
        "run deferred",
        "DoorLoop answered {status} at {path} and asked to come back later: no run sends anything before {until}.",
        "Nothing to do at first: the run goes on by itself then, a dry run does not. If it lasts, see status.doorloop.com.",
    ),
    Code(
        "RATE_LIMITED",
        "retried",
        "DoorLoop asked us to slow down (429).",
        "Nothing to do: the request waits and is sent again.",
    ),
    Code(
        "RATE_LIMITED_UNTIL",
        "run deferred",
        "DoorLoop asked us to slow down (429): no run sends anything before {until}.",
        "Nothing to do: the run goes on by itself then, a dry run does not. If it comes often, lower the DOORLOOP_RATE_LIMIT_… settings.",
    ),
    Code(
        "BUDGET_SPENT",
        "run deferred",
        "This hour's requests to DoorLoop are used up; the next one may go out at {until}.",
        "Nothing to do: the run goes on by itself then, a dry run does not. DOORLOOP_PAGE_SIZE=1000 needs fewer requests.",
    ),
    Code(
        "BREAKER_OPEN",
        "run incomplete",
        "Too many requests failed ({last}); the circuit breaker holds further ones back.",
        "It tries again by itself after its cool-down; if it lasts, see status.doorloop.com.",
    ),
    Code(
        "BREAKER_FORCED_OPEN",
        "run incomplete",
        "{by} holds the circuit breaker open until {until}: {reason}",
        "Wait until then, or let an admin lift it on the page.",
    ),
    Code(
        "WRONG_ENVELOPE",
        "entity failed",
        "The answer at {path} is not a list: {problem}.",
        "The vendor changed its API, or a proxy answers; nothing was written from it.",
    ),
    Code(
        "WRONG_RECORD",
        "entity failed",
        "The answer at {path} is not the record that was asked for.",
        "The vendor changed its API, or a proxy answers; nothing was written from it.",
    ),
    Code(
        "BARE_ARRAY",
        "warning",
        "The list at {path} came without its envelope, so its total is unknown.",
        "Rows are stored, but some may be missing; nothing is marked removed, and each delta reads all, until the envelope is back.",
    ),
    Code(
        "TOTAL_UNUSABLE",
        "warning",
        "The list at {path} came without a total that is a number, so nobody knows how long it is.",
        "Rows are stored, but some may be missing; nothing is marked removed, and each delta reads all, until the total is back.",
    ),
    Code(
        "CREDENTIAL_IN_RECORD",
        "warning",
        "A record of {entity} quotes our own key or webhook; it is kept with ••• in its place.",
        "Have it taken out of the record at the vendor, and change the key: others may have read it there.",
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
        "Page {page} brought no record id that is new.",
        "The vendor's paging is unreliable at the moment; a later run reads it again.",
    ),
    Code(
        "EMPTY_PAGE_EARLY",
        "entity partial",
        "Page {page} of {pages} is empty although more records should follow.",
        "A later run reads the list again.",
    ),
    Code(
        "LIST_WITHOUT_END",
        "entity partial",
        "Page {page} still brings records, although the total of page 1 made expect {pages}.",
        "What came is kept, and nothing is marked removed. Tell DoorLoop's support with the time and the path.",
    ),
    Code(
        "COUNT_DRIFT",
        "warning",
        "{ids} distinct records arrived but DoorLoop counts {total}.",
        "The list changed while it was read, or holds records without an id; nothing is marked removed, the next full run settles it.",
    ),
    Code(
        "ABSENCE_NOT_PROVEN",
        "warning",
        "Rows missing from the list of {entity}: {missing}. A second look at it is no proof that they are gone: {why}.",
        "Nothing is marked removed; the next backfill looks again. If this comes back, run one at a quieter hour, or where it is cut short raise DOORLOOP_PAGE_SIZE or the limits.",
    ),
    Code(
        "END_NOT_SEEN",
        "warning",
        "All that {entity} counts has come; page {page}, asked for to see that nothing follows, did not ({why}).",
        "Nothing is marked removed; the next backfill looks again. If this comes back, tell DoorLoop's support that a page behind the last is answered so.",
    ),
    Code(
        "STAMP_AHEAD",
        "warning",
        "Record {id} says it was updated at {stamp}, which is yet to come.",
        "Deltas go by the other records' times and lose nothing; correct the record at the vendor, or report it to them.",
    ),
    Code(
        "LIST_SHRANK",
        "warning",
        "{entity} lost records while it was read newest first, so a changed one may have moved past the reader.",
        "Nothing to do: the next delta looks again from where this one did.",
    ),
    Code(
        "DUPLICATE_IDS",
        "warning",
        "Records of page {page} of {entity} whose id stood on this page before: {count}. The last one of each is kept.",
        "Nothing is lost where they are the same record; report it to the vendor if this comes back.",
    ),
    Code(
        "DUPLICATE_KEYS",
        "warning",
        "A record of {entity} names the field {field} twice; the last value is kept.",
        "Report it to the vendor; until then look at both values in DoorLoop.",
    ),
    Code(
        "ORDER_NOT_PROVEN",
        "warning",
        "The list is not ordered by updatedAt although asked, so the whole list is read.",
        "Nothing to do; delta runs cost as many requests as a full one.",
    ),
    Code(
        "UPDATED_AT_MISSING",
        "warning",
        "Records without updatedAt are known that do not stand at the top of the list, so the whole list is read.",
        "Nothing to do; while there are such records, delta runs cost as many requests as a full one.",
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
        "{missing} of {here} {entity} are missing in DoorLoop's full list; none was marked removed.",
        "If that is right, confirm it on the page or by `python -m daemon confirm`.",
    ),
    Code(
        "MASS_REMOVAL_OUTDATED",
        "refused",
        "What the question about {entity} rests on is outdated: {why}.",
        "Run a backfill: it asks again, or finds that nothing is missing any more.",
    ),
    Code(
        "PASS_RESTARTED",
        "warning",
        "The earlier reading of {entity} could not be continued: {why}.",
        "Nothing to do; the list is read from its first page.",
    ),
)
