"""Who is there: sign-in, the one session cookie, sign-out.

The cookie holds a random token, the row in ``control.sessions`` its SHA-256. A session is looked up at every request,
script run and fragment run, so that ending it takes effect at once. Trying passwords is slowed (``turns``), others'
tries without slowing who is known at their address; nobody learns which part was wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from common import passwords
from common.clock import SystemClock
from common.errors import Refused
from common.store import commands, people
from common.store.anonymous import NOBODY
from common.store.database import Link
from common.store.people import Attempt, Person, Session
from dashboard.admission import Newcomer
from dashboard.services import Services
from dashboard.tally import FAILED_SIGN_IN
from dashboard.turns import Lines, places

PLAIN_COOKIE = "hc_session"
SECURE_COOKIE = "__Host-hc_session"
"""Browsers accept this name only with Secure, Path=/ and no Domain: no sister site can set it."""
TOUCH_AFTER_SECONDS = 20.0
"""A person's actions are written down no more often than this, or a quarter of the time they may rest."""


@dataclass(frozen=True)
class Credentials:
    """What somebody gives to be let in. ``old_token`` is the browser's earlier session, which ends."""

    name: str
    password: str
    address: str
    old_token: str | None


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
    if session.idle_seconds >= min(TOUCH_AFTER_SECONDS, services.settings.icc_session_idle_minutes * 60 / 4):
        with services.database.transaction() as link:
            people.touch_session(link, session.id)


_lines = Lines()


def begin(services: Services, given: Credentials) -> tuple[Attempt, float]:
    """Note the attempt before it is looked at, so that parallel ones slow each other; with the seconds it must wait.

    Raises ``TooManyAtOnce``, and then notes nothing: what is not looked at is no failure.
    """
    now = SystemClock().monotonic()
    account, address = people.subject_of(given.name), given.address
    with services.database.transaction() as link:
        known = people.knows(link, given.name, address)
        # A flood is turned away here, before it writes a row that would be taken back.
        _lines.check_room(places(account, address, known=known), now)
        attempt = people.note_attempt(link, given.name, address, known=known)
        failures = {"of_account": attempt.failures_of_account, "of_address": attempt.failures_of_address}
        return attempt, _lines.join(places(account, address, known=known, **failures), now)


def decide(services: Services, attempt: Attempt, given: Credentials) -> str | None:
    """Check the password and start a session; returns the cookie's token, or None when it is refused."""
    with services.database.transaction() as link:
        person = people.by_name(link, given.name)
    # Hashing takes tens of milliseconds and no connection meanwhile; it is done for nobody, too.
    right = passwords.matches(person.password_hash if person else None, given.password)
    if person is None or not right or person.is_disabled:
        # A name that nobody has is not kept: people type passwords into the wrong field.
        note_refusal(services, given.address, {"account": person.name if person else "unknown"}, None)
        return None
    with services.database.transaction() as link:
        if people.by_name(link, given.name) != person:  # shut out, or given another password, while it was looked at
            return None
        people.attempt_succeeded(link, attempt.id)
        summary = {"issuer": "local"}
        return _start(link, services, person, address=given.address, old_token=given.old_token, summary=summary)


def admit(services: Services, newcomer: Newcomer, address: str, old_token: str | None) -> str:
    """Start a session for whom a provider vouches; returns the cookie's token. Raises ``Refused`` for who is shut out.

    Their first sign-in makes them known; each reads their role anew, unless it was given by hand.
    """
    with services.database.transaction() as link:
        people.lock(link)
        person = people.provided(link, newcomer.issuer, newcomer.subject) or _welcome(link, newcomer)
        if not person.is_disabled:
            if not person.role_by_hand and person.role is not newcomer.role:
                people.set_role(link, person.id, newcomer.role, by_hand=False)
                person = replace(person, role=newcomer.role)
            summary = {"issuer": newcomer.issuer, "subject": newcomer.subject}
            return _start(link, services, person, address=address, old_token=old_token, summary=summary)
    refusal = Refused("SHUT_OUT", contact=services.contact)
    note_refusal(services, address, {"account": person.name}, refusal)
    raise refusal


def _welcome(link: Link, newcomer: Newcomer) -> Person:
    name = newcomer.name if people.named(link, newcomer.name) is None else newcomer.name_apart
    return people.add_provided(link, newcomer.issuer, newcomer.subject, name, newcomer.role)


def _start(
    link: Link, services: Services, person: Person, *, address: str, old_token: str | None, summary: dict[str, str]
) -> str:
    if old_token:
        people.end_session(link, old_token)
    token = people.start_session(link, person.id, seconds=services.settings.icc_session_hours * 3600, address=address)
    _log(link, person, "sign in", address, summary)
    people.forget_old(link)
    return token


def note_refusal(services: Services, address: str, summary: dict[str, str], refusal: Refused | None) -> None:
    """A sign-in that failed, in the audit log: a row of its own, or a number when there are many."""
    if not services.tally.grants_a_row(SystemClock().monotonic()):
        services.tally.count(FAILED_SIGN_IN, address)
        return
    with services.database.transaction() as link:
        commands.log_action(
            link,
            actor=NOBODY,
            source="page",
            address=address,
            action=FAILED_SIGN_IN,
            summary=dict(summary),
            result="refused",
            reason=refusal.cause if refusal else None,
        )


def sign_out(services: Services, token: str | None, address: str) -> None:
    """End the session, if there is one."""
    session = lookup(services, token)
    if session is None or token is None:
        return
    with services.database.transaction() as link:
        people.end_session(link, token)
        _log(link, session, "sign out", address, {})


def _log(link: Link, who: Person | Session, action: str, address: str, summary: dict[str, str]) -> None:
    role = who.role.value if who.role else None
    commands.log_action(
        link,
        actor=who.name,
        role=role,
        source="page",
        address=address,
        action=action,
        summary=dict(summary),
        result="done",
    )
