"""What the admin API may answer a program that asked wrongly, and what a test alert may meet."""

from __future__ import annotations

from common.codes.code import Code

API = (
    # --- the admin API
    Code(
        "SIGN_IN_FIRST",
        "refused",
        "Nobody is signed in: {problem}.",
        "Send `Authorization: Bearer TOKEN` (`python -m common.accounts token --name NAME --role viewer` makes one), or sign in on the page.",
    ),
    Code(
        "FOREIGN_PAGE",
        "refused",
        "A browser sent this with a session's cookie, but not from our own page.",
        "Programs use a bearer token; a page must be one of ours.",
    ),
    Code(
        "NO_ROLE",
        "refused",
        "{actor} has no role here.",
        "Ask an admin for one (`python -m common.accounts role NAME viewer`).",
    ),
    Code(
        "NO_SUCH_ROUTE",
        "refused",
        "There is no {path}.",
        "See /api/admin/docs for what there is.",
    ),
    Code("NO_SUCH_THING", "refused", "There is no {thing} {id}.", "See the list for the ids that there are."),
    Code("METHOD_REFUSED", "refused", "{path} does not take {method}.", "Use {allowed}."),
    Code("REQUEST_TOO_LARGE", "refused", "The body is larger than {limit_kb} KB.", "Send less."),
    Code(
        "REQUEST_NOT_JSON",
        "refused",
        "The body is not JSON: {problem}.",
        "Send JSON as `Content-Type: application/json`.",
    ),
    Code("REQUEST_UNUSABLE", "refused", "{problems}.", "See /api/admin/docs for what this route takes."),
    Code(
        "TOO_MANY_STREAMS",
        "refused",
        "{person} has {count} streams of the log open already.",
        "Close a tab or end a program that reads the log, then try again.",
    ),
    Code(
        "TOO_MANY_REQUESTS",
        "refused",
        "{actor} asks more than {limit} times a minute.",
        "Wait {seconds} s. ICC_API_REQUESTS_PER_MINUTE sets the limit.",
    ),
    Code(
        "KEY_REUSED",
        "refused",
        "This Idempotency-Key was used for another request.",
        "Use a new key for every new request; the same key only to ask the same again.",
    ),
    # --- the Teams webhook
    Code(
        "WEBHOOK_MISSING",
        "refused",
        "No INTEGRATIONS_TEAMS_WEBHOOK is set, so there is nobody to tell.",
        'Make a workflow in Teams ("When a Teams webhook request is received"), set its address as INTEGRATIONS_TEAMS_WEBHOOK and restart the daemon.',
    ),
    Code(
        "WEBHOOK_REFUSED",
        "warning",
        "Workflows refused the card ({status}): {said}.",
        "Look at the flow in Power Automate (deleted, switched off, limited to the tenant?); paste its address again and restart the daemon.",
    ),
    Code(
        "WEBHOOK_NOT_WORKFLOWS",
        "warning",
        "INTEGRATIONS_TEAMS_WEBHOOK answers with a web page ({status}), which Workflows never does: nobody got the card.",
        'Copy the address from the flow\'s trigger "When a Teams webhook request is received" again and restart the daemon; if it is right, a proxy or sign-in page stands in between.',
    ),
    Code(
        "WEBHOOK_AWAY",
        "warning",
        "Workflows could not take the card now ({problem}).",
        "Nothing was shown; try again in a minute.",
    ),
)
