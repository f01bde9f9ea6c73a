"""The embedded Postgres keeper, on real servers, real kills and real files."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from common.store.embedded import Embedded, EmbeddedPostgresError, binaries, cluster, delete, join, status, stop_now
from common.store.embedded.errors import from_postgres_words
from common.store.embedded.locks import Gate
from common.store.embedded.place import locate, socket_folder

ROOT = Path(__file__).parents[2]
USER = Path(__file__).with_name("embedded_user.py")
AS_ROOT = os.geteuid() == 0
root_only = pytest.mark.skipif(not AS_ROOT, reason="needs root: it is about what root must do differently")
DEADLINE_SECONDS = 20.0


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Look again and again until it is so; fail with its name after the deadline."""
    end = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < end, f"waited {DEADLINE_SECONDS} s in vain until {what}"
        time.sleep(0.02)


class Case:
    """A data folder and what a test does to it; cleans up servers, also those left running on purpose."""

    def __init__(self, folder: Path, root_base: Path) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.root_base = root_base
        self.said: list[str] = []
        self.users: list[subprocess.Popen[str]] = []

    def join(self, **changes: Any) -> Embedded:
        return join(self.data_dir, root_base=self.root_base, on_progress=self.said.append, **changes)

    def pid(self) -> int:
        pid = status(self.data_dir, root_base=self.root_base).pid
        assert pid is not None
        return pid

    def is_running(self) -> bool:
        return status(self.data_dir, root_base=self.root_base).pid is not None

    @property
    def pgdata(self) -> Path:
        return locate(self.data_dir, root_base=self.root_base).data

    def start_user(self, *account: str, **environment: str) -> subprocess.Popen[str]:
        """A process that joins; `hear` reads what it says."""
        user = subprocess.Popen(
            [sys.executable, str(USER), str(self.data_dir), str(self.root_base), *account],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        )
        self.users.append(user)
        return user

    def end(self) -> None:
        self.end_users()
        delete(self.data_dir, root_base=self.root_base)

    def end_users(self) -> None:
        for user in self.users:
            user.kill()
            user.communicate()
        self.users.clear()


def hear(user: subprocess.Popen[str]) -> dict[str, Any]:
    """The next thing the user says."""
    assert user.stdout is not None
    line = user.stdout.readline()
    assert line, f"the user died with {user.wait()}"
    heard = json.loads(line)
    assert isinstance(heard, dict)
    return heard


def tell_to_leave(user: subprocess.Popen[str]) -> None:
    """Let it leave in an orderly way and end."""
    out, _ = user.communicate("leave\n", timeout=DEADLINE_SECONDS)
    assert json.loads(out) == {"left": True}


