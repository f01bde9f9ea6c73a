"""How the commands that pages and the terminal tell of are called on this machine."""

from __future__ import annotations

import sys
from pathlib import Path


def _python() -> str:
    """As it is typed here: ``make run`` installs into a folder that no PATH names."""
    program = Path(sys.executable)
    if sys.prefix != sys.base_prefix and program.is_relative_to(Path.cwd()):
        return str(program.relative_to(Path.cwd()))
    return "python"


ACCOUNTS = f"{_python()} -m common.accounts"
