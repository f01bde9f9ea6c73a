"""The catalogue of faults: one entry each, with the sentence and the parameters an operator sees.

Sources: DoorLoop fact sheet §5, §8, §9 and §11.8. What an entry does lives in the module of its stage: `stand_ins`
(another answer instead), `pages` (which rows a list shows), `poison` (bad records), `bodies` (envelope and JSON) and
`delivery` (how and whether it arrives).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Stage = Literal["delivery", "answer", "page", "record", "envelope", "body", "identity"]
Kind = Literal["integer", "number", "text", "boolean", "list", "map"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One setting of a fault. Names hold the unit; `choices` limits a text."""

    name: str
    kind: Kind
    default: Any
    description: str
    choices: tuple[str, ...] = ()

    def read(self, value: Any) -> Any:
        """Return a value in this parameter's type.

        Raises:
            ValueError: with a sentence that names the parameter.
        """
        if value is None:
            return self.default
        if self.kind == "text" and isinstance(value, int | float) and not isinstance(value, bool):
            value = str(value)
        if self.choices and value not in self.choices:
            raise ValueError(f"{self.name} must be one of {', '.join(self.choices)}, not {value!r}.")
        if not _fits(self.kind, value):
            raise ValueError(f"{self.name} must be of kind {self.kind}, not {value!r}.")
        return value


@dataclass(frozen=True, slots=True)
class Fault:
    """One entry of the catalogue. Requests for pages before `first_page` are none it could strike."""

    key: str
    stage: Stage
    description: str
    parameters: tuple[Parameter, ...] = ()
    first_page: int = 1


def _fits(kind: Kind, value: Any) -> bool:
    if kind == "boolean":
        return isinstance(value, bool)
    if isinstance(value, bool):
        return False
    if kind == "integer":
        return isinstance(value, int) and value >= -1_000_000_000
    types: Mapping[Kind, Any] = {"number": (int, float), "text": str, "list": list, "map": dict}
    return isinstance(value, types[kind])


def _p(
    name: str, default: Any, description: str, *, kind: Kind | None = None, choices: tuple[str, ...] = ()
) -> Parameter:
    """Return a parameter whose kind follows from its default unless given."""
    kinds: dict[type, Kind] = {bool: "boolean", int: "integer", float: "number", str: "text", list: "list", dict: "map"}
    return Parameter(name, kind or kinds[type(default)], default, description, choices)


# What every fault takes besides its own parameters.
COMMON = (
    _p(
        "entity", "all", "owners, properties, units, leases, tenants, users, or several with commas; all for every path"
    ),
    _p("after_requests", 0, "matching requests that pass before it starts"),
    _p("times", None, "requests it strikes before it rests; empty for no end", kind="integer"),
    _p("probability", 1.0, "share of matching requests it strikes, 0 to 1, by the drill's seed"),
    _p("only_page", None, "the one page_number it strikes; empty for all", kind="integer"),
)

_RETRY_AFTER = _p("retry_after", None, "value of a Retry-After header; empty for no header", kind="text")
_EVERY = _p("every", 10, "one record in this many is bad")
_IDS = _p("ids", [], "ids of the bad records; when given, `every` does not count")
_AT_MOST = _p("at_most", None, "bad records at most, the oldest of those chosen; empty for all", kind="integer")
_POISON = (_EVERY, _IDS, _AT_MOST)

DELIVERY = (
    Fault("latency", "delivery", "Every answer waits the same short time.", (_p("seconds", 0.05, "wait per answer"),)),
    Fault("slow", "delivery", "The headers come late.", (_p("delay_seconds", 5.0, "wait before the headers"),)),
    Fault(
        "slow_body",
        "delivery",
        "The headers come at once, the body drips.",
        (_p("seconds", 5.0, "time until the last byte"), _p("pieces", 20, "sends the body is cut into")),
    ),
    Fault("hang", "delivery", "The request is taken and never answered."),
    Fault(
        "reset",
        "delivery",
        "The connection is reset (RST).",
        (_p("where", "body", "before the headers or inside the body", choices=("headers", "body")),),
    ),
    Fault(
        "close_early",
        "delivery",
        "The connection closes before the announced length has arrived.",
        (_p("share", 0.5, "share of the body that arrives, 0 to 1"),),
    ),
    Fault(
        "extra_headers",
        "delivery",
        "Answers carry headers of your choice, such as odd rate-limit headers.",
        (_p("headers", {}, "header names and values"),),
    ),
)

