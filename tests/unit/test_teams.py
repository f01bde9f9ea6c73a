"""Cards for Teams Workflows: small, escaped, and judged by what Workflows really says (Teams fact sheet)."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, unquote, unquote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from common import redact
from common.alerting import teams
from tests.workflows import PATH, SIGNATURE, Workflows

HOSTILE = "[click](https://evil.example) <at>everyone</at> *bold* _x_ `c` # h\n- item ![i](u) |a|"


def texts(card: dict[str, Any]) -> list[str]:
    """Everything of a card that is shown."""
    shown = [block["text"] for block in card["body"] if block["type"] == "TextBlock"]
    facts = [fact for block in card["body"] if block["type"] == "FactSet" for fact in block["facts"]]
    return [*shown, *(fact["title"] for fact in facts), *(fact["value"] for fact in facts)]


def test_a_card_is_what_workflows_can_show() -> None:
    """Version 1.4, a body, wrapped text, only elements that every client knows, in an envelope with one attachment."""
    card = teams.test_card("doorloop", asked_by="ana")
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    assert {block["type"] for block in card["body"]} == {"TextBlock", "FactSet"}
    assert all(block["wrap"] for block in card["body"] if block["type"] == "TextBlock")
    assert card["fallbackText"]
    assert "summary" not in card
    message = json.loads(teams.envelope(card))
    assert message["type"] == "message"
    (attachment,) = message["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert attachment["content"] == card


def test_text_from_outside_injects_nothing() -> None:
    """No link, mention, emphasis, list or line break comes of a vendor's words."""
    card = teams.card(HOSTILE, HOSTILE, {HOSTILE: HOSTILE})
    for text in texts(card):
        assert "\n" not in text
        for mark in "[]()*_`<>#|!":
            assert text.count(mark) == text.count(f"\\{mark}"), mark


@example("😀" * 5_000, {"😀" * 2_000: "*" * 9_000})
@given(st.text(max_size=40_000), st.dictionaries(st.text(max_size=50), st.text(max_size=5_000), max_size=40))
def test_a_card_stays_below_what_teams_takes(sentence: str, facts: dict[str, str]) -> None:
    """Whatever comes in, the message stays below 24 KB, and says how many facts were left out."""
    card = teams.card(sentence, sentence, facts)
    assert len(teams.envelope(card)) < teams.MOST_BYTES
    shown = sum(len(block["facts"]) for block in card["body"] if block["type"] == "FactSet")
    left_out = [text for text in texts(card) if text.startswith("… and ")]
    assert bool(left_out) == (shown < len(facts))


@pytest.mark.parametrize(
    ("status", "body", "host", "accepted", "code"),
    [
        (202, b"", "x.environment.api.powerplatform.com", True, None),
        (200, b"flow's own answer", "x.environment.api.powerplatform.com", True, None),
        (200, b"1", "contoso.webhook.office.com", True, None),
        (
            200,
            b"Webhook message delivery failed with error: HTTP error 429",
            "c.webhook.office.com",
            False,
            "WEBHOOK_REFUSED",
        ),
        (400, b'{"error": {"code": "x", "message": "Bad."}}', "h", False, "WEBHOOK_REFUSED"),
        (401, b"", "h", False, "WEBHOOK_REFUSED"),
        (404, b"<html>gone</html>", "h", False, "WEBHOOK_REFUSED"),
        (302, b"", "h", False, "WEBHOOK_REFUSED"),
        (200, b"\xef\xbb\xbf \n<!DOCTYPE html><title>Sign in</title>", "h", False, "WEBHOOK_NOT_WORKFLOWS"),
        (202, b"<!-- proxy --><HTML><body>Welcome", "h", False, "WEBHOOK_NOT_WORKFLOWS"),
        (200, b"<htmlish>flow's own</htmlish>", "h", True, None),
        (503, b"<html>down</html>", "h", False, "WEBHOOK_AWAY"),
        (429, b"", "h", False, "WEBHOOK_AWAY"),
        (502, b"", "h", False, "WEBHOOK_AWAY"),
    ],
)
def test_an_answer_is_judged_by_what_it_says(
    status: int, body: bytes, host: str, accepted: bool, code: str | None
) -> None:
    """2xx is accepted, no more; a retired connector's 200 counts only with its 1; the rest says what to do."""
    said = teams.judged(status, body, host)
    assert (said.accepted, said.status, said.code) == (accepted, status, code)
    assert bool(said.remedy) is not accepted


@pytest.mark.parametrize("message", ['{"lang": "en", "value": "Bad."}', "null", '["Bad."]', "5"])
def test_a_reason_that_is_no_text_is_told_as_it_came(message: str) -> None:
    """Not as Python would write it."""
    body = f'{{"error": {{"message": {message}}}}}'
    assert teams.judged(400, body.encode(), "h").sentence == f"Workflows refused the card (400): {body}."


def test_a_web_page_is_known_by_its_label_too() -> None:
    """Whatever it begins with; of a refused one its markup is not shown."""
    assert teams.judged(200, b"Welcome!", "h", "text/html").code == "WEBHOOK_NOT_WORKFLOWS"
    assert teams.judged(404, b"<html>gone</html>", "h").sentence == "Workflows refused the card (404): a web page."


