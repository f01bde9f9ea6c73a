"""One user of an embedded Postgres, as a process of its own: joins, says so, and leaves when its stdin says or ends.

Run by the tests: `python embedded_user.py DATA_DIR ROOT_BASE [ACCOUNT]`. With ACCOUNT (root only) it first becomes that
user; the binaries are copied before, since the interpreter's own folder may be closed to that user.
"""

import json
import os
import pwd
import sys
from pathlib import Path

from common.store.embedded import EmbeddedPostgresError, binaries, join, status


def _become(account: str, root_base: Path) -> None:
    copied = binaries.copy_for_others(root_base / "bin")
    binaries.find = lambda: copied
    entry = pwd.getpwnam(account)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def _say(**fields: object) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Exit code 0, or 1 with the cause and remedy as one JSON line."""
    data_dir, root_base, *account = sys.argv[1:]
    if account:
        _become(account[0], Path(root_base))
    said: list[str] = []
    try:
        with join(Path(data_dir), on_progress=said.append, root_base=Path(root_base)) as postgres:
            found = status(Path(data_dir), root_base=Path(root_base))
            _say(url=postgres.url, pid=found.pid, said=said)
            sys.stdin.readline()
        _say(left=True)
    except EmbeddedPostgresError as error:
        _say(cause=error.cause, remedy=error.remedy)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
