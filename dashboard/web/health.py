"""What a platform asks: does the process live, and can it serve? Both are open and say nothing more than that."""

from __future__ import annotations

from contextlib import suppress

import anyio
from anyio import to_thread
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from common.errors import DatabaseAway
from common.store import commands
from dashboard import services
from dashboard.services import Services
from dashboard.web.requests import HOME

LONGEST_LOOK_SECONDS = 3.0


async def healthz(_: Request) -> Response:
    """The process lives."""
    return PlainTextResponse("ok")


async def readyz(_: Request) -> Response:
    """The database answers and has this version's schema; 503 otherwise."""
    ready = False
    # Whoever asks has a patience of seconds; the pool's own is longer.
    with anyio.move_on_after(LONGEST_LOOK_SECONDS), suppress(DatabaseAway):
        ready = await to_thread.run_sync(_is_ready, services.current(), abandon_on_cancel=True)
    return PlainTextResponse("ready" if ready else "not ready", 200 if ready else 503)


def _is_ready(own: Services) -> bool:
    if not own.is_ready:
        return False
    with own.database.transaction() as link:
        commands.database_now(link)
    return True


async def home(_: Request) -> Response:
    """The one page's address from every shorter one."""
    return RedirectResponse(HOME, 303)


ROUTES = [
    Route("/healthz", healthz),
    Route("/readyz", readyz),
    Route("/", home),
    Route("/systems", home),
    Route("/systems/", home),
]
