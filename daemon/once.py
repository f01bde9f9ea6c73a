"""One run in the foreground: `python -m daemon once`. It passes the same gate as everybody and holds the same lease."""

from __future__ import annotations

import getpass
import json
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from common.access import Role
from common.errors import DatabaseAway, IccError, Refused, SettingsError, StopRequested
from common.operator_actions import Actor
from common.redact import mask_value
from common.states import RunState
from common.store import dry_runs, runs
from common.store.embedded import EmbeddedPostgresError
from common.store.listener import Listener
from common.wishes import Wish
from daemon.commands import CommandDesk
from daemon.progress_bar import ProgressBar
from daemon.pulse import Pulse
from daemon.sync.run import RunPlan
from daemon.wiring import Services

EXIT_CODES = {
    RunState.SUCCEEDED: 0,
    RunState.INCOMPLETE: 3,
    RunState.STOPPED: 4,
    RunState.DEFERRED: 5,
}
"""Every other end is 1."""
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
    run_id = plan.lease.run_id
    over = threading.Event()
    listener = Listener(services.database, ("icc_runs",), lambda _channel, payload: services.desk.look_at(payload))
    listener.start()
    _stop_on_signals(services, plan)
    pulse = Pulse(services).start()
    bar = _thread(lambda: _show(services, run_id, over), "bar")
    end = services.desk.execute(plan)
    over.set()
    pulse.close(2)
    bar.join(2)
    listener.close()
    return _report(services, run_id, end.state, end.error)


def _report(services: Services, run_id: str, state: RunState, error: dict[str, Any] | None) -> int:
    with services.database.transaction() as link:
        run = runs.state(link, run_id)
        entities = {
            result["entity"]: {name: result[name] for name in _COUNTERS} for result in runs.entity_results(link, run_id)
        }
        samples = dry_runs.samples_of(link, run_id)
    if run is not None:  # what the database says counts: a forced stop is written by somebody else
        state, error = RunState(run["state"]), run["error"]
    line: dict[str, Any] = {"run_id": run_id, "state": state.value, "entities": entities}
    if samples:  # a dry run's: some of what would change
        line["samples"] = samples
    if error:
        line["error"] = error
    if run is not None and run["blocked_until"]:
        line["blocked_until"] = run["blocked_until"].isoformat()
    _print(line)
    return EXIT_CODES.get(state, 1)


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


def _stop_on_signals(services: Services, plan: RunPlan) -> None:
    """Ctrl-C and SIGTERM ask for a stop like anybody else; the signal's thread must not wait for the database."""

    def ask() -> None:
        services.database.hurry()
        try:
            services.desk.stop(plan.lease.integration, plan.lease.account_key, command_line_actor().name)
        except DatabaseAway:
            services.desk.close()
        except IccError:
            return

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        threading.Thread(target=ask, name="stop", daemon=True).start()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)


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
