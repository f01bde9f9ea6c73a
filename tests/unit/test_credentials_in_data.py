"""A record that quotes the key it was asked with is kept without it; what merely looks like a credential is data."""

from __future__ import annotations

import base64
import html
import json
from typing import Any
from urllib.parse import quote, unquote

import pytest

from common import redact
from common.alerting.teams import secrets_of
from common.errors import BadRecord
from daemon import wiring
from daemon.guard.wire import Envelope, open_list
from daemon.integrations.doorloop.entities import ENTITIES
from daemon.sync.convert import arrived
from daemon.sync.letters import letter_of
from daemon.sync.lines import LineMaker

KEY = 'dl/Key+"of\\the=house%2F1234567890'
FORMS = {
    "plain": KEY,
    "in an address": quote(KEY, safe=""),
    "in base64": base64.b64encode(b"u:" + KEY.encode()).decode(),
    "in hexadecimal": KEY.encode().hex(),
    "as bytea": "\\x" + KEY.encode().hex().upper(),
    "in another case": KEY.upper(),
    "in JSON again": json.dumps(KEY)[1:-1].replace("/", "\\/"),
    "in JSON, by codes": "".join(f"\\u{ord(character):04X}" for character in KEY),
    "in an address twice": quote(quote(KEY, safe=""), safe=""),
    "in an address, by codes": "".join(f"%{ord(character):02x}" for character in KEY),
    "in HTML": html.escape(KEY).replace("/", "&#47;").replace("+", "&plus;"),
    "in HTML, by codes": "".join(f"&#{ord(character)};" for character in KEY),
    "in HTML in JSON": html.escape(KEY).replace("&", "\\u0026"),
    "in base64 in JSON": base64.b64encode(b"u:???" + KEY.encode()).decode().replace("/", "\\/"),
}


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redact, "_credentials", redact._Held(str.lower))
    monkeypatch.setattr(redact, "_telling", redact._Held(str.lower))
    redact.keep_out_of_data(KEY, "short", None)


def sent(record: dict[str, Any]) -> Any:
    """A record as it comes over the wire."""
    envelope = open_list(json.dumps({"data": [record]}).encode())
    assert isinstance(envelope, Envelope)
    return envelope.data[0]


def holds(text: str) -> bool:
    """Whether any form of the key is in a text, or in it with its escapes undone."""
    inner = [json.dumps(form)[1:-1] for form in FORMS.values()]
    return any(form[:-4] in text for form in (*FORMS.values(), *inner, *(one.replace("\\", "\\\\") for one in inner)))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("where", ["name", "unknown", "deep", "a key"])
def test_a_record_is_kept_without_our_key(form: str, where: str) -> None:
    """Law 10: not in a column, nor in raw; the rest of the record is kept, and it is told."""
    quoted = f"as sent: {FORMS[form]}."
    places: dict[str, dict[str, Any]] = {
        "name": {"name": quoted},
        "unknown": {"debug": quoted},
        "deep": {"debug": [{"headers": {"Authorization": quoted}}]},
        "a key": {"debug": {quoted: 1}},
    }
    fields = places[where]
    maker = LineMaker(ENTITIES["tenants"])
    record = sent({"id": "t1", "notes": "all else", **fields})
    plain = sent({"id": "t2"})
    assert list(maker.at_once([plain, record, plain], "page").positions) == [0, 2]
    line = maker.line(arrived(record)[0].prepared(), "page")
    assert not holds(line)
    assert redact.HIDDEN in line
    assert "all else" in line
    assert maker.met_credential


def test_an_id_that_is_our_key_is_none() -> None:
    """Seen ids and letters name records by it."""
    for form in FORMS.values():
        with pytest.raises(BadRecord) as bad:
            arrived(sent({"id": form}))
        assert letter_of({"id": form}, bad.value).record_id is None


@pytest.mark.parametrize("text", ["Bearer abcdefghijklmnop", "https://x.example/?sig=abc", "short", "u:p@host"])
def test_what_looks_like_a_credential_is_data(text: str) -> None:
    """Only what we hold ourselves is hidden: anything else may be what the record is about."""
    maker = LineMaker(ENTITIES["tenants"])
    (line,) = maker.at_once([sent({"id": "t1", "notes": text})], "page").lines
    assert text in line
    assert not maker.met_credential


HOOK_ID, SIGNATURE = "d2f0a71c45e94b7f9c1e8a6b3d5f7081", "Zq8WvT1xLm4_RkB7nYc2-HsJd9PfUe3A"
HOOK_PATH = f"/workflows/{HOOK_ID}/triggers/manual/paths/invoke"
HOOK_QUERY = f"api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig={SIGNATURE}"
HOOK = f"https://prod-12.westus.logic.azure.com:443{HOOK_PATH}?{HOOK_QUERY}"


@pytest.mark.parametrize(
    "quoted",
    [HOOK, HOOK.replace(":443", ""), unquote(HOOK), f"{HOOK_PATH}?{HOOK_QUERY}", HOOK_QUERY, HOOK_PATH, SIGNATURE],
    ids=["whole", "without its port", "as it reads", "path and query", "query", "path", "signature"],
)
def test_a_record_is_kept_without_the_webhook_or_what_is_quoted_of_it(quoted: str) -> None:
    """Law 10: each part of a workflow's address that may be quoted alone is looked for, and no more than needed."""
    redact.keep_out_of_data(*secrets_of(HOOK))
    maker = LineMaker(ENTITIES["tenants"])
    record = sent({"id": "t1", "notes": f"all else {quoted} or so"})
    assert maker.at_once([record], "page").lines == []
    line = maker.line(arrived(record)[0].prepared(), "page")
    assert HOOK_ID not in line
    assert SIGNATURE not in line
    assert "all else" in line
    assert maker.met_credential


def test_a_daemon_keeps_the_parts_of_its_webhook_out_of_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """Law 10: what the rule above holds for is what a daemon really looks for."""
    monkeypatch.setattr(redact, "_held", ())
    wiring.configure({"INTEGRATIONS_TEAMS_WEBHOOK": HOOK})
    for part in (HOOK_ID, SIGNATURE, HOOK_QUERY):
        assert redact.is_in_data(f"a record with {part} in it")
