"""One run in the foreground: `python -m daemon once`. It passes the same gate as everybody and holds the same lease."""

from __future__ import annotations

import getpass
import json
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

import structlog

from common.access import Role
from common.errors import DatabaseAway, IccError, Refused, SettingsError, StopRequested
from common.operator_actions import Actor
from common.redact import mask_value
from common.states import RunState
from common.store import dry_runs, runs
from common.store.database import Row
from common.store.embedded import EmbeddedPostgresError
from common.store.listener import Listener
from common.wishes import Wish
from daemon.commands import CommandDesk
from daemon.progress_bar import ProgressBar
from daemon.pulse import Pulse
from daemon.rescue import interruption
from daemon.sync.run import RunEnd, RunPlan
from daemon.wiring import Services

log = structlog.get_logger("daemon")

EXIT_CODES = {
    RunState.SUCCEEDED: 0,
    RunState.INCOMPLETE: 3,
    RunState.STOPPED: 4,
    RunState.DEFERRED: 5,
}
"""Every other end is 1."""
STOP_SECONDS, END_SECONDS = 2.0, 2.0
"""A Stop takes less than one second. Then the run is told to end by itself, and waited for as long again."""
CLOSE_SECONDS, HURRIED_CLOSE_SECONDS = 2.0, 0.5
"""How long the end of our threads is waited for."""
REPORT_SECONDS = 1.0
"""How long the database is asked how a run was left whose end is not known."""
_COUNTERS = ("received", "inserted", "updated", "unchanged", "removed", "dead")


def command_line_actor() -> Actor:
    """Whoever has a shell here is an admin; the audit log says which user it was."""
    return Actor(f"cli:{getpass.getuser()}", Role.ADMIN, "cli")


def command_desk(services: Services) -> CommandDesk:
    """A desk for this process's own commands."""
    configuration = services.configuration
    return CommandDesk(
        services.database,
        services.clock,
        services.desk,
        dict(configuration.accounts),
        configuration.settings,
        daemon_id=services.daemon_id,
        key=services.key,
        ending=services.ending,
        webhook=configuration.channels.integrations_teams_webhook,
    )


def run_once(services: Services, wish: Wish) -> int:
    """Run to the end, print the last line, return the exit code. Raises ``Refused`` when no run began."""
    receipt = services.gate.submit(wish, command_line_actor(), addressed_to=services.daemon_id)
    plan = command_desk(services).take(receipt.command_id)
    assert isinstance(plan, RunPlan)
    return _Foreground(services, plan).run()


class _Foreground:
    """One run in a thread of its own: the one that hears the signals waits for no database.

    Ctrl-C and SIGTERM ask for a stop like anybody else. Where that is not heard in time the run is told to end by
    itself, and at last it is left as it is, for the next daemon to end.
    """

    def __init__(self, services: Services, plan: RunPlan) -> None:
        self._services, self._plan, self._run_id = services, plan, plan.lease.run_id
        self._over, self._leaving = threading.Event(), threading.Event()
        self._end: RunEnd | None = None
        self._line: dict[str, Any] | None = None

    def run(self) -> int:
        """To the end; prints the last line, returns the exit code."""
        clock, desk = self._services.clock, self._services.desk
        listener = Listener(self._services.database, ("icc_runs",), lambda _channel, payload: desk.look_at(payload))
        listener.start()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        pulse = Pulse(self._services).start()
        bar = _thread(lambda: _show(self._services, self._run_id, self._over), "bar")
        _thread(self._execute, "run")
        self._over.wait()
        until = clock.monotonic() + (HURRIED_CLOSE_SECONDS if self._leaving.is_set() else CLOSE_SECONDS)
        pulse.close(until - clock.monotonic())
        bar.join(max(0.0, until - clock.monotonic()))
        listener.close(max(0.0, until - clock.monotonic()))
        if self._line is None:
            _thread(self._read_line, "report").join(REPORT_SECONDS)
        line = self._line or _line(*_known(self._end))
        _print({"run_id": self._run_id, **line})
        return EXIT_CODES.get(line["state"], 1)

    def _execute(self) -> None:
        try:
            self._end = self._services.desk.execute(self._plan)
            self._read_line()
        finally:
            self._over.set()

    def _read_line(self) -> None:
        try:
            self._line = _found(self._services, self._run_id, self._end)
        except DatabaseAway as error:
            log.warning("how the run ended cannot be read", run=self._run_id, why=error.cause)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        # In a thread of its own: the interrupted one may hold the very lock inside the events.
        _thread(self._leave, "signal")

    def _leave(self) -> None:
        clock, desk = self._services.clock, self._services.desk
        self._leaving.set()
        self._services.database.hurry()
        _thread(self._ask_to_stop, "stop").join(STOP_SECONDS)
        until = clock.monotonic() + END_SECONDS
        desk.close(END_SECONDS)
        clock.wait(self._over, until - clock.monotonic())
        self._over.set()

    def _ask_to_stop(self) -> None:
        lease = self._plan.lease
        with suppress(IccError):  # it has ended, or the database does not take it
            self._services.desk.stop(lease.integration, lease.account_key, command_line_actor().name)


