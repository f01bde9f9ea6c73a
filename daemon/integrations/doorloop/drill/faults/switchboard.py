"""Which faults are on, and whether one strikes a request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from random import Random
from threading import Event, Lock
from typing import Any

from ..catalogue.world import ENTITIES
from .model import COMMON, Fault, Stage
from .table import BY_KEY, FAULTS

SCOPES = (*ENTITIES, "users", "leases/tenants", "all")
LIST_STAGES: frozenset[Stage] = frozenset({"page", "envelope"})


class ActiveFault:
    """A fault that is on. `ended` is set when it is switched off, so that whoever waits in it goes on."""

    def __init__(self, fault: Fault, seed: int, parameters: Mapping[str, Any]) -> None:
        self.fault = fault
        self.key = fault.key
        self.stage = fault.stage
        self.parameters = _read(fault, parameters)
        self.ended = Event()
        self.seen = 0
        self.struck = 0
        scopes = str(self.parameters["entity"]).split(",")
        self.scopes = frozenset(scope.strip() for scope in scopes)
        if not self.scopes <= set(SCOPES):
            raise ValueError(f"entity must be one or more of {', '.join(SCOPES)}, not {self.parameters['entity']!r}.")
        # Seeded on purpose: a drill must play out the same way twice.
        self.dice = Random(f"{seed}:{fault.key}")  # noqa: S311 -- a drill must be repeatable

    def __getitem__(self, name: str) -> Any:
        return self.parameters[name]

    def strikes(self, scope: str, page: int | None) -> bool:
        """Count a request and return whether the fault acts on it. `page` is None for all but lists."""
        own, only_page = self.parameters, self.parameters["only_page"]
        if self.scopes.isdisjoint((scope, "all")) or (only_page is not None and only_page != page):
            return False
        self.seen += 1
        if self.seen <= own["after_requests"] or (own["times"] is not None and self.struck >= own["times"]):
            return False
        if own["probability"] < 1 and self.dice.random() >= own["probability"]:
            return False
        self.struck += 1
        return True

    def state(self) -> dict[str, Any]:
        """Return what an operator sees of it."""
        return {"key": self.key, "parameters": self.parameters, "seen": self.seen, "struck": self.struck}


class Switchboard:
    """All faults that are on. Thread-safe; a request asks once and gets those that strike it, in the table's order."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._lock = Lock()
        self._active: tuple[ActiveFault, ...] = ()
        self.on_change: Callable[[ActiveFault, bool], None] | None = None

    def set(self, key: str, **parameters: Any) -> ActiveFault:
        """Switch a fault on, or on anew with other parameters and fresh counters.

        Raises:
            ValueError: no such fault, no such parameter, or a value that does not fit.
        """
        if key not in BY_KEY:
            raise ValueError(f"There is no fault {key!r}. Known: {', '.join(BY_KEY)}.")
        fault = ActiveFault(BY_KEY[key], self._seed, parameters)
        self.clear(key)
        with self._lock:
            order = list(BY_KEY)
            self._active = tuple(sorted((*self._active, fault), key=lambda active: order.index(active.key)))
        if self.on_change:
            self.on_change(fault, True)
        return fault

    def clear(self, key: str | None = None) -> list[str]:
        """Switch one fault off, or all; return the keys of those that were on."""
        with self._lock:
            gone = [fault for fault in self._active if key in (None, fault.key)]
            self._active = tuple(fault for fault in self._active if fault not in gone)
        for fault in gone:
            fault.ended.set()
            if self.on_change:
                self.on_change(fault, False)
        return [fault.key for fault in gone]

    def active(self) -> tuple[ActiveFault, ...]:
        """Return the faults that are on."""
        return self._active

    def striking(self, scope: str, *, page: int | None, has_records: bool) -> tuple[ActiveFault, ...]:
        """Return the faults that strike a request, each counted once."""
        if not self._active:
            return ()
        with self._lock:
            return tuple(
                fault
                for fault in self._active
                if _reaches(fault.fault, scope, page, has_records) and fault.strikes(scope, page)
            )

    def catalogue(self) -> dict[str, Any]:
        """Return the whole table and what is on, for the control route and the drill panel."""
        return {
            "faults": [asdict(fault) for fault in FAULTS],
            "common_parameters": [asdict(parameter) for parameter in COMMON],
            "active": [fault.state() for fault in self._active],
        }


def _reaches(fault: Fault, scope: str, page: int | None, has_records: bool) -> bool:
    if fault.stage in LIST_STAGES:
        return page is not None and page >= fault.first_page
    if fault.stage == "record":
        return has_records
    return scope == "users" if fault.stage == "identity" else True


def _read(fault: Fault, given: Mapping[str, Any]) -> dict[str, Any]:
    known = {parameter.name: parameter for parameter in (*fault.parameters, *COMMON)}
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ValueError(f"{fault.key} takes no {', '.join(unknown)}. It takes {', '.join(known)}.")
    return {name: parameter.read(given.get(name)) for name, parameter in known.items()}
