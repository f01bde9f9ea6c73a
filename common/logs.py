"""The process's own log: a line each on stderr, readable or JSON, every value masked on its way out."""

from __future__ import annotations

import logging
import re
import sys
import threading
import traceback
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any, Literal

import structlog

from common.redact import mask, mask_value

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_NEW_LINE = re.compile(r"[\t\n]")
_MANY_LINES = ("exception", "stack")


def one_line(text: str) -> str:
    """A text for a terminal: masked, on one line, and without what turns, colours or hides the rest of it."""
    return _CONTROL.sub("␀", _NEW_LINE.sub("␤", mask(text)))


def configure(form: Literal["text", "json"], level: int = logging.INFO) -> None:
    """Set structlog up for this process, and the few libraries that use ``logging``."""
    colours = sys.stderr.isatty()
    last: Any = structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer(colors=colours)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _masked,
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, force=True)
    # It warns, with a traceback, of every answer with a header line that it cannot read, and quotes what follows: ten
    # megabytes of them took seconds to mask, a Stop waited behind that. The answer is judged by what it brings.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(_MaskedFormatter("%(asctime)s [%(levelname)s] %(name)s: %(message)s"))


def _masked(_logger: Any, _name: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """No secret, no terminal trick and no forged line leaves through the log; only tracebacks have many lines."""
    for key, value in fields.items():
        safe = mask_value(value)
        if isinstance(safe, str):
            safe = _CONTROL.sub("␀", safe if key in _MANY_LINES else _NEW_LINE.sub("␤", safe))
        fields[key] = safe
    return fields


def mask_libraries() -> None:
    """Let every handler that a library has made for itself write through the mask (the web server's tracebacks)."""
    for logger in (logging.getLogger(), *logging.root.manager.loggerDict.values()):
        for handler in getattr(logger, "handlers", ()):
            if not isinstance(handler.formatter, _Through | _MaskedFormatter):
                handler.setFormatter(_Through(handler.formatter))


def mask_tracebacks() -> None:
    """Let what nobody caught, in this process or in a thread of it, be told through the mask as well."""
    sys.excepthook = _tell_uncaught
    threading.excepthook = _tell_of_thread


def _tell_uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    sys.stderr.write(_CONTROL.sub("␀", mask("".join(traceback.format_exception(kind, error, trace)))))


def _tell_of_thread(end: threading.ExceptHookArgs) -> None:
    if end.exc_type is not SystemExit:  # as Python's own: a thread may end so
        sys.stderr.write(f"Exception in thread {end.thread.name if end.thread else '?'}:\n")
        _tell_uncaught(end.exc_type, end.exc_value, end.exc_traceback)


class _Through(logging.Formatter):
    """Another formatter's lines, masked."""

    def __init__(self, inner: logging.Formatter | None) -> None:
        super().__init__()
        self._inner = inner or logging.Formatter()

    def format(self, record: logging.LogRecord) -> str:
        """The line, masked."""
        return _CONTROL.sub("␀", mask(self._inner.format(record)))


class _MaskedFormatter(logging.Formatter):
    """For libraries that log by themselves: their tracebacks are masked too."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, masked."""
        return _CONTROL.sub("␀", mask(super().format(record)))
