"""The one door to the database: a small pool, transactions, and driver errors put into our own words.

SQL runs on psycopg; SQLModel reads go through the same pool (``session``), so both can share one transaction's view of
things and one cap on connections (small Postgres plans allow about twenty in all).
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
from psycopg import Connection, conninfo
from psycopg.rows import DictRow, dict_row, tuple_row
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from common.errors import DatabaseAway

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlmodel import Session

Row = dict[str, Any]
Link = Connection[DictRow]
"""A connection whose rows are dicts."""

POOL_WAIT_SECONDS = 5.0
HURRIED_WAIT_SECONDS = 1.0
HURRIED_CLOSE_SECONDS = 0.05
"""For each thread of a pool. One that is still connecting has nothing to lose: what it brings is closed."""
CONNECT_TIMEOUT_SECONDS = 10
IDLE_IN_TRANSACTION_SECONDS = 10
NEVER_UNASKED = 2**31
"""After so many executions psycopg would prepare a statement by itself: only those that ask for it are worth it."""
AWAY = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.ReadOnlySqlTransaction)
PAST_ITS_LIMITS = (
    psycopg.errors.ProgramLimitExceeded,
    psycopg.errors.StatementTooComplex,
    psycopg.errors.TooManyArguments,
    psycopg.errors.TooManyColumns,
)

NOT_PREPARED_HERE = (psycopg.errors.InvalidSqlStatementName, psycopg.errors.DuplicatePreparedStatement)
"""A server that does not know what was prepared, or knows another's: the connection went from server to server."""


@contextmanager
def translated() -> Iterator[None]:
    """Driver errors that mean "the database is away" leave as ``DatabaseAway``; others stay what they are.

    So does a server that takes no writes for a while: a standby, or one that is failed over. What goes beyond the
    database's own limits (SQLSTATE class 54) will do so for ever: waiting for it would never end.
    """
    try:
        yield
    except PAST_ITS_LIMITS:
        raise
    except (*AWAY, PoolTimeout, PoolClosed) as error:
        raise DatabaseAway(first_line(error)) from error


@contextmanager
def sound(link: Link) -> Iterator[None]:
    """Whatever psycopg says of a connection that has gone means that it has gone, and leaves as ``DatabaseAway``.

    Behind a pooler a lost server shows itself in the midst of anything: two answers to one BEGIN, a COPY that is none.
    """
    try:
        yield
    except (psycopg.InternalError, psycopg.ProgrammingError, psycopg.NotSupportedError, ValueError) as error:
        try:
            _is_well(link)
        except psycopg.Error:
            raise DatabaseAway(first_line(error)) from error
        raise


def first_line(error: BaseException) -> str:
    """What an error says, without the statement and the hints that psycopg adds."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


class _Pooled(Connection[DictRow]):
    """A connection that our own statements and SQLModel's use by turns."""

    def add_notice_handler(self, callback: Callable[[psycopg.errors.Diagnostic], None]) -> None:
        """Once each: SQLAlchemy adds its handler whenever it is lent the connection."""
        with suppress(ValueError):
            self.remove_notice_handler(callback)
        super().add_notice_handler(callback)


def _as_ours(link: Link) -> None:
    """Back in the pool, a connection gives its rows as dicts again, and begins transactions."""
    link.row_factory = dict_row
    link.autocommit = False


def _is_well(link: Link) -> None:
    """Raises when the connection is gone; the server is asked only when its socket has something to say.

    A server that went, or ended this connection, has closed the socket, which then reads as ready. Asking each time
    would cost every transaction a round trip, and is no surer: what goes in the next moment is lost all the same.
    """
    socket = select.poll()
    socket.register(link.fileno(), select.POLLIN)
    if socket.poll(0):
        ConnectionPool.check_connection(link)


def _bounded(link: Link) -> None:
    """A client that freezes inside a transaction must not hold its locks for ever."""
    wait = f"{IDLE_IN_TRANSACTION_SECONDS}s"
    link.execute("SELECT set_config('idle_in_transaction_session_timeout', %s, false)", (wait,))
    _read_alike(link)
    link.commit()


def _read_alike(link: Link) -> None:
    """Dates come as the driver reads them, whatever the database's own setting is."""
    link.execute("SELECT set_config('DateStyle', 'ISO', false)")


