"""Settings: read once, checked, frozen. The only place that reads the environment.

What a process cannot live without stops it with a sentence (``SettingsError``). Any other wrong setting does not: it
falls back to its default, and a finding with cause and cure says so (``python -m daemon check``, the Config card).
Variable names are the field names in capitals; ``.env`` in the working directory is read beneath the real environment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from common.codes import CODES
from common.errors import SettingsError
from common.own_address import origin_of
from common.providers import PROVIDER_SETTINGS
from common.redact import passwords_in
from common.setting_words import problem_of
from common.wipe import wipe_from_start

_LONE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})|%00")
_HOST = re.compile(r"(?:\[[^\[\]]+\]|[^:\[\]]*)(?::[0-9]{0,5})?")

VENDOR_SECRETS = ("DOORLOOP_API_KEY",)
"""Variables that the web process drops at start: it holds no vendor key (law: the dashboard never calls a vendor)."""


@dataclass(frozen=True)
class Finding:
    """Something about the settings that somebody should mend. ``holds`` = the integration's schedule waits for it."""

    code: str
    severity: Literal["error", "warning", "info"]
    facts: dict[str, Any] = field(default_factory=dict)
    integration: str | None = None
    holds: bool = False

    @property
    def cause(self) -> str:
        """One sentence: what is wrong."""
        return CODES[self.code].cause_with(self.facts)

    @property
    def remedy(self) -> str:
        """One sentence: what to set, and when it takes effect."""
        return CODES[self.code].remedy_with(self.facts)

    def as_record(self) -> dict[str, Any]:
        """As it is published to the page."""
        words = {"code": self.code, "severity": self.severity, "cause": self.cause, "remedy": self.remedy}
        return {**words, "holds": self.holds}


class _FromEnvironment(BaseSettings):
    """Reads the mapping given by ``environment()``, nothing else."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, allow_inf_nan=False)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is handed in: the caller has merged `.env` and the environment already."""
        return (init_settings,)


class SharedSettings(_FromEnvironment):
    """What both processes need."""

    database_url: str | None = Field(None, description="Postgres 15–18 address; unset: the embedded Postgres runs")
    database_direct_url: str | None = Field(
        None, description="the database's own address past a pooler (LISTEN, migrations)"
    )
    icc_database_connections: int = Field(
        10, ge=4, le=50, description="most connections of one process; one more listens, and each run writes on its own"
    )
    icc_data_dir: Path = Field(
        Path(".data"),
        description="where the embedded database and its key are kept; as root the database lies in /var/lib/icc",
    )
    icc_secret_key: str | None = Field(
        None, min_length=16, description="seals commands and sessions; same for web and worker"
    )
    icc_public_url: str | None = Field(
        None, description="the address people open; found from the platform's variables, else loopback"
    )
    icc_heartbeat_seconds: float = Field(
        10, gt=0.05, le=60, description="how often a daemon or an open log stream says that it lives"
    )
    icc_lease_seconds: float = Field(
        30, gt=0.2, le=600, description="how long a silent run keeps its account; never less than three heartbeats"
    )
    icc_command_expiry_seconds: float = Field(60, gt=0.2, le=3600, description="how long a command waits for a daemon")
    allow_manual_backfill: bool = Field(
        True, description="false: backfills by hand, and runs since a date, are refused everywhere"
    )
    dyno: str | None = Field(
        None, description="set by Heroku: disks are wiped, so the embedded database refuses to run"
    )
    icc_log_format: Literal["text", "json"] = Field("text", description="json for log collectors")

    @property
    def lease_seconds(self) -> float:
        """With less than three heartbeats, a run whose heartbeat is a little late would lose its account."""
        return max(self.icc_lease_seconds, 3 * self.icc_heartbeat_seconds)

    @property
    def secrets(self) -> tuple[str | None, ...]:
        """What these settings hold that nobody may read: for the mask."""
        addresses = (self.database_url, self.database_direct_url)
        found = [form for address in addresses if address for form in passwords_in(address)]
        # Masking "postgres" would hide that word in every address.
        return (self.icc_secret_key, *(form for form in found if form not in "postgresql://"))

    @field_validator("icc_public_url")
    @classmethod
    def _only_an_origin(cls, value: str | None) -> str | None:
        """Half an address would let nobody sign in: every request would seem to be from another site."""
        if value is None:
            return None
        try:
            return origin_of(value)
        except ValueError as problem:
            expected = "an address of scheme, host and port alone, such as https://ops.example.org"
            raise PydanticCustomError("origin", expected, {"problem": str(problem)}) from None

    @field_validator("database_url", "database_direct_url")
    @classmethod
    def _spell_out_postgres(cls, value: str | None) -> str | None:
        """Heroku writes ``postgres://``; our libraries want ``postgresql://``."""
        if value is None:
            return None
        if value.startswith("postgres://"):
            value = "postgresql://" + value.removeprefix("postgres://")
        if not value.startswith("postgresql://") or not _is_address(value):
            raise ValueError("a postgresql:// address, its password percent-encoded (% as %25, @ as %40, / as %2F)")
        return value