def test_a_long_error_is_told_in_its_own_words() -> None:
    """It is read before it is shortened, and masked before that: no JSON is shown, and no half of a secret."""
    redact.register(SIGNATURE)
    message = "The workflow trigger is not enabled. " * 4 + f"\nSignature: {'x' * 30} {SIGNATURE} " + "and so on " * 40
    body = json.dumps({"error": {"code": "WorkflowTriggerIsNotEnabled" * 9, "message": message}}).encode()
    sentence = teams.judged(400, body, "h").sentence
    assert sentence.startswith("Workflows refused the card (400): The workflow trigger is not enabled. The workflow")
    assert SIGNATURE[:6] not in sentence
    assert "…" in sentence
    assert len(sentence) < 250
    assert teams.judged(400, b"[" * 60_000, "h").code == "WEBHOOK_REFUSED"
    assert teams.judged(400, b'{"error": {"message": null}}', "h").code == "WEBHOOK_REFUSED"


def test_sending_is_real_http_and_a_silent_or_absent_one_says_so() -> None:
    """A card arrives as it was made; a redirect is not followed; nobody there is a sentence without the address."""
    with Workflows() as workflows:
        card = teams.test_card("doorloop", asked_by="ana")
        assert teams.send(workflows.webhook, card).accepted
        assert workflows.shown == [card]
        elsewhere = workflows.webhook.replace("/powerautomate", "/elsewhere")
        workflows.answer = (307, b"", {"Location": elsewhere})
        assert teams.send(workflows.webhook, card).code == "WEBHOOK_REFUSED"
        assert len(workflows.posts) == 2
        webhook = workflows.webhook
    gone = teams.send(webhook, card)
    assert (gone.accepted, gone.status, gone.code) == (False, None, "WEBHOOK_AWAY")
    assert PATH not in gone.sentence
    assert SIGNATURE not in gone.sentence


@pytest.mark.parametrize(
    ("webhook", "usable"),
    [
        ("https://x.environment.api.powerplatform.com/a?sig=b", True),
        ("http://127.0.0.1:9/a", True),
        ("http://x.environment.api.powerplatform.com/a?sig=b", False),
        ("https://", False),
        ("paste here", False),
        ("file:///etc/passwd", False),
        ("https://[::1", False),
        ("https://prod-1.logic.azure.com:443/a?sig=b", True),
        ("https://prod-1.logic.azure.com:99999/a?sig=b", False),
        ("https://prod-1.logic.azure.com:0/a?sig=b", False),
        ("https://prod-1.logic.azure.com:port/a?sig=b", False),
    ],
)
def test_what_is_no_webhook_is_told(webhook: str, usable: bool) -> None:
    """Only https leaves this machine, since the address is the credential."""
    assert (teams.problem_with(webhook) is None) is usable


def test_the_mask_knows_the_webhook_in_parts() -> None:
    """Law 10: path and query are the credential, also when they appear without their host."""
    webhook = f"https://prod-1.example.com{PATH}?sig={SIGNATURE}"
    redact.register(*teams.secrets_of(webhook))
    for text in (webhook, f"POST {PATH} failed", f"?sig={SIGNATURE}", f"{PATH}?sig={SIGNATURE}"):
        shown = redact.mask(text)
        assert "planted-workflow-id" not in shown
        assert SIGNATURE not in shown
    assert teams.secrets_of(None) == ()
    assert teams.secrets_of("https://[::1") == ("https://[::1",)
    assert teams.secrets_of("https://example.com/hook") == ("https://example.com/hook",)


OF_THE_FACT_SHEET = (
    "/powerautomate/automations/direct/workflows/{}/triggers/manual/paths/invoke"
    "?api-version=1&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig={}"
)


@pytest.mark.parametrize(
    ("address", "workflow", "signature"),
    [
        (
            "http://127.0.0.1:9/workflows/{}/triggers/manual?api-version=1&sig={}",
            "abcDEF123456hidden",
            "SIGNsecret_Value-1%2F2%3D99",
        ),
        (
            "https://default1.9.environment.api.powerplatform.com:443" + OF_THE_FACT_SHEET,
            "0f3c9a77d8e14b6ab1c2d3e4f5061728",
            "kq0Zb8wT3-Xy_5aB",
        ),
        (
            "https://prod-1.westeurope.logic.azure.com/workflows/{}/triggers/manual/paths/invoke?sig={}",
            "flow01",
            "s3cr+t",
        ),
        ("https://firm.example/hooks/{}/{}", "T0123ABCDEF9", "abcdefghijklmnopqrst"),
        (
            "https://c.webhook.office.com/webhookb2/a@b/IncomingWebhook/{}/{}",
            "0123456789abcdef0123456789abcdef",
            "6f1e6a7c-0000-4000-8000-123456789abc",
        ),
    ],
)
def test_the_mask_knows_signature_and_workflow_by_themselves(
    address: str, workflow: str, signature: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workflows quotes them alone in its errors, as they were sent and as they read; words of addresses stay."""
    monkeypatch.setattr(redact, "_held", ())
    redact.register(*teams.secrets_of(address.format(workflow, signature)))
    read = unquote(signature)
    for sent in {signature, read, quote(read, safe=""), quote(signature, safe=""), unquote_plus(signature)}:
        body = json.dumps({"error": {"message": f"The signature {sent} (of {workflow}) does not fit."}}).encode()
        said = teams.judged(403, body, "h").sentence
        assert said == "Workflows refused the card (403): The signature ••• (of •••) does not fit."
    words = "the workflows' manual triggers, paths to invoke, powerautomate automations direct, IncomingWebhook"
    assert redact.mask(words) == words
