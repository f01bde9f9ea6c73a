"""Who is there: sign-in, the one session cookie, sign-out.

The cookie holds a random token, the row in ``control.sessions`` its SHA-256. A session is looked up at every request,
script run and fragment run, so that ending it takes effect at once. Trying passwords is slowed by delay, per account
and per address; nobody is locked out, and nobody learns which part was wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from common import passwords
from common.store import commands, people
from common.store.database import Link
from common.store.people import Attempt, Person, Session
from dashboard.services import Services

PLAIN_COOKIE = "hc_session"
SECURE_COOKIE = "__Host-hc_session"
"""Browsers accept this name only with Secure, Path=/ and no Domain: no sister site can set it."""
TOUCH_AFTER_SECONDS = 20.0
"""A person's actions are written down no more often than this."""

FREE_FAILURES_OF_ACCOUNT = 3
FREE_FAILURES_OF_ADDRESS = 10
LONGEST_DELAY_SECONDS = 15.0
MOST_AT_ONCE = 8
"""Attempts that may wait at a time, per account and per address."""


@dataclass(frozen=True)
class Credentials:
    """What somebody gives to be let in. ``old_token`` is the browser's earlier session, which ends."""

    name: str
    password: str
    address: str
    old_token: str | None


class TooManyAtOnce(Exception):
    """So many attempts wait already that this one is not even looked at."""


def cookie_name(services: Services) -> str:
    """The session cookie's name."""
    return SECURE_COOKIE if services.secure else PLAIN_COOKIE


def lookup(services: Services, token: str | None) -> Session | None:
    """The session behind a cookie, or None. Raises ``DatabaseAway``."""
    if not token or len(token) > 200:
        return None
    idle_seconds = services.settings.icc_session_idle_minutes * 60
    with services.reading() as database, database.transaction() as link:
        return people.session(link, token, idle_seconds=idle_seconds)


def note_activity(services: Services, session: Session) -> None:
    """The person did something (a live tick is not something a person does)."""
    if session.idle_seconds >= TOUCH_AFTER_SECONDS:
        with services.database.transaction() as link:
            people.touch_session(link, session.id)


def delay_seconds(failures_of_account: int, failures_of_address: int) -> float:
    """How long an attempt waits before it is looked at: doubling with each failure past the free ones."""
    over = max(failures_of_account - FREE_FAILURES_OF_ACCOUNT, failures_of_address - FREE_FAILURES_OF_ADDRESS)
    return 0.0 if over < 0 else float(min(LONGEST_DELAY_SECONDS, 0.5 * 2 ** min(over, 10)))


def begin(services: Services, name: str, address: str) -> Attempt:
    """Note the attempt before it is looked at, so that parallel ones slow each other."""
    with services.database.transaction() as link:
        return people.note_attempt(link, name, address)


def decide(services: Services, attempt: Attempt, given: Credentials) -> str | None:
    """Check the password and start a session; returns the cookie's token, or None when it is refused."""
    with services.database.transaction() as link:
        person = people.by_name(link, given.name)
    # Hashing takes tens of milliseconds and no connection meanwhile; it is done for nobody, too.
    right = passwords.matches(person.password_hash if person else None, given.password)
    if person is None or not right or person.is_disabled:
        return None
    return _start(services, attempt, person, given)


def _start(services: Services, attempt: Attempt, person: Person, given: Credentials) -> str:
    with services.database.transaction() as link:
        people.attempt_succeeded(link, attempt.id)
        if given.old_token:
            people.end_session(link, given.old_token)
        seconds = services.settings.icc_session_hours * 3600
        token = people.start_session(link, person.id, seconds=seconds, address=given.address)
        _log(link, person, "sign in", given.address)
        people.forget_old(link)
    return token


def sign_out(services: Services, token: str | None, address: str) -> None:
    """End the session, if there is one."""
    session = lookup(services, token)
    if session is None or token is None:
        return
    with services.database.transaction() as link:
        people.end_session(link, token)
        _log(link, session, "sign out", address)


def _log(link: Link, who: Person | Session, action: str, address: str) -> None:
    role = who.role.value if who.role else None
    commands.log_action(link, actor=who.name, role=role, source="page", address=address, action=action, result="done")


_waiting: Counter[str] = Counter()


@contextmanager
def in_turn(name: str, address: str) -> Iterator[None]:
    """Hold one of the places in which an attempt may wait. Raises ``TooManyAtOnce``."""
    keys = (f"account {people.subject_of(name)}", f"address {address}")
    if any(_waiting[key] >= MOST_AT_ONCE for key in keys):
        raise TooManyAtOnce
    for key in keys:
        _waiting[key] += 1
    try:
        yield
    finally:
        for key in keys:
            _waiting[key] -= 1
            if not _waiting[key]:
                del _waiting[key]
