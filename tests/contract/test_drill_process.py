"""The drill server as a process: how it announces itself, and how it ends."""

from __future__ import annotations

import ast
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import pytest

from daemon.integrations.doorloop import drill
from daemon.integrations.doorloop.drill.__main__ import main

COMMAND = [sys.executable, "-m", "daemon.integrations.doorloop.drill"]


def test_it_stands_on_nothing_of_ours() -> None:
    """A stand-in that shared code with the engine would share its mistakes: standard library and orjson only."""
    room = Path(drill.__file__).parent
    for file in room.rglob("*.py"):
        depth = len(file.relative_to(room).parts)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level <= depth, file
                names = [] if node.level else [node.module or ""]
            else:
                continue
            assert {name.partition(".")[0] for name in names} <= {*sys.stdlib_module_names, "orjson"}, file


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Start the command and wait for its first line; yield the process and its port."""
    process = subprocess.Popen([*COMMAND, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            found = re.fullmatch(r"drill server listening on http://127\.0\.0\.1:(\d+)/api\n", first)
            assert found, first
            yield process, int(found[1])
        finally:
            process.kill()


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_within_a_second(name: signal.Signals) -> None:
    """It ends cleanly within a second, with a kept-alive connection and a hanging request open."""
    with running("--rows", "3", "--fault", 'hang={"entity":"owners"}') as (process, port):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
            request = "GET /api/{} HTTP/1.1\r\nAuthorization: Bearer drill-key\r\n\r\n"
            raw.sendall(request.format("users/me").encode())
            assert raw.recv(65_536).startswith(b"HTTP/1.1 200")
            raw.sendall(request.format("owners").encode())
            asked = monotonic()
            process.send_signal(name)
            assert process.wait(5) == 0
            assert monotonic() - asked < 1
        assert process.stdout is not None
        assert process.stdout.read() == ""


def test_it_ends_with_its_parent() -> None:
    """The end of stdin, as when the parent is killed, ends it."""
    with running("--exit-with-parent") as (process, _):
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(5) == 0


def test_what_cannot_work_is_one_sentence_and_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    """A port in use, an unknown entity and an unknown fault are refused with one sentence that says what helps."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for arguments, word in (
            (["--port", port], "--port"),
            (["--entity-rows", "cats=3"], "cats"),
            (["--entity-rows", "owners"], "owners=1000"),
            (["--fault", "nonsense"], "nonsense"),
        ):
            assert main(arguments) == 2
            shown = capsys.readouterr()
            assert shown.out == ""
            assert word in shown.err
            assert shown.err.count("\n") == 1
