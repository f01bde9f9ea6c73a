"""Settings: read once, checked, explained; a wrong one never takes more down than it must."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.codes import CODES, Outcome
from common.config import (
    VITAL,
    ChannelSettings,
    DaemonSettings,
    DoorLoopSettings,
    Finding,
    ScheduleSettings,
    SharedSettings,
    WebSettings,
    documented_settings,
    drop_vendor_secrets,
    environment,
    public_url,
    read,
    read_process,
)
from common.errors import SettingsError
from common.store.address import can_work
from common.store.door import known_url, opened
from tests.architecture.sources import ROOT

MODELS = (SharedSettings, WebSettings, DaemonSettings, DoorLoopSettings, ScheduleSettings, ChannelSettings)


def test_nothing_set_is_a_working_start() -> None:
    """A laptop needs no settings at all: defaults, the embedded database and drill data."""
    settings, findings = read_process(DaemonSettings, {})
    assert findings == ()
    assert settings.database_url is None
    doorloop, findings = read(DoorLoopSettings, {}, integration="doorloop")
    assert findings == ()
    assert (doorloop.doorloop_rate_limit_per_minute, doorloop.doorloop_rate_limit_per_hour) == (50, 500)


@pytest.mark.parametrize(("heartbeat", "lease", "kept"), [("10", "30", 30), ("20", "30", 60), ("1", "0.5", 3)])
def test_a_run_keeps_its_account_for_three_heartbeats(heartbeat: str, lease: str, kept: float) -> None:
    """Design §4: silent for three heartbeats is interrupted; with less, a heartbeat a little late would be enough."""
    values = {"icc_heartbeat_seconds": heartbeat, "icc_lease_seconds": lease}
    assert read_process(DaemonSettings, values)[0].lease_seconds == kept


@pytest.mark.parametrize(
    ("name", "value", "default"),
    [
        ("doorloop_page_size", "5000", 100),
        ("doorloop_page_size", "0", 100),
        ("doorloop_page_size", "many", 100),
        ("doorloop_max_concurrency", "-1", 2),
        ("doorloop_rate_limit_rps", "inf", 4),
        ("doorloop_rate_limit_rps", "nan", 4),
        ("doorloop_rate_limit_per_hour", "1.5", 500),
    ],
)
def test_a_wrong_vendor_setting_is_a_finding_and_holds_the_schedule(name: str, value: str, default: float) -> None:
    """The daemon starts all the same; the finding names the variable, the cure, and holds that integration."""
    settings, (finding,) = read(DoorLoopSettings, {name: value}, integration="doorloop")
    assert getattr(settings, name) == default
    assert (finding.code, finding.severity, finding.integration) == ("SETTING_INVALID", "error", "doorloop")
    assert finding.holds
    assert name.upper() in finding.cause
    assert name.upper() in finding.remedy
    assert "?" not in finding.cause + finding.remedy


@pytest.mark.parametrize(
    ("name", "value", "write"),
    [
        ("allow_manual_backfill", "perhaps", "true or false"),
        ("doorloop_page_size", "many", "a whole number from 1 to 1000"),
        ("doorloop_page_size", "5000", "a whole number from 1 to 1000"),
        ("icc_drill_seed", "-1", "a whole number from 0"),
        ("icc_max_body_mb", "0", "a number above 0.01 and at most 1024"),
        ("icc_session_idle_minutes", "0", "a number above 0"),
        ("icc_log_format", "xml", "'text' or 'json'"),
        ("icc_access_contact", "\udcff", "a text in UTF-8"),
        ("icc_access_contact", "x" * 201, "a text of at most 200 characters"),
    ],
)
def test_the_remedy_says_what_to_write(name: str, value: str, write: str) -> None:
    """Law 8: not "a valid boolean", which nobody who typed it knows to be something else."""
    (model,) = [model for model in MODELS if name in model.__annotations__]
    _, (finding,) = read(model, {name: value})
    assert finding.remedy == f"Set {name.upper()} to {write}; it takes effect at the next start."


def test_each_wrong_setting_has_its_own_finding_and_the_right_ones_count() -> None:
    """One typo does not hide another, nor undo what was set well."""
    values = {"doorloop_page_size": "x", "doorloop_max_concurrency": "x", "doorloop_rate_limit_rps": "2"}
    settings, findings = read(DoorLoopSettings, values)
    assert {finding.facts["setting"] for finding in findings} == {"DOORLOOP_PAGE_SIZE", "DOORLOOP_MAX_CONCURRENCY"}
    assert settings.doorloop_rate_limit_rps == 2


@given(
    st.dictionaries(
        st.sampled_from(sorted({name for model in MODELS for name in model.model_fields} - VITAL)),
        st.text(max_size=12),
        max_size=5,
    )
)
def test_no_value_of_a_lenient_setting_stops_a_process(values: dict[str, str]) -> None:
    """Whatever stands in a setting that is not vital: the process starts, the value itself is in no finding."""
    for model in MODELS:
        settings, findings = read(model, values)
        assert isinstance(settings, model)
        for finding in findings:
            assert finding.as_record()["remedy"]
            value = values[finding.facts["setting"].lower()]
            assert len(value) < 4 or value not in finding.as_record()["cause"]


@pytest.mark.parametrize(
    ("values", "variable"),
    [
        ({"database_url": "mysql://host/db"}, "DATABASE_URL"),
        ({"database_url": "postgresql://host/db"}, "ICC_SECRET_KEY"),
        ({"database_url": "postgresql://host/db", "icc_secret_key": "short"}, "ICC_SECRET_KEY"),
        ({"port": "eighty"}, "PORT"),
        ({"dyno": "web.1"}, "DATABASE_URL"),
    ],
)
def test_a_vital_setting_stops_the_process_with_what_to_do(values: dict[str, str], variable: str) -> None:
    """Only what a process cannot live without stops it: the variable's name, what is wrong, what to do."""
    with pytest.raises(SettingsError) as caught:
        read_process(WebSettings, values)
    assert variable in caught.value.cause
    assert variable in caught.value.remedy
    assert "?" not in caught.value.cause + caught.value.remedy
    assert "host/db" not in str(caught.value)


