"""Whether a database's address can work at all. One that cannot would be tried for ever, as if the database were away.

libpq looks at most options only when it connects, and then repeats what it does not take.
"""

from __future__ import annotations

import psycopg
from psycopg import conninfo

_CHOICES = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "sslnegotiation": ("postgres", "direct"),
    "channel_binding": ("disable", "prefer", "require"),
    "gssencmode": ("disable", "prefer", "require"),
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
    "load_balance_hosts": ("disable", "random"),
}
_MOST_PORT = 65_535


def can_work(url: str) -> bool:
    """Whether libpq takes this address: its options are known, and have values that they can have."""
    try:
        options = conninfo.conninfo_to_dict(url)
    except (psycopg.ProgrammingError, ValueError):  # ValueError: what its %xx stand for is no UTF-8
        return False
    chosen = all(str(options.get(name) or known[0]) in known for name, known in _CHOICES.items())
    return chosen and all(map(_is_port, str(options.get("port") or "").split(",")))


def _is_port(text: str) -> bool:
    return not text or (text.isascii() and text.isdigit() and 0 < int(text) <= _MOST_PORT)
