"""What can be wrong with settings and database."""

from __future__ import annotations

from common.codes.code import Code

SETTINGS = (
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
        "DATABASE_FORBIDS",
        "start refused",
        "Postgres does not let us write: {detail}",
        "Give the user of DATABASE_URL the right to make schemas in its database (GRANT CREATE ON DATABASE), or name the one to whom schema control belongs, on a server that is not read-only.",
    ),
    Code(
        "DATABASE_NOT_UTF8",
        "start refused",
        "The database of DATABASE_URL keeps its texts as {detail}, which has no room for every letter.",
        "Set DATABASE_URL to a database in UTF8 (CREATE DATABASE … TEMPLATE template0 ENCODING 'UTF8').",
    ),
    Code("EMBEDDED_DATABASE", "start refused", "The embedded Postgres cannot do it: {problem}", "{remedy}"),
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
        "The present schedule needs about {needed} requests in its busiest hour; DoorLoop allows {allowed}.",
        "{remedy}",
    ),
    # --- database
    Code(
        "DATABASE_AWAY",
        "retried",
        "The database cannot be reached: {detail}.",
        "Nothing was lost; work goes on when it is back. Check DATABASE_URL and the server.",
    ),
    Code(
        "DATABASE_REFUSES",
        "run incomplete",
        "Postgres answers, but has refused a part of this run for {seconds} s: {detail}.",
        "Mend what it names (room on its disk, connections, a time limit, a lock), then run again: it goes on where it was.",
    ),
    Code(
        "LEASE_LOST",
        "ends without writing",
        "Another run took this account over: {detail}.",
        "Nothing to do: the newer run continues where this one stopped.",
    ),
)
