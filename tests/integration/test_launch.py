"""`make run`'s launcher, with small stand-ins for page and daemon, as real processes that get killed."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import psutil
import pytest

from common.launch import CannotRunError, LaunchSettings, refuse_unlivable_settings
from common.launch_child import KeptChild

ROOT = Path(__file__).parents[2]
DEADLINE_SECONDS = 20.0

STEADY = """
    import os, signal, sys, time
    print("up", os.getpid(), os.environ["PORT"], sys.executable, flush=True)
    signal.signal(signal.SIGTERM, lambda *_: (print("stored where it was", flush=True), sys.exit(0)))
    while True:
        time.sleep(0.05)
"""
STUBBORN = """
    import os, signal, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.write(1, b"up %d\\n" % os.getpid())  # in one piece: two of them share the pipe
    while True:
        time.sleep(0.05)
"""
LISTENING = """
    import os, socket
    print("up", os.getpid(), flush=True)
    with socket.create_server(("127.0.0.1", int(os.environ["PORT"]))) as server:
        while True:
            server.accept()[0].close()
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Look again and again until it is so; fail with its name after the deadline."""
    end = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < end, f"waited {DEADLINE_SECONDS} s in vain until {what}"
        time.sleep(0.02)


class Run:
    """One launcher and what it says."""

    def __init__(self, root: Path, port: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "common.launch", "--root", str(root)],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "PORT": str(port)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            self.lines.extend(iter(stream.readline, ""))

    def said(self, *words: str) -> list[str]:
        """The lines so far that hold all of the words."""
        return [line for line in list(self.lines) if all(word in line for word in words)]

    def wait_said(self, *words: str, times: int = 1) -> str:
        """The last of the lines with these words, as soon as there are so many."""
        try:
            wait_until(lambda: len(self.said(*words)) >= times, f"{words} was said {times} times")
        except AssertionError as error:
            raise AssertionError(f"{error}; said was: {self.lines}") from None
        return self.said(*words)[-1]

    def pid_of(self, name: str, times: int = 1) -> int:
        """The process id that stand-in `name` said when it came up for the n-th time."""
        return int(self.wait_said(name, "| up", times=times).split("| up ")[1].split()[0])

    def end(self) -> int:
        code = self.process.wait(DEADLINE_SECONDS)
        self._reader.join()
        return code

    def clean_up(self) -> None:
        """After a test, whatever happened in it."""
        for process in [*psutil.Process(self.process.pid).children(recursive=True)] if self.is_alive() else []:
            process.kill()
        self.process.kill()
        self.end()

    def is_alive(self) -> bool:
        return self.process.poll() is None


class Folder:
    """A folder with a Procfile of stand-ins."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.port = free_port()
        self.runs: list[Run] = []

    def write(self, **scripts: str) -> None:
        for name, script in scripts.items():
            (self.root / f"{name}.py").write_text(dedent(script))
        lines = [f"{name}: python {name}.py --port $PORT" for name in scripts]
        (self.root / "Procfile").write_text("\n".join([*lines, "release: python never.py"]))

    def run(self, port: int | None = None) -> Run:
        run = Run(self.root, port or self.port)
        self.runs.append(run)
        return run


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    made = Folder(tmp_path)
    yield made
    for run in made.runs:
        run.clean_up()


def is_gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def test_it_starts_all_and_ctrl_c_leaves_nothing(folder: Folder) -> None:
    """Law: web and worker run with our own Python first on PATH, and Ctrl-C lets both store where they were."""
    folder.write(web=STEADY, worker=STEADY)
    run = folder.run()
    web, worker = run.pid_of("web"), run.pid_of("worker")
    assert f"{folder.port} {Path(sys.executable).parent}" in run.wait_said("web", "| up")
    run.process.send_signal(signal.SIGINT)
    assert run.end() == 0
    assert len(run.said("stored where it was")) == 2
    assert is_gone(web)
    assert is_gone(worker)
    assert not run.said("never.py")


def test_it_says_the_address_when_it_answers(folder: Folder) -> None:
    """Law: the address is shown as soon as the page can be opened, not before."""
    folder.write(web=LISTENING)
    run = folder.run()
    line = run.wait_said("Open http://127.0.0.1")
    assert f":{folder.port}/systems/integrations" in line


def test_a_killed_worker_is_started_again_and_the_page_stays(folder: Folder) -> None:
    """Law: one process dying does not take the other down; it is started again after a pause, and this is said."""
    folder.write(web=STEADY, worker=STEADY)
    run = folder.run()
    web, worker = run.pid_of("web"), run.pid_of("worker")
    os.kill(worker, signal.SIGKILL)
    assert "killed by signal 9" in run.wait_said("system", "worker ended by itself")
    assert run.pid_of("worker", times=2) != worker
    assert not is_gone(web)


def test_the_pauses_grow(tmp_path: Path) -> None:
    """Law: what ends at once again and again is started ever more slowly, up to the longest pause."""
    said: list[str] = []
    child = KeptChild(
        "worker",
        "exit 3",
        cwd=tmp_path,
        overlay={},
        grace_seconds=1.0,
        say=lambda name, line: said.append(line.decode()),
        pauses_seconds=(0.01, 0.02, 0.03),
    )
    child.start()
    wait_until(lambda: len(said) >= 4, "it has ended four times")
    child.stop()
    assert child.wait(DEADLINE_SECONDS)
    assert [line.rsplit("again in ")[1] for line in said[:4]] == ["0.01 s", "0.02 s", "0.03 s", "0.03 s"]
    assert "exit code 3" in said[0]