def _found(services: Services, run_id: str, end: RunEnd | None) -> dict[str, Any]:
    """The last line as the database has it, which counts: a forced stop is written by somebody else."""
    with services.database.transaction() as link:
        run = runs.state(link, run_id)
        results = runs.entity_results(link, run_id)
        samples = dry_runs.samples_of(link, run_id)
        where = interruption(link, run_id)
    state, error = _known(end) if run is None else _as_left(run, where)
    line = _line(state, error, {row["entity"]: {name: row[name] for name in _COUNTERS} for row in results})
    if samples:  # a dry run's: some of what would change
        line["samples"] = samples
    if run is not None and run["blocked_until"]:
        line["blocked_until"] = run["blocked_until"].isoformat()
    return line


def _as_left(run: Row, where: IccError) -> tuple[RunState, dict[str, Any] | None]:
    """How a run ended; one whose end could not be written as the next daemon will write it."""
    if run["state"] == RunState.STOPPING:
        return RunState.STOPPED, None
    if run["state"] == RunState.RUNNING:
        return RunState.INTERRUPTED, where.as_record()
    return RunState(run["state"]), run["error"]


def _known(end: RunEnd | None) -> tuple[RunState, dict[str, Any] | None]:
    """How a run ended, as far as this process knows without the database."""
    if end is None or not end.written:
        return RunState.INTERRUPTED, DatabaseAway("it did not answer").as_record()
    return end.state, end.error


def _line(state: RunState, error: dict[str, Any] | None, entities: dict[str, Any] | None = None) -> dict[str, Any]:
    line: dict[str, Any] = {"state": state.value, "entities": entities or {}}
    return line | {"error": error} if error else line


def report_no_run(error: IccError | EmbeddedPostgresError) -> int:
    """The last line and exit code when no run began: refused, told to come back later, or this process cannot start."""
    if isinstance(error, EmbeddedPostgresError):
        error = SettingsError("EMBEDDED_DATABASE", problem=error.cause, remedy=error.remedy)
    state = "refused" if isinstance(error, Refused) else "failed"
    if error.code == "BLOCKED_UNTIL":  # the vendor's or our own "come back later" is no failure (law 7)
        state = RunState.DEFERRED.value
    record = {"code": error.code, "cause": error.cause, "remedy": error.remedy}
    _print({"run_id": None, "state": state, "entities": {}, "error": record})
    return EXIT_CODES[RunState.DEFERRED] if state == RunState.DEFERRED else 1


def report_stopped_early() -> int:
    """The last line and exit code when a signal came before a run had begun."""
    _print({"run_id": None, "state": RunState.STOPPED.value, "entities": {}})
    return EXIT_CODES[RunState.STOPPED]


def stop_before_it_begins() -> None:
    """Until a run has begun, SIGINT and SIGTERM end this process in order: with its last line and exit code."""

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        raise StopRequested

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)


def _print(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(mask_value(line)) + "\n")
    sys.stdout.flush()


def _show(services: Services, run_id: str, over: threading.Event) -> None:
    """A moving bar on a terminal; nothing where nobody looks."""
    if not sys.stderr.isatty():
        return
    bar = ProgressBar(sys.stderr)
    while not services.clock.wait(over, 0.3):
        try:
            with services.database.transaction() as link:
                bar.draw(runs.entity_progress(link, run_id))
        except DatabaseAway:
            continue
    bar.end()


def _thread(target: Callable[[], None], name: str) -> threading.Thread:
    thread = threading.Thread(target=target, name=name, daemon=True)
    thread.start()
    return thread
