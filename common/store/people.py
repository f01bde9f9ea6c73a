"""People, sessions and sign-in attempts in the database. Every function takes an open transaction; the caller commits.

A person is (issuer, subject); issuer ``local`` signs in with a password, any other is a provider's address. A session's
token is in the cookie alone: the row holds its SHA-256, so whoever reads the table cannot sign in with it.
"""

from __future__ import annotations

import hashlib
import secrets
import uuid
from dataclasses import dataclass

from common.access import Role
from common.store.database import Link, Row
from common.store.statements import statements

SQL = statements("people")
LOCAL = "local"
"""The issuer of those who sign in with a password."""
FAILURES_COUNT_FOR_MINUTES = 15


@dataclass(frozen=True)
class Person:
    """Somebody who may sign in. ``role_by_hand``: an operator gave the role (or none), whatever a provider says."""

    id: str
    name: str
    role: Role | None
    password_hash: str | None
    is_disabled: bool
    role_by_hand: bool = True


@dataclass(frozen=True)
class Session:
    """A session that holds now; ``address`` is where it was started, ``idle_seconds`` count from its last action."""

    id: str
    person_id: str
    name: str
    role: Role | None
    address: str | None
    idle_seconds: float


@dataclass(frozen=True)
class Attempt:
    """A noted attempt, with the failures before it (itself not counted)."""

    id: int
    failures_of_account: int
    failures_of_address: int


def subject_of(name: str) -> str:
    """A local name as it is compared: case and surrounding blanks do not matter."""
    return name.strip().casefold()


def lock(link: Link) -> None:
    """Hold off other processes that would make a first admin, until the transaction ends."""
    link.execute(SQL["lock_people"])


def anybody(link: Link) -> bool:
    """Whether there is any person."""
    row = link.execute(SQL["any_person"]).fetchone()
    assert row is not None
    return bool(row["found"])


def add(link: Link, name: str, role: Role | None, password_hash: str) -> str | None:
    """Add a local person; returns their id, or None when the name is taken."""
    params = {
        "id": str(uuid.uuid4()),
        "subject": subject_of(name),
        "name": name.strip(),
        "role": role.value if role else None,
        "password_hash": password_hash,
    }
    row = link.execute(SQL["add"], params).fetchone()
    return str(row["id"]) if row else None


def add_provided(link: Link, issuer: str, subject: str, name: str, role: Role | None) -> Person:
    """Add a person whom a provider vouches for; the caller has made sure that the name is free (``named``)."""
    identity = {"id": str(uuid.uuid4()), "issuer": issuer, "subject": subject}
    link.execute(SQL["add_provided"], {**identity, "name": name, "role": role.value if role else None})
    return Person(identity["id"], name, role, None, is_disabled=False, role_by_hand=False)


def by_name(link: Link, name: str) -> Person | None:
    """The local person of that name: nobody else has a password."""
    row = link.execute(SQL["local_by_name"], {"subject": subject_of(name)}).fetchone()
    return _person(row) if row else None


def provided(link: Link, issuer: str, subject: str) -> Person | None:
    """The person that a provider calls by this subject."""
    row = link.execute(SQL["provided"], {"issuer": issuer, "subject": subject}).fetchone()
    return _person(row, role_by_hand=row["role_from"] == "hand") if row else None


def named(link: Link, name: str) -> tuple[Person, str] | None:
    """Anybody of that name, as ``list`` shows it, and who vouches for them (``local`` or a provider's address)."""
    row = link.execute(SQL["named"], {"name": name.strip(), "subject": subject_of(name)}).fetchone()
    return (_person(row), row["issuer"]) if row else None


def everyone(link: Link) -> list[Row]:
    """Every person, with their open sessions counted."""
    return link.execute(SQL["everyone"]).fetchall()


def set_password(link: Link, person_id: str, password_hash: str) -> None:
    """Another password; every session of the person ends."""
    link.execute(SQL["set_password"], {"id": person_id, "password_hash": password_hash})
    end_sessions_of(link, person_id)


