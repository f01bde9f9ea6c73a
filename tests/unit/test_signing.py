"""The seal on a command: whoever writes a row by SQL cannot make the daemon act."""

from __future__ import annotations

import json
import os
import stat
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.config import SharedSettings
from common.errors import SettingsError
from common.signing import KEY_FILE, canonical, is_sealed, seal, sealed_text, secret_key, unsealed_text

KEY = b"a-key-for-tests-only"
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def sealed_command(**changes: Any) -> dict[str, Any]:
    """A row of control.commands as the gate writes it."""
    command: dict[str, Any] = {
        "id": uuid.UUID(int=7),
        "integration": "doorloop",
        "account_key": "main",
        "action": "run",
        "payload": {"mode": "delta", "entities": ["owners"]},
        "actor": "ann",
        "audit_id": 12,
        "expires_at": datetime(2026, 11, 1, 12, 0, 0, 123456, tzinfo=UTC),
    }
    signed = {name: value for name, value in command.items() if name != "id"}
    command["seal"] = seal(KEY, command_id=str(command["id"]), **signed)
    return {**command, **changes}


def test_a_command_of_the_gate_is_recognised() -> None:
    """What was sealed and not touched is accepted, whatever zone the driver tells its expiry in."""
    assert is_sealed(KEY, sealed_command())
    elsewhere = timezone(timedelta(hours=-5))
    assert is_sealed(KEY, sealed_command(expires_at=sealed_command()["expires_at"].astimezone(elsewhere)))


@pytest.mark.parametrize(
    "change",
    [
        {"id": uuid.UUID(int=8)},
        {"integration": "other"},
        {"account_key": "second"},
        {"action": "stop"},
        {"payload": {"mode": "backfill", "entities": ["owners"]}},
        {"payload": []},
        {"actor": "bob"},
        {"audit_id": 13},
        {"audit_id": None},
        {"expires_at": datetime(2027, 11, 1, tzinfo=UTC)},
        {"seal": ""},
        {"seal": "0" * 64},
        {"seal": "gefälscht"},
        {"seal": "\udcff"},
    ],
)
def test_any_altered_copied_or_forged_row_is_refused(change: dict[str, Any]) -> None:
    """Everything that decides what the daemon does, and until when, is under the seal; no forgery raises."""
    assert not is_sealed(KEY, sealed_command(**change))


def test_another_key_does_not_open_it() -> None:
    """Web and worker must share their key."""
    assert not is_sealed(b"another", sealed_command())


@given(st.dictionaries(st.text(max_size=5), json_values, max_size=4))
def test_the_canonical_spelling_survives_jsonb(payload: dict[str, Any]) -> None:
    """jsonb keeps the meaning, not the spelling: order and spaces do not matter to the seal."""
    shuffled = dict(reversed(list(json.loads(json.dumps(payload)).items())))
    assert canonical(shuffled) == canonical(payload)


@given(st.text(max_size=6), st.text(max_size=6))
def test_fields_cannot_be_moved_into_each_other(one: str, other: str) -> None:
    """ "ab" + "c" is not "a" + "bc": each field has its own place under the seal."""
    expires_at = datetime(2026, 11, 1, tzinfo=UTC)

    def sealed(integration: str, account_key: str) -> str:
        return seal(
            KEY,
            command_id="i",
            integration=integration,
            account_key=account_key,
            action="run",
            payload={},
            actor="a",
            audit_id=1,
            expires_at=expires_at,
        )

    assert (sealed(one, other) == sealed(one + other, "")) == (other == "")


def test_the_key_file_is_made_once_and_only_for_its_owner(tmp_path: Path) -> None:
    """Web and worker start together: both get the same key, in a file nobody else may read."""
    settings = SharedSettings(icc_data_dir=tmp_path / "data")
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: secret_key(settings), range(16)))
    assert len(keys) == 1
    path = tmp_path / "data" / KEY_FILE
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == [KEY_FILE]


def test_the_setting_wins_over_the_file(tmp_path: Path) -> None:
    """ICC_SECRET_KEY: no file is made."""
    settings = SharedSettings(icc_data_dir=tmp_path / "data", icc_secret_key="0123456789abcdef")
    assert secret_key(settings) == b"0123456789abcdef"
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("content", ["", "  \n", "short"])
def test_a_cut_key_file_is_refused(tmp_path: Path, content: str) -> None:
    """An empty key would seal anything: the process stops and says what to do."""
    (tmp_path / KEY_FILE).write_text(content)
    with pytest.raises(SettingsError) as caught:
        secret_key(SharedSettings(icc_data_dir=tmp_path))
    assert caught.value.facts["setting"] == "ICC_DATA_DIR"


def test_a_folder_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    """A file stands where the folder should be: the sentence names the setting."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError) as caught:
        secret_key(SharedSettings(icc_data_dir=tmp_path / "file"))
    assert "ICC_DATA_DIR" in caught.value.cause


@given(text=st.text(st.characters(codec="utf-8"), max_size=40))
def test_a_text_comes_back_as_it_was(text: str) -> None:
    """What the browser keeps for us is read again letter by letter."""
    assert unsealed_text(KEY, "door", sealed_text(KEY, "door", text)) == text


@given(text=st.text(max_size=20), purpose=st.sampled_from(["door", "other"]))
def test_a_text_of_somebody_else_is_none(text: str, purpose: str) -> None:
    """Forged, cut, of another key, or sealed for another purpose: nothing comes of it, and nothing breaks."""
    sealed = sealed_text(KEY, "other", "hello")
    assert unsealed_text(KEY, "door", text) is None
    assert unsealed_text(KEY, "door", sealed) is None
    assert unsealed_text(b"another-key", "other", sealed) is None
    assert unsealed_text(KEY, purpose, sealed[:-1]) is None
    assert unsealed_text(KEY, "other", "x" + sealed) is None
