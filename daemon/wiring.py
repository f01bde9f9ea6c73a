"""The composition root: reads the settings, opens what is needed, and hands every part its neighbours."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import structlog

from common import redact, signing
from common.alerting import teams
from common.clock import Clock, SystemClock
from common.config import ChannelSettings, DaemonSettings, Finding, ScheduleSettings, read, read_process
from common.errors import DatabaseAway
from common.operator_actions import Gate
from common.store import accounts, event_log, heartbeats
from common.store.database import Database
from common.store.door import known_url, opened
from common.store.embedded import EmbeddedPostgresError
from common.store.migrate import is_migrated, migrate
from daemon import process_identity
from daemon.blocks import Blocks
from daemon.checks import check_channels, check_schedule
from daemon.forecast import over_budget
from daemon.integrations.base import Account
from daemon.integrations.registry import accounts_of
from daemon.rescue import bury_the_dead
from daemon.run_desk import RunDesk, other_kind
from daemon.sync.reporter import Reporter
from daemon.version import VERSION

MAIN = "main"
PULSE_CONNECTIONS = 2
"""One renews the leases and one says that we live: neither waits for anybody else's, nor for the other's."""
FAREWELL_SECONDS = 2.5
"""How long the last telemetry and the farewell are waited for: a database that falls silent takes neither."""
log = structlog.get_logger("daemon")


@dataclass(frozen=True)
class Configuration:
    """Everything that was set, and what is wrong with it."""

    settings: DaemonSettings
    schedule: ScheduleSettings
    channels: ChannelSettings
    accounts: Mapping[str, Account]
    findings: tuple[Finding, ...]

    def findings_of(self, integration: str) -> tuple[Finding, ...]:
        """Those of one integration, and those that concern all."""
        return tuple(finding for finding in self.findings if finding.integration in (integration, None))


@dataclass(frozen=True)
class Services:
    """What a running daemon consists of.

    Those of ``database`` may all stand before somebody's lock, so there are connections apart: ``pulse`` for what keeps
    us alive, ``ending`` for what takes commands and ends things.
    """

    configuration: Configuration
    database: Database
    pulse: Database
    ending: Database
    clock: Clock
    reporter: Reporter
    gate: Gate
    desk: RunDesk
    daemon_id: str
    key: bytes


def configure(values: Mapping[str, str]) -> Configuration:
    """Read and check every setting. Raises ``SettingsError`` only for what the daemon cannot live without."""
    settings, own = read_process(DaemonSettings, dict(values))
    schedule, schedule_findings = read(ScheduleSettings, dict(values), integration="doorloop")
    channels, channel_findings = read(ChannelSettings, dict(values))
    served = accounts_of(values, settings)
    webhook = teams.secrets_of(channels.integrations_teams_webhook)
    redact.register(*settings.secrets, *webhook)
    redact.keep_out_of_data(*webhook)
    for account in served.values():
        redact.register(*account.secrets)
        redact.keep_out_of_data(*account.secrets)
    findings = (
        *own,
        *schedule_findings,
        *channel_findings,
        *(finding for account in served.values() for finding in account.findings),
        *check_channels(channels),
        *check_schedule(schedule, served),
    )
    return Configuration(settings, schedule, channels, served, findings)


@contextmanager
def running(configuration: Configuration, *, kind: str) -> Generator[Services]:
    """The daemon's services, with the database migrated and this process enlisted, until the block ends."""
    settings, served, clock = configuration.settings, configuration.accounts, SystemClock()
    with _pools(settings) as (database, pulse, ending):
        daemon = process_identity.as_row(
            process_identity.this_process(),
            kind=kind,
            version=VERSION,
            heartbeat_seconds=settings.icc_heartbeat_seconds,
        )
        key = signing.secret_key(settings)
        redact.register(key.decode())
        reporter = Reporter(database, clock).start()
        desk = RunDesk(database, clock, reporter, served, settings, daemon_id=daemon["id"], pulse=pulse, ending=ending)
        gate = Gate(
            database,
            key,
            expiry_seconds=settings.icc_command_expiry_seconds,
            allow_backfill=settings.allow_manual_backfill,
        )
        services = Services(configuration, database, pulse, ending, clock, reporter, gate, desk, daemon["id"], key)
        _enlist(services, daemon)
        try:
            yield services
        finally:
            _leave(services)


