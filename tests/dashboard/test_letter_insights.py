"""What screens may ask about dead letters, alike errors, schema samples and dry runs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from common.catalog import DOORLOOP
from common.insights import findings, letters, overview
from common.insights.letters import LetterFilter
from common.store.database import Database
from common.store.live_rows import LiveRowCounter
from daemon.integrations.doorloop.entities import ENTITIES
from tests.dashboard import letter_seed, seed

KEY = "doorloop"


def test_the_list_pages_and_filters(database: Database) -> None:
    """`GET sync/dlq?entity=`: newest first, limited, paged on by id, each filter by itself and together."""
    ids = letter_seed.letters(database, 6)
    other = letter_seed.letters(database, 2, entity="owners", fingerprint="x", code="RECORD_REFUSED")
    done = letter_seed.letters(database, 1, entity="leases", fingerprint="gone", state="queued")
    first = letters.letters(database, KEY, limit=5)
    assert [row.id for row in first] == [*reversed(other), *reversed(ids[3:])]
    assert [row.id for row in letters.letters(database, KEY, before=first[-1].id)] == list(reversed(ids[:3]))
    for which, wanted in (
        (LetterFilter(entity="owners"), other),
        (LetterFilter(code="RECORD_REFUSED"), other),
        (LetterFilter(fingerprint="rent"), ids),
        (LetterFilter(ids=(ids[0], other[0])), [ids[0], other[0]]),
        (LetterFilter(state="queued"), done),
        (LetterFilter(entity="owners", fingerprint="rent"), []),
    ):
        assert sorted(row.id for row in letters.letters(database, KEY, which=which)) == sorted(wanted)
        found = letters.count(database, KEY, which=which)
        assert (found.number, found.last_id) == (len(wanted), max(wanted, default=None))
    assert len(letters.letters(database, KEY, limit=10**9)) == 8
    assert letters.letters(database, KEY, "another") == ()


def test_groups_have_one_cause(database: Database) -> None:
    """Grouped by entity and fingerprint with count, first and last seen and a sample of the reason."""
    ids = letter_seed.letters(database, 5)
    letter_seed.letters(database, 2, entity="owners", code="RECORD_WITHOUT_ID", reason="No id.", fingerprint="id")
    first, second = letters.groups(database, KEY)
    assert (first.entity, first.number, first.last_id, first.reason) == ("units", 5, ids[-1], letter_seed.RENT)
    assert (second.code, second.number, second.reason) == ("RECORD_WITHOUT_ID", 2, "No id.")
    assert first.first_seen_at < first.last_seen_at
    assert len(letters.groups(database, KEY, limit=1)) == 1


def test_a_payload_shows_a_viewer_nothing_personal(database: Database) -> None:
    """Issue 4: viewers read payloads with personal fields masked; an admin reads the record as it came."""
    (letter_id,) = letter_seed.letters(database, 1)
    masked = letters.letter(database, letter_id)
    whole = letters.letter(database, letter_id, whole=True)
    assert masked is not None
    assert whole is not None
    assert json.loads(whole.payload) == letter_seed.PAYLOAD
    assert json.loads(masked.payload) == letter_seed.PAYLOAD | {"name": "••• (text)"}
    assert (masked.is_whole, whole.is_whole) == (False, True)
    assert letters.letter(database, letter_id + 1) is None


@pytest.mark.parametrize(
    "value", ["Jane Doe, +1 555 0101", "078-05-1120", "+15550101", "ana@firm.example", ["ok", "1 Main St"]]
)
def test_a_plain_key_with_a_personal_value_is_hidden(value: Any) -> None:
    """What is put aside may stand there because a key holds what nobody expects under it."""
    shown = json.loads(letters.masked(json.dumps({"active": value, "beds": 3}), DOORLOOP.plain_keys))
    assert (shown["active"][:3], shown["beds"]) == ("•••", 3)


@pytest.mark.parametrize(
    "value", ["ACTIVE", "LeaseFixed", "America/New_York", "2026-11-01T00:00:00.000Z", ["a" * 24], "", None, 1200.5]
)
def test_a_plain_key_with_a_plain_value_is_shown(value: Any) -> None:
    """Without them nobody could tell which record it is."""
    assert json.loads(letters.masked(json.dumps({"status": value}), DOORLOOP.plain_keys)) == {"status": value}


@pytest.mark.parametrize(
    "payload",
    ['"Anna Bell, 123 Main St"', "[1, 2]", "not JSON: Anna", '{"status": {"ssn": "Anna"}}', '{"Anna": "Anna"}'[:-1]],
)
def test_what_is_no_plain_record_is_hidden_whole(payload: str) -> None:
    """Law 10's spirit: nothing of a text, a list or an object that nobody thought of reaches a viewer."""
    assert "Anna" not in letters.masked(payload, DOORLOOP.plain_keys)
    letters.masked(payload.replace("{", '{"\\udfff": 1, ', 1), DOORLOOP.plain_keys).encode()


