"""Words from outside, made short: masked first, cut then, so that no cut leaves half a secret behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common import limit_wishes, redact
from common.errors import BadRecord, Refused, RunFault
from common.excerpt import MOST_CHARACTERS, excerpt, name_in_words, value_in_words
from common.redact import HIDDEN, register
from common.rules.field_diff import field_diffs
from common.rules.schema_diff import Mapped, Wording, schema_diff
from daemon.guard.answers import parsed
from daemon.integrations.base import Column, Entity
from daemon.integrations.doorloop.client import DoorLoop, _open_envelope
from daemon.sync.convert import prepare
from daemon.sync.lines import LineMaker
from daemon.sync.values import parse_moment
from tests.unit.answer_maker import answer

SECRET = """dl_live-7f3K+/Zq9w'x"y\\z&%u-0123456789abcdef"""
PIECE = 6
AMOUNT = Entity("units", "/units", (Column("amount", "numeric", ("amount",)), Column("note", "text", ("note",))))


@pytest.fixture(autouse=True)
def _one_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redact, "_held", ())
    register(SECRET)


def leaked(text: str) -> bool:
    """Whether any piece of the secret stands in a text, however its quotes and backslashes are written."""
    plain = text.replace("\\", "")
    secret = SECRET.replace("\\", "")
    return any(secret[start : start + PIECE] in plain for start in range(len(secret) - PIECE + 1))


@given(before=st.text("abc '\"\\", max_size=120), after=st.text("abc '\"", max_size=80), most=st.integers(4, 200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_cut_leaves_no_part_of_a_secret_and_no_half_mask(before: str, after: str, most: int) -> None:
    """Wherever the secret stands: nothing of it is left, nor a mask that nobody would know for one."""
    for shown in (excerpt(f"{before}{SECRET}{after}", most), value_in_words(before + SECRET + after)):
        assert not leaked(shown)
        assert len(shown) <= max(most, MOST_CHARACTERS)
        assert HIDDEN[:-1] not in shown.replace(HIDDEN, "")
    assert excerpt("short", most=5) == "short"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("12 apples", "'12 apples'"),
        (12, "12"),
        (None, "None"),
        (True, "True"),
        ({"a": [1, "x"]}, "{'a': [1, 'x']}"),
        ("x" * 100, f"'{'x' * 58}…"),
        ({SECRET: {"deeper": [SECRET]}}, "{'•••': {'deeper': ['•••']}}"),
    ],
)
def test_a_value_is_told_as_it_is_written(value: Any, words: str) -> None:
    """Text in quotation marks, numbers without; keys may be secrets as well; long ones end in an ellipsis."""
    assert value_in_words(value) == words


def record(value: Any) -> str:
    """What a record says that cannot be converted."""
    with pytest.raises(BadRecord) as refused:
        LineMaker(AMOUNT).line(prepare({"id": "a", "amount": value}), "")
    return refused.value.cause


def text_of_a_record(value: Any) -> str:
    """The same for a text column, which takes no list."""
    with pytest.raises(BadRecord) as refused:
        LineMaker(AMOUNT).line(prepare({"id": "a", "note": [value]}), "")
    return refused.value.cause


def moment(value: Any) -> str:
    """What a stamp says that is none."""
    with pytest.raises(BadRecord) as refused:
        parse_moment(value)
    return refused.value.cause


def drift(value: Any) -> str:
    """What the schema diff tells of a value of another type, and of a key without a column."""
    wording = Wording(name_in_words, value_in_words)
    records = [{"id": "a", "active": value, value: {value: 1}}]
    return str(schema_diff(records, (Mapped("active", "boolean", ("active",)),), wording))


def dry_run(value: Any) -> str:
    """What a dry run would change."""
    return str(field_diffs({"a": value, value: 1}, {"a": [value]}, {"a"}, excerpt))


def envelope(value: Any) -> str:
    """What an answer says that is no list."""
    with pytest.raises(Exception, match="no list under") as refused:
        _open_envelope({value: 1}, "/units")
    return str(refused.value)


def label(value: Any) -> str:
    """What an answer says that is labelled as something else than JSON."""
    with pytest.raises(RunFault) as refused:
        parsed(answer(b"no", content_type=value), path="/units", entity="units")
    return refused.value.cause


def wish(value: Any) -> str:
    """What a caller's nonsense says, and a reason that is long."""
    with pytest.raises(Refused) as refused:
        limit_wishes.force_breaker_wish("doorloop", state=value, reason="because")
    kept = limit_wishes.schedule_wish("doorloop", paused=True, reason="r" * 460 + value)
    return f"{refused.value.cause} {kept.payload}"


@pytest.mark.parametrize("said", [record, text_of_a_record, moment, drift, dry_run, envelope, label, wish])
@pytest.mark.parametrize("before", ["", "Bearer ", "x" * 25, "x" * 40, "it's " + "y" * 50, '"' + "z" * 70])
def test_nothing_that_is_shortened_lets_a_part_of_a_secret_out(said: Callable[[Any], str], before: str) -> None:
    """Every sentence that quotes what came from outside."""
    assert not leaked(said(f"{before}{SECRET}"))


@pytest.mark.parametrize("said", [record, text_of_a_record, moment, drift, dry_run, envelope, label])
def test_a_sentence_stays_short_whatever_it_quotes(said: Callable[[Any], str]) -> None:
    """A header or name as long as a book is no sentence, and would hold up whoever stores or compares it."""
    assert len(said("x" * 60_000)) < 600


def test_what_a_check_tells_of_keys_is_short() -> None:
    """Keys of the first record: a secret among them is hidden, a page long one cut, very many are not all told."""

    class Guard:
        def get(self, *_: Any, **__: Any) -> Any:
            keys = {SECRET: 1, "k" * 5_000: 1, **{f"key{number}": 1 for number in range(500)}}
            reply = {"body": {"data": [keys], "total": 1}, "answer": type("Answer", (), {"status": 200})}
            return type("Reply", (), reply)

    class Clock:
        def monotonic(self) -> float:
            return 0.0

    made = DoorLoop(Guard(), Clock(), base_url="", page_size=1, max_concurrency=1)  # type: ignore[arg-type]
    keys = made.check("units", 1).keys
    assert len(keys) == 200
    assert max(map(len, keys)) <= 80
    assert not leaked(str(keys))