ANSWERS = (
    Fault(
        "vendor_down",
        "answer",
        "The vendor is down: connections are refused, or every answer is a 503.",
        (
            _p("mode", "503", "how it is down", choices=("503", "refuse")),
            _p("seconds", 10.0, "when refusing: seconds until the port opens again, since the switch is behind it too"),
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
            _p("status", 400, "HTTP status"),
            _p("message", "Validation failed", "text of the message"),
            _p("body", "object", "form of the body", choices=("object", "string", "list", "text", "html", "empty")),
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
            _p("retry_after", "30", "seconds (up to 3600), 0, or any text that should not be there"),
            _p("form", "seconds", "how Retry-After is written", choices=("seconds", "http_date", "absent")),
            _p("skew_seconds", 0.0, "how far the server's Date header runs ahead of the true time"),
        ),
    ),
    Fault(
        "redirect_same_host",
        "answer",
        "Answers redirect to another address on the same host.",
        (_p("status", 302, "HTTP status"), _p("loop", False, "redirect for ever instead of once")),
    ),
    Fault(
        "redirect_other_host",
        "answer",
        "Answers redirect to another host, which must never see the key.",
        (
            _p("status", 302, "HTTP status"),
            _p("location", "", "target; empty for the same drill under the host name localhost"),
        ),
    ),
)

IDENTITY = (
    Fault(
        "other_account",
        "identity",
        "The key now belongs to another vendor account: users/me shows another identity.",
        (_p("number", 2, "which other account"),),
    ),
)

PAGES = (
    Fault("ignore_sort", "page", "Sort parameters are ignored: lists come in the default order."),
    Fault(
        "page_size_clamp",
        "page",
        "The vendor caps the page size below what was asked.",
        (_p("rows", 100, "rows at most"),),
    ),
    Fault("repeated_page", "page", "Every page is the same one for ever.", (_p("page", 1, "the page shown"),)),
    Fault("unsorted_updated_at", "page", "Lists sorted by updatedAt are out of order inside each page."),
    Fault(
        "no_new_ids",
        "page",
        "Pages bring records that earlier pages had, mixed anew.",
        (_p("from_page", 2, "first bad page"),),
    ),
    Fault(
        "empty_page_before_last",
        "page",
        "One page is empty although later ones are not.",
        (_p("page", 2, "the empty page"),),
    ),
    Fault(
        "duplicate_row_across_pages",
        "page",
        "Each page after the first repeats the last row of the page before.",
        (_p("replace", False, "the repeated row takes the place of a true one, which is lost"),),
        first_page=2,
    ),
    Fault(
        "shifting_rows",
        "page",
        "Records are added or deleted for good while a list is being paged.",
        (
            _p("insert", 0, "records added before each page after the first"),
            _p("delete", 1, "records of the pages already read deleted before each page after the first"),
        ),
        first_page=2,
    ),
    Fault(
        "moving_total",
        "page",
        "The total shifts in mid-run.",
        (
            _p("step", 1, "how far it moves each time"),
            _p("per", "page", "it moves with the page number, or with every request", choices=("page", "request")),
        ),
    ),
    Fault(
        "total_off_by", "page", "The total claims more records than there are.", (_p("rows", 3, "records too many"),)
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
    Fault("duplicate_keys", "record", "Some records name a field twice, with two values.", _POISON),
    Fault(
        "record_not_object",
        "record",
        "Some records are no objects.",
        (*_POISON, _p("what", "string", "what stands in their place", choices=("string", "number", "null", "array"))),
    ),
    Fault(
        "field_type_change",
        "record",
        "Booleans come as text and numbers as text.",
        (_p("every", 1, _EVERY.description), _IDS, _AT_MOST),
    ),
    Fault(
        "unknown_fields",
        "record",
        "Records carry fields nobody has heard of.",
        (_p("every", 1, _EVERY.description), _IDS, _AT_MOST, _p("fields", 3, "new fields per record")),
    ),
    Fault(
        "missing_updated_at",
        "record",
        "Records lack updatedAt.",
        (_p("every", 1, _EVERY.description), _IDS, _AT_MOST),
    ),
)

BODIES = (
    Fault("bare_array", "envelope", "Lists are a bare array without the envelope."),
    Fault(
        "wrong_envelope",
        "envelope",
        "The envelope is not the documented one.",
        (
            _p(
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
        (_p("share", 0.6, "share that is left"),),
    ),
    Fault("invalid_json", "body", "The body looks like JSON but is none."),
    Fault("empty_body", "body", "The body is empty."),
    Fault(
        "wrong_content_type",
        "body",
        "The JSON is announced as something else.",
        (_p("content_type", "text/plain", "header"),),
    ),
    Fault(
        "oversized_body",
        "body",
        "The body is padded to a great size.",
        (_p("bytes", 200_000_000, "size of the body"), _p("announced", True, "with a Content-Length; else in chunks")),
    ),
    Fault("gzip", "body", "The body is compressed with gzip, as most vendors do when a client allows it."),
    Fault(
        "gzip_bomb",
        "body",
        "A small compressed body grows to a great size when it is unpacked.",
        (_p("bytes", 200_000_000, "size when unpacked"),),
    ),
)

FAULTS = (*DELIVERY, *ANSWERS, *IDENTITY, *PAGES, *POISON, *BODIES)
BY_KEY = {fault.key: fault for fault in FAULTS}
