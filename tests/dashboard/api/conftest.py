"""A real web process and a real daemon on one database, a drill server as their vendor; callers of every kind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from psycopg.types.json import Jsonb

from common.access import Role
from common.store import api_tokens
from common.store.database import Database
from daemon.integrations.doorloop.drill import DrillServer
from dashboard.api import letter_table, table
from tests.children import Yard
from tests.dashboard import seed
from tests.dashboard.conftest import SECRET_KEY, Web, copied_database, start_web, stop_web
from tests.harness import settings_for
from tests.truth import Record, rows
from tests.unguarded import unguarded
from tests.waiting import wait_for
from tests.workflows import Workflows

API = "/api/admin/"


@dataclass
class House:
    """The running product, and tokens by role."""

    web: Web
    database: Database
    drill: DrillServer
    workflows: Workflows
    yard: Yard
    tokens: dict[Role, str]
    _cookies: dict[str, dict[str, str]] = field(default_factory=dict)

    def caller(self, role: Role = Role.ADMIN) -> httpx.Client:
        """A program with a token."""
        client = httpx.Client(
            base_url=self.web.address + API, headers={"Authorization": f"Bearer {self.tokens[role]}"}, timeout=60
        )
        self.web.clients.append(client)
        return client

    def person(self, name: str, *, fresh: bool = False) -> httpx.Client:
        """A browser that is signed in; ``ana`` is an admin, ``vera`` a viewer, ``nils`` has no role.

        Signing in takes an argon2 hash: they share one session a name, but for ``fresh`` ones.
        """
        if fresh or name not in self._cookies:
            client = self.web.signed_in(name)
            if not fresh:
                self._cookies[name] = dict(client.cookies)
        else:
            client = self.web.client()
            client.cookies.update(self._cookies[name])
        client.base_url = httpx.URL(self.web.address + API)
        return client

    def audit(self) -> list[Record]:
        """The audit log, oldest first, without sign-ins and what the daemon added."""
        found = rows(self.database, "SELECT * FROM control.admin_logs WHERE source <> 'daemon' ORDER BY id")
        return [row for row in found if not row["action"].startswith("sign")]


@pytest.fixture(scope="package")
def api_house(server_url: str, template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One house for all tests here: starting it takes seconds."""
    with (
        copied_database(server_url, template_database) as database,
        DrillServer(rows=40, seed=3) as drill,
        Workflows() as workflows,
    ):
        quick = {"ICC_HEARTBEAT_SECONDS": "1", "ICC_REQUEST_TIMEOUT_SECONDS": "2"}
        values = settings_for(drill, database.url, INTEGRATIONS_TEAMS_WEBHOOK=workflows.webhook, **quick)
        yard = Yard(tmp_path_factory.mktemp("yard"), values, database)
        web = start_web(DATABASE_URL=database.url, ICC_SECRET_KEY=SECRET_KEY, ICC_API_REQUESTS_PER_MINUTE="1000000")
        try:
            yard.service()
            yield House(web, database, drill, workflows, yard, _callers(database))
        finally:
            yard.clear()
            stop_web(web)
    assert "Traceback" not in web.output, web.output


def _callers(database: Database) -> dict[Role, str]:
    for name, role in (("ana", Role.ADMIN), ("vera", Role.VIEWER), ("nils", None)):
        seed.person(database, name, role)
    with database.transaction() as link:
        return {role: api_tokens.add(link, f"{role.value} program", role, days=1, created_by="tests") for role in Role}


ACTIVE = """SELECT 1 FROM control.runs WHERE state IN ('running', 'stopping', 'queued')
            UNION ALL SELECT 1 FROM control.bulk_actions WHERE state IN ('running', 'queued')"""


def wait_until_quiet(house: House) -> None:
    """Until nothing runs, and nothing is forced, lowered, held or paused."""
    with house.database.transaction() as link:
        link.execute(
            "UPDATE control.accounts_synced SET held = false, paused_at = NULL, paused_by = NULL, paused_reason = NULL"
        )
        link.execute("UPDATE control.breakers SET state = 'closed' WHERE state IN ('forced_open', 'forced_closed')")
        link.execute(
            """UPDATE control.budgets
               SET lowered_to = NULL, lowered_until = NULL, lowered_by = NULL, lowered_reason = NULL"""
        )
    wait_for(lambda: not rows(house.database, ACTIVE), "the last run has ended")


def seed_examples(database: Database) -> None:
    """What the documented examples name: a run, a command, a question, an open letter, a bulk action that has ended."""
    run_id, command_id, question_id = table.A_RUN["id"], table.A_COMMAND["id"], table.A_QUESTION["id"]
    letter_id = letter_table.A_LETTER["letter"]
    details = {"entity": "owners", "missing": 30, "here": 100, "sample_ids": ["a1", "a2"]}
    statements: tuple[tuple[str, list[Any]], ...] = (
        (
            """INSERT INTO control.runs (id, integration, mode, entities, state, trigger, requested_by, started_at,
                                         finished_at)
               VALUES (%s, 'doorloop', 'backfill', '{owners}', 'succeeded', 'page', 'ana', now(), now())
               ON CONFLICT DO NOTHING""",
            [run_id],
        ),
        (
            """INSERT INTO control.commands (id, integration, action, actor, expires_at, seal, state, finished_at,
                                             result)
               VALUES (%s, 'doorloop', 'run', 'ana', now(), 'x', 'done', now(), %s) ON CONFLICT DO NOTHING""",
            [command_id, Jsonb({"run_id": run_id})],
        ),
        ("DELETE FROM control.confirmations WHERE id = %s", [question_id]),
        (
            """INSERT INTO control.confirmations (id, integration, kind, entity, details)
               VALUES (%s, 'doorloop', 'mass_removal', 'owners', %s)""",
            [question_id, Jsonb(details)],
        ),
        ("DELETE FROM control.bulk_letters WHERE letter_id = %s", [letter_id]),
        ("DELETE FROM control.dead_letters WHERE id = %s", [letter_id]),
        (
            """INSERT INTO control.dead_letters (id, integration, entity, record_id, payload, payload_hash, code,
                                                 reason, fingerprint, page, run_id)
               OVERRIDING SYSTEM VALUE
               VALUES (%s, 'doorloop', 'owners', 'a1', '{"email": "planted@person.example"}', 'h', 'RECORD_TYPE',
                       'active holds planted@person.example, which is no boolean.', 'f1', 1, %s)""",
            [letter_id, run_id],
        ),
        (
            """INSERT INTO control.bulk_actions (id, integration, action, filter, actor, state, counted, done, verdict,
                                                 finished_at)
               VALUES (%s, 'doorloop', 'requeue', '{}', 'ana', 'done', 1, 1, '1 of 1 recovered', now())
               ON CONFLICT DO NOTHING""",
            [letter_table.A_BULK["id"]],
        ),
    )
    with unguarded(database) as link:
        for statement, params in statements:
            link.execute(statement, params)
