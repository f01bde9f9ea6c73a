"""The stand-in vendor itself: the whole /api, from the key's check to the page (DoorLoop fact sheet §11)."""

from __future__ import annotations

from hmac import compare_digest
from itertools import islice
from threading import Lock
from typing import Any

import orjson

from . import answers
from .catalogue.leases import lease_tenant
from .catalogue.population import Population
from .catalogue.world import ENTITIES, UPDATED_FROM_MS, UPDATED_SPAN_MS, World
from .faults.bodies import distort, envelope
from .faults.pages import page_with_faults
from .faults.poison import spoiled
from .faults.stand_ins import stand_in
from .faults.switchboard import ActiveFault, Switchboard
from .filters import lease_tenant_matches
from .limits import Limiter, LimitSettings, quota_headers
from .lists import BadParameterError, ListQuery, Lists, read_query
from .options import DrillOptions
from .wire import Request, Response, json_response

LEASE_TENANTS_SHOWN = 500
Faults = tuple[ActiveFault, ...]


class Vendor:
    """Answers requests from the populations, the limits and the faults. Thread-safe; knows nothing of sockets."""

    def __init__(self, options: DrillOptions) -> None:
        self.options = options
        self._clock_lock = Lock()
        self._last_ms = UPDATED_FROM_MS + UPDATED_SPAN_MS  # later than every record, whatever the clock says
        self.world = World(options.seed, options.rows_per_entity())
        cached = sum(self.world.rows.values()) <= options.cached_rows
        self.populations = {
            entity: Population(self.world, entity, now_ms=self._now_ms, cached=cached) for entity in ENTITIES
        }
        self.lists = Lists(self.populations)
        self.faults = Switchboard(options.seed)
        self.limiter = Limiter(options.limits)
        if options.latency_seconds:
            self.faults.set("latency", seconds=options.latency_seconds)
        if options.warm:
            for population in self.populations.values():
                population.warm()

    def set_limits(self, settings: LimitSettings) -> None:
        """Put other limits into force, counting from zero."""
        self.limiter = Limiter(settings)

    def key_fits(self, request: Request) -> bool:
        """Return whether the Authorization header carries the key; the scheme's case does not matter (§3)."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and compare_digest(key.strip().encode(), self.options.key.encode())

    def answer(self, request: Request) -> Response:
        """Return the vendor's answer: limits first, then faults in place of it, then the key, then the truth."""
        if request.path != "/api" and not request.path.startswith("/api/"):
            return answers.app_page()
        parts = [part for part in request.path.removeprefix("/api").split("/") if part]
        faults = self._faults_for(request, parts)
        fits = self.key_fits(request)
        wait, quotas = self.limiter.admit() if fits else (None, [])
        if wait is not None:
            response = answers.rate_limited(str(wait))
        else:
            response = stand_in(request, faults) or self._true_answer(request, parts, faults, fits=fits)
        response.headers.extend(quota_headers(self.limiter.settings.convention, quotas))
        response.faults = faults
        return response

    def _faults_for(self, request: Request, parts: list[str]) -> Faults:
        if not self.faults.active():
            return ()
        scope = "/".join(parts) if parts == ["leases", "tenants"] else (parts[0] if parts else "")
        is_list = scope in ENTITIES and len(parts) == 1
        page_text = request.params.get("page_number", "1")
        page = int(page_text) if page_text.isascii() and page_text.isdecimal() else 1
        return self.faults.striking(scope, page=page if is_list else None, has_records=scope in ENTITIES)

    def _true_answer(self, request: Request, parts: list[str], faults: Faults, *, fits: bool) -> Response:
        if not fits:
            return answers.unauthorized()
        if request.method not in ("GET", "HEAD"):
            return answers.not_allowed()
        response = self._route(request, parts, faults)
        return distort(response, faults) if response.status == 200 else response

    def _route(self, request: Request, parts: list[str], faults: Faults) -> Response:
        if parts == ["users", "me"]:
            return json_response(200, self._identity(faults))
        if parts == ["leases", "tenants"]:
            return self._lease_tenants(request)
        if parts and parts[0] in ENTITIES and len(parts) == 1:
            return self._list(request, parts[0], faults)
        if parts and parts[0] in ENTITIES and len(parts) == 2:
            return self._one(self.populations[parts[0]], parts[1], faults)
        return answers.error(404, f"Cannot {request.method} {request.path}")

    def _identity(self, faults: Faults) -> dict[str, Any]:
        account = next((fault["number"] for fault in faults if fault.key == "other_account"), 1)
        return answers.identity(self.options.seed, account)

    def _list(self, request: Request, entity: str, faults: Faults) -> Response:
        try:
            query = read_query(entity, request.params, self.options.page_size_policy)
        except BadParameterError as error:
            return answers.error(400, str(error))
        return Response(200, self.page_body(query, faults))

    def page_body(self, query: ListQuery, faults: Faults = ()) -> bytes:
        """Return one page's JSON. Rows and their bytes are taken under one lock, so that no mutation falls between."""
        population = self.populations[query.entity]
        with population.lock:
            page = page_with_faults(self.lists, query, faults) if faults else self.lists.page(query)
            items = spoiled(population, page.indexes, faults)
        return envelope(page.total, items, faults)

    def _one(self, population: Population, record_id: str, faults: Faults) -> Response:
        with population.lock:
            index = population.find(record_id)
            if index is None:
                return answers.error(404, f"No {population.entity} record has this id.")
            return Response(200, spoiled(population, [index], faults)[0])

    def _lease_tenants(self, request: Request) -> Response:
        """Return a small list of who lives where: the first 500 only, enough for a client to be tried on."""
        try:
            query = read_query("leases", request.params, self.options.page_size_policy)
        except BadParameterError as error:
            return answers.error(400, str(error))
        joined = (lease_tenant(self.world, tenant) for tenant in range(self.world.rows["tenants"]))
        shown = list(islice(filter(None, joined), LEASE_TENANTS_SHOWN))
        shown = [record for record in shown if lease_tenant_matches(record, request.params)]
        page = shown[query.start : query.start + query.page_size]
        return Response(200, envelope(len(shown), [orjson.dumps(record) for record in page], ()))

    def _now_ms(self) -> int:
        """Return the time of a mutation, later than every one before it."""
        with self._clock_lock:
            self._last_ms = max(self.options.now_ms(), self._last_ms + 1)
            return self._last_ms
