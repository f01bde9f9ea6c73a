"""The catalogue of faults: one entry each, with the sentence and the parameters an operator sees.

Sources: DoorLoop fact sheet §5, §8, §9 and §11.8. What an entry does lives in the module of its stage: `stand_ins`
(another answer instead), `pages` (which rows a list shows), `poison` (bad records), `bodies` (envelope and JSON) and
`delivery` (how and whether it arrives).
"""

from __future__ import annotations

from .model import Fault, parameter

_RETRY_AFTER = parameter("retry_after", None, "value of a Retry-After header; empty for no header", kind="text")
_EVERY = parameter("every", 10, "one record in this many is bad")
_IDS = parameter("ids", [], "ids of the bad records; when given, `every` does not count")
_AT_MOST = parameter("at_most", None, "bad records at most, the oldest of those chosen; empty for all", kind="integer")
_POISON = (_EVERY, _IDS, _AT_MOST)

DELIVERY = (
    Fault(
        "latency",
        "delivery",
        "Every answer waits the same short time.",
        (parameter("seconds", 0.05, "wait per answer"),),
    ),
    Fault("slow", "delivery", "The headers come late.", (parameter("delay_seconds", 5.0, "wait before the headers"),)),
    Fault(
        "slow_body",
        "delivery",
        "The headers come at once, the body drips.",
        (parameter("seconds", 5.0, "time until the last byte"), parameter("pieces", 20, "sends the body is cut into")),
    ),
    Fault("hang", "delivery", "The request is taken and never answered."),
    Fault(
        "reset",
        "delivery",
        "The connection is reset (RST).",
        (parameter("where", "body", "before the headers or inside the body", choices=("headers", "body")),),
    ),
    Fault(
        "close_early",
        "delivery",
        "The connection closes before the announced length has arrived.",
        (parameter("share", 0.5, "share of the body that arrives, 0 to 1"),),
    ),
    Fault(
        "extra_headers",
        "delivery",
        "Answers carry headers of your choice, such as odd rate-limit headers.",
        (parameter("headers", {}, "header names and values"),),
    ),
)

ANSWERS = (
    Fault(
        "vendor_down",
        "answer",
        "The vendor is down: connections are refused, or every answer is a 503.",
        (
            parameter("mode", "503", "how it is down", choices=("503", "refuse")),
            parameter(
                "seconds", 10.0, "when refusing: seconds until the port opens again, since the switch is behind it too"
            ),
        ),
    ),
    Fault("html_docs", "answer", "Answers are the documentation host's HTML page with status 200."),
    Fault("html_app", "answer", "Answers are the web application's HTML page with status 200."),
    Fault("html_login", "answer", "Answers are an HTML login page with status 200."),
    Fault("http_500", "answer", "Answers are a proxy's 500 page in HTML.", (_RETRY_AFTER,)),
    Fault("http_502", "answer", "Answers are a proxy's 502 page in HTML.", (_RETRY_AFTER,)),
    Fault("http_503", "answer", "Answers are a proxy's 503 page in HTML.", (_RETRY_AFTER,)),
    Fault("http_408", "answer", "Answers are 408, request time-out.", (_RETRY_AFTER,)),
    Fault(
        "http_status",
        "answer",
        "Answers have a status and a message of your choice, in one of the error bodies seen in the wild.",
        (
            parameter("status", 400, "HTTP status"),
            parameter("message", "Validation failed", "text of the message"),
            parameter(
                "body", "object", "form of the body", choices=("object", "string", "list", "text", "html", "empty")
            ),
            _RETRY_AFTER,
        ),
    ),
    Fault("unauthorized", "answer", "The key is refused with 401, as when it has expired."),
    Fault("forbidden_role", "answer", "405 METHOD_NOT_ALLOWED: the key's role may not read this entity."),
    Fault("forbidden_403", "answer", "The request is refused with 403."),
    Fault(
        "rate_limited",
        "answer",
        "Answers are 429 RATE_LIMIT_EXCEEDED.",
        (
            parameter("retry_after", "30", "seconds (up to 3600), 0, or any text that should not be there"),
            parameter("form", "seconds", "how Retry-After is written", choices=("seconds", "http_date", "absent")),
            parameter("skew_seconds", 0.0, "how far the server's Date header runs ahead of the true time"),
        ),
    ),
    Fault(
        "redirect_same_host",
        "answer",
        "Answers redirect to another address on the same host.",
        (parameter("status", 302, "HTTP status"), parameter("loop", False, "redirect for ever instead of once")),
    ),
    Fault(
        "redirect_other_host",
        "answer",
        "Answers redirect to another host, which must never see the key.",
        (
            parameter("status", 302, "HTTP status"),
            parameter("location", "", "target; empty for the same drill under the host name localhost"),
        ),
    ),
)

IDENTITY = (
    Fault(
        "other_account",
        "identity",
        "The key now belongs to another vendor account: users/me shows another identity.",
        (parameter("number", 2, "which other account"),),
    ),
)

