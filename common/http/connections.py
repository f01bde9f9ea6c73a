"""Connections whose every request can be ended from another thread, and ends in time (law 6).

Closing a session does not end a request under way, shutting its socket does (measured).
"""

from __future__ import annotations

import socket
import threading
import weakref
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from common.http.responses import Asking, FinalResponse, shut_down


class Sockets:
    """Every live socket of a transport, so that they can be shut from outside."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._shut = False
        self.asking = Asking()

    def add(self, sock: socket.socket) -> None:
        """Take one in. Raises ``ConnectionAbortedError`` when they have been shut."""
        with self._lock:
            if self._shut:
                raise ConnectionAbortedError("stopped")
            self._open.add(sock)

    def shut(self) -> None:
        """Shut them, and those that are to come. Safe from any thread."""
        with self._lock:
            self._shut = True
            for sock in list(self._open):
                shut_down(sock)


class _Watched(HTTPConnection):
    """A connection whose socket can be shut from the moment on that it begins to connect.

    While TLS begins, a twin of the socket is watched: what is shut is the connection of both.
    """

    icc_sockets: Sockets
    _has_answered = False
    _twin: socket.socket | None = None

    def request(self, *args: Any, **kwargs: Any) -> None:
        """As ``urllib3`` sends, knowing whether this connection has served before."""
        asking = self.icc_sockets.asking
        if asking.afresh and self._has_answered:
            self.close()
        asking.is_reused = self._has_answered and self.sock is not None
        super().request(*args, **kwargs)

    def getresponse(self) -> Any:
        """As ``urllib3`` reads."""
        response = super().getresponse()
        self._has_answered = True
        return response

    def connect(self) -> None:
        self._has_answered = False
        try:
            super().connect()
            self.icc_sockets.add(self.sock)
        finally:
            if self._twin is not None:
                self._twin.close()

    def _new_conn(self) -> socket.socket:
        """As ``urllib3`` connects, and with its errors."""
        try:
            return self._dial()
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(self, f"connecting to {self.host} timed out") from error
        except OSError as error:
            raise NewConnectionError(self, f"cannot connect: {error}") from error

    def _dial(self) -> socket.socket:
        """The first of the host's addresses that answers."""
        last: OSError = OSError("the name has no address")
        for family, kind, protocol, _, where in socket.getaddrinfo(self._dns_host, self.port, 0, socket.SOCK_STREAM):
            sock = socket.socket(family, kind, protocol)
            try:
                for option in self.socket_options or ():
                    sock.setsockopt(*option)
                sock.settimeout(self.timeout)
                self._twin = sock.dup()
                self.icc_sockets.add(self._twin)
                sock.connect(where)
                return sock
            except OSError as error:
                sock.close()
                last = error
        raise last


class AbortableAdapter(HTTPAdapter):
    """``requests``' adapter over connections that report their sockets."""

    def __init__(self, sockets: Sockets, connections: int) -> None:
        self._icc_sockets = sockets
        super().__init__(pool_connections=4, pool_maxsize=connections, pool_block=False, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """``requests``' own pools, of connections of ours."""
        super().init_poolmanager(*args, **kwargs)
        sockets = self._icc_sockets

        class Response(FinalResponse):
            asking = sockets.asking

        class Plain(_Watched):
            response_class = Response
            icc_sockets = sockets

        class Encrypted(_Watched, HTTPSConnection):
            response_class = Response
            icc_sockets = sockets

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class EncryptedPool(HTTPSConnectionPool):
            ConnectionCls = Encrypted

        self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": EncryptedPool}
