"""The drill server as tests and the command line use it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from threading import Lock, Timer
from time import monotonic
from types import TracebackType
from typing import Any

import orjson

from .catalogue.population import Mutation
from .catalogue.world import ENTITIES
from .connection import serve
from .control import control
from .faults.poison import is_bad
from .faults.switchboard import ActiveFault, Switchboard
from .faults.table import BY_KEY
from .limits import LimitSettings
from .listener import HOST, Listener
from .options import DrillOptions
from .request_log import Entry, RequestLog
from .vendor import Vendor
from .wire import Request, Response


class DrillServer:
    """A stand-in DoorLoop on loopback; `with DrillServer(rows=300, seed=7) as drill:` starts and stops it.

    Takes the fields of `DrillOptions` as keyword arguments. Port 0 means a free one.

    Raises:
        OSError: the port is taken.
        ValueError: settings that make no sense.
    """

    def __init__(self, options: DrillOptions | None = None, **settings: Any) -> None:
        self.options = options or DrillOptions(**settings)
        self.vendor = Vendor(self.options)
        self.log = RequestLog()
        self._open_requests: dict[int, Entry] = {}
        self._lock = Lock()
        self._return: Timer | None = None
        self._stopped = False
        self._started = monotonic()
        self.faults.on_change = self._fault_changed
        self._listener = Listener(self.options.port, self._serve)

    # Life

    def start(self) -> DrillServer:
        """Listen; returns when requests are answered."""
        self._listener.listen()
        return self

    def stop(self) -> None:
        """Cut every connection and free the port, within a second."""
        with self._lock:
            self._stopped = True
        self.faults.clear()
        self._listener.stop()

    def __enter__(self) -> DrillServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """Return the port it listens on."""
        return self._listener.port

    @property
    def origin(self) -> str:
        """Return scheme, host and port; /drill lives under it."""
        return f"http://{HOST}:{self.port}"

    @property
    def base_url(self) -> str:
        """Return what DOORLOOP_BASE_URL is set to."""
        return f"{self.origin}/api"

    @property
    def key(self) -> str:
        """Return the key that is accepted."""
        return self.options.key

    # Truth

    def records(self, entity: str) -> Iterator[dict[str, Any]]:
        """Yield every current record as served without faults, units including inactive ones, oldest first."""
        return map(orjson.loads, self.vendor.populations[entity].stream())

    def count(self, entity: str) -> int:
        """Return the number of current records, units including inactive ones."""
        return len(self.vendor.populations[entity])

    def bad_ids(self, key: str, entity: str) -> list[str]:
        """Return the ids of the current records that an active record fault spoils."""
        population = self.vendor.populations[entity]
        faults = [fault for fault in self.faults.active() if fault.key == key and fault.stage == "record"]
        with population.lock:
            order = population.order("createdAt")
            indexes = order.slice(0, len(order))
            return [
                population.id_of(index)
                for index in indexes
                if any(is_bad(fault, population, index) for fault in faults)
            ]

    # Changes

    def mutate(
        self,
        entity: str,
        *,
        change: int = 0,
        add: int = 0,
        delete: int = 0,
        deactivate: int = 0,
        change_ids: Iterable[str] = (),
        delete_ids: Iterable[str] = (),
        restore_ids: Iterable[str] = (),
    ) -> Mutation:
        """Change, add, delete, deactivate or restore records, and return their ids; counts pick by seed."""
        return self.vendor.populations[entity].mutate(
            change=change,
            add=add,
            delete=delete,
            deactivate=deactivate,
            change_ids=change_ids,
            delete_ids=delete_ids,
            restore_ids=restore_ids,
        )

    @property
    def faults(self) -> Switchboard:
        """Return the switchboard."""
        return self.vendor.faults

    def set_fault(self, key: str, /, **parameters: Any) -> ActiveFault:
        """Switch a fault on; see `faults.table` for keys and parameters."""
        return self.faults.set(key, **parameters)

    def check_fault(self, key: str, parameters: Mapping[str, Any]) -> None:
        """Raise ValueError when `set_fault` would."""
        if key not in BY_KEY:
            raise ValueError(f"There is no fault {key!r}.")
        ActiveFault(BY_KEY[key], self.options.seed, parameters)

    def clear_fault(self, key: str) -> bool:
        """Switch a fault off; return whether it was on.

        Raises:
            ValueError: no such fault.
        """
        if key not in BY_KEY:
            raise ValueError(f"There is no fault {key!r}. Known: {', '.join(BY_KEY)}.")
        return bool(self.faults.clear(key))

    def clear_faults(self) -> list[str]:
        """Switch all faults off; return which were on. What the server was started with (its latency) goes too."""
        return self.faults.clear()

    def set_limits(self, settings: LimitSettings) -> None:
        """Put other request limits into force, counting from zero."""
        self.vendor.set_limits(settings)

    def state(self) -> dict[str, Any]:
        """Return what is going on, for the control route."""
        populations = self.vendor.populations
        return {
            "base_url": self.base_url,
            "pid": os.getpid(),
            "uptime_seconds": round(monotonic() - self._started, 3),
            "seed": self.options.seed,
            "rows": {entity: len(populations[entity]) for entity in ENTITIES},
            "mutations": {entity: populations[entity].version for entity in ENTITIES},
            "limits": asdict(self.vendor.limiter.settings),
            "page_size_policy": self.options.page_size_policy,
            "faults": [fault.state() for fault in self.faults.active()],
        }

    # Serving

    def _serve(self, connection: socket.socket) -> None:
        serve(connection, self._answer, self._delivered)

    def _answer(self, request: Request) -> Response:
        if request.path.startswith("/drill/"):
            return control(self, request)
        self._open_requests[id(request)] = self.log.begin(request)
        return self.vendor.answer(request)

    def _delivered(self, request: Request, status: int, faults: tuple[str, ...]) -> None:
        entry = self._open_requests.pop(id(request), None)
        if entry is not None:
            self.log.end(entry, status, faults)

    def _fault_changed(self, fault: ActiveFault, on: bool) -> None:
        """Close the port, or open it again, when the vendor is to refuse connections."""
        if fault.key != "vendor_down" or fault["mode"] != "refuse":
            return
        if on:
            self._listener.refuse()
            timer = Timer(max(0.0, fault["seconds"]), self.faults.clear, args=("vendor_down",))
            timer.daemon = True
            self._return = timer
            timer.start()
            return
        if self._return is not None:
            self._return.cancel()
        with self._lock:
            if not self._stopped:
                self._listener.listen()
