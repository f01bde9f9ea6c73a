"""One Adaptive Card to a Teams workflow, and what Workflows answered (Teams fact sheet §2, §3, §5).

The webhook's path and query are its credential: they are masked everywhere, and an error names the host at most. What
comes from outside is escaped, so that a vendor's text cannot inject a link or a mention. "Accepted" is all that a
webhook can tell: Workflows answers before anything is shown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from urllib.parse import unquote, unquote_plus, urlsplit

from common.codes import CODES
from common.errors import VendorFault
from common.excerpt import excerpt
from common.http.transport import Limits, Transport
from common.redact import passwords_in
from common.rules.wording import plural

CARD_VERSION = "1.4"
"""1.5 "couldn't be displayed" through Power Automate, by repeated reports."""
MOST_BYTES = 24_000
"""Beyond about 28 KB Workflows accepts a message and then fails to post it."""
LONGEST_TEXT = 1_500
LONGEST_REASON = 200
LIMITS = Limits(silence_seconds=10, deadline_seconds=15, body_bytes=64 * 1024)
SHORTEST_CREDENTIAL = 16
"""A shorter path (`/hook`) is no credential, and masking it would hide the word everywhere."""
SHORTEST_WITH_DIGITS = 12
WORKFLOW_HOSTS = (".logic.azure.com", ".powerplatform.com")
RETIRED_HOSTS = (".webhook.office.com", ".outlook.office.com")
_THIS_MACHINE = ("127.0.0.1", "localhost", "::1")
_SIGNING = frozenset({"sig", "signature", "code", "key", "token", "secret", "password"})
_WORDS_OF_PATHS = frozenset({"triggers", "manual", "paths", "invoke"})
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|<>~@&-])")
_PAGES = ("text/html", "application/xhtml+xml")
_PAGE = re.compile(r"(?:<\?xml[^>]*>|<!--.*?-->|\s)*+<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL)
_SILENCE = {"VENDOR_TIMEOUT": "no answer in time"}
_TRY_AGAIN = (408, 425, 429)


@dataclass(frozen=True)
class Said:
    """What Workflows answered. ``accepted`` is no proof that anybody saw it; else code and remedy say why not."""

    accepted: bool
    status: int | None
    sentence: str
    code: str | None = None
    remedy: str | None = None


def problem_with(webhook: str) -> str | None:
    """Why this cannot be a webhook's address, or None. Plain http is accepted for a stand-in on this machine only."""
    try:
        parts = urlsplit(webhook)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return "not an address"
    if port == 0:
        return "not an address"
    if not host or (parts.scheme != "https" and not (parts.scheme == "http" and host in _THIS_MACHINE)):
        return "not an https address"
    return None


def secrets_of(webhook: str | None) -> tuple[str, ...]:
    """What the mask must know of a webhook: the whole address, what stands behind its host when that is long, and of
    that what may be quoted alone: the signature, the workflow's id, and whatever else looks like neither word nor
    version. As it is written, and as it reads; the mask knows the other spellings of both.
    """
    if not webhook:
        return ()
    try:
        parts = urlsplit(webhook)
    except ValueError:
        return (webhook,)
    behind = (f"{parts.path}?{parts.query}", parts.path, parts.query)
    found = [webhook, *(text for text in behind if len(text) >= SHORTEST_CREDENTIAL), *passwords_in(webhook)]
    for part in (*_secret_segments(parts.path), *_secret_values(parts.query)):
        found += (part, unquote(part), unquote_plus(part))
    return tuple(dict.fromkeys(found))


def _secret_segments(path: str) -> list[str]:
    """The segment that names the workflow, and what else is no word; of an old connector's also the halves at the @."""
    segments = path.split("/")
    named = [after for before, after in pairwise(segments) if before == "workflows" and after not in _WORDS_OF_PATHS]
    parts = (part for segment in segments for part in {segment, *segment.split("@")})
    return [*named, *(part for part in parts if _is_random(part))]


def _secret_values(query: str) -> list[str]:
    pairs = (pair.partition("=") for pair in query.split("&"))
    return [value for name, _, value in pairs if name.lower() in _SIGNING or len(value) >= SHORTEST_CREDENTIAL]


def _is_random(segment: str) -> bool:
    """Longer than words of addresses are, or shorter with a digit in it."""
    digits = any(letter.isdigit() for letter in segment)
    return len(segment) >= (SHORTEST_WITH_DIGITS if digits else SHORTEST_CREDENTIAL)