@pytest.fixture(scope="session")
def root_base() -> Iterator[Path]:
    """A stand-in for /var/lib/icc that the service user may enter (pytest's own folders are closed to it)."""
    folder = Path(tempfile.mkdtemp(prefix="icc-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def fresh(tmp_path: Path, root_base: Path) -> Iterator[Case]:
    """Nothing exists yet."""
    made = Case(tmp_path, root_base)
    yield made
    made.end()


@pytest.fixture(scope="session")
def made_once(root_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    """The database of many tests: making one for each would take most of their time."""
    made = Case(tmp_path_factory.mktemp("made-once"), root_base)
    made.join().leave()
    yield made
    made.end()


@pytest.fixture
def case(made_once: Case) -> Iterator[Case]:
    """The database exists and is stopped, before and after."""
    yield made_once
    made_once.end_users()
    assert not made_once.is_running(), "a test for `case` ends with the server stopped"


def keep_a_row(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("DROP TABLE IF EXISTS kept")
        connection.execute("CREATE TABLE kept (word text)")
        connection.execute("INSERT INTO kept VALUES ('here')")


def the_row_is_kept(url: str) -> bool:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT word FROM kept").fetchall() == [("here",)]


@contextmanager
def foreign_process(uid: int) -> Iterator[int]:
    """A living process of the user that Postgres runs as, which is not Postgres."""
    options: dict[str, Any] = {"user": uid} if AS_ROOT else {}
    with subprocess.Popen(["sleep", "600"], **options) as sleeper:
        yield sleeper.pid
        sleeper.kill()


# --- what it is -----------------------------------------------------------------------------------------------------


def test_the_server_is_private_durable_and_in_utc(case: Case) -> None:
    """Law: no TCP, a closed socket folder, UTC, UTF-8, checksums, fsync, and a role that is no superuser."""
    with case.join() as postgres, psycopg.connect(postgres.url) as connection:
        names = "listen_addresses TimeZone server_encoding data_checksums fsync autovacuum max_connections"
        shown = [connection.execute(f"SHOW {name}").fetchone() for name in names.split()]
        who = "SELECT current_user, current_database(), rolsuper FROM pg_roles WHERE rolname = current_user"
        answer = connection.execute(who).fetchone()
        socket = Path(connection.info.host)
        assert psutil.Process(case.pid()).net_connections("tcp") == []
    assert [row[0] for row in shown if row] == ["", "UTC", "UTF8", "on", "on", "on", "60"]
    assert answer == ("icc", "icc", False)
    assert len(str(socket)) < 60
    assert not socket.exists(), "the socket folder goes when the server stops"


def test_nothing_of_ours_leaks_into_the_server(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Law: the server has a session of its own, no descriptor but its own lock, and none of our secrets."""
    monkeypatch.setenv("CANARY", "sk-canary-1234")
    with case.join(), (case.folder / "open").open("w") as ours:
        os.set_inheritable(ours.fileno(), True)
        stop_now(case.data_dir, root_base=case.root_base)
        with case.join():
            pid = case.pid()
            held = {os.path.basename(os.readlink(link)) for link in Path(f"/proc/{pid}/fd").iterdir()}
            assert os.getsid(pid) != os.getsid(0)
            assert "server.lock" in held
            assert not held & {"open", "users.lock", "gate.lock"}
            assert b"canary" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_a_deep_data_folder_works(fresh: Case) -> None:
    """Law: the length of the data folder's path does not matter (a socket path holds 107 bytes)."""
    fresh.data_dir = fresh.folder.joinpath(*["a rather long folder's $name"] * 6) / "data"
    with fresh.join() as postgres:
        keep_a_row(postgres.url)
        assert the_row_is_kept(postgres.url)


def test_a_socket_folder_taken_by_somebody_is_not_used(case: Case) -> None:
    """Law: a folder that others prepared under our name in /tmp is never entered."""
    place = locate(case.data_dir, root_base=case.root_base)
    taken = socket_folder(place)
    taken.chmod(0o777)
    try:
        with case.join() as postgres, psycopg.connect(postgres.url) as connection:
            assert connection.info.host == f"{taken}-1"
    finally:
        taken.rmdir()


# --- who uses it ----------------------------------------------------------------------------------------------------


def test_the_last_to_leave_stops_it(case: Case) -> None:
    """Law: it runs while anybody uses it, and stops with the last."""
    first, second = case.join(), case.join()
    assert first.url == second.url
    first.leave()
    first.leave()
    assert case.is_running()
    second.leave()
    assert not case.is_running()


def test_a_killed_user_does_not_keep_it_running(case: Case) -> None:
    """Law: a user that was killed -9 counts no more; the last living one stops the server."""
    killed = case.start_user()
    hear(killed)
    with case.join():
        killed.kill()
        killed.wait()
        assert case.is_running()
    assert not case.is_running()


def test_it_outlives_its_users_and_is_used_again(case: Case) -> None:
    """Law: when every user was killed -9, starter included, the next one simply goes on with the running server."""
    killed = case.start_user()
    before = hear(killed)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    with case.join():
        assert case.pid() == before["pid"]
    assert not case.is_running()


def test_many_starters_at_once_make_one_server(fresh: Case) -> None:
    """Law: a first start by several processes at the same moment makes one database and one server."""
    users = [fresh.start_user() for _ in range(4)]
    heard = [hear(user) for user in users]
    assert len({one["pid"] for one in heard}) == 1
    assert sum("first start" in word for one in heard for word in one["said"]) == 1
    for user in users[1:]:
        tell_to_leave(user)
    assert fresh.is_running()
    tell_to_leave(users[0])
    assert not fresh.is_running()


def test_who_waits_for_a_hanging_starter_learns_who_it_is(case: Case) -> None:
    """Law: waiting ends with words, naming the process that holds the gate."""
    case.join().leave()
    place = locate(case.data_dir, root_base=case.root_base)
    gate = Gate(place.home / "gate.lock", None, doing="hanging", patience_seconds=1.0, on_progress=case.said.append)
    with gate, pytest.raises(EmbeddedPostgresError, match=f"pid {os.getpid()}, hanging") as refused:
        case.join(patience_seconds=0.1)
    assert "end it if it hangs" in refused.value.remedy


# --- what survives --------------------------------------------------------------------------------------------------


def test_a_killed_server_comes_back_with_its_data(case: Case) -> None:
    """Law: kill -9 of the postmaster and of every user loses no committed row; the address stays the same."""
    with case.join() as postgres:
        keep_a_row(postgres.url)
        os.kill(case.pid(), signal.SIGKILL)
        wait_until(lambda: not case.is_running(), "the postmaster is gone")
        postgres.revive()
        assert the_row_is_kept(postgres.url)
        os.kill(case.pid(), signal.SIGKILL)
    with case.join() as again:
        assert again.url == postgres.url
        assert the_row_is_kept(again.url)


def test_a_stale_pid_file_does_not_matter(case: Case) -> None:
    """Law: a postmaster.pid that names a dead process, a foreign one, or nothing readable does not stop the start."""
    with case.join() as postgres:
        keep_a_row(postgres.url)
        true_lines = (case.pgdata / "postmaster.pid").read_text()
    owner = case.pgdata.stat().st_uid
    with subprocess.Popen(["true"]) as dead:
        dead.wait()
    with foreign_process(owner) as foreign:
        for first_line in (str(dead.pid), str(foreign), str(os.getpid()), ""):
            stale = case.pgdata / "postmaster.pid"
            stale.write_text(true_lines.replace(true_lines.splitlines()[0], first_line, 1) if first_line else "")
            os.chown(stale, owner, -1)
            with case.join() as again:
                assert the_row_is_kept(again.url)
        assert psutil.pid_exists(foreign), "the foreign process is left in peace"


def test_a_server_started_by_hand_is_used_and_not_doubled(case: Case) -> None:
    """Law: the pid file of a really running postmaster is respected, also when it was not started by us."""
    case.join().leave()
    place = locate(case.data_dir, root_base=case.root_base)
    folder = socket_folder(place)
    installed = binaries.copy_for_others(place.binaries_base) if place.binaries_base else binaries.find()
    command = [str(installed.postgres), "-D", str(place.data), "-c", f"unix_socket_directories={folder}"]
    with subprocess.Popen([*command, "-c", "listen_addresses="], **cluster.identity(place)) as by_hand:
        wait_until(case.is_running, "the server started by hand is there")
        with case.join():
            assert case.pid() == by_hand.pid
        by_hand.wait(DEADLINE_SECONDS)


def test_a_server_whose_data_was_deleted_is_ended(fresh: Case) -> None:
    """Law: after `rm -rf` of the data under a running server the next start makes a new one and no ghost answers."""
    killed = fresh.start_user()
    ghost = hear(killed)["pid"]
    killed.kill()
    killed.wait()
    shutil.rmtree(fresh.pgdata.parent)
    with fresh.join():
        assert fresh.pid() != ghost
        wait_until(lambda: not psutil.pid_exists(ghost), "the old server is gone")


def test_a_lost_socket_is_mended(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Law: a server that runs but cannot be reached (its socket was swept from /tmp) is started again."""
    with case.join() as postgres:
        keep_a_row(postgres.url)
        first = case.pid()
        monkeypatch.setattr("common.store.embedded.server._DEAF_AFTER_SECONDS", 0.2)
        for swept in socket_folder(locate(case.data_dir, root_base=case.root_base)).iterdir():
            swept.unlink()
        with case.join() as again:
            assert case.pid() != first
            assert the_row_is_kept(again.url)


# --- what it refuses ------------------------------------------------------------------------------------------------


def test_it_refuses_where_disks_are_wiped(fresh: Case) -> None:
    """Law: with DYNO set nothing is made, and the words name DATABASE_URL."""
    with pytest.raises(EmbeddedPostgresError, match="wipes its disk") as refused:
        fresh.join(disk_is_wiped=True)
    assert "DATABASE_URL" in refused.value.remedy
    assert not fresh.data_dir.exists()


def test_it_refuses_data_of_another_version(case: Case) -> None:
    """Law: data of another Postgres version is left untouched, and both versions are named."""
    case.join().leave()
    version = case.pgdata / "PG_VERSION"
    true_version = version.read_text()
    version.write_text("15\n")
    try:
        with pytest.raises(EmbeddedPostgresError, match=r"Postgres 15.*Postgres 18") as refused:
            case.join()
        assert "pg_dump" in refused.value.remedy
        assert version.read_text() == "15\n"
    finally:
        version.write_text(true_version)


def test_it_refuses_a_folder_that_is_not_postgres(fresh: Case) -> None:
    """Law: a folder with other content is not taken over."""
    fresh.pgdata.mkdir(parents=True)
    with pytest.raises(EmbeddedPostgresError, match="not a Postgres data folder"):
        fresh.join()


def test_a_data_folder_that_cannot_be_made_has_cause_and_remedy(fresh: Case) -> None:
    """Law: an unusable ICC_DATA_DIR is said with the path and what to do."""
    fresh.folder.joinpath("file").write_text("in the way")
    fresh.data_dir = fresh.folder / "file" / "data"
    with pytest.raises(EmbeddedPostgresError, match="file") as refused:
        fresh.join()
    assert "ICC_DATA_DIR" in refused.value.remedy
    fresh.data_dir = fresh.folder / "data"


def test_a_full_disk_is_said_before_anything_is_made(fresh: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Law: too little room is refused with the number of megabytes, and leaves no half database."""
    monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 5 * 2**20))
    with pytest.raises(EmbeddedPostgresError, match="only 5 MB"):
        fresh.join()
    monkeypatch.undo()
    with fresh.join() as postgres:
        keep_a_row(postgres.url)


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ('FATAL:  could not write lock file "postmaster.pid": No space left on device', "full"),
        ("FATAL:  database files are incompatible with server", "another Postgres version"),
        ("PANIC:  could not locate a valid checkpoint record at 0/1", "damaged"),
        ("postgres: error while loading shared libraries: libz.so.1: cannot open shared object file", "library"),
        ('FATAL:  data directory "/d" has wrong ownership', "may not use"),
        ("something nobody has seen before", "something nobody has seen before"),
    ],
)
def test_what_postgres_says_becomes_cause_and_remedy(words: str, cause: str) -> None:
    """Law: each way in which Postgres gives up is one sentence of cause and one of remedy."""
    error = from_postgres_words(words, Path("/d"), "starting")
    assert cause in error.cause
    assert error.remedy


# --- root -----------------------------------------------------------------------------------------------------------


@root_only
def test_root_with_a_closed_home_starts(fresh: Case, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Law: root with everything, the packages included, under a home of mode 0700 starts, and no mode is changed."""
    home = tmp_path_factory.mktemp("home", numbered=True)
    home.chmod(0o700)
    package = binaries.find().bin.parents[1]
    site = home / "clone" / "site-packages"
    (site / package.name).mkdir(parents=True)
    (site / package.name / "__init__.py").touch()
    shutil.copytree(package / "pginstall18", site / package.name / "pginstall18", symlinks=True)
    shutil.copytree(package.parent / f"{package.name}.libs", site / f"{package.name}.libs")
    fresh.data_dir = home / "clone" / ".data"
    fresh.root_base = fresh.root_base / "closed"
    parents = [home, *home.parents]
    modes = [folder.stat().st_mode for folder in parents]
    user = fresh.start_user(PYTHONPATH=f"{site}:{ROOT}")
    heard = hear(user)
    assert "url" in heard, heard
    assert psutil.Process(heard["pid"]).uids().real != 0
    assert Path(psutil.Process(heard["pid"]).cmdline()[0]).is_relative_to(fresh.root_base)
    tell_to_leave(user)
    assert [folder.stat().st_mode for folder in parents] == modes


@root_only
def test_an_ordinary_users_database_is_the_same_for_root(fresh: Case) -> None:
    """Law: `sudo make run` goes on with the database the ordinary user made, and the user can go on after it."""
    os.chmod(fresh.root_base, 0o755)
    fresh.data_dir = fresh.root_base / "home" / "data"
    fresh.data_dir.mkdir(parents=True)
    shutil.chown(fresh.data_dir, "nobody")
    as_user = fresh.start_user("nobody")
    heard = hear(as_user)
    assert "url" in heard, heard
    assert Path(psutil.Process(heard["pid"]).cwd()).is_relative_to(fresh.data_dir)
    with fresh.join() as for_root:
        assert for_root.url == heard["url"]
        keep_a_row(for_root.url)
    tell_to_leave(as_user)
    assert not fresh.is_running()
    with fresh.join() as for_root:
        assert the_row_is_kept(for_root.url)
    again = fresh.start_user("nobody")
    assert "url" in hear(again)


@root_only
def test_a_moved_clone_keeps_its_database_and_a_copied_one_gets_its_own(fresh: Case) -> None:
    """Law: moving the data folder of root does not lose the data that lies elsewhere; a copy does not share it."""
    with fresh.join() as postgres:
        keep_a_row(postgres.url)
    first = fresh.pgdata
    moved = fresh.folder / "moved"
    fresh.data_dir.rename(moved)
    fresh.data_dir = moved
    assert fresh.pgdata == first
    copied = fresh.folder / "copied"
    shutil.copytree(moved, copied)
    assert locate(copied, root_base=fresh.root_base).data != first
    with fresh.join() as again:
        assert the_row_is_kept(again.url)


# --- the command line -----------------------------------------------------------------------------------------------


def test_the_command_line_opens_psql_and_tells_the_state(fresh: Case) -> None:
    """Law: `psql` starts and stops the server as any user does; `status` says 3 when it does not run, as systemctl."""
    delete_later = [sys.executable, "-m", "common.store.embedded", "--data-dir", str(fresh.data_dir)]
    fresh.root_base = Path("/var/lib/icc")  # the command line knows no other

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*delete_later, *words], capture_output=True, text=True, cwd=ROOT, check=False)

    assert run("status").returncode == 3
    asked = run("psql", "-Atc", "SELECT current_user || ' ' || 6 * 7")
    assert (asked.returncode, asked.stdout) == (0, "icc 42\n"), asked.stderr
    assert run("stop").stdout == "It was not running.\n"
    with fresh.join():
        assert "answers" in run("status").stdout
        assert run("stop").stdout == "Stopped.\n"
