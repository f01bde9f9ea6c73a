"""From start to end of the web process: settings, database, schema, first sign-in, a quick first page, a clean end."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import anyio
import streamlit as st
from anyio import to_thread

from common import logs, redact
from common.alerting import teams
from common.config import Finding, WebSettings, drop_vendor_secrets, environment, read_process
from common.errors import DatabaseAway, SettingsError
from common.providers import providers_of
from common.store.door import opened
from common.store.embedded import EmbeddedPostgresError
from common.store.migrate import migrate
from dashboard import first_admin, services
from dashboard.services import Services, services_for
from dashboard.tally import FLUSH_SECONDS

if TYPE_CHECKING:
    from dashboard.oidc import Door

RETRY_SECONDS = 3.0
LONGEST_FAREWELL_SECONDS = 1.0


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[dict[str, Any]]:
    """Start everything before the first request is taken; ``stop`` is set when the process is told to end."""
    stop = _stop_on_signals()
    with ExitStack() as stack:
        own = await to_thread.run_sync(_start, stack)
        own.stop = stop
        services.install(own)
        _preload()
        tasks = [asyncio.create_task(_tell_tally(own))]
        ending = asyncio.create_task(_end_streams(stop, own))
        if not await _made_ready(own):
            tasks.append(asyncio.create_task(_wait_until_ready(own)))
        try:
            yield {"stop": stop}
        finally:
            stop.set()
            await ending
            await to_thread.run_sync(own.logs.close)
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            with anyio.move_on_after(LONGEST_FAREWELL_SECONDS):
                await _flush(own)
            services.install(None)


def _start(stack: ExitStack) -> Services:
    try:
        values = environment()
        drop_vendor_secrets()
        drop_vendor_secrets(values)
        values["port"] = str(st.get_option("server.port"))  # what it really listens on
        settings, findings = read_process(WebSettings, values)
        redact.register(*settings.secrets, *teams.secrets_of(values.get("integrations_teams_webhook")))
        logs.configure(settings.icc_log_format)
        logs.mask_libraries()
        logs.mask_tracebacks()
        doors = _doors(settings, values)
        _tell_all(findings)
        database = stack.enter_context(opened(settings, name="icc:web", on_progress=_tell))
        own = services_for(settings, database, values, doors)
    except (SettingsError, EmbeddedPostgresError) as error:
        _give_up(error.cause, error.remedy)
    redact.register(own.key.decode(errors="replace"))
    if own.behind_proxy and not own.secure:
        _tell(f"Links and cookies are made for {own.address}. Set ICC_PUBLIC_URL to the https address people open.")
    return own


def _doors(settings: WebSettings, values: Mapping[str, str]) -> dict[str, Door]:
    """The doors of the sign-in providers; one that is set wrongly is told and left out."""
    providers, problems = providers_of(settings.icc_oidc_providers, values)
    redact.register(*(provider.client_secret for provider in providers))
    _tell_all([Finding("SETTING_INVALID", "error", vars(problem)) for problem in problems])
    if not providers:
        return {}
    from dashboard.oidc import Door  # Authlib takes its time: only where it is used

    return {provider.key: Door(provider) for provider in providers}


def _tell_all(findings: Iterable[Finding]) -> None:
    for finding in findings:
        _tell(logs.one_line(f"{finding.cause} {finding.remedy}"))


async def _made_ready(own: Services, *, say: bool = True) -> bool:
    """Bring the schema up to date and greet; False when the database is away."""
    try:
        await to_thread.run_sync(migrate, own.database)
        listens_on: str | None = st.get_option("server.address")
        greeting = await to_thread.run_sync(first_admin.greeting, own, listens_on)
    except DatabaseAway as error:
        if say:
            _tell(f"{error.cause} {error.remedy}")
        return False
    own.is_ready = True
    first_admin.tell(greeting)
    return True


async def _wait_until_ready(own: Services) -> None:
    """A database that is away is waited for, while pages say so."""
    while True:
        await asyncio.sleep(RETRY_SECONDS)
        if await _made_ready(own, say=False):
            return


async def _tell_tally(own: Services) -> None:
    """What came without a session goes to the database every few seconds."""
    while True:
        await asyncio.sleep(FLUSH_SECONDS)
        await _flush(own)


async def _flush(own: Services) -> None:
    if own.is_ready:
        with suppress(DatabaseAway):  # it is kept, and told when the database is back
            # Abandoned when the process ends: with a database away it would hold the end up for the pool's patience.
            await to_thread.run_sync(own.tally.flush, own.database, abandon_on_cancel=True)


async def _end_streams(stop: asyncio.Event, own: Services) -> None:
    """The server waits for open answers to end before it ends itself; a stream would never."""
    await stop.wait()
    own.logs.end_streams()


def _preload() -> None:
    """Import what the first page needs and keep the collector from walking over it (measured: 560 ms to 75 ms)."""
    import dashboard.views.integrations  # noqa: F401 -- for its imports' sake

    gc.collect()
    gc.freeze()


def _stop_on_signals() -> asyncio.Event:
    """An event that is set before the server's own handler runs: streams must end, or SIGTERM would wait for them."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def chained(before: Any, number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stop.set)
        if callable(before):
            before(number, frame)

    for number in (signal.SIGTERM, signal.SIGINT):
        before = signal.getsignal(number)
        with suppress(ValueError):  # not in the main thread: a test's server
            signal.signal(number, partial(chained, before))
    return stop


def _give_up(cause: str, remedy: str) -> NoReturn:
    """End with two sentences. The server would bury them under a traceback; nothing has been started yet."""
    _tell(f"The web process cannot start. {cause}\n{remedy}")
    sys.stderr.flush()
    os._exit(2)


def _tell(text: str) -> None:
    sys.stderr.write(redact.mask(text) + "\n")
    sys.stderr.flush()