@pytest.mark.parametrize("name", ["database_url", "database_direct_url"])
@pytest.mark.parametrize(
    "address",
    [
        "postgresql://h/d?bogus=s3cr3t",
        "postgresql://h/d?s3cr3t",
        "postgresql://h/d?sslmode=s3cr3t",
        "postgresql://h/d?target_session_attrs=s3cr3t",
        "postgresql://h/d?port=s3cr3t",
        "postgresql://h:99999/d?application_name=s3cr3t",
        "postgresql://u:s3cr3t%ff@h/d",
        "postgresql://h/d?application_name=s3cr3t%c3",
    ],
)
def test_an_address_that_can_never_work_is_no_database_that_is_away(name: str, address: str) -> None:
    """It would be tried for ever; the variable is named, its value is not."""
    values = {"database_url": "postgresql://h/d", name: address, "icc_secret_key": "0123456789abcdef"}
    settings, _ = read_process(SharedSettings, values)
    for ask in (known_url, lambda settings: opened(settings, name="icc:test").__enter__()):
        with pytest.raises(SettingsError) as caught:
            ask(settings)
        assert caught.value.cause.startswith(f"{name.upper()} is ")
        assert "s3cr3t" not in str(caught.value.as_record())


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u:p%40@h:5432/d?sslmode=require&channel_binding=prefer",
        "postgresql://h:1,g:2/d?target_session_attrs=read-write",
        "postgresql://h:1,g/d?sslmode=",
        "postgresql:///d?host=/var/run/postgresql&options=-c%20search_path%3Dx",
    ],
)
def test_addresses_that_libpq_takes_are_taken(address: str) -> None:
    """Several hosts, a socket, options of all kinds."""
    assert can_work(address)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_both_spellings_of_postgres_are_accepted(scheme: str) -> None:
    """Heroku writes postgres://."""
    values = {"database_url": f"{scheme}://u:p@h/db", "icc_secret_key": "0123456789abcdef"}
    settings, _ = read_process(SharedSettings, values)
    assert settings.database_url == "postgresql://u:p@h/db"


