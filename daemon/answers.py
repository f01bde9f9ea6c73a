"""`python -m daemon confirm` and `forget-drill`: an admin's decisions from the command line, through the gate."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from common.access import Action
from common.errors import Refused
from common.logs import one_line
from common.store import accounts
from common.wishes import Wish
from daemon.once import command_desk, command_line_actor
from daemon.wiring import Services


def confirm(services: Services, question_id: str | None, *, reject: bool, reason: str | None) -> int:
    """List the open questions, or answer one; 0 when done, 1 with the reason when refused."""
    with services.database.transaction() as link:
        questions = accounts.open_questions(link)
    if question_id is None:
        for question in questions:
            about = question["entity"] or question["integration"]
            _say(f"{question['id']}  {question['kind']}  {about}  {_in_words(question['details'])}")
        if not questions:
            _say("no open questions")
        return 0
    asked = next((question for question in questions if str(question["id"]) == question_id), None)
    integration = asked["integration"] if asked else next(iter(services.configuration.accounts))
    payload = {"confirmation_id": question_id, "answer": "rejected" if reject else "confirmed", "reason": reason}
    try:
        wish = Wish(Action.CONFIRM, integration, payload=payload)
        receipt = services.gate.submit(wish, command_line_actor(), addressed_to=services.daemon_id)
        result = command_desk(services).take(receipt.command_id)
    except Refused as refused:
        _say(f"{refused.cause} {refused.remedy}")
        return 1
    _say(_in_words(result))
    return 0


def forget_drill(services: Services) -> int:
    """Delete the drill rows of every account that holds them; real rows are refused. 0 when done, 1 when refused."""
    for integration in services.configuration.accounts:
        try:
            receipt = services.gate.submit(
                Wish(Action.FORGET_DRILL, integration), command_line_actor(), addressed_to=services.daemon_id
            )
            result = command_desk(services).take(receipt.command_id)
        except Refused as refused:
            _say(f"{refused.cause} {refused.remedy}")
            return 1
        _say(_in_words(result))
    return 0


def _in_words(told: Any) -> str:
    """What a question or a result tells, without the signs of Python: ``deleted: owners 30, units 12``."""
    if isinstance(told, Mapping):
        return "; ".join(f"{name.replace('_', ' ')}: {_listed(value)}" for name, value in told.items())
    return _listed(told)


def _listed(told: Any) -> str:
    if isinstance(told, Mapping):
        return ", ".join(f"{name} {_listed(value)}" for name, value in told.items())
    return ", ".join(map(_listed, told)) if isinstance(told, list) else str(told)


def _say(text: str) -> None:
    sys.stdout.write(f"{one_line(text)}\n")
