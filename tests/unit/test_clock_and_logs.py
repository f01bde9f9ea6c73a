"""Time is UTC and aware; a log line shows no secret and cannot be forged."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from common import logs, redact
from common.clock import SystemClock, use_utc

ROOT = Path(__file__).parents[2]
CANARY = "canary-secret-4711"


@pytest.fixture(autouse=True)
def _leave_logging_alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Logging, the mask and the zone are one per process: put them back."""
    monkeypatch.setattr(redact, "_held", ())
    handlers, level = logging.root.handlers[:], logging.root.level
    zone = os.environ.get("TZ")
    yield
    logging.root.handlers[:], logging.root.level = handlers, level
    structlog.reset_defaults()
    if zone is None:
        os.environ.pop("TZ", None)
    else:
        os.environ["TZ"] = zone
    time.tzset()


def test_now_is_utc_and_aware() -> None:
    """Law 11."""
    now = SystemClock().now()
    assert now.utcoffset() is not None
    assert now.tzname() == "UTC"


def test_elapsed_time_only_grows() -> None:
    """Monotonic, whatever the wall clock does."""
    clock = SystemClock()
    assert clock.monotonic() <= clock.monotonic()


@pytest.mark.parametrize("seconds", [3600.0, -1.0])
def test_a_wait_ends_at_once_when_somebody_wants_it_to(seconds: float) -> None:
    """Law 6: every wait is interruptible; a negative one is none."""
    stop = threading.Event()
    stop.set()
    assert SystemClock().wait(stop, seconds) is True


def test_a_wait_that_is_not_interrupted_says_so() -> None:
    """The time passed, nobody set the event."""
    assert SystemClock().wait(threading.Event(), -5) is False


def test_the_process_thinks_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """``schedule`` and log lines read local time, so local time is UTC."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    use_utc()
    assert time.tzname[0] == "UTC"
    assert os.environ["TZ"] == "UTC"


def test_a_json_line_is_masked_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    """Law 10: message, fields, nested fields and tracebacks."""
    redact.register(CANARY)
    logs.configure("json")
    log = structlog.get_logger("test")
    try:
        raise ValueError(CANARY)
    except ValueError:
        log.exception(f"failed with {CANARY}", field=CANARY, deep={"list": [CANARY]})
    line = capsys.readouterr().err
    assert CANARY not in line
    assert json.loads(line)["level"] == "error"
    assert "Traceback" in json.loads(line)["exception"]


def test_a_readable_line_is_masked_too(capsys: pytest.CaptureFixture[str]) -> None:
    """The same in the form people read."""
    redact.register(CANARY)
    logs.configure("text")
    try:
        raise ValueError(CANARY)
    except ValueError:
        structlog.get_logger("test").exception("failed", field=CANARY)
    shown = capsys.readouterr().err
    assert CANARY not in shown
    assert "Traceback" in shown


@given(st.text(max_size=30))
def test_no_text_of_a_vendor_breaks_out_of_its_line(text: str) -> None:
    """Control characters, terminal escapes, bidi tricks and line breaks are shown, not obeyed."""
    fields = logs._masked(None, "info", {"event": text, "field": text, "deep": {"list": [1]}})
    for name in ("event", "field"):
        shown = fields[name]
        assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in shown)
        assert not set(shown) & set("\u2028\u2029\u202e\u2066")


def test_libraries_that_log_by_themselves_are_masked(capsys: pytest.CaptureFixture[str]) -> None:
    """A library's warning with a key and an escape sequence in it."""
    redact.register(CANARY)
    logs.configure("text")
    logging.getLogger("some.package").warning("retrying %s \x1b[2J", f"http://x/?k={CANARY}")
    shown = capsys.readouterr().err
    assert "retrying" in shown
    assert CANARY not in shown
    assert "\x1b" not in shown


def test_a_library_with_a_handler_of_its_own_is_masked_too() -> None:
    """The web server writes tracebacks past the root logger: they go through the mask all the same, in its own form."""
    redact.register(CANARY)
    own, written = logging.getLogger("icc-test-server"), io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logging.Formatter("SERVER %(message)s"))
    own.addHandler(handler)
    own.propagate = False
    try:
        logs.mask_libraries()
        logs.mask_libraries()
        try:
            raise ValueError(CANARY)
        except ValueError:
            own.exception("it broke %s", CANARY)
    finally:
        own.removeHandler(handler)
    assert written.getvalue().startswith("SERVER it broke •••")
    assert "Traceback" in written.getvalue()
    assert CANARY not in written.getvalue()


def test_what_nobody_caught_is_masked_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Law 10: a bug's traceback quotes what went wrong, in the process itself or in a thread of it."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    redact.register(CANARY)
    logs.mask_tracebacks()

    def fail(error: type[BaseException]) -> None:
        raise error(f"with {CANARY} \x1b[2J")

    for error in (ValueError, SystemExit):
        thread = threading.Thread(target=fail, args=(error,), name="a thread of ours")
        thread.start()
        thread.join()
    try:
        fail(KeyError)
    except KeyError as caught:
        sys.excepthook(KeyError, caught, caught.__traceback__)
    written = capsys.readouterr().err
    assert "Exception in thread a thread of ours:\nTraceback" in written
    assert "ValueError: with ••• " in written
    assert "KeyError: " in written
    assert "SystemExit" not in written
    assert CANARY not in written
    assert "\x1b" not in written


@pytest.mark.parametrize(
    "starter", ["common/accounts", "common/launch", "common/store/migrate", "daemon/__main__", "dashboard/web/lifespan"]
)
def test_every_process_that_holds_secrets_masks_what_nobody_caught(starter: str) -> None:
    """Law 10."""
    assert "    logs.mask_tracebacks()\n" in (ROOT / starter).with_suffix(".py").read_text()


def test_a_vendors_odd_headers_are_not_written_to_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    """Law 6: urllib3 quotes every header behind one that it cannot read, and masking megabytes took a Stop's time."""
    logs.configure("text")
    logging.getLogger("urllib3.connectionpool").warning("Failed to parse headers: %s", "x" * 100)
    logging.getLogger("some.package").warning("a word of its own")
    written = capsys.readouterr().err
    assert "Failed to parse" not in written
    assert "a word of its own" in written
