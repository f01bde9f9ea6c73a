"""The one mask: a registered secret leaves the process on no road (law 10)."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable
from decimal import Decimal
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common import redact
from common.redact import HIDDEN, mask, mask_value, register, shape

CANARY = "dl_live-7f3K+/Zq9 w=x&y%ü"
secrets = st.text(st.characters(codec="utf-8", exclude_characters="•"), min_size=6, max_size=40)
surroundings = st.text(st.sampled_from("abcXYZ 019-_./"), max_size=9)
each_example_its_own = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def _forget_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mask is one per process: what a test registers is forgotten again."""
    monkeypatch.setattr(redact, "_held", ())
    monkeypatch.setattr(redact, "_credentials", redact._Held(str.lower))
    monkeypatch.setattr(redact, "_telling", redact._Held(str.lower))


def forget() -> None:
    """Between two examples of one test."""
    redact._held = ()


@given(secret=secrets, before=surroundings, after=surroundings)
@each_example_its_own
def test_a_secret_never_survives_in_plain(secret: str, before: str, after: str) -> None:
    """Wherever it stands, in text, in repr or in JSON, it is hidden and the text around it stays."""
    forget()
    register(secret)
    assert secret not in mask(before + secret + after)
    assert repr(secret)[1:-1] not in mask(f"Key: {before + secret + after!r}")
    for ascii_only in (True, False):
        dumped = json.dumps({"k": before + secret + after}, ensure_ascii=ascii_only)
        assert json.dumps(secret, ensure_ascii=ascii_only)[1:-1] not in mask(dumped)


@given(secret=secrets, before=surroundings, after=surroundings)
@each_example_its_own
def test_a_secret_never_survives_url_encoded(secret: str, before: str, after: str) -> None:
    """Percent-encoding in a path or a query, upper or lower case, space as + or %20."""
    forget()
    register(secret)
    encodings = [quote(secret), quote(secret, safe=""), quote_plus(secret), urlencode({"": secret})[1:]]
    for encoded in encodings:
        assert encoded not in mask(f"GET /{before}{encoded}{after}")
        quiet = re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), encoded)
        assert quiet not in mask(f"GET /{before}{quiet}{after}")


@given(secret=secrets, before=st.binary(max_size=7), after=st.binary(max_size=7))
@each_example_its_own
def test_a_secret_never_survives_in_base64_at_any_offset(secret: str, before: bytes, after: bytes) -> None:
    """Basic authorization, tokens, payloads: what can be decoded no longer holds the secret, whatever stands around."""
    forget()
    register(secret)
    for encode, alphabet in ((base64.b64encode, b"+/"), (base64.urlsafe_b64encode, b"-_")):
        masked = mask(encode(before + secret.encode() + after).decode())
        assert HIDDEN in masked
        for part in masked.split(HIDDEN):
            left = part.rstrip("=")
            for shift in range(4):
                piece = left[shift:]
                whole = piece[: len(piece) // 4 * 4]
                assert secret.encode() not in base64.b64decode(whole, altchars=alphabet)


@given(secret=secrets, before=st.binary(max_size=7), after=st.binary(max_size=7))
@each_example_its_own
def test_a_secret_never_survives_in_hexadecimal(secret: str, before: bytes, after: bytes) -> None:
    """A dump, or what Postgres writes of a ``bytea``, in either case; words too."""
    forget()
    register(secret)
    dumped = (before + secret.encode() + after).hex()
    for written in (f"\\x{dumped}", dumped.upper(), json.dumps(f"\\x{dumped}")):
        assert secret.encode().hex() not in mask(written).lower()


@pytest.mark.parametrize("separator", [":", " ", "-"])
def test_a_secret_never_survives_byte_by_byte(separator: str) -> None:
    """As a dump that people read has it, in either case."""
    register(CANARY)
    dumped = CANARY.encode().hex(separator)
    for written in (dumped, dumped.upper(), "".join(f"\\x{byte:02x}" for byte in CANARY.encode("latin-1"))):
        assert mask(f"sent {written} to it") == f"sent {HIDDEN} to it"


def test_a_secret_is_hidden_in_keys_values_and_strange_objects() -> None:
    """Anything made of dicts, lists and scalars, exceptions and bytes included; numbers and None stay themselves."""
    register(CANARY)
    hidden = mask_value(
        {
            CANARY: [CANARY, {"deep": (CANARY, 1, None, True)}],
            "error": ValueError(CANARY),
            "raw": CANARY.encode("latin-1"),
        }
    )
    assert CANARY not in str(hidden)
    assert hidden[HIDDEN][1] == {"deep": [HIDDEN, 1, None, True]}
    assert mask_value({"total": 5, "share": 0.5, "price": Decimal("1.10")}) == {
        "total": 5,
        "share": 0.5,
        "price": "1.10",
    }


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization: bearer abcdef123456", "abcdef123456"),
        ("authorization=Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
        ("{'Authorization': 'Basic dXNlcjpwYXNz'}", "dXNlcjpwYXNz"),
        ('{"Authorization": "tokenvalue99"}', "tokenvalue99"),
        ("('authorization', 'Basic dXNlcjpwYXNz')", "dXNlcjpwYXNz"),
        ("sent bearer abcdef123456 to them", "abcdef123456"),
        ("postgresql://icc:s3cret@db.example/icc", "s3cret"),
        ("redis://:s3cret@cache.example/0", "s3cret"),
        ("postgresql://db/icc?user=icc&password=s3cret", "s3cret"),
        ("https://x.example/hook?sig=Ab12Cd34&v=1", "Ab12Cd34"),
        ("https://x.example/hook?v=1&access_token=Ab12Cd34", "Ab12Cd34"),
        ("https://b.s3.amazonaws.com/x?X-Amz-Date=1&X-Amz-Signature=Ab12Cd34", "Ab12Cd34"),
        ("https://b.s3.amazonaws.com/x?X-Amz-Credential=AKIA99/20261125/s3&v=1", "AKIA99"),
        ("https://acc.blob.core.windows.net/c?sv=2024&sig=Ab12%2BCd34%3D", "Ab12"),
        ("GET /auth/oidc/entra/callback?state=s&code=0.AXcA-abc", "0.AXcA"),
        ("https://x.example/cb#id_token=abc.def&x=1", "abc.def"),
        ("Cookie: a=1; __Host-hc_session=tokentokentoken; b=2", "tokentokentoken"),
        ("Authorization: ApiKey abcdef123456", "abcdef123456"),
        ("got eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl back", "c2lnbmF0dXJl"),
        ("token-eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl", "eyJhbG"),
        ("eyJ-eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.", "eyJzdW"),
        ("https://prod-1.westeurope.logic.azure.com:443/workflows/abc123/triggers?sig=zz", "abc123"),
        ("https://default1.environment.api.powerplatform.com/powerautomate/workflows/abc123", "abc123"),
        ("https://firm.webhook.office.com/webhookb2/abc123@def/IncomingWebhook/1", "abc123"),
    ],
)
def test_what_looks_like_a_credential_is_hidden_unregistered(text: str, secret: str) -> None:
    """Even a secret nobody registered does not leave in the places where credentials stand."""
    assert secret not in mask(text)
    assert HIDDEN in mask(text)