@contextmanager
def _pools(settings: DaemonSettings) -> Generator[tuple[Database, Database, Database]]:
    """Connections to the migrated database: for the work, for the pulse, and for what ends things."""
    ending = 2 if settings.icc_database_connections > 5 else 1  # with two, no Stop waits for the one before
    apart = PULSE_CONNECTIONS + ending
    with opened(settings, name="icc:daemon", on_progress=_log_progress, apart=apart) as database:
        migrate(database)
        yield database, database.apart(PULSE_CONNECTIONS), database.apart(ending)


def _enlist(services: Services, daemon: dict[str, Any]) -> None:
    bury_the_dead(services.database, daemon)
    with services.database.transaction() as link:
        heartbeats.enlist(link, daemon)
        event_log.make_partitions(link)  # who only ever calls `once` has no janitor
        for integration, account in services.configuration.accounts.items():
            accounts.ensure(link, integration, MAIN, account.entry.label)
    Blocks(services.database, services.configuration.accounts).run_once()
    publish(services, forecast(services.configuration, services.database))


def forecast(configuration: Configuration, database: Database | None) -> tuple[Finding, ...]:
    """Findings that follow from how much there is to copy. Raises ``DatabaseAway``."""
    schedule = configuration.schedule
    found = (over_budget(schedule, name, account, database) for name, account in configuration.accounts.items())
    return tuple(finding for findings in found for finding in findings)


def findings_if_known(configuration: Configuration) -> tuple[Finding, ...]:
    """What a daemon would find besides its settings, for `check`, which starts nothing: from the database when it
    answers, else what is certain anyway."""
    try:
        url = known_url(configuration.settings)
        if url is not None:
            database = Database(url, name="icc:check", most=2)
            database.connect("icc:check").close()  # one try; the pool's would be many, and loud
            with database:
                if is_migrated(database):
                    return (*forecast(configuration, database), *_all_mixed_rows(configuration, database))
    except (DatabaseAway, EmbeddedPostgresError) as away:
        log.warning("what the database holds is not known", why=away.cause)
    return forecast(configuration, None)


def _all_mixed_rows(configuration: Configuration, database: Database) -> tuple[Finding, ...]:
    with database.transaction() as link:
        rows = [(accounts.read(link, name, MAIN), account) for name, account in configuration.accounts.items()]
    return tuple(finding for row, account in rows for finding in _mixed_rows(row, account))


def publish(services: Services, forecasts: tuple[Finding, ...]) -> None:
    """Put the masked settings and the findings where the page reads them."""
    configuration = replace(services.configuration, findings=(*services.configuration.findings, *forecasts))
    shared = {
        **{name.upper(): str(value) for name, value in configuration.schedule.model_dump().items()},
        "INTEGRATIONS_TEAMS_WEBHOOK": redact.shape(configuration.channels.integrations_teams_webhook),
        "auto_sync_enabled": configuration.schedule.auto_sync_enabled,
        "interval_minutes": configuration.schedule.auto_sync_interval_minutes,
        "full_at_hour_utc": configuration.schedule.auto_sync_full_at_hour_utc,
    }
    for integration, account in configuration.accounts.items():
        with services.database.transaction() as link:
            row = accounts.read(link, integration, MAIN)
            findings = [*configuration.findings_of(integration), *_mixed_rows(row, account)]
            accounts.publish(
                link,
                integration,
                MAIN,
                daemon_id=services.daemon_id,
                settings={**shared, **account.published()},
                findings=[finding.as_record() for finding in findings],
                refuses_backfills=not configuration.settings.allow_manual_backfill,
            )


def _mixed_rows(row: dict[str, Any] | None, account: Account) -> tuple[Finding, ...]:
    facts = other_kind(row, account.source_kind)
    if facts is None:
        return ()
    return (Finding("DRILL_AND_REAL_ROWS", "error", facts, account.entry.key, holds=True),)


def _leave(services: Services) -> None:
    services.desk.close()
    until = services.clock.monotonic() + FAREWELL_SECONDS
    farewell = threading.Thread(target=_say_farewell, args=(services,), name="farewell", daemon=True)
    farewell.start()
    services.reporter.close(FAREWELL_SECONDS)
    for account in services.configuration.accounts.values():
        account.close()
    farewell.join(max(0.0, until - services.clock.monotonic()))


def _say_farewell(services: Services) -> None:
    try:
        with services.pulse.transaction() as link:
            heartbeats.discharge(link, services.daemon_id)
    except DatabaseAway:
        log.warning("leaving without a word: the database is away")


def _log_progress(text: str) -> None:
    structlog.get_logger("database").info(text)