def test_no_plain_key_feeds_a_sensitive_column() -> None:
    """The catalogue's plain keys and the connector's sensitive columns agree, for every entity."""
    for entity in ENTITIES.values():
        sensitive = {source.split(".")[0] for column in entity.columns if column.sensitive for source in column.sources}
        assert sensitive & DOORLOOP.plain_keys == set(), entity.name


def test_an_action_has_its_progress_and_its_verdict(database: Database) -> None:
    """Issue 3: cancellable while unfinished, ending with a verdict; the latest first."""
    ids = letter_seed.letters(database, 4)
    older = letter_seed.action(database, ids, "done", verdict="2 of 4 recovered, 2 the same error")
    with database.transaction() as link:
        link.execute("UPDATE control.bulk_actions SET created_at = created_at - interval '1 hour'")
    newer = letter_seed.action(database, ids, "running")
    first, second = letters.bulk_actions(database, KEY)
    assert (first.id, first.is_unfinished, first.done, first.counted) == (newer, True, 2, 4)
    assert dict(first.outcomes) == {"recovered": 2}
    assert (second.id, second.is_unfinished, second.verdict) == (older, False, "2 of 4 recovered, 2 the same error")
    assert letters.bulk_actions(database, KEY, bulk_id=older) == (second,)
    assert letters.bulk_actions(database, KEY, before=first.created_at) == (second,)


def test_errors_schema_and_dry_runs_are_read(database: Database) -> None:
    """Issue 3: error groups with their runs; the schema diff with examples; the delta report."""
    run_id = seed.run(database)
    letter_seed.errors(database, run_id)
    letter_seed.schema(database)
    letter_seed.dry_run(database, run_id)
    groups = findings.error_groups(database, KEY)
    assert {(group.code, group.count, group.run_ids) for group in groups} == {
        ("VENDOR_ERROR", 1204, (run_id,)),
        ("KEY_REFUSED", 5, (run_id,)),
    }
    assert all(group.remedy for group in groups)
    (diff,) = findings.schema_diffs(database, KEY)
    assert (diff.entity, diff.sampled, diff.differences) == ("units", 100, 4)
    assert diff.unmapped["score"] == {"number": ("12", "13")}
    assert diff.drift == {"market_rent": {"text": ("'1200'",)}}
    (delta,) = findings.dry_run(database, run_id)
    assert (delta.insert, delta.update, delta.unchanged, delta.removed, delta.dead) == (3, 17, 9622, 2, 1)
    assert delta.samples[0].fields["marketRent"] == ("1200", "1250")


def test_a_schema_sample_of_an_earlier_version_is_read(database: Database) -> None:
    """Before this version a sample named only the types of unmapped keys."""
    with database.transaction() as link:
        link.execute(
            "INSERT INTO control.schema_diffs (integration, entity, sampled, diff) VALUES ('doorloop', 'units', 3, "
            """'{"unmapped": {"pet": ["number", "text"]}, "never_seen": [], "drift": {}}')"""
        )
    (diff,) = findings.schema_diffs(database, KEY)
    assert diff.unmapped == {"pet": {"number": (), "text": ()}}


def test_letters_that_were_closed_since_are_no_news(database: Database) -> None:
    """A requeue or discard takes the reason away, and with it the chip's "new dead letters"."""
    seed.good_day(database)
    with database.transaction() as link:
        link.execute("UPDATE control.run_entities SET dead_new = 2 WHERE entity = 'units'")
    ids = letter_seed.letters(database, 2)
    account = overview.overview(database, LiveRowCounter()).accounts[0]
    assert "2 new dead letters" in " ".join((account.verdict.title, *account.verdict.details))
    with database.transaction() as link:
        link.execute(
            "UPDATE control.dead_letters SET state = 'recovered', finished_at = now() WHERE id = ANY (%s)", [ids]
        )
    account = overview.overview(database, LiveRowCounter()).accounts[0]
    assert "dead letter" not in " ".join((account.verdict.title, *account.verdict.details))
