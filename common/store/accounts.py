"""Accounts, their published settings, identity, questions to an admin, and pings. The caller commits."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from common.redact import mask
from common.store.database import Link, Row
from common.store.masked import masked_json, masked_value
from common.store.statements import statements

SQL = statements("accounts")


def _account(integration: str, account_key: str) -> dict[str, Any]:
    return {"integration": integration, "account_key": account_key}


def ensure(link: Link, integration: str, account_key: str, label: str) -> None:
    """The integration and its account exist from now on."""
    link.execute(SQL["ensure_account"], {**_account(integration, account_key), "label": label})


def read(link: Link, integration: str, account_key: str) -> Row | None:
    """Everything about one account."""
    return link.execute(SQL["read_account"], _account(integration, account_key)).fetchone()


def publish(
    link: Link,
    integration: str,
    account_key: str,
    *,
    daemon_id: str,
    settings: dict[str, Any],
    findings: list[dict[str, Any]],
    refuses_backfills: bool,
) -> None:
    """What the page shows of the daemon's settings; masked here. A finding that holds, holds the account.

    ``refuses_backfills``: ALLOW_MANUAL_BACKFILL is off here, which the gate of every process heeds while we serve.
    """
    params = {
        **_account(integration, account_key),
        "daemon_id": daemon_id,
        "settings": masked_json(settings),
        "findings": masked_json(findings),
        "held": any(finding["holds"] for finding in findings),
        "refuses_backfills": refuses_backfills,
    }
    link.execute(SQL["publish"], params)


def pause(link: Link, integration: str, account_key: str, *, by: str, reason: str) -> bool:
    """Nothing of the account starts by itself from now on; false when that was so already."""
    params = {**_account(integration, account_key), "by": by, "reason": mask(reason)}
    return link.execute(SQL["pause"], params).fetchone() is not None


def resume(link: Link, integration: str, account_key: str) -> bool:
    """What is due starts by itself again; false when it was not paused."""
    return link.execute(SQL["resume"], _account(integration, account_key)).fetchone() is not None


def forget_source(link: Link, integration: str, account_key: str) -> None:
    """The account's rows are gone: so are its kind, identity, readings, dead letters and open questions."""
    for name in (
        "unlink_passes",
        "forget_seen",
        "forget_passes",
        "forget_letters",
        "forget_questions",
        "forget_source",
    ):
        link.execute(SQL[name], _account(integration, account_key))


def set_identity(link: Link, integration: str, account_key: str, identity: dict[str, str]) -> None:
    """Whose account it is, as first seen or as confirmed."""
    link.execute(SQL["set_identity"], {**_account(integration, account_key), "identity": masked_json(identity)})


def put_off(link: Link, integration: str, account_key: str, *, until: datetime, code: str) -> None:
    """No run begins before ``until`` (by the database's clock); a longer block stays."""
    link.execute(SQL["put_off"], {**_account(integration, account_key), "until": until, "code": code})


def ask_admin(
    link: Link,
    integration: str,
    account_key: str,
    kind: str,
    details: dict[str, Any],
    *,
    entity: str | None = None,
    run_id: str | None = None,
    pass_id: int | None = None,
) -> str:
    """Put a question to an admin and return its id. An open one that asks the same stays, any other is replaced."""
    question = {**_account(integration, account_key), "kind": kind, "entity": entity, "pass_id": pass_id}
    question["details"] = masked_json(details)
    same = link.execute(SQL["same_question"], question).fetchone()
    if same is not None:
        return str(same["id"])
    link.execute(SQL["supersede_confirmations"], question)
    question |= {"id": str(uuid.uuid4()), "run_id": run_id}
    link.execute(SQL["open_confirmation"], question)
    return str(question["id"])


def supersede(link: Link, integration: str, account_key: str, kind: str, *, entity: str | None = None) -> None:
    """What was asked has answered itself: the open question of this kind goes."""
    question = {**_account(integration, account_key), "kind": kind, "entity": entity}
    link.execute(SQL["supersede_confirmations"], question)


def is_asked_about_removal(
    link: Link, integration: str, account_key: str, entity: str, *, within_seconds: float
) -> bool:
    """Whether an admin may still answer what an entity's reading asked: may the missing rows be marked removed?"""
    question = {**_account(integration, account_key), "entity": entity, "within_seconds": within_seconds}
    row = link.execute(SQL["is_asked"], question).fetchone()
    assert row is not None
    return bool(row["is_asked"])


def read_question(link: Link, confirmation_id: str) -> Row | None:
    """One open question, locked for its answer."""
    return link.execute(SQL["read_confirmation"], {"id": confirmation_id}).fetchone()


def open_questions(link: Link, integration: str | None = None) -> list[Row]:
    """Every question that waits for an admin."""
    return link.execute(SQL["open_confirmations"], {"integration": integration}).fetchall()


def lock_lease(link: Link, integration: str, account_key: str) -> None:
    """Lock the account's lease row: no run begins and no page commits until this transaction ends."""
    link.execute(SQL["lock_lease"], _account(integration, account_key))


def answer(link: Link, confirmation_id: str, answer_given: str, *, by: str, reason: str | None) -> None:
    """An admin's answer: ``confirmed`` or ``rejected``."""
    params = {"id": confirmation_id, "answer": answer_given, "by": by, "reason": mask(reason) if reason else None}
    link.execute(SQL["answer_confirmation"], params)


def insert_ping(link: Link, integration: str, account_key: str, ping: dict[str, Any]) -> None:
    """A ping's result (keys as in the table)."""
    link.execute(SQL["insert_ping"], {**masked_value(ping), **_account(integration, account_key)})
