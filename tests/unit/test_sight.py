"""Who reads how much: a viewer never reads what a vendor's record holds, an admin always does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from common.access import Role, Sight, sight_of
from common.codes import CODES
from common.insights.findings import EntityDelta, SampledChange, SchemaDiff
from common.insights.problems import Problem, problem
from common.insights.sight import as_seen, line_as_seen, without_values
from common.rules.verdict import Verdict
from common.states import Chip

PERSONAL = "ana@firm.example"
WITH_PRIVATE = [code for code in CODES.values() if code.private]


@dataclass(frozen=True)
class Answer:
    """As an answer of the insights is built: problems, and a verdict made of their sentences."""

    problems: tuple[Problem, ...]
    verdict: Verdict
    by_entity: Mapping[str, Problem]


def told(code: str) -> Problem:
    """A stored error whose every private fact is personal."""
    entry = CODES[code]
    facts = {"field": "email", "kind": "date", **dict.fromkeys(entry.private, PERSONAL)}
    found = problem({"code": code, "cause": entry.cause_with(facts), "facts": facts})
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("role", "sight"), [(Role.ADMIN, Sight.WHOLE), (Role.VIEWER, Sight.MASKED), (None, Sight.MASKED)]
)
def test_only_an_admin_sees_everything(role: Role | None, sight: Sight) -> None:
    """Closed by default: no role, or one that is new, sees what a viewer sees."""
    assert sight_of(role) is sight


@pytest.mark.parametrize("code", [entry.key for entry in WITH_PRIVATE])
def test_what_a_problem_hides_is_hidden_wherever_it_is_repeated(code: str) -> None:
    """The problem, and the verdict that says its sentence within another one; the rest of the sentence stays."""
    one = told(code)
    inside = one.cause[:1].lower() + one.cause[1:].rstrip(".")
    answer = Answer((one,), Verdict(Chip.FAILING, f"DoorLoop is failing: {inside}.", (one.cause,)), {"owners": one})
    assert PERSONAL in str(answer)
    seen = as_seen(answer, Sight.MASKED)
    assert PERSONAL not in str(seen)
    assert "•••" in seen.problems[0].cause
    assert seen.verdict.title.startswith("DoorLoop is failing: ")
    assert seen.verdict.chip is Chip.FAILING
    assert as_seen(answer, Sight.WHOLE) is answer


def test_what_stands_under_a_name_is_hidden_too() -> None:
    """The failures of a status are a mapping by entity; a viewer's way there is no other than the admin's."""
    one = told(WITH_PRIVATE[0].key)
    answer = Answer((), Verdict(Chip.FAILING, one.cause, ()), {"owners": one})
    seen = as_seen(answer, Sight.MASKED)
    assert PERSONAL not in str(seen)
    assert seen.by_entity["owners"].code == one.code


@pytest.mark.parametrize("code", sorted(CODES))
def test_a_line_without_private_facts_is_the_same_for_all(code: str) -> None:
    """Only lines whose code may quote a record are rewritten, and those in the code's own words."""
    said = f"It was {PERSONAL}."
    seen = line_as_seen(code, said, Sight.MASKED)
    assert (seen == said) is not bool(CODES[code].private)
    assert line_as_seen(code, said, Sight.WHOLE) == said
    assert not CODES[code].private or PERSONAL not in seen
    assert line_as_seen("page", "owners page 3", Sight.MASKED) == "owners page 3"


def test_every_fact_that_may_quote_a_record_is_private() -> None:
    """Whoever adds a code whose sentence shows a value of a record must say so here."""
    quoting = {"value", "detail", "before", "now"}
    ours = {  # what these sentences show is of our own making, or typed by the person who reads it
        ("DATABASE_AWAY", "detail"),
        ("DATABASE_FORBIDS", "detail"),
        ("DATABASE_NOT_UTF8", "detail"),
        ("DATABASE_REFUSES", "detail"),
        ("LEASE_LOST", "detail"),
        ("LETTERS_GREW", "now"),
        ("NETWORK_FAULT", "detail"),
        ("SINCE_UNUSABLE", "value"),
        ("VALUE_UNUSABLE", "value"),
    }
    shown = {
        (code.key, fact) for code in CODES.values() for fact in quoting if f"{{{fact}}}" in code.cause + code.remedy
    }
    assert shown - ours == {(code.key, fact) for code in WITH_PRIVATE for fact in code.private}
    assert not [code.key for code in WITH_PRIVATE if any(f"{{{fact}}}" in code.remedy for fact in code.private)]


def test_a_payload_without_values_keeps_its_shape() -> None:
    """Keys and nesting tell what is there; values do not leave."""
    payload = {"name": PERSONAL, "emails": [PERSONAL, None], "nested": {"n": 7, "yes": True}}
    assert without_values(payload) == {"name": "•••", "emails": ["•••", None], "nested": {"n": "•••", "yes": "•••"}}


def test_findings_show_a_viewer_names_and_types_but_no_example() -> None:
    """What drifted is not what its key promises, and a day or a constant of an unknown key may be somebody's."""
    drift = {"active": {"text": (f"'{PERSONAL}'", "'other'"), "list": ()}}
    diff = SchemaDiff("owners", 100, {"day": {"text": (PERSONAL,)}}, ("fax",), drift, datetime.now(UTC), None)
    change = SampledChange("64b7f0c2", False, {"active": (PERSONAL, "(absent)")})
    delta = EntityDelta("owners", 1, 2, 3, 4, 5, (change,))
    assert as_seen((diff, delta), Sight.WHOLE) == (diff, delta)
    seen, counted = as_seen((diff, delta), Sight.MASKED)
    assert PERSONAL not in f"{seen} {counted}"
    assert (seen.unmapped, seen.never_seen) == ({"day": {"text": ("•••",)}}, ("fax",))
    assert (seen.drift, seen.differences, seen.sampled) == ({"active": {"text": ("•••",), "list": ()}}, 3, 100)
    assert counted.samples == (SampledChange("64b7f0c2", False, {"active": ("•••", "•••")}),)
    assert (counted.insert, counted.dead) == (1, 5)