def _is_address(value: str) -> bool:
    """Whether libpq can read it: what it cannot read it repeats, a piece of the password among it."""
    try:
        *user, hosts = urlsplit(value).netloc.split("@")
    except ValueError:  # an unclosed bracket
        return False
    is_plain = value.isprintable() and " " not in value and not _LONE_PERCENT.search(value)
    return is_plain and len(user) <= 1 and all(map(_HOST.fullmatch, hosts.split(",")))


class WebSettings(SharedSettings):
    """What the dashboard needs. No vendor key: it has no such field."""

    port: int = Field(8501, ge=1, le=65535, description="where the web process listens")
    icc_bind_address: str = Field("127.0.0.1", description="0.0.0.0 behind a platform's router")
    icc_session_idle_minutes: float = Field(
        120, gt=0, description="a session without a person's action ends after this"
    )
    icc_session_hours: float = Field(12, gt=0, le=8760, description="a session ends after this at the latest")
    icc_access_contact: str | None = Field(
        None, max_length=200, description="whom somebody without a role is told to ask: a name, a mail address"
    )
    icc_oidc_providers: str | None = Field(
        None, description="names of sign-in providers, separated by commas, such as entra,google"
    )
    icc_api_requests_per_minute: int = Field(
        300, ge=1, le=1_000_000, description="what one caller may ask of the admin API; more gets 429"
    )


class DoorLoopSettings(_FromEnvironment):
    """DoorLoop's settings, as its users know them."""

    doorloop_base_url: str = Field("https://app.doorloop.com/api", description="the API's address")
    doorloop_api_key: str | None = Field(None, description="DoorLoop → Settings → Zapier & API Keys; unset: drill data")
    doorloop_page_size: int = Field(
        100, ge=1, le=1000, description="records per request; 1000 needs the fewest requests"
    )
    doorloop_max_concurrency: int = Field(2, ge=1, le=16, description="requests at a time, per account")
    doorloop_rate_limit_rps: float = Field(4, ge=0, le=1000, description="requests per second; 0: no such limit")
    doorloop_rate_limit_per_minute: int = Field(
        50, ge=0, le=1_000_000, description="DoorLoop's documented limit; 0: no such limit"
    )
    doorloop_rate_limit_per_hour: int = Field(
        500, ge=0, le=10_000_000, description="DoorLoop's documented limit; 0: no such limit"
    )

    @field_validator("doorloop_rate_limit_rps")
    @classmethod
    def _can_be_kept(cls, value: float) -> float:
        """Below one in a quarter of an hour it is a mistake, and far below it no number of seconds at all."""
        if 0 < value < 0.001:
            raise ValueError("0, or at least 0.001")
        return value


class ScheduleSettings(_FromEnvironment):
    """When runs start by themselves."""

    auto_sync_enabled: bool = Field(False, description="true: runs start by themselves")
    auto_sync_interval_minutes: float = Field(10, ge=1, le=1440, description="minutes between delta runs")
    auto_sync_full_at_hour_utc: int = Field(5, ge=0, le=23, description="hour of the nightly full run, UTC")
    sync_entities: str = Field("owners,properties,units,leases,tenants", description="what scheduled runs copy")


class ChannelSettings(_FromEnvironment):
    """Where alerts go."""

    integrations_teams_webhook: str | None = Field(None, description="address of a Teams workflow; a secret")


class DaemonSettings(SharedSettings):
    """What the daemon needs besides the lenient groups below."""

    icc_drill: bool = Field(False, description="1: allow the drill server on an outside database")
    icc_drill_rows: int = Field(500, ge=1, le=1_000_000, description="records per entity on the drill server")
    icc_drill_seed: int = Field(1, ge=0, description="same seed, same drill records")
    icc_request_timeout_seconds: float = Field(
        30, gt=0.1, le=600, description="longest silence of the vendor in a request"
    )
    icc_request_deadline_seconds: float = Field(
        120, gt=0.1, le=3600, description="longest whole request, dripping answers included"
    )
    icc_max_body_mb: float = Field(64, gt=0.01, le=1024, description="larger answers are refused")
    icc_retry_attempts: int = Field(6, ge=1, le=20, description="tries per request before an entity gives up")
    icc_longest_wait_seconds: float = Field(60, gt=0, le=600, description="longer waits end the run as deferred")
    icc_breaker_failures: int = Field(5, ge=1, le=100, description="hard failures in a row that open the breaker")
    icc_breaker_failed_share: float = Field(0.5, gt=0, le=1, description="failed share of a minute that opens it, too")
    icc_breaker_cool_down_seconds: float = Field(
        60, gt=0.05, le=3600, description="how long an open breaker holds requests"
    )
    icc_pass_hours: float = Field(24, gt=0, le=8760, description="an unfinished reading older than this starts again")
    events_retention_days: int = Field(30, ge=1, le=3650, description="days that events are kept")