def test_kill_9_of_the_launcher_leaves_nothing(folder: Folder) -> None:
    """Law: when the launcher is killed -9, its processes store where they were and end by themselves."""
    folder.write(web=STEADY, worker=STEADY)
    run = folder.run()
    pids = [run.pid_of("web"), run.pid_of("worker")]
    guards = [process.pid for process in psutil.Process(run.process.pid).children()]
    assert len(guards) == 2
    run.process.kill()
    wait_until(lambda: all(is_gone(pid) for pid in pids + guards), "all processes are gone")


def test_kill_9_of_a_guard_leaves_nothing(folder: Folder) -> None:
    """Law: killing the guard between does not leave a second daemon beside the new one."""
    folder.write(worker=STEADY)
    run = folder.run()
    worker = run.pid_of("worker")
    guard = psutil.Process(worker).parent()
    assert "launch_guard.py" in " ".join(guard.cmdline())
    guard.kill()
    wait_until(lambda: is_gone(worker), "the unguarded worker is gone")
    assert run.pid_of("worker", times=2) != worker


def test_a_second_ctrl_c_kills_what_does_not_end(folder: Folder) -> None:
    """Law: a process that ignores SIGTERM cannot hold the terminal against a person who asks twice."""
    folder.write(worker=STUBBORN)
    run = folder.run()
    worker = run.pid_of("worker")
    run.process.send_signal(signal.SIGINT)
    run.wait_said("Stopping")
    assert not is_gone(worker)
    run.process.send_signal(signal.SIGINT)
    assert run.end() == 0
    assert is_gone(worker)


def test_what_does_not_end_is_killed_after_its_time(tmp_path: Path) -> None:
    """Law: a process that ignores SIGTERM is killed with all of its group when its grace is over."""
    (tmp_path / "stubborn.py").write_text(dedent(STUBBORN))
    said: list[str] = []
    child = KeptChild(
        "worker",
        f"{sys.executable} stubborn.py & {sys.executable} stubborn.py; true",
        cwd=tmp_path,
        overlay={},
        grace_seconds=0.2,
        say=lambda name, line: said.append(line.decode()),
    )
    child.start()
    wait_until(lambda: len(said) == 2, "both are up")
    child.stop()
    assert child.wait(DEADLINE_SECONDS)
    wait_until(lambda: all(is_gone(int(line.split()[1])) for line in said), "both are gone")


def test_a_second_run_is_told_about_the_first(folder: Folder) -> None:
    """Law: a second `make run` on the same data changes nothing and says since when and where the first runs."""
    folder.write(web=STEADY)
    first = folder.run()
    web = first.pid_of("web")
    second = folder.run(port=free_port())
    assert second.end() == 1
    told = "".join(second.lines)
    assert "Already running since" in told
    assert f"UTC, at http://127.0.0.1:{folder.port} (pid {first.process.pid})" in told
    assert not is_gone(web)
    first.process.kill()
    wait_until(lambda: is_gone(web), "the first is gone")
    assert folder.run().pid_of("web") != web


def test_a_taken_port_is_said_before_anything_starts(folder: Folder) -> None:
    """Law: a port that another program holds is named with the cure, and nothing is started."""
    folder.write(web=STEADY)
    with socket.create_server(("127.0.0.1", folder.port)):
        run = folder.run()
        assert run.end() == 1
    told = "".join(run.lines)
    assert f"Port {folder.port} is taken by another program" in told
    assert "PORT=" in told
    assert not run.said("| up")


def test_a_folder_without_procfile_is_said(folder: Folder) -> None:
    """Law: an incomplete clone gets a sentence, not a traceback."""
    run = folder.run()
    assert run.end() == 1
    assert run.said("Procfile: No such file")
    assert not run.said("Traceback")


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"dyno": "web.1"}, "DATABASE_URL"),
        ({"database_url": "nonsense"}, "DATABASE_URL"),
        ({"database_url": "postgresql://icc@db.example/icc"}, "ICC_SECRET_KEY"),
    ],
)
def test_what_nobody_could_live_without_is_said_once(values: dict[str, str], named: str) -> None:
    """Issue 2: with an unlivable setting nothing is started again and again; one sentence names the variable."""
    with pytest.raises(CannotRunError, match=named):
        refuse_unlivable_settings(values)


def test_settings_have_defaults_and_refuse_a_wrong_port(tmp_path: Path) -> None:
    """Law: loopback, 8501 and .data unless told otherwise; a PORT that is no port is refused with words."""
    settings = LaunchSettings.from_environment({}, tmp_path)
    assert (settings.url, settings.data_dir) == ("http://127.0.0.1:8501", tmp_path / ".data")
    told = LaunchSettings.from_environment(
        {"port": "80", "icc_bind_address": "0.0.0.0", "icc_data_dir": "/d"}, tmp_path
    )
    assert (told.url, told.data_dir) == ("http://127.0.0.1:80", Path("/d"))
    with pytest.raises(CannotRunError, match="PORT"):
        LaunchSettings.from_environment({"port": "http"}, tmp_path)
