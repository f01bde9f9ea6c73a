"""One catalogue of everything that can be said to be wrong: code, cause, remedy, outcome.

Page, API, logs, findings and alerts take their words from here, so that an oddity has one name everywhere (law 8).
Sentences may hold ``{fact}`` placeholders, filled from the facts an error or finding carries; a missing one shows "?".
"""

from __future__ import annotations

from collections.abc import Mapping

from common.codes.api import API
from common.codes.code import Code, Outcome
from common.codes.settings import SETTINGS
from common.codes.sign_in import SIGN_IN
from common.codes.vendor import VENDOR
from common.codes.work import WORK

__all__ = ["CODES", "Code", "Outcome"]

CODES: Mapping[str, Code] = {code.key: code for code in (*SETTINGS, *SIGN_IN, *VENDOR, *WORK, *API)}
"""Every code by its key."""
