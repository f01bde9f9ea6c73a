"""The seal on a command: an HMAC under a key that is never in the database.

Whoever can write ``control.commands`` by SQL still cannot make the daemon act: an inserted, copied or altered row fails
its seal. With the embedded database the key is made once, in a file only its owner can read.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common.config import SharedSettings
from common.errors import SettingsError

KEY_FILE = "secret.key"
SHORTEST_KEY_BYTES = 16


def secret_key(settings: SharedSettings) -> bytes:
    """The key both processes share: ``ICC_SECRET_KEY``, or with the embedded database the file beside its data.

    Raises ``SettingsError`` when the file can be neither read nor made, or is cut short.
    """
    if settings.icc_secret_key:
        return settings.icc_secret_key.encode()
    path = settings.icc_data_dir / KEY_FILE
    try:
        settings.icc_data_dir.mkdir(parents=True, exist_ok=True)
        key = _read_or_make(path)
    except OSError as error:
        raise SettingsError(
            "SETTING_UNUSABLE",
            setting="ICC_DATA_DIR",
            problem=f"not usable ({error.strerror}: {path})",
            expected="a folder this user may write to",
        ) from error
    if len(key) < SHORTEST_KEY_BYTES:
        raise SettingsError(
            "SETTING_UNUSABLE",
            setting="ICC_DATA_DIR",
            problem=f"holding an empty or cut key ({path})",
            expected=f"a folder with a whole {KEY_FILE}, or delete that file: a new key is made at the next start",
        )
    return key


def _read_or_make(path: Path) -> bytes:
    # Web and worker start together: each writes a file of its own, and the link decides which one is the key.
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    if not path.exists():
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_bytes().strip()


def canonical(payload: Mapping[str, Any]) -> str:
    """The payload in its one spelling (sorted keys, no spaces); jsonb keeps the meaning, not the spelling."""
    return json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def seal(
    key: bytes,
    *,
    command_id: str,
    integration: str,
    account_key: str,
    action: str,
    payload: Mapping[str, Any],
    actor: str,
    audit_id: int,
    expires_at: datetime,
) -> str:
    """The seal over everything that decides what the daemon will do, and until when."""
    parts = [
        command_id,
        integration,
        account_key,
        action,
        canonical(payload),
        actor,
        str(audit_id),
        _moment(expires_at),
    ]
    return hmac.new(key, json.dumps(parts).encode(), hashlib.sha256).hexdigest()


def is_sealed(key: bytes, command: Mapping[str, Any]) -> bool:
    """Whether a row of ``control.commands`` carries the seal that the gate put on it."""
    if command["audit_id"] is None:
        return False
    expected = seal(
        key,
        command_id=str(command["id"]),
        integration=command["integration"],
        account_key=command["account_key"],
        action=command["action"],
        payload=command["payload"],
        actor=command["actor"],
        audit_id=command["audit_id"],
        expires_at=command["expires_at"],
    )
    # As bytes: of a forged seal with an umlaut `compare_digest` would raise, and nobody's command be taken any more.
    return hmac.compare_digest(expected.encode(), str(command["seal"]).encode("utf-8", "replace"))


def sealed_text(key: bytes, purpose: str, text: str) -> str:
    """A text that the browser keeps for us: readable there, but only ours comes back as ours."""
    body = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")  # which would have to be quoted in a cookie
    return f"{body}.{_text_seal(key, purpose, body)}"


def unsealed_text(key: bytes, purpose: str, sealed: str) -> str | None:
    """The text, or None when it was not sealed by us for this purpose."""
    body, _, given = sealed.rpartition(".")
    if not hmac.compare_digest(_text_seal(key, purpose, body).encode(), given.encode("utf-8", "replace")):
        return None
    return base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)).decode()


def _text_seal(key: bytes, purpose: str, body: str) -> str:
    return hmac.new(key, json.dumps([purpose, body]).encode(), hashlib.sha256).hexdigest()


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
