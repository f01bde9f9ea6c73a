"""The daemon's command line: the service, its check, one run in the foreground, and answers to its questions."""

from __future__ import annotations

import argparse
import gc
import logging
import sys

import structlog

from common import clock, logs
from common.access import Action
from common.codes import CODES
from common.config import Finding, environment
from common.errors import IccError, Refused, StopRequested
from common.store.embedded import EmbeddedPostgresError
from common.wishes import Wish, parse_since, run_wish
from daemon import wiring
from daemon.answers import confirm, forget_drill
from daemon.once import command_line_actor, report_no_run, report_stopped_early, run_once, stop_before_it_begins
from daemon.supervisor import Supervisor

log = structlog.get_logger("daemon")
SWITCH_SECONDS = 0.001


def main(arguments: list[str] | None = None) -> int:
    """Parse and do; errors we know end in one sentence of cause and one of remedy."""
    clock.use_utc()
    options = _parser().parse_args(arguments)
    if options.act == "once":
        stop_before_it_begins()
    try:
        configuration = wiring.configure(environment())
        # A person watching the bar of a foreground run needs its troubles, not every page.
        watched = options.act == "once" and sys.stderr.isatty()
        level = logging.WARNING if watched else logging.INFO
        logs.configure(configuration.settings.icc_log_format, level)
        _tune_python()
        return _act(options, configuration)
    except (IccError, EmbeddedPostgresError) as error:
        sys.stderr.write(logs.one_line(f"{error.cause} {error.remedy}") + "\n")
        if options.act == "once":
            return report_no_run(error)
        return 2 if options.act == "check" else 1
    except StopRequested:
        return report_stopped_early()


def _tune_python() -> None:
    """Look for cycles seldom, never among what the imports made, and let a waiting thread run soon (all measured).

    A page is thousands of fresh dicts without a cycle among them: at Python's own thresholds the collector went through
    them, and through every module, again and again, and took a third of a copy's time. The thread that writes waits for
    Postgres many times a page, and each time up to 5 ms more for a thread that converts: another third.
    """
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
    sys.setswitchinterval(SWITCH_SECONDS)


def _act(options: argparse.Namespace, configuration: wiring.Configuration) -> int:
    if options.act == "check":
        return _check(configuration)
    if options.act == "once":
        with wiring.running(configuration, kind="once") as services:
            return run_once(services, _wish(services, options))
    if options.act == "forget-drill":
        with wiring.running(configuration, kind="once") as services:
            return forget_drill(services)
    if options.act == "confirm":
        with wiring.running(configuration, kind="once") as services:
            return confirm(services, options.question, reject=options.reject, reason=options.reason)
    with wiring.running(configuration, kind="service") as services:
        Supervisor(services).run()
    return 0


def _wish(services: wiring.Services, options: argparse.Namespace) -> Wish:
    """What the arguments ask for. Nonsense is refused and in the audit log, like any other try."""
    entities = tuple(name.strip() for name in (options.entities or "").split(",") if name.strip())
    try:
        return run_wish(
            options.integration,
            mode=options.mode,
            entities=entities or None,
            since=parse_since(options.since) if options.since else None,
            dry_run=options.dry_run,
        )
    except Refused as refusal:
        services.gate.record(refusal, Action.RUN, command_line_actor(), integration=options.integration)
        raise


def _check(configuration: wiring.Configuration) -> int:
    """Print every finding; 2 when one is an error."""
    found = (*configuration.findings, *wiring.findings_if_known(configuration))
    worst_first = sorted(found, key=lambda f: ("error", "warning", "info").index(f.severity))
    for finding in worst_first:
        _say(finding)
    if not worst_first:
        sys.stdout.write("no findings: every setting is usable\n")
    return 2 if any(finding.severity == "error" for finding in worst_first) else 0


def _say(finding: Finding) -> None:
    assert finding.code in CODES
    cause, remedy = logs.one_line(finding.cause), logs.one_line(finding.remedy)
    sys.stdout.write(f"{finding.severity:<8}{finding.code}  {cause}\n        → {remedy}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m daemon", description="Without a command: the service.")
    acts = parser.add_subparsers(dest="act", metavar="command")
    acts.add_parser("run", help="the service (the same as no command)")
    acts.add_parser("check", help="show what is wrong with the settings; exit 2 when one finding is an error")
    once = acts.add_parser("once", help="one run in the foreground; the last line of stdout is JSON")
    once.add_argument("--integration", required=True)
    once.add_argument("--mode", required=True, choices=["backfill", "delta"])
    once.add_argument("--entities", help="some of them, comma separated; default all")
    once.add_argument("--since", metavar="ISO", help="apply only what was created or updated since")
    once.add_argument("--dry-run", action="store_true", help="compare only, write no row")
    acts.add_parser("forget-drill", help="delete every drill row, so that this database can take real ones")
    answer = acts.add_parser("confirm", help="list what waits for an admin, or answer one question")
    answer.add_argument("question", nargs="?", help="the question's id; without it they are listed")
    answer.add_argument("--reject", action="store_true", help="answer no instead of yes")
    answer.add_argument("--reason", help="why, for the audit log")
    return parser


if __name__ == "__main__":
    logs.mask_tracebacks()
    sys.exit(main())