def test_the_environment_wins_over_the_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``.env`` is read beneath the real environment; values are trimmed, empty ones are not set."""
    (tmp_path / ".env").write_text("DOORLOOP_PAGE_SIZE=7\nAUTO_SYNC_ENABLED=true\nSYNC_ENTITIES=\n# PORT=1\n")
    monkeypatch.setenv("DOORLOOP_PAGE_SIZE", "9")
    monkeypatch.setenv("DOORLOOP_API_KEY", " pasted-key\n")
    monkeypatch.setenv("DOORLOOP_BASE_URL", "  ")
    values = environment(tmp_path)
    assert (values["doorloop_page_size"], values["auto_sync_enabled"]) == ("9", "true")
    assert values["doorloop_api_key"] == "pasted-key"
    assert not {"sync_entities", "doorloop_base_url", "port"} & set(values)


def test_the_web_process_can_drop_the_vendors_keys() -> None:
    """Law: the dashboard holds no vendor key; the variable is dropped from its environment at start."""
    target = {"DOORLOOP_API_KEY": "k", "PATH": "/bin"}
    drop_vendor_secrets(target)
    drop_vendor_secrets(target)
    assert target == {"PATH": "/bin"}


@pytest.mark.parametrize(
    ("values", "url"),
    [
        ({}, "http://127.0.0.1:8501"),
        ({"port": "9000"}, "http://127.0.0.1:9000"),
        ({"icc_public_url": "https://icc.example/"}, "https://icc.example"),
        ({"icc_public_url": "http://10.0.0.7:8501"}, "http://10.0.0.7:8501"),
        ({"icc_public_url": "HTTPS://Ops.Example.Org"}, "https://ops.example.org"),
        ({"icc_public_url": "https://ops.example.org:443/"}, "https://ops.example.org"),
        ({"icc_public_url": "http://ops.example.org:80"}, "http://ops.example.org"),
        ({"icc_public_url": "https://ops.example.org:"}, "https://ops.example.org"),
        ({"icc_public_url": "http://ops.example.org:443"}, "http://ops.example.org:443"),
        ({"icc_public_url": "https://MÜNCHEN.example"}, "https://xn--mnchen-3ya.example"),
        ({"icc_public_url": "https://faß.example:8443"}, "https://xn--fa-hia.example:8443"),
        ({"icc_public_url": "http://[0:0::1]:8501"}, "http://[::1]:8501"),
        ({"icc_public_url": "http://my_host-2"}, "http://my_host-2"),
        ({"replit_domains": "a.replit.app,b.replit.app"}, "https://a.replit.app"),
        ({"heroku_app_default_domain_name": "x.herokuapp.com"}, "https://x.herokuapp.com"),
        ({"icc_public_url": "https://icc.example", "replit_domains": "a.replit.app"}, "https://icc.example"),
    ],
)
def test_the_address_people_open_is_found(values: dict[str, str], url: str) -> None:
    """Said outright, or found from the platform's variables, else loopback."""
    settings, _ = read(WebSettings, values)
    assert public_url(values, settings) == url


def test_every_setting_has_a_meaning() -> None:
    """The README and ``.env.example`` are held to this list, so each entry says something."""
    assert all(len(meaning) > 10 for meaning in documented_settings().values())
    assert "DOORLOOP_API_KEY" in documented_settings()


def test_every_code_is_whole() -> None:
    """Law 8: one code, one sentence of cause, one of remedy, one known outcome; unknown facts show as "?"."""
    outcomes = get_args(Outcome)
    for key, code in CODES.items():
        assert key == code.key
        assert code.outcome in outcomes
        for sentence in (code.cause, code.remedy):
            assert sentence.strip()
            assert sentence[0].isupper() or sentence[0] == "{", sentence
            assert sentence.endswith((".", "}", ")")), sentence
        assert code.cause_with({})
        assert code.remedy_with({})


def test_a_finding_is_published_whole() -> None:
    """The page gets code, severity, cause, remedy and whether it holds the schedule."""
    record = Finding("DRILL_DATA", "info", {}, "doorloop").as_record()
    assert set(record) == {"code", "severity", "cause", "remedy", "holds"}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("icc.example", "not an http or https address"),
        ("ftp://icc.example", "not an http or https address"),
        ("//x", "not an http or https address"),
        ("https://", "an address without a host"),
        ("https://:443", "an address without a host"),
        ("https://u@icc.example", "an address with a user's name in it"),
        ("https://icc.example/path", "an address with more than a host behind it"),
        ("https://icc.example?a=b", "an address with more than a host behind it"),
        ("https://icc.example#x", "an address with more than a host behind it"),
        ("https://icc.example:99999", "an address whose host or port cannot be read"),
        ("https://icc.example:abc", "an address whose host or port cannot be read"),
        ("https://[::1", "an address whose host or port cannot be read"),
        ("https://icc.example:0", "an address with a port that nothing can listen on"),
        ("https://icc example", "an address with a host that cannot be used"),
        ("https://icc..example", "an address with a host that cannot be used"),
        ("https://icc.example\\x", "an address with a host that cannot be used"),
        ("https://icc.example,other.example", "an address with a host that cannot be used"),
        ("https://*.example", "an address with a host that cannot be used"),
        ("https://m%C3%BCnchen.example", "an address with a host that cannot be used"),
        ("https://☃.example", "an address with a host that cannot be used"),
        ("https://127.0.0.999", "an address with a host that cannot be used"),
        ("https://[fe80::1%eth0]", "an address with a host that cannot be used"),
    ],
)
def test_half_a_public_address_is_a_finding(value: str, problem: str) -> None:
    """Cookies and the check of a request's origin rest on it: what is no origin is left out and said, with its cure."""
    settings, (finding,) = read(WebSettings, {"icc_public_url": value})
    assert settings.icc_public_url is None
    assert (finding.code, finding.facts["setting"]) == ("SETTING_INVALID", "ICC_PUBLIC_URL")
    assert finding.cause == f"ICC_PUBLIC_URL is {problem}."
    assert "Set ICC_PUBLIC_URL to an address of scheme, host and port alone" in finding.remedy


