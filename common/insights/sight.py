"""One answer, two readers: an admin reads all of it, a viewer not what vendors' records hold (names, mails, bodies).

Page, API and stream share this: they ask a question once per ``Sight`` and show what comes. Hidden are the values that
a code's ``private`` facts put into its sentences, and what a question to an admin knows of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from common.access import Sight
from common.codes import CODES
from common.insights.findings import ErrorGroup, SampledChange, SchemaDiff
from common.insights.letters import LetterGroup, LetterRow
from common.insights.overview import Question
from common.insights.problems import Problem
from common.redact import HIDDEN

T = TypeVar("T")


def as_seen(answer: T, sight: Sight) -> T:
    """An answer of the insights as this reader may see it: the same classes, private values replaced by ``•••``."""
    if sight is Sight.WHOLE:
        return answer
    # A verdict is made of a problem's sentence, so what one problem hides is hidden wherever it is repeated.
    hidden = {one.cause: one.cause_hidden for one in _problems(answer) if one.cause_hidden is not None}
    seen: T = _seen(answer, {cause.rstrip("."): masked.rstrip(".") for cause, masked in hidden.items()})
    return seen


def line_as_seen(code: str, msg: str, sight: Sight) -> str:
    """A line of the log: where its code has private facts, a viewer reads the code's own sentences without them."""
    entry = CODES.get(code)
    if sight is Sight.WHOLE or entry is None or not entry.private:
        return msg
    blanks: Mapping[str, Any] = defaultdict(lambda: HIDDEN)
    return f"{entry.cause.format_map(blanks)} {entry.remedy.format_map(blanks)}"


def cause_as_seen(code: str, cause: str, sight: Sight) -> str:
    """A code's sentence of cause, its private facts hidden from a viewer."""
    entry = CODES.get(code)
    if sight is Sight.WHOLE or entry is None or not entry.private:
        return cause
    return entry.cause.format_map(defaultdict(lambda: HIDDEN))


def without_values(value: Any) -> Any:
    """The same structure, its values hidden: what a viewer sees of a payload, an example, an answer's body."""
    if isinstance(value, Mapping):
        return {key: without_values(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_values(inner) for inner in value]
    return None if value is None else HIDDEN


def _problems(value: Any) -> Iterator[Problem]:
    if isinstance(value, Problem):
        yield value
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from _problems(getattr(value, field.name))
    elif isinstance(value, tuple | list | Mapping):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _problems(inner)


def _seen(value: Any, hidden: Mapping[str, str]) -> Any:
    if type(value) is str:  # not a StrEnum: states stay states
        return _replaced(value, hidden)
    if isinstance(value, Question):
        return replace(value, details=_details_seen(value))
    if isinstance(value, LetterRow | LetterGroup):
        return replace(value, reason=cause_as_seen(value.code, value.reason, Sight.MASKED))
    if isinstance(value, ErrorGroup):
        return replace(value, snippet=HIDDEN)
    if isinstance(value, SchemaDiff):  # names and types are told to everybody, examples are values
        return replace(value, unmapped=_examples_seen(value.unmapped), drift=_examples_seen(value.drift))
    if isinstance(value, SampledChange):
        return replace(value, fields=dict.fromkeys(value.fields, (HIDDEN, HIDDEN)))
    if is_dataclass(value) and not isinstance(value, type):
        changes = {field.name: _seen(getattr(value, field.name), hidden) for field in fields(value) if field.init}
        return replace(value, **changes)
    if type(value) is tuple:
        return tuple(_seen(inner, hidden) for inner in value)
    if isinstance(value, Mapping):
        return {key: _seen(inner, hidden) for key, inner in value.items()}
    return value


def _replaced(text: str, hidden: Mapping[str, str]) -> str:
    for cause, masked in hidden.items():
        # Within a sentence it begins with a small letter.
        for before, after in ((cause, masked), (cause[:1].lower() + cause[1:], masked[:1].lower() + masked[1:])):
            text = text.replace(before, after)
    return text


def _examples_seen(found: Mapping[str, Mapping[str, tuple[str, ...]]]) -> dict[str, dict[str, tuple[str, ...]]]:
    return {
        name: {kind: tuple(HIDDEN for _ in examples[:1]) for kind, examples in types.items()}
        for name, types in found.items()
    }


def _details_seen(question: Question) -> Mapping[str, Any]:
    entry = CODES.get(question.kind.upper())
    private = entry.private if entry else frozenset(question.details)
    if not private:
        return question.details
    return {
        name: without_values(value) if name in private else value
        for name, value in question.details.items()
        if name != "cause"
    }