PAGES = (
    Fault("ignore_sort", "page", "Sort parameters are ignored: lists come in the default order."),
    Fault(
        "page_size_clamp",
        "page",
        "The vendor caps the page size below what was asked.",
        (parameter("rows", 100, "rows at most"),),
    ),
    Fault("repeated_page", "page", "Every page is the same one for ever.", (parameter("page", 1, "the page shown"),)),
    Fault("unsorted_updated_at", "page", "Lists sorted by updatedAt are out of order inside each page."),
    Fault(
        "no_new_ids",
        "page",
        "Pages bring records that earlier pages had, mixed anew.",
        (parameter("from_page", 2, "first bad page"),),
    ),
    Fault(
        "empty_page_before_last",
        "page",
        "One page is empty although later ones are not.",
        (parameter("page", 2, "the empty page"),),
    ),
    Fault(
        "short_page",
        "page",
        "One page comes without its last rows, which stand on no other.",
        (parameter("page", 2, "the short page"), parameter("rows", 1, "rows that are left out")),
    ),
    Fault(
        "duplicate_row_across_pages",
        "page",
        "Each page after the first repeats the last row of the page before.",
        (parameter("replace", False, "the repeated row takes the place of a true one, which is lost"),),
        first_page=2,
    ),
    Fault(
        "shifting_rows",
        "page",
        "Records are added or deleted for good while a list is being paged.",
        (
            parameter("insert", 0, "records added before each page after the first"),
            parameter("delete", 1, "records of the pages already read deleted before each page after the first"),
        ),
        first_page=2,
    ),
    Fault(
        "moving_total",
        "page",
        "The total shifts in mid-run.",
        (
            parameter("step", 1, "how far it moves each time"),
            parameter(
                "per", "page", "it moves with the page number, or with every request", choices=("page", "request")
            ),
        ),
    ),
    Fault(
        "total_off_by",
        "page",
        "The total claims more records than there are.",
        (parameter("rows", 3, "records too many"),),
    ),
)

POISON = (
    Fault("missing_id", "record", "Some records have no id.", _POISON),
    Fault("null_id", "record", "Some records have null as id.", _POISON),
    Fault("numeric_id", "record", "Some records have a number as id.", _POISON),
    Fault("bad_money", "record", 'Some amounts are the text "abc" (properties, units, leases).', _POISON),
    Fault("bad_date", "record", 'Some dates are "31/31/2020" (units: createdAt).', _POISON),
    Fault("nul_character", "record", "Some texts hold the NUL character, which Postgres cannot store.", _POISON),
    Fault("lone_surrogate", "record", "Some texts hold half of a surrogate pair.", _POISON),
    Fault("nan_literal", "record", "Some numbers are NaN, which is not JSON.", _POISON),
    Fault("huge_integer", "record", "Some numbers have 20 digits.", _POISON),
    Fault("long_decimal", "record", "Some numbers have 30 decimals.", _POISON),
    Fault("deep_nesting", "record", "Some records are nested ten thousand levels deep.", _POISON),
    Fault("duplicate_keys", "record", "Some records name a field twice, with two values.", _POISON),
    Fault(
        "record_not_object",
        "record",
        "Some records are no objects.",
        (
            *_POISON,
            parameter("what", "string", "what stands in their place", choices=("string", "number", "null", "array")),
        ),
    ),
    Fault(
        "field_type_change",
        "record",
        "Booleans come as text and numbers as text.",
        (parameter("every", 1, _EVERY.description), _IDS, _AT_MOST),
    ),
    Fault(
        "unknown_fields",
        "record",
        "Records carry fields nobody has heard of.",
        (parameter("every", 1, _EVERY.description), _IDS, _AT_MOST, parameter("fields", 3, "new fields per record")),
    ),
    Fault(
        "missing_updated_at",
        "record",
        "Records lack updatedAt.",
        (parameter("every", 1, _EVERY.description), _IDS, _AT_MOST),
    ),
)

BODIES = (
    Fault("bare_array", "envelope", "Lists are a bare array without the envelope."),
    Fault(
        "wrong_envelope",
        "envelope",
        "The envelope is not the documented one.",
        (
            parameter(
                "mode",
                "data_missing",
                "what is wrong",
                choices=("data_missing", "data_null", "data_object", "data_text", "total_missing", "total_text"),
            ),
        ),
    ),
    Fault("bom", "body", "A byte order mark stands before the JSON."),
    Fault(
        "truncated_json",
        "body",
        "The JSON ends too early, in a complete answer.",
        (parameter("share", 0.6, "share that is left"),),
    ),
    Fault("invalid_json", "body", "The body looks like JSON but is none."),
    Fault("empty_body", "body", "The body is empty."),
    Fault(
        "wrong_content_type",
        "body",
        "The JSON is announced as something else.",
        (parameter("content_type", "text/plain", "header"),),
    ),
    Fault(
        "oversized_body",
        "body",
        "The body is padded to a great size.",
        (
            parameter("bytes", 200_000_000, "size of the body"),
            parameter("announced", True, "with a Content-Length; else in chunks"),
        ),
    ),
    Fault("gzip", "body", "The body is compressed with gzip, as most vendors do when a client allows it."),
    Fault(
        "gzip_bomb",
        "body",
        "A small compressed body grows to a great size when it is unpacked.",
        (parameter("bytes", 200_000_000, "size when unpacked"),),
    ),
)

FAULTS = (*DELIVERY, *ANSWERS, *IDENTITY, *PAGES, *POISON, *BODIES)
BY_KEY = {fault.key: fault for fault in FAULTS}
