"""Errors, by what the catcher does next.

    IccError
    ├── SettingsError        mend the settings; the process cannot start
    ├── DatabaseAway         wait and try the database again
    │   └── LeaseLost        another run took over: write nothing more
    ├── DatabaseRefuses      end the run `incomplete`: the database answers, but does not take this
    ├── VendorFault          a request failed
    │   ├── TransientFault   try it again (5xx, timeout, reset)
    │   ├── RateLimited      come back later: not a failure
    │   ├── EntityRefused    leave this entity, go on with the next (403, 405, 404 …)
    │   ├── PagesUnreliable  this entity's pages cannot be trusted further: it ends `partial`
    │   ├── RunFault         stop the run (401, wrong host, another account)
    │   └── BreakerHolds     end the run `incomplete`: too many requests failed
    ├── BadRecord            put this record aside, the page goes on
    ├── Refused              tell the person no, and why
    └── Unusable             what the person gave cannot be used, and what would

    StopRequested, Deferred  signals, not failures: the run ends `stopped` or `deferred`

Every error carries a code of ``common/codes/``, which holds its cause, remedy and outcome. Facts are fields.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from common.codes import CODES, Code


class IccError(Exception):
    """Anything we raise on purpose.

    ``code`` is a key of ``common.codes.CODES``; ``facts`` fill its sentences and are stored beside it (masked).
    """

    def __init__(self, code: str, **facts: Any) -> None:
        self.code = code
        self.facts = facts
        super().__init__(f"{code}: {self.entry.cause_with(facts)}")

    @property
    def entry(self) -> Code:
        """The catalogue entry of this error's code."""
        return CODES[self.code]

    @property
    def cause(self) -> str:
        """One sentence: what happened."""
        return self.entry.cause_with(self.facts)

    @property
    def remedy(self) -> str:
        """One sentence: what to do."""
        return self.entry.remedy_with(self.facts)

    def as_record(self) -> dict[str, Any]:
        """The error as it is stored and shown: code, cause, remedy and facts. The writer masks it."""
        return {"code": self.code, "cause": self.cause, "remedy": self.remedy, "facts": self.facts}


class SettingsError(IccError):
    """A setting without which the process cannot live is missing or wrong."""


class DatabaseAway(IccError):
    """The database cannot be reached, or closed the connection. Nothing uncommitted was written."""

    def __init__(self, detail: str, code: str = "DATABASE_AWAY") -> None:
        super().__init__(code, detail=detail)


class LeaseLost(DatabaseAway):
    """Another run holds the account now (a higher term). This one must not write again."""

    def __init__(self, detail: str = "the lease's term has moved on") -> None:
        super().__init__(detail, code="LEASE_LOST")


class DatabaseRefuses(IccError):
    """The database answers, but not this: it is refused again and again. What was committed stays."""


class VendorFault(IccError):
    """A request to the vendor did not bring what it should."""

    @property
    def status(self) -> int | None:
        """The HTTP status, when an answer came at all."""
        status = self.facts.get("status")
        return int(status) if status is not None else None


class TransientFault(VendorFault):
    """The same request may succeed later."""

    def __init__(self, code: str, *, retry_after_seconds: float | None = None, **facts: Any) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(code, **facts)


class RateLimited(TransientFault):
    """The vendor asked us to slow down. Neutral for breaker, score and freshness alert (law 7)."""


class EntityRefused(VendorFault):
    """This entity cannot be read; the others may."""


class PagesUnreliable(VendorFault):
    """The pages contradict each other or themselves; what arrived is kept, the rest is not trusted."""


class RunFault(VendorFault):
    """Nothing of this account can be read until somebody mends the cause."""


class BreakerHolds(VendorFault):
    """The circuit breaker stayed open for a whole cool-down; what was read is kept, the run ends `incomplete`."""


class BadRecord(IccError):
    """One record cannot be stored; it is put aside with its reason and the page goes on."""


class Refused(IccError):
    """A person's (or program's) wish is refused: not permitted, already running, nobody there to do it.

    ``is_recorded``: the audit log has it already, so whoever passes it on does not write it down again.
    """

    is_recorded = False


class Unusable(IccError):
    """Bad input from a person, with what would be accepted."""


class StopRequested(Exception):
    """Somebody asked this run to stop, or the process is ending."""


class Deferred(Exception):
    """Come back at ``until``: the run ends `deferred` and a next one continues it.

    ``fault`` is the vendor's answer that asked for it; None: our own count, or what another request was told.
    ``run_until``: when this run goes on, where that is later than when others may.
    """

    def __init__(
        self, until: datetime, code: str, fault: VendorFault | None = None, *, run_until: datetime | None = None
    ) -> None:
        self.until = until
        self.run_until = run_until or until
        self.code = code
        self.fault = fault
        super().__init__(self.reason.cause)

    @property
    def reason(self) -> IccError:
        """Why and until when, as it is told and stored."""
        facts = self.fault.facts if self.fault else {}
        return IccError(self.code, **{**facts, "until": f"{self.until:%Y-%m-%d %H:%M:%S} UTC"})

    @property
    def vendor_failed(self) -> bool:
        """Whether the vendor is in trouble; being slowed down is not failing (law 7)."""
        return self.fault is not None and not isinstance(self.fault, RateLimited)