def escaped(text: str) -> str:
    """Text from outside as a TextBlock may show it: no link, mention, emphasis or control character comes of it."""
    plain = "".join(letter if letter.isprintable() else " " for letter in excerpt(text, LONGEST_TEXT))
    return _MARKDOWN.sub(r"\\\1", plain)


def card(title: str, sentence: str, facts: Mapping[str, str], *, colour: str = "Default") -> dict[str, Any]:
    """An Adaptive Card of a title, a sentence and facts, kept below ``MOST_BYTES``; everything is escaped here."""
    shown = [{"title": escaped(name), "value": escaped(value)} for name, value in facts.items()]
    while True:
        left_out = len(facts) - len(shown)
        more = [_text(f"… and {plural(left_out, 'more fact')}", isSubtle=True)] if left_out else []
        made = {
            "type": "AdaptiveCard",
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "version": CARD_VERSION,
            "fallbackText": escaped(f"{title}: {sentence}"),
            "msteams": {"width": "Full"},
            "body": [
                _text(escaped(title), size="Large", weight="Bolder", color=colour),
                _text(escaped(sentence)),
                *([{"type": "FactSet", "facts": shown}] if shown else []),
                *more,
            ],
        }
        if not shown or len(envelope(made)) < MOST_BYTES:
            return made
        shown.pop()


def _text(text: str, **look: Any) -> dict[str, Any]:
    return {"type": "TextBlock", "text": text, "wrap": True, **look}


def envelope(made: dict[str, Any]) -> bytes:
    """The message around a card, as Workflows wants it: without `attachments` it answers 202 and shows nothing."""
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": made}
    return json.dumps({"type": "message", "attachments": [attachment]}, ensure_ascii=False).encode()


def test_card(integration: str, *, asked_by: str) -> dict[str, Any]:
    """The card of a test alert."""
    sentence = "This is a test. If you can read it, alerts of the Integrations Health & Control Center arrive here."
    return card("Test alert", sentence, {"Integration": integration, "Asked by": asked_by})


def send(webhook: str, made: dict[str, Any]) -> Said:
    """Send one card, one try. Never raises for what the other side does."""
    host = (urlsplit(webhook).hostname or "?").lower()
    transport = Transport(limits=LIMITS, connections=1, user_agent="integrations-health-control-center/0.1")
    try:
        answer = transport.post(webhook, body=envelope(made), headers={"Content-Type": "application/json"})
    except VendorFault as fault:
        # Not the fault's own words: they may hold the path, which is the credential.
        return _not_taken("WEBHOOK_AWAY", None, problem=f"{host}: {_SILENCE.get(fault.code, 'no connection')}")
    finally:
        transport.close()
    return judged(answer.status, answer.body, host, answer.content_type)


def judged(status: int, body: bytes, host: str, content_type: str = "") -> Said:
    """What an answer means: 202, or 200 of a flow that answers by itself, is accepted; a web page is some other
    program's. A retired connector says 200 even when it failed, so its body is what counts.
    """
    text = body.decode("utf-8", "replace").removeprefix("\ufeff").strip()
    is_page = content_type in _PAGES or bool(_PAGE.match(text))
    if status in _TRY_AGAIN or status >= 500:
        return _not_taken("WEBHOOK_AWAY", status, problem=f"status {status}")
    if 200 <= status < 300 and is_page:
        return _not_taken("WEBHOOK_NOT_WORKFLOWS", status)
    if 200 <= status < 300 and not (f".{host}".endswith(RETIRED_HOSTS) and text != "1"):
        return Said(True, status, f"Accepted by Workflows ({status}); it does not say whether it was shown.")
    return _not_taken("WEBHOOK_REFUSED", status, said="a web page" if is_page else _reason(text))


def _not_taken(code: str, status: int | None, **told: Any) -> Said:
    entry, facts = CODES[code], {"status": status, **told}
    return Said(False, status, entry.cause_with(facts), code, entry.remedy_with(facts))


def _reason(text: str) -> str:
    """The `error.message` of a Logic Apps answer when that is a text, else all of it; read first, shortened then."""
    try:
        told = json.loads(text)["error"]["message"]
    except (ValueError, KeyError, TypeError, RecursionError):
        told = None
    words = told if isinstance(told, str) else text
    return excerpt(" ".join(words.split()), LONGEST_REASON).rstrip(".") or "without a word"
