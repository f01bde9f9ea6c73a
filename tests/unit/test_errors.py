"""Errors say what the catcher does next; each carries its code's cause, remedy and facts."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import errors
from common.codes import CODES
from common.errors import (
    BadRecord,
    DatabaseAway,
    Deferred,
    EntityRefused,
    IccError,
    LeaseLost,
    PagesUnreliable,
    RateLimited,
    Refused,
    RunFault,
    StopRequested,
    TransientFault,
    VendorFault,
)


@pytest.mark.parametrize("kind", [TransientFault, RateLimited, EntityRefused, PagesUnreliable, RunFault])
def test_what_a_vendor_does_wrong_is_a_vendor_fault(kind: type[VendorFault]) -> None:
    """One place can catch them all, and the status is a field."""
    error = kind("VENDOR_ERROR", status=503, path="/owners")
    assert isinstance(error, VendorFault)
    assert error.status == 503
    assert kind("NETWORK_FAULT", host="h", detail="d").status is None


def test_being_rate_limited_may_be_tried_again_and_knows_when() -> None:
    """Law 7: a kind of its own, so that nobody counts it as a failure by accident."""
    error = RateLimited("RATE_LIMITED", retry_after_seconds=12, status=429, path="/owners")
    assert isinstance(error, TransientFault)
    assert error.retry_after_seconds == 12
    assert "retry_after_seconds" not in error.facts


@pytest.mark.parametrize("signal", [StopRequested(), Deferred(datetime(2026, 11, 1, tzinfo=UTC), "BUDGET_SPENT")])
def test_signals_are_no_failures(signal: Exception) -> None:
    """A catcher of our errors lets a stop and a deferral pass."""
    assert not isinstance(signal, IccError)


def test_a_lost_lease_is_not_waited_out_like_a_database_that_is_away() -> None:
    """It is a kind of DatabaseAway (nothing was written) that whoever retries must look for first."""
    assert isinstance(LeaseLost(), DatabaseAway)
    assert (LeaseLost().code, DatabaseAway("gone").code) == ("LEASE_LOST", "DATABASE_AWAY")


def test_a_deferral_says_until_when_and_why() -> None:
    """The run is continued then; what the vendor answered is told, and only trouble of its own counts as failing."""
    until = datetime(2026, 11, 1, tzinfo=UTC)
    fault = TransientFault("VENDOR_ERROR", status=503, path="/owners", snippet="busy")
    signal = Deferred(until, "VENDOR_ASKED_LATER", fault)
    assert str(signal) == signal.reason.cause
    assert "503 at /owners" in signal.reason.cause
    assert "before 2026-11-01 00:00:00 UTC" in signal.reason.cause
    assert signal.reason.facts == {**fault.facts, "until": "2026-11-01 00:00:00 UTC"}
    slowed = Deferred(until, "RATE_LIMITED_UNTIL", RateLimited("RATE_LIMITED", status=429, path="/owners"))
    spent = Deferred(until, "BUDGET_SPENT")
    assert [one.vendor_failed for one in (signal, slowed, spent)] == [True, False, False]
    assert all("2026-11-01 00:00:00 UTC" in str(one) for one in (signal, slowed, spent))
    assert all(CODES[one.code].outcome == "run deferred" for one in (signal, slowed, spent))


@given(
    code=st.sampled_from(sorted(CODES)),
    facts=st.dictionaries(
        st.sampled_from(["path", "status", "entity", "detail"]), st.text() | st.integers(), max_size=4
    ),
)
def test_any_error_can_be_told_and_stored(code: str, facts: dict[str, str | int]) -> None:
    """Whatever facts it has, braces in them too: cause, remedy and record are whole; the code comes first."""
    error = IccError(code, **facts)
    assert error.as_record() == {"code": code, "cause": error.cause, "remedy": error.remedy, "facts": facts}
    assert str(error).startswith(f"{code}: ")
    assert error.cause


def test_an_unknown_code_is_noticed_at_once() -> None:
    """Not when somebody reads it."""
    with pytest.raises(KeyError):
        BadRecord("NO_SUCH_CODE")


def test_the_tree_is_drawn_where_it_is_defined() -> None:
    """Style 5: every class of the module stands in its docstring."""
    drawn = errors.__doc__ or ""
    classes = [name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert [name for name in classes if name not in drawn] == []
    assert Refused.__name__ in drawn
