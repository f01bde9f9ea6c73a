"""Law 10: a secret leaves the process on no road."""

from __future__ import annotations

import base64
from pathlib import Path
from urllib.parse import quote

import orjson
import pytest

from common.store.database import Database
from daemon.integrations.doorloop.drill import DrillServer
from tests.children import Yard
from tests.harness import settings_for
from tests.truth import dump, every_table
from tests.waiting import wait_for

KEY = "canary-Key/7f3a+9b2c=e1d0"
WEBHOOK_SIGNATURE = "Canary-sig_5kq0Zb8wT3"
WEBHOOK = f"https://prod-00.westeurope.logic.azure.com/workflows/canaryflow01/triggers?sig={WEBHOOK_SIGNATURE}"
SECRET = "canary-secret-key-0123456789abcdef"


def traces(text: str) -> list[str]:
    """The forms of a planted secret that stand in a text."""
    secrets = (KEY, SECRET, WEBHOOK)
    forms = [form for secret in secrets for form in (secret, quote(secret, safe=""), _base64(secret))]
    return [form for form in (*forms, WEBHOOK_SIGNATURE, "canaryflow01") if form in text]


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode().rstrip("=")[:-1]


def test_planted_secrets_are_found_nowhere(
    database: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law 10: key, webhook and sealing key are in no table, no log and no output, whatever goes wrong."""
    with DrillServer(rows=30, seed=3, key=KEY) as drill:
        values = settings_for(
            drill, database_url, ICC_SECRET_KEY=SECRET, INTEGRATIONS_TEAMS_WEBHOOK=WEBHOOK, ICC_RETRY_ATTEMPTS="2"
        )
        yard = Yard(tmp_path / "yard", values, database)
        try:
            assert yard.once(entities="owners,units").end() == 0
            echoed = f"no: authorization: bearer {KEY} {_base64(KEY)} {quote(KEY, safe='')} {WEBHOOK}"
            echoed += f" {quote(WEBHOOK, safe='')} {_base64(WEBHOOK)}"
            for status, body in ((500, "text"), (401, "object"), (400, "list")):
                drill.set_fault("http_status", status=status, message=echoed, body=body)
                yard.once(entities="owners,units").end()
            drill.clear_faults()
            drill.set_fault("redirect_other_host", location=f"https://elsewhere.example/?key={quote(KEY, safe='')}")
            yard.once().end()
            drill.clear_faults()
            echo_in_a_record(drill, monkeypatch)
            assert yard.once("delta").end() == 3
            yard.once(DATABASE_URL=f"postgresql://u:{quote(KEY, safe='')}@127.0.0.1:1/none").end()
            service = yard.service(ICC_SECRET_KEY=SECRET)
            wait_for(lambda: yard.daemons()[-1]["listening"], "the service serves")
            service.process.terminate()
            service.end()
            for name in every_table(database):
                assert traces("\n".join(dump(database, [name])[name])) == [], name
            for name in ("runs", "events", "dead_letters"):  # it was there, and was hidden
                assert any("•••" in line for line in dump(database, [f"control.{name}"])[f"control.{name}"]), name
            outputs = sorted((tmp_path / "yard").glob("*.*"))
            assert len(outputs) >= 14
            for file in outputs:
                assert traces(file.read_text()) == [], file.name
        finally:
            yard.clear()


def echo_in_a_record(drill: DrillServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bad record that echoes the key, as a vendor's error object might."""
    population = drill.vendor.populations["owners"]
    bad = orjson.dumps({"notes": f"asked with {KEY}"})
    original = population.many_bytes
    monkeypatch.setattr(population, "many_bytes", lambda indexes: [bad, *original(indexes)[1:]])
