"""From start to end of the web process: settings, database, schema, first sign-in, a quick first page, a clean end."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from functools import partial
from types import FrameType
from typing import Any, NoReturn

import streamlit as st
from anyio import to_thread

from common import logs, redact
from common.config import WebSettings, drop_vendor_secrets, environment, read_process
from common.errors import DatabaseAway, SettingsError
from common.store.door import opened
from common.store.embedded import EmbeddedPostgresError
from common.store.migrate import migrate
from dashboard import first_admin, services
from dashboard.services import Services, services_for

RETRY_SECONDS = 3.0


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[dict[str, Any]]:
    """Start everything before the first request is taken; ``stop`` is set when the process is told to end."""
    stop = _stop_on_signals()
    waiting: asyncio.Task[None] | None = None
    with ExitStack() as stack:
        own = await to_thread.run_sync(_start, stack)
        own.stop = stop
        services.install(own)
        _preload()
        if not await _made_ready(own):
            waiting = asyncio.create_task(_wait_until_ready(own))
        try:
            yield {"stop": stop}
        finally:
            stop.set()
            if waiting:
                waiting.cancel()
                with suppress(asyncio.CancelledError):
                    await waiting
            services.install(None)


def _start(stack: ExitStack) -> Services:
    try:
        values = environment()
        values["port"] = str(st.get_option("server.port"))  # what it really listens on
        settings, _ = read_process(WebSettings, values)
        drop_vendor_secrets()
        redact.register(settings.icc_secret_key)
        logs.configure(settings.icc_log_format)
        database = stack.enter_context(opened(settings, name="icc:web", on_progress=_tell))
        return services_for(settings, database, values)
    except (SettingsError, EmbeddedPostgresError) as error:
        _give_up(error.cause, error.remedy)


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
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