@pytest.mark.parametrize(
    ("address", "hidden"),
    [
        ("postgresql://icc:s3cr%2Ft@db.example/icc", {"s3cr%2Ft", "s3cr/t"}),
        ("postgres://icc@db.example/icc?password=s3cret", {"s3cret"}),
        ("postgresql://postgres:postgres@db.example/icc", set()),
        ("postgresql://one,two:5433/icc", set()),
    ],
)
def test_the_database_passwords_are_for_the_mask(address: str, hidden: set[str]) -> None:
    """As they are and as they are written; a password that is a word of every address would hide them all."""
    settings = SharedSettings(database_url=address, icc_secret_key="k" * 16)
    assert {secret for secret in settings.secrets if secret} == hidden | {"k" * 16}


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_an_env_file_that_is_no_text_is_said_so(tmp_path: Path, encoding: str) -> None:
    """PowerShell's ``>`` writes UTF-16: a sentence, no traceback."""
    (tmp_path / ".env").write_bytes("DOORLOOP_PAGE_SIZE=100 # für alle".encode(encoding))
    with pytest.raises(SettingsError) as caught:
        environment(tmp_path)
    assert caught.value.cause == ".env is not readable."


@pytest.mark.parametrize("rps", ["1e-300", "0.0009", "-1", "1e9"])
def test_a_rate_that_no_clock_can_keep_is_refused(rps: str) -> None:
    """One request in a million years ended every run by an error of ours."""
    settings, (finding,) = read(DoorLoopSettings, {"doorloop_rate_limit_rps": rps}, integration="doorloop")
    assert (finding.facts["setting"], settings.doorloop_rate_limit_rps) == ("DOORLOOP_RATE_LIMIT_RPS", 4)


@pytest.mark.parametrize(
    "password",
    [
        "canary%zz",
        "canary%",
        "can ary",
        "canary@host",
        "can/ary",
        "can?ary",
        "can#ary",
        "[canary",
        "can%00ary",
        "can\nary",
    ],
)
def test_a_password_that_libpq_would_misread_is_refused_unseen(password: str) -> None:
    """Law 9: what it cannot read it repeats, a piece of the password among it, in a traceback."""
    with pytest.raises(SettingsError) as caught:
        read_process(
            WebSettings,
            {"icc_secret_key": "k" * 16, "database_url": f"postgresql://icc:{password}@db.example:5432/icc"},
        )
    said = str(caught.value) + str(caught.value.__cause__) + caught.value.cause + caught.value.remedy
    assert "DATABASE_URL" in said
    assert "percent-encoded" in said
    assert "ary" not in said


def test_vendor_secrets_are_dropped_in_whatever_case_they_are_written() -> None:
    """Settings are read in any case of letters, so a key may stand under several names."""
    held = {"doorloop_api_key": "a", "DoorLoop_API_Key": "b", "DOORLOOP_API_KEY": "c", "DOORLOOP_PAGE_SIZE": "100"}
    drop_vendor_secrets(held)
    assert held == {"DOORLOOP_PAGE_SIZE": "100"}


@pytest.mark.parametrize("name", ["DOORLOOP_API_KEY", "doorloop_api_key", "DoorLoop_Api_Key"])
def test_what_the_process_was_started_with_is_wiped_too(name: str) -> None:
    """`unsetenv` leaves the first block of the environment as it was: the key is overwritten there, nothing else is."""
    script = (
        "import os\nfrom common.config import drop_vendor_secrets\ndrop_vendor_secrets()\n"
        "shown = open('/proc/self/environ', 'rb').read()\n"
        "print(b'canary' in shown, b'A=before' in shown, b'Z=after' in shown, 'canary' in str(os.environ))"
    )
    environment = {"A": "before", name: "canary-\u00fc", "Z": "after", "PYTHONPATH": str(ROOT)}
    told = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["False", "True", "True", "False"]
