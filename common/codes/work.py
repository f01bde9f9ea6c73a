"""What can become of records, runs and commands."""

from __future__ import annotations

from common.codes.code import Code

WORK = (
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
        "Mend it in DoorLoop; the next run brings it.",
        frozenset({"value"}),
    ),
    Code(
        "RECORD_REFUSED",
        "record put aside",
        "The database refused the record: {detail}.",
        "See the record's payload; the next run tries again.",
        frozenset({"detail"}),
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
        "Records put aside: {count}.",
        "See the dead letters for each one's reason: mend the records at the vendor, then Requeue; or Discard with a reason.",
    ),
    # --- requeue and discard
    Code(
        "LETTERS_GREW",
        "refused",
        "More letters match now ({now}) than were counted ({counted}).",
        "Look at the letters again, and press again if it is still meant.",
    ),
    Code(
        "NO_SUCH_LETTERS",
        "refused",
        "No open letter matches.",
        "Nothing to do: they were recovered, discarded, or are queued already.",
    ),
    Code("REASON_MISSING", "refused", "A discard says why.", "Give a reason; it is kept with each letter."),
    Code("LETTERS_UNCOUNTED", "refused", "{problem}.", "Name letters by id, or count what matches and send the count."),
    Code(
        "UNKNOWN_BULK_ACTION",
        "refused",
        "There is no unfinished requeue or discard {id}.",
        "It may have ended already.",
    ),
    Code(
        "REQUEUE_SHARE_SPENT",
        "run deferred",
        "Requeues take at most half of the hour's requests, and that half is used up.",
        "Nothing to do: the requeue goes on by itself; other runs may use the other half.",
    ),
    Code(
        "KNOWN_DEAD_LETTERS",
        "warning",
        "Records of {entity} that are still put aside, as they were before: {count}.",
        "See the dead letters for each one's reason; mended in DoorLoop, the next run brings them.",
    ),
    # --- runs and commands
    Code("ENTITIES_FAILED", "run failed", "None of the entities could be read.", "See each entity's error."),
    Code(
        "INTERRUPTED",
        "run interrupted",
        "The process ended at page {page} of {entity}.",
        "The next run goes on at its page by itself.",
    ),
    Code("STOPPED", "run stopped", "Stopped by {by}.", "The next run goes on where this one stopped."),
    Code(
        "INTERNAL_ERROR",
        "run failed",
        "An error of ours: {detail}.",
        "See the daemon's log for the traceback, and report it.",
        frozenset({"detail"}),
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
        "The command was not from the gate: its seal does not match, or it was given before.",
        "Give commands on the page, by the API or the CLI only; check ICC_SECRET_KEY is the same for web and worker.",
    ),
    Code(
        "COMMAND_LOST",
        "refused",
        "The daemon does not have the command in hand: its connection broke while taking it, or its row was changed by SQL.",
        "Look whether it was done, then give it again.",
    ),
    Code(
        "BACKFILL_NOT_ALLOWED",
        "refused",
        "Backfills by hand, and runs since a date, which read as much, are switched off (ALLOW_MANUAL_BACKFILL=false).",
        "Run a delta, or wait for the nightly full run.",
    ),
    Code("ACCOUNT_HELD", "refused", "{integration} is held by its settings: {finding}", "{remedy}"),
    Code(
        "BLOCKED_UNTIL",
        "refused",
        "DoorLoop or our own request budget asked to wait until {until}.",
        "A run that was put off goes on by itself then; anything else is to be asked for again then.",
    ),
    Code("NOTHING_RUNNING", "refused", "Nothing is running.", "Nothing to do."),
    Code("UNKNOWN_INTEGRATION", "refused", "There is no integration {integration}.", "Use one of: {known}."),
    Code("UNKNOWN_ENTITY", "refused", "There is no entity {entity}.", "Use some of: {known}."),
    Code("UNKNOWN_MODE", "refused", "There is no mode {mode}.", "Use backfill, delta, or delta with a since."),
    Code("UNKNOWN_CONFIRMATION", "refused", "There is no open question {id}.", "It may have been answered already."),
    Code("REASON_MISSING", "refused", "No reason was given.", "Say why in a sentence; it is kept in the audit log."),
    Code("VALUE_UNUSABLE", "refused", "{what} is {value}.", "Give {expected}."),
    Code("NOTHING_TO_LIFT", "refused", "{what}.", "Nothing to do."),
    Code(
        "SINCE_UNUSABLE",
        "refused",
        "{value} is not a moment in time.",
        "Give an ISO date and time, such as 2026-11-01T00:00:00Z.",
    ),
)
