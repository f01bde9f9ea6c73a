"""Who may sign in, from a terminal: ``python -m common.accounts add|passwd|role|disable|enable|list``, and tokens.

``add`` and ``passwd`` are for local accounts; the rest also for who comes by a provider, under the name in ``list``.
A password is asked for twice on a terminal; otherwise it is the first line of stdin. It is never an argument, which
every process of the machine could read. Each change is a row of the audit log, in the transaction that does it.
"""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Sequence

from common import api_tokens, logs, redact
from common.access import Role
from common.api_tokens import TokenMistake
from common.config import SharedSettings, environment, read_process
from common.errors import IccError
from common.passwords import hashed, problem_with
from common.rules.wording import plural
from common.store import commands, people
from common.store.database import Database, Link
from common.store.door import opened
from common.store.migrate import migrate
from common.store.people import Person


class Mistake(Exception):
    """What was asked for cannot be done; the message says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; 0 when done, 1 when refused."""
    wanted = _parser().parse_args(arguments)
    try:
        settings, _ = read_process(SharedSettings, environment())
        redact.register(*settings.secrets)
        with opened(settings, name="icc:accounts", on_progress=_tell) as database:
            migrate(database)
            _say(_do(database, wanted))
    except (IccError, Mistake, TokenMistake) as error:
        _tell(str(error))
        if isinstance(error, IccError):
            _tell(error.remedy)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m common.accounts", description="Who may sign in to the dashboard.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    add = verbs.add_parser("add", help="add a person; asks for the password")
    add.add_argument("name")
    add.add_argument("--role", choices=[role.value for role in Role], default=Role.VIEWER.value)
    verbs.add_parser("passwd", help="another password; ends the person's sessions").add_argument("name")
    role = verbs.add_parser("role", help="another role; ends the person's sessions")
    role.add_argument("name")
    role.add_argument(
        "role",
        choices=[*(role.value for role in Role), "none", "provider"],
        help="provider: as it says at each sign-in",
    )
    verbs.add_parser("disable", help="shut a person out, at once").add_argument("name")
    verbs.add_parser("enable", help="let a person in again").add_argument("name")
    verbs.add_parser("list", help="who there is")
    api_tokens.add_verbs(verbs)
    return parser


def _do(database: Database, wanted: argparse.Namespace) -> str:
    """Do it, or write down why not: every try is in the audit log."""
    try:
        return _done(database, wanted)
    except (Mistake, TokenMistake) as mistake:
        with database.transaction() as link:
            _log(link, wanted, "refused", str(mistake))
        raise


def _done(database: Database, wanted: argparse.Namespace) -> str:
    if wanted.verb in api_tokens.VERBS:
        return api_tokens.do(database, wanted, _operator())
    if wanted.verb == "list":
        with database.transaction() as link:
            return _table(people.everyone(link))
    password_hash = hashed(_password(wanted.name)) if wanted.verb in ("add", "passwd") else ""
    with database.transaction() as link:
        told = _change(link, wanted, password_hash)
        _log(link, wanted, "done")
    return told


def _change(link: Link, wanted: argparse.Namespace, password_hash: str) -> str:
    name: str = wanted.name
    if wanted.verb == "add":
        if not name.strip():
            raise Mistake("A person needs a name.")
        if people.add(link, name, Role(wanted.role), password_hash) is None:
            raise Mistake(
                f"There is a person {name} already; another password: python -m common.accounts passwd {name}"
            )
        return f"Added {name} as {wanted.role}."
    person, issuer = _found(link, name)
    if wanted.verb == "passwd":
        if issuer != people.LOCAL:
            raise Mistake(f"{person.name} has no password here: {issuer} vouches for them.")
        people.set_password(link, person.id, password_hash)
        return f"{person.name} has a new password; their sessions have ended."
    if wanted.verb == "role":
        return _another_role(link, person, issuer, wanted.role)
    people.set_disabled(link, person.id, disabled=wanted.verb == "disable")
    return f"{person.name} is {'shut out' if wanted.verb == 'disable' else 'let in again'}."


def _another_role(link: Link, person: Person, issuer: str, role: str) -> str:
    if role == "provider":
        if issuer == people.LOCAL:
            raise Mistake(f"{person.name} has a local account: no provider says their role.")
        # Without a role until then: what the provider said last may be long out of date.
        people.set_role(link, person.id, None, by_hand=False)
        return f"{person.name} has at the next sign-in the role that {issuer} says; their sessions have ended."
    people.set_role(link, person.id, None if role == "none" else Role(role))
    return f"{person.name} is {'without a role' if role == 'none' else role} now; their sessions have ended."


def _found(link: Link, name: str) -> tuple[Person, str]:
    found = people.named(link, name)
    if found is None:
        raise Mistake(f"There is no person {name}. See: python -m common.accounts list")
    return found


def _log(link: Link, wanted: argparse.Namespace, result: str, reason: str | None = None) -> None:
    kind = "token" if wanted.verb in api_tokens.VERBS else "person"
    summary = {kind: wanted.name, **({"role": wanted.role} if hasattr(wanted, "role") else {})}
    action = f"account {wanted.verb}"
    commands.log_action(
        link, actor=_operator(), action=action, result=result, source="cli", summary=summary, reason=reason
    )


def _operator() -> str:
    """Who sits at the terminal, as far as the machine knows."""
    try:
        return f"{getpass.getuser()} (terminal)"
    except (KeyError, OSError):
        return "terminal"


def _password(name: str) -> str:
    if sys.stdin.isatty():
        password = getpass.getpass(f"Password for {name}: ")
        if getpass.getpass("Once more: ") != password:
            raise Mistake("The two are not the same; nothing was changed.")
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    problem = problem_with(password)
    if problem:
        raise Mistake(f"That password is not accepted: {problem}.")
    return password


def _table(rows: Sequence[dict[str, object]]) -> str:
    if not rows:
        return "Nobody yet. Add the first: python -m common.accounts add NAME --role admin"
    width = max(24, *(len(str(row["name"])) for row in rows))
    lines = [
        f"{row['name']!s:<{width}} {row['role'] or 'no role':<8} {'disabled' if row['disabled_at'] else 'active':<9}"
        f" {plural(int(str(row['open_sessions'])), 'session'):<12} {_vouched(row)}".rstrip()
        for row in rows
    ]
    return "\n".join(lines)


def _vouched(row: dict[str, object]) -> str:
    """Who vouches for a person, and whether their role was given by hand all the same."""
    if row["issuer"] == people.LOCAL:
        return "local"
    return f"{row['issuer']}{', role by hand' if row['role_from'] == 'hand' else ''}"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _tell(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    logs.mask_tracebacks()
    sys.exit(main())
