"""The drill server's command line. Exit 0 after a signal, 2 when it cannot start."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from threading import Event, Thread

import orjson

from .catalogue.world import ENTITIES
from .limits import CONVENTIONS, WINDOWS, LimitSettings
from .options import CACHED_ROWS, DEFAULT_KEY, DEFAULT_ROWS, DrillOptions
from .server import DrillServer


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until a signal, or until the parent is gone when asked to; return the exit code."""
    asked = _parser().parse_args(arguments)
    done = Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: done.set())
    try:
        server = DrillServer(_options(asked))
    except ValueError as error:
        return _refuse(str(error))
    except OSError as error:
        return _refuse(f"Port {asked.port} on 127.0.0.1 cannot be used ({error.strerror}): choose another with --port.")
    with server:
        try:
            for text in asked.fault:
                _switch_on(server, text)
        except ValueError as error:
            return _refuse(str(error))
        sys.stdout.write(f"drill server listening on {server.base_url}\n")
        sys.stdout.flush()
        if asked.exit_with_parent:
            Thread(target=_wait_for_end_of_stdin, args=(done,), name="drill-parent", daemon=True).start()
        else:  # a person reads this; a parent program knows
            sys.stderr.write(f"every request needs `Authorization: bearer {server.key}` (--key sets another)\n")
        done.wait()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m daemon.integrations.doorloop.drill", description=__doc__)
    add = parser.add_argument
    add("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    add("--rows", type=int, default=DEFAULT_ROWS, help="records per entity")
    add("--entity-rows", action="append", default=[], metavar="ENTITY=N", help="records of one entity; repeatable")
    for entity in ENTITIES:
        add(f"--rows-{entity}", type=int, help=f"records of {entity}")
    add("--seed", type=int, default=1, help="same seed and rows, same records")
    add("--key", default=DEFAULT_KEY, help="the API key that is accepted")
    add("--latency-ms", type=float, default=0.0, help="wait before every answer")
    add("--limit-per-minute", type=int, default=0, help="requests per minute, 0 for no limit; DoorLoop documents 50")
    add("--limit-per-hour", type=int, default=0, help="requests per hour, 0 for no limit; DoorLoop documents 500")
    add("--limit-window", choices=WINDOWS, default="sliding", help="how the limits count")
    add("--minute-seconds", type=float, default=60.0, help="length of the limits' minute")
    add("--hour-seconds", type=float, default=3600.0, help="length of the limits' hour")
    add("--limit-headers", choices=CONVENTIONS, default="none", help="how the limits are announced")
    add("--page-size-policy", choices=("clamp", "reject"), default="clamp", help="what a page size above 1000 does")
    add("--fault", action="append", default=[], metavar="NAME[=JSON]", help="fault that is on from the start")
    add("--cached-rows", type=int, default=CACHED_ROWS, help="up to this many records in all are kept in memory")
    add("--warm", action="store_true", help="make all records that are kept before listening")
    add("--exit-with-parent", action="store_true", help="end when stdin ends, as it does when the parent is killed")
    return parser


def _options(asked: argparse.Namespace) -> DrillOptions:
    entity_rows = {entity: count for entity in ENTITIES if (count := getattr(asked, f"rows_{entity}")) is not None}
    for text in asked.entity_rows:
        entity, _, count = text.partition("=")
        if not count.isdecimal():
            raise ValueError(f"--entity-rows {text}: write it as owners=1000.")
        entity_rows[entity] = int(count)
    return DrillOptions(
        rows=asked.rows,
        entity_rows=entity_rows,
        seed=asked.seed,
        port=asked.port,
        key=asked.key,
        limits=LimitSettings(
            per_minute=asked.limit_per_minute,
            per_hour=asked.limit_per_hour,
            window=asked.limit_window,
            minute_seconds=asked.minute_seconds,
            hour_seconds=asked.hour_seconds,
            convention=asked.limit_headers,
        ),
        page_size_policy=asked.page_size_policy,
        latency_seconds=asked.latency_ms / 1000,
        cached_rows=asked.cached_rows,
        warm=asked.warm,
    )


def _switch_on(server: DrillServer, text: str) -> None:
    name, _, parameters = text.partition("=")
    try:
        server.set_fault(name, **(orjson.loads(parameters) if parameters else {}))
    except TypeError:
        raise ValueError(f"--fault {text}: the parameters must be a JSON object.") from None


def _wait_for_end_of_stdin(done: Event) -> None:
    """Set the event at end of file. Reads the descriptor itself: a reader of sys.stdin would block the exit."""
    try:
        while os.read(0, 4096):
            pass
    except OSError:
        pass
    done.set()


def _refuse(sentence: str) -> int:
    sys.stderr.write(f"drill server: {sentence}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