class Database:
    """A pool of connections to one Postgres.

    ``url`` is a ``postgresql://`` address (a pooler's is fine), ``direct_url`` the database's own, for LISTEN,
    migrations and locks; ``most`` caps the pool. Threads share one instance.
    """

    def __init__(
        self,
        url: str,
        *,
        direct_url: str | None = None,
        name: str = "icc",
        most: int = 10,
        revive: Callable[[], None] | None = None,
    ) -> None:
        self.url, self.direct_url = url, direct_url or url
        self._name, self._revive = name, revive
        self._pool: ConnectionPool[Link] = ConnectionPool(
            self._named(url, name),
            connection_class=_Pooled,
            kwargs=_link_settings(),
            min_size=1,
            max_size=most,
            num_workers=min(3, most),
            timeout=POOL_WAIT_SECONDS,
            open=False,
            close_returns=True,
            configure=_bounded,
            check=_is_well,
            reset=_as_ours,
            # The pool doubles its pauses up to this: with more, one that is back would be met half a minute late.
            reconnect_timeout=POOL_WAIT_SECONDS,
        )
        self._apart: list[Database] = []
        self._engine: Engine | None = None
        self._wait_seconds, self._close_seconds, self._keeps_sessions = POOL_WAIT_SECONDS, POOL_WAIT_SECONDS, False

    def hurry(self) -> None:
        """From now on wait a second for a connection, and for none at the end: the process is to end, with its database
        or without."""
        self._wait_seconds, self._close_seconds = HURRIED_WAIT_SECONDS, HURRIED_CLOSE_SECONDS
        for other in self._apart:
            other.hurry()

    def revive(self) -> None:
        """Start the server again if it is ours and was killed; with an outside one there is nothing to do."""
        if self._revive is not None:
            self._revive()

    def heard(self, *, notes: bool) -> None:
        """Notifications are heard on the direct address, or no more.

        Where that is the pool's own address, each connection is a session of one server, which may keep prepared what
        is executed with ``prepare=True``. A transaction-mode pooler passes neither on; with it nothing is prepared.
        """
        self._keeps_sessions = notes and self.url == self.direct_url
        for other in self._apart:
            other.heard(notes=notes)

    def open(self) -> Database:
        """Open the pool; connections come when they are needed, so a database that is away does not stop the start."""
        self._pool.open(wait=False)
        return self

    def apart(self, most: int) -> Database:
        """A pool of its own for what must not wait until others give a connection back; closed with this one."""
        other = Database(self.url, direct_url=self.direct_url, name=self._name, most=most, revive=self._revive)
        self._apart.append(other)
        return other.open()

    def close(self) -> None:
        """Close every connection of the pool, and of those apart."""
        for other in self._apart:
            other.close()
        self._pool.close(self._close_seconds)

    def __enter__(self) -> Database:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def transaction(self, name: str | None = None, *, wait_seconds: float | None = None) -> Generator[Link]:
        """A pooled connection inside one transaction: committed at the end, rolled back on any error.

        ``name``: what the server calls it meanwhile, for whoever may have to end it from outside. ``wait_seconds``: how
        long to wait for a connection, if not as long as usual.
        """
        with translated(), self._lent(wait_seconds) as link, sound(link), link.transaction():
            if name is not None:
                link.execute("SELECT set_config('application_name', %s, true)", (name[:63],))
            yield link

    @contextmanager
    def statement(self) -> Generator[Link]:
        """A pooled connection for one statement that commits by itself: a client frozen meanwhile holds no lock."""
        with translated(), self._lent() as link, sound(link):
            link.autocommit = True
            yield link

    @contextmanager
    def session(self) -> Generator[Session]:
        """A SQLModel session over the same pool, for plain reads."""
        from sqlalchemy import exc
        from sqlmodel import Session

        try:
            with translated(), Session(self.engine) as session:
                yield session
        except (exc.OperationalError, exc.InterfaceError) as error:
            raise DatabaseAway(first_line(error.orig or error)) from error

    @property
    def engine(self) -> Engine:
        """SQLAlchemy over our pool: it keeps no connections of its own."""
        if self._engine is None:
            # Late: with it a daemon that only copies would hold 17 MB more.
            from sqlalchemy import NullPool, create_engine

            self._engine = create_engine("postgresql+psycopg://", creator=self._lend, poolclass=NullPool)
        return self._engine

    def _lend(self) -> Any:
        """A connection as SQLAlchemy wants it, rows as tuples; closing it gives it back to the pool."""
        link: Any = self._taken()
        link.row_factory = tuple_row
        return link

    @contextmanager
    def _lent(self, wait_seconds: float | None = None) -> Generator[Link]:
        link = self._taken(wait_seconds)
        try:
            with link:
                yield link
        except NOT_PREPARED_HERE:
            self._keeps_sessions = False
            raise
        finally:
            self._pool.putconn(link)

    def _taken(self, wait_seconds: float | None = None) -> Link:
        """A connection of the pool; waited for in short turns, so that ``hurry`` ends a wait that has begun, too."""
        began = time.monotonic()
        while True:
            most = self._wait_seconds if wait_seconds is None else wait_seconds
            try:
                link = self._pool.getconn(min(HURRIED_WAIT_SECONDS, most))
                break
            except PoolTimeout:
                if time.monotonic() - began >= most:
                    raise
        link.prepare_threshold = NEVER_UNASKED if self._keeps_sessions else None
        return link

    def connect(self, name: str, *, direct: bool = False, autocommit: bool = True) -> Link:
        """A connection of one's own, outside the pool, known to the server as ``name``. The caller closes it."""
        with translated():
            address = self._named(self.direct_url if direct else self.url, name)
            link = Connection[DictRow].connect(address, autocommit=True, **_link_settings())
            _read_alike(link)
            link.autocommit = autocommit
            return link

    @staticmethod
    def _named(url: str, name: str) -> str:
        try:
            return conninfo.make_conninfo(url, application_name=name[:63], connect_timeout=CONNECT_TIMEOUT_SECONDS)
        except psycopg.ProgrammingError as error:  # an option that libpq does not know
            raise DatabaseAway(first_line(error)) from None


def _link_settings() -> dict[str, Any]:
    # Prepared statements live on a server connection, which a transaction-mode pooler hands to somebody else.
    return {
        "row_factory": dict_row,
        # PGCLIENTENCODING, or the database's own setting, would have our UTF-8 read as something else.
        "client_encoding": "UTF8",
        "prepare_threshold": None,
        "keepalives": 1,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
    }


def sql(text: str) -> LiteralString:
    """Says that ``text`` is ours (from a ``.sql`` file or a column list in code), not a person's."""
    return text