VITAL = frozenset({"database_url", "database_direct_url", "port", "icc_secret_key", "icc_data_dir"})
"""The settings a process cannot live without: a wrong one stops it."""

_Settings = TypeVar("_Settings", bound=_FromEnvironment)
_Process = TypeVar("_Process", bound=SharedSettings)


def environment(start: Path | None = None) -> dict[str, str]:
    """The environment over ``.env`` (of ``start``, default the working directory). Keys in lower case."""
    try:
        found = dotenv_values((start or Path.cwd()) / ".env")
    except UnicodeDecodeError:
        raise SettingsError(
            "SETTING_UNUSABLE", setting=".env", problem="not readable", expected="a text in UTF-8"
        ) from None
    values = {key: value for key, value in found.items() if value is not None}
    # A key pasted with its line break would be refused by the vendor, or not even be sent.
    return {key.lower(): value.strip() for key, value in {**values, **os.environ}.items() if value.strip()}


def drop_vendor_secrets(target: MutableMapping[str, str] | None = None) -> None:
    """Forget the vendors' keys: the web process calls this first, for its environment and for what it has read of it.

    Without a target it is the process's own environment, and what the kernel shows of it in ``/proc`` is wiped, too.
    In whatever case they are written, since that is how they are read.
    """
    held = os.environ if target is None else target
    for name in [name for name in held if name.upper() in VENDOR_SECRETS]:
        del held[name]
    if target is None:
        for name in VENDOR_SECRETS:
            wipe_from_start(name)


def read(
    model: type[_Settings], values: dict[str, str], *, integration: str | None = None
) -> tuple[_Settings, tuple[Finding, ...]]:
    """The settings of one group.

    An unusable setting falls back to its default and becomes a finding; with ``integration`` given it also holds that
    integration's schedule. Raises ``SettingsError`` for a vital one, naming the variable, what is wrong and what to do.
    """
    usable = dict(values)
    findings: list[Finding] = []
    while True:
        try:
            return model(**usable), tuple(findings)  # type: ignore[arg-type]  # pydantic parses the strings
        except ValidationError as refusal:
            for error in refusal.errors():
                name = str(error["loc"][0])
                if name in VITAL:
                    raise SettingsError("SETTING_UNUSABLE", **problem_of(error, model.model_fields[name])) from None
                usable.pop(name, None)
                holds = integration is not None
                findings.append(
                    Finding("SETTING_INVALID", "error", problem_of(error, model.model_fields[name]), integration, holds)
                )


def read_process(model: type[_Process], values: dict[str, str]) -> tuple[_Process, tuple[Finding, ...]]:
    """The settings of a whole process; raises ``SettingsError`` when it could not live with them."""
    settings, findings = read(model, values)
    if settings.database_url and not settings.icc_secret_key:
        raise SettingsError(
            "SETTING_MISSING",
            setting="ICC_SECRET_KEY",
            expected="any 32 random characters, the same for web and worker (`openssl rand -hex 32`)",
        )
    if not settings.database_url and settings.dyno:
        raise SettingsError(
            "SETTING_MISSING",
            setting="DATABASE_URL",
            expected="a Postgres address (`heroku addons:create heroku-postgresql`); this platform wipes its disks, "
            "so the embedded database would lose everything",
        )
    return settings, findings


def public_url(values: Mapping[str, str], settings: WebSettings) -> str:
    """The address people open: said outright, or found from Heroku's and Replit's variables, else loopback."""
    if settings.icc_public_url:
        return settings.icc_public_url
    if values.get("replit_domains"):
        return "https://" + values["replit_domains"].split(",")[0].strip()
    if values.get("heroku_app_default_domain_name"):
        return "https://" + values["heroku_app_default_domain_name"]
    return f"http://127.0.0.1:{settings.port}"


def documented_settings() -> dict[str, str]:
    """Every variable we read → its one-line meaning; the README and ``.env.example`` are held to this list."""
    models = (SharedSettings, WebSettings, DaemonSettings, DoorLoopSettings, ScheduleSettings, ChannelSettings)
    own = {name.upper(): str(info.description) for model in models for name, info in model.model_fields.items()}
    return own | PROVIDER_SETTINGS