@pytest.mark.parametrize(
    "text",
    ["owners page 3/20: 100 rows", "https://app.doorloop.com/api/owners?page_size=1", "authorization was refused"],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    """A mask that hides everything helps nobody."""
    register(CANARY)
    assert mask(text) == text


KEY = "sk-CANARY-4f7a1be09d3c/55aa77"


@pytest.mark.parametrize(
    "echo",
    [
        KEY.lower(),
        KEY.upper(),
        quote(KEY.upper(), safe=""),
        KEY.replace("-", "&#45;"),
        KEY.replace("-", "&#x2D;", 1),
        KEY.replace("-", "&amp;#45;").lower(),
        KEY.replace("/", "&sol;"),
        KEY.replace("-", "\\u002d"),
        KEY.replace("-", "\\\\u002D", 1).upper().replace("\\U", "\\u"),
        KEY.replace("/", "\\/"),
        KEY.replace("-", "%2D"),
        KEY.replace("a", "%2561"),
        "".join(f"&#{ord(character)};" for character in KEY),
    ],
)
def test_a_secret_is_hidden_in_another_case_and_behind_escapes(echo: str) -> None:
    """Law 10: a server that echoes the key may write it otherwise; the text around it stays."""
    register(KEY)
    assert mask(f"100% of <{echo}>, a \\n &amp; b") == f"100% of <{HIDDEN}>, a \\n &amp; b"


def test_a_secret_that_is_a_word_hides_no_other_spelling_of_it() -> None:
    """A database's password may be the word that every other line begins with."""
    register("postgres")
    assert mask("Postgres is away: a%20Postgres") == "Postgres is away: a%20Postgres"
    assert mask("password postgres, post%67res") == f"password {HIDDEN}, {HIDDEN}"


def test_very_short_and_missing_secrets_are_passed_over() -> None:
    """Masking every "a" because a key is "a" would hide the whole log."""
    register(None, "", "abc", "short")
    assert mask("a short abc") == "a short abc"


def test_the_longer_secret_is_hidden_first() -> None:
    """A secret that contains another one leaves no tail behind."""
    register("abcdef", "abcdef-and-more")
    assert mask("x abcdef-and-more y") == f"x {HIDDEN} y"


def test_a_secret_that_is_no_utf8_can_be_registered() -> None:
    """An environment variable may hold any bytes."""
    odd = b"caf\xe9-secret".decode("utf-8", "surrogateescape")
    register(odd)
    assert odd not in mask(f"key {odd}")


@pytest.mark.parametrize(
    ("secret", "shown"),
    [
        (None, "not set"),
        ("", "not set"),
        ("short", "set (5 characters)"),
        ("abcdefghijkl", "set (12 characters, …kl)"),
        ("eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl", "set (JWT shape, …Jl)"),
    ],
)
def test_a_secret_is_shown_by_its_shape_only(secret: str | None, shown: str) -> None:
    """Whether it is there and what it looks like; at most its last two characters."""
    assert shape(secret) == shown


def test_a_token_of_the_api_is_hidden_by_its_look() -> None:
    """Law 10: no process knows every token, so the mask knows what one looks like; a setting's name is none."""
    token = "icc_" + "aB3-_" * 8 + "xyz"
    assert token not in mask(f"it was {token}, in a line")
    assert mask("ICC_API_REQUESTS_PER_MINUTE and icc_public_url") == "ICC_API_REQUESTS_PER_MINUTE and icc_public_url"


@pytest.mark.parametrize("repeated", ["\\", "&", "&amp;", "%25", "amp;", "\\u00", '\\"', "eyJ-"])
def test_a_vendors_longest_text_is_masked_in_one_sweep(repeated: str) -> None:
    """Whatever a record holds: work that grows with the square of its length would stand the daemon still."""
    redact.register("sk-live-0123456789")
    text = repeated * 300_000
    assert redact.mask(f"{text} sk-live-0123456789") == f"{text} {redact.HIDDEN}"


ESCAPERS: list[Callable[[str], str]] = [
    lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    lambda text: "".join(f"\\u{ord(character):04x}" for character in text),
    lambda text: quote(text, safe=""),
    lambda text: "".join(f"%{ord(character):02X}" for character in text),
    html.escape,
    lambda text: "".join(f"&#{ord(character)};" for character in text),
]


@given(escapers=st.lists(st.sampled_from(ESCAPERS), max_size=3), before=surroundings, after=surroundings)
@each_example_its_own
def test_a_credential_is_found_in_data_behind_escapes_of_escapes(
    escapers: list[Callable[[str], str]], before: str, after: str
) -> None:
    """Law 10: however a vendor wrote our key, in a text of a record, in a key of it or in an id; all else is kept."""
    forget()
    for remember in (register, redact.keep_out_of_data):
        remember(KEY)
    echo = KEY
    for escape in escapers:
        echo = escape(echo)
    text = f"<{before}> {echo} <{after}> 5% \n &amp;"
    kept = f"<{before}> {HIDDEN} <{after}> 5% \n &amp;"
    assert redact.is_in_data(text)
    assert redact.is_in_data(json.dumps({"a": 1, "b": [{"c": text}]}))
    assert redact.is_in_data(json.dumps({"b": {text: 1}}).replace("&", "\\u0026").replace("/", "\\/"))
    assert redact.data_without({text: [text, {"c": text}]}) == {kept: [kept, {"c": kept}]}
    assert mask(text) == kept


def test_a_record_without_an_escape_is_not_looked_at_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Law 10, at its price: each record and each id is asked about, and nearly none of them has an escape."""
    redact.keep_out_of_data(KEY)
    monkeypatch.setattr(redact, "undoings", lambda text: pytest.fail(f"escapes were looked for in {text}"))
    assert not redact.is_in_data(json.dumps({"id": "5f0c", "notes": "Anna; Berta/Carl #4 + x=1 u002d", "total": 1.5}))


@pytest.mark.parametrize("text", ["Smith &amp; Sons", "50%25 off", 'said \\"no\\"', "C:\\\\x", "a%20b&c=%2F\\u0041"])
def test_data_with_other_escapes_stays_as_it_is(text: str) -> None:
    """Law 3: what is not our key is the vendor's data, to the letter."""
    redact.keep_out_of_data(KEY)
    assert not redact.is_in_data(text)
    assert redact.data_without({text: text}) == {text: text}


@pytest.mark.parametrize("repeated", ["\\", "&", "&amp;", "%25", "amp;", "\\u00", '\\"', "%5C", "&#92;", "&#37;25"])
def test_a_vendors_longest_text_is_searched_in_one_sweep(repeated: str) -> None:
    """Law 10 must not cost law 3: work that grows with the square of a record's length would stand the daemon still."""
    redact.keep_out_of_data("sk-live-0123456789")
    text = repeated * 100_000
    assert not redact.is_in_data(text)
    assert redact.data_without(f"{text} sk-live%2D0123456789 -") == f"{text} {HIDDEN} -"
