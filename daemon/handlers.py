"""What each command does. A handler returns the command's result or raises ``Refused``."""

from __future__ import annotations

import threading
import uuid
from dataclasses import asdict
from typing import Any

from common.access import Action
from common.alerting import teams
from common.config import Finding
from common.errors import Refused
from common.excerpt import excerpt
from common.store import accounts, leases, passes, records
from common.store.database import Database, Link, Row
from common.store.records import Target
from daemon.account_voice import AccountVoice
from daemon.asking import Asking
from daemon.integrations.base import Account, CheckResult, PingResult
from daemon.run_desk import RunDesk, refuse_while_held

_NO_REQUEST = ("BASE_URL_NOT_ENCRYPTED", "KEY_MISSING")
"""Findings with which not even a ping may leave: it would send the key readable, or there is none."""
ANSWERS = ("confirmed", "rejected")
ASKING = frozenset({Action.PING, Action.CHECK, Action.TEST_ALERT})
"""Commands that wait for somebody outside."""
ENDING = frozenset({Action.STOP, Action.CANCEL_BULK})
"""Commands that end something, within a second."""


def ping(database: Database, asking: Asking, account: Account, command: Row, voice: AccountVoice) -> dict[str, Any]:
    """Ask the vendor whether it is there; the result is stored for everybody, ``voice`` hears of the requests."""
    result = _forbidden(account) or _ask(asking, account, voice)
    row = {
        "ok": result.ok,
        "code": result.code,
        "reason": result.reason,
        "remedy": result.remedy,
        "base_url": result.base_url,
        "authenticated": result.authenticated,
        "sample_count": result.sample_count,
        "elapsed_ms": result.elapsed_ms,
        "requested_by": command["actor"],
        "command_id": str(command["id"]),
    }
    with database.transaction() as link:
        accounts.insert_ping(link, command["integration"], command["account_key"], row)
    return row


def _ask(asking: Asking, account: Account, voice: AccountVoice) -> PingResult:
    with asking.connector(account, voice) as connector:
        return connector.ping()


def check(asking: Asking, account: Account, command: Row, voice: AccountVoice) -> dict[str, Any]:
    """Read one page of a list: its status, its first record's keys, how many came. No value of a record is told."""
    endpoint, page_size = command["payload"]["endpoint"], int(command["payload"]["page_size"])
    if endpoint not in account.entry.entities:
        raise Refused("UNKNOWN_ENTITY", entity=endpoint, known=", ".join(account.entry.entities))
    finding = _finding_against_requests(account)
    if finding is not None:
        held = CheckResult(False, endpoint, 0.0, code=finding.code, reason=finding.cause, remedy=finding.remedy)
        return asdict(held)
    with asking.connector(account, voice) as connector:
        return asdict(connector.check(endpoint, page_size))


def test_alert(webhook: str | None, command: Row) -> dict[str, Any]:
    """One card to the Teams webhook; what Workflows answered. Raises ``Refused`` when there is nobody to tell."""
    if webhook is None:
        raise Refused("WEBHOOK_MISSING")
    problem = teams.problem_with(webhook)
    if problem is not None:
        raise Refused("WEBHOOK_UNUSABLE", problem=problem)
    return asdict(teams.send(webhook, teams.test_card(command["integration"], asked_by=command["actor"])))


def _finding_against_requests(account: Account) -> Finding | None:
    return next((finding for finding in account.findings if finding.code in _NO_REQUEST), None)


def _forbidden(account: Account) -> PingResult | None:
    finding = _finding_against_requests(account)
    if finding is None:
        return None
    return PingResult(
        ok=False,
        base_url=str(account.published().get("DOORLOOP_BASE_URL", "")),
        elapsed_ms=0,
        code=finding.code,
        reason=finding.cause,
        remedy=finding.remedy,
    )


def stop(desk: RunDesk, command: Row, *, insist_until: threading.Event) -> dict[str, Any]:
    """Stop the active run within a second."""
    place = (command["integration"], command["account_key"])
    return desk.stop(*place, command["actor"], insist_until=insist_until)


def confirm(database: Database, command: Row, *, within_seconds: float) -> dict[str, Any]:
    """An admin's answer to a question, and what follows from it, in one transaction.

    A confirmed account change takes the new identity; a confirmed mass removal marks those rows that nothing has met
    since, if no newer full copy has run and the question is not older than ``within_seconds``.
    """
    wish, by = command["payload"], command["actor"]
    answer, question_id = wish.get("answer"), str(wish.get("confirmation_id"))
    if answer not in ANSWERS:
        raise Refused("UNKNOWN_CONFIRMATION", id=excerpt(f"{question_id} ({answer})", 120))
    if not _is_uuid(question_id):
        raise Refused("UNKNOWN_CONFIRMATION", id=excerpt(question_id, 80))
    with database.transaction() as link:
        question = accounts.read_question(link, question_id)
        if question is None:
            raise Refused("UNKNOWN_CONFIRMATION", id=question_id)
        result = {"confirmation_id": question_id, "answer": answer}
        if answer == "confirmed":
            result |= _follow(link, question, within_seconds)
        accounts.answer(link, question_id, answer, by=by, reason=wish.get("reason"))
    return result


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def _follow(link: Link, question: Row, within_seconds: float) -> dict[str, Any]:
    integration, account_key = question["integration"], question["account_key"]
    if question["kind"] == "account_changed":
        accounts.set_identity(link, integration, account_key, question["details"]["now"])
        return {"identity": "accepted"}
    entity, pass_id = question["entity"], question["pass_id"]
    # The lease row keeps a run from starting, and a running one from committing a page, until this is written.
    accounts.lock_lease(link, integration, account_key)
    refuse_while_held(leases.read(link, integration, account_key))
    outdated = _outdated(link, question, within_seconds)
    if outdated is not None:
        raise Refused("MASS_REMOVAL_OUTDATED", entity=entity, why=outdated)
    target = Target(integration, entity, ("id",))
    records.plan_for_bulk(link)
    return {"removed": records.mark_missing_removed(link, target, account_key, pass_id)}


def _outdated(link: Link, question: Row, within_seconds: float) -> str | None:
    """Why what was missing then may be there now; None when it is as sure as it was."""
    account = (question["integration"], question["account_key"], question["entity"])
    if passes.latest_backfill(link, *account) != question["pass_id"]:
        return "a newer full copy has run"
    if not passes.remembers_all(link, question["pass_id"]):
        return "the database crashed and forgot which records were seen"
    if not accounts.is_asked_about_removal(link, *account, within_seconds=within_seconds):
        return f"it was asked more than {within_seconds / 3600:g} hours ago"
    return None


def forget_drill(database: Database, account: Account, command: Row) -> dict[str, Any]:
    """Delete the account's drill rows and what was learnt from them, so that real rows may come; runs are kept."""
    integration, account_key = command["integration"], command["account_key"]
    with database.transaction() as link:
        row = accounts.read(link, integration, account_key)
        if row is None or row["source_kind"] != "drill":
            raise Refused("NOT_DRILL_ROWS")
        accounts.lock_lease(link, integration, account_key)
        refuse_while_held(leases.read(link, integration, account_key))
        deleted = {
            entity: records.delete_all(link, Target(integration, entity, ("id",)), account_key)
            for entity in account.entry.entities
        }
        accounts.forget_source(link, integration, account_key)
    return {"deleted": deleted}


def refusal(error: Refused) -> dict[str, Any]:
    """A refusal as a command's result."""
    return {"code": error.code, "cause": error.cause, "remedy": error.remedy}