def set_role(link: Link, person_id: str, role: Role | None, *, by_hand: bool = True) -> None:
    """Another role; every session of the person ends, so that no old one keeps the old role.

    One given by hand stands until it is taken back by hand; any other is read anew from the provider at each sign-in.
    """
    role_from = "hand" if by_hand else "provider"
    link.execute(SQL["set_role"], {"id": person_id, "role": role.value if role else None, "role_from": role_from})
    end_sessions_of(link, person_id)


def set_disabled(link: Link, person_id: str, *, disabled: bool) -> None:
    """Shut somebody out, or let them in again."""
    link.execute(SQL["set_disabled"], {"id": person_id, "disabled": disabled})
    end_sessions_of(link, person_id)


def end_sessions_of(link: Link, person_id: str) -> None:
    """End every session of a person, at once."""
    link.execute(SQL["end_sessions_of"], {"id": person_id})


def start_session(link: Link, person_id: str, *, seconds: float, address: str | None) -> str:
    """Start a session; returns the token for the cookie, which is stored nowhere."""
    token = secrets.token_urlsafe(32)
    params = {
        "id": str(uuid.uuid4()),
        "token_hash": _hash(token),
        "person_id": person_id,
        "seconds": seconds,
        "address": address,
    }
    link.execute(SQL["start_session"], params)
    link.execute(SQL["signed_in"], {"id": person_id})
    return token


def session(link: Link, token: str, *, idle_seconds: float) -> Session | None:
    """The session of a token, or None when it holds no longer (ended, too old, idle for ``idle_seconds``, shut out)."""
    row = link.execute(SQL["session"], {"token_hash": _hash(token), "idle_seconds": idle_seconds}).fetchone()
    if row is None:
        return None
    return Session(
        id=str(row["id"]),
        person_id=str(row["person_id"]),
        name=row["name"],
        role=_role(row),
        address=row["address"],
        idle_seconds=row["idle_seconds"],
    )


def touch_session(link: Link, session_id: str) -> None:
    """Remember that the person did something."""
    link.execute(SQL["touch_session"], {"id": session_id})


def end_session(link: Link, token: str) -> None:
    """Sign out."""
    link.execute(SQL["end_session"], {"token_hash": _hash(token)})


def knows(link: Link, account: str, address: str) -> bool:
    """Whether somebody has signed in to this local account from this address within the last month."""
    row = link.execute(SQL["knows"], {"account": subject_of(account), "address": address}).fetchone()
    assert row is not None
    return bool(row["known"])


def note_attempt(link: Link, account: str, address: str, *, known: bool = False) -> Attempt:
    """Note an attempt, as failed until ``attempt_succeeded``: parallel ones count each other.

    ``known``: the account's person has been at this address before, so failures elsewhere are not held against them.
    """
    params = {
        "account": subject_of(account)[:200],
        "address": address,
        "known": known,
        "minutes": FAILURES_COUNT_FOR_MINUTES,
    }
    failures = link.execute(SQL["failures"], params).fetchone()
    row = link.execute(SQL["note_attempt"], params).fetchone()
    assert failures is not None
    assert row is not None
    return Attempt(int(row["id"]), int(failures["of_account"]), int(failures["of_address"]))


def attempt_succeeded(link: Link, attempt_id: int) -> None:
    """The attempt was right; the account's failures before it count no more."""
    link.execute(SQL["attempt_succeeded"], {"id": attempt_id})


def forget_old(link: Link) -> None:
    """Remove attempts and sessions that serve nobody any more."""
    link.execute(SQL["forget_attempts"])
    link.execute(SQL["forget_sessions"])


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _person(row: Row, *, role_by_hand: bool = True) -> Person:
    is_disabled = row["disabled_at"] is not None
    return Person(str(row["id"]), row["name"], _role(row), row["password_hash"], is_disabled, role_by_hand)


def _role(row: Row) -> Role | None:
    return Role(row["role"]) if row["role"] else None
