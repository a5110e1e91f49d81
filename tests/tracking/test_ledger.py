"""What the ledger promises on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from datadriver.config.sections import UseCase
from datadriver.errors import ConfigError, UnavailableError
from datadriver.tracking import queries, schema
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.migrations import configuration
from datadriver.tracking.records import Key, Outcome, ReleaseItem, ScoreRecord, VerdictRecord, Version

KEY = Key("15/9-F-1 C", "failure[horizon=1d]")


def version(number: int = 1, **changes: Any) -> Version:
    made = Version(
        unit=KEY.unit,
        model=KEY.model,
        version=number,
        run_id=f"run{number}",
        model_uri=f"models:/x/{number}",
        path=f"artifacts/{number}",
        sha256="0" * 64,
        result_key=f"key{number}",
        role="model",
        method="predict",
        metrics={"model": {"mae": 0.25}},
        decision={"better": True, "reason": "beats it"},
    )
    return replace(made, **changes)


def outcome(batch: str, **changes: Any) -> Outcome:
    return replace(Outcome(batch, KEY.unit, KEY.model, "trained", result_key="key1", fingerprint="f1"), **changes)


def test_a_result_is_read_back_as_it_was_recorded(ledger: Ledger) -> None:
    batch = ledger.start_batch("train", code_revision="abc")
    verdict = VerdictRecord(batch.id, "15/9-F-1 C", "train", "warn", "2 gaps", ({"count": 2, "column": None},), 1440)
    ledger.record_result(outcome(batch.id, reason="first"), version=version(), verdicts=[verdict])
    found = queries.versions_of_results(ledger, [(KEY, "key1")]).get((KEY, "key1"))
    assert found is not None
    assert replace(found, created_at="") == version()
    assert queries.last_outcomes(ledger)[KEY].reason == "first"
    assert replace(queries.last_verdicts(ledger)["15/9-F-1 C", "train"], at="") == verdict
    assert [one.id for one in queries.batches(ledger)] == [batch.id]


def test_recording_a_result_again_adds_nothing(ledger: Ledger) -> None:
    batch = ledger.start_batch("train")
    for _ in range(2):
        ledger.record_result(outcome(batch.id), version=version())
    resumed = ledger.start_batch("train")
    ledger.record_result(outcome(resumed.id, state="unchanged"), version=version(2, result_key="key1"))
    assert [one.version for one in queries.versions(ledger, KEY)] == [1]
    assert len(queries.outcomes(ledger, batch.id)) == 1
    assert queries.last_outcomes(ledger)[KEY].state == "unchanged"


def test_a_result_is_recorded_whole_or_not_at_all(ledger: Ledger) -> None:
    batch = ledger.start_batch("train")
    verdict = VerdictRecord(batch.id, "P-1", "train", "pass")
    with pytest.raises(sa.exc.IntegrityError):
        ledger.record_result(outcome(batch.id, state="asleep"), version=version(), verdicts=[verdict])
    assert not queries.versions(ledger, KEY)
    assert not queries.last_verdicts(ledger)


def test_many_results_are_one_transaction(ledger: Ledger) -> None:
    batch = ledger.start_batch("train")
    keys = [Key(f"P-{number}", "load") for number in range(700)]
    outcomes = [outcome(batch.id, unit=key.unit, model=key.model, result_key=key.unit) for key in keys]
    versions = [version(unit=key.unit, model=key.model, result_key=key.unit) for key in keys]
    verdicts = [VerdictRecord(batch.id, key.unit, "train", "warn") for key in keys]
    with pytest.raises(sa.exc.IntegrityError):
        ledger.record_results([*outcomes[1:], replace(outcomes[0], state="asleep")], versions=versions)
    assert not queries.latest_versions(ledger)
    for _ in range(2):
        ledger.record_results(outcomes, versions=versions, verdicts=verdicts)
    assert [one.unit for one in queries.outcomes(ledger, batch.id)] == [key.unit for key in keys]
    assert {key.unit for key in queries.latest_versions(ledger)} == {key.unit for key in keys}
    assert {one.action for one in queries.last_verdicts(ledger, "train").values()} == {"warn"}
    wanted = {(keys[1], keys[1].unit), (keys[2], "another result"), (Key("P-3", "other"), keys[3].unit)}
    assert queries.versions_of_results(ledger, wanted).keys() == {(keys[1], keys[1].unit)}


def test_not_a_number_is_recorded_as_null(ledger: Ledger) -> None:
    batch = ledger.start_batch("train")
    ledger.record_result(outcome(batch.id), version=version(metrics={"model": {"r2": float("nan")}}))
    assert queries.latest_versions(ledger)[KEY].metrics == {"model": {"r2": None}}


def test_the_more_severe_of_two_verdicts_stays(ledger: Ledger) -> None:
    batch = ledger.start_batch("validate")
    verdict = VerdictRecord(batch.id, "P-1", "train", "warn")
    ledger.record_verdicts([verdict, replace(verdict, action="reject"), replace(verdict, action="pass")])
    assert queries.last_verdicts(ledger, "train")["P-1", "train"].action == "reject"
    assert not queries.last_verdicts(ledger, "score")


def test_the_newest_outcome_with_a_fingerprint_is_found_behind_later_ones(ledger: Ledger) -> None:
    first, second = ledger.start_batch("train"), ledger.start_batch("train")
    ledger.record_result(outcome(first.id))
    ledger.record_result(outcome(second.id, state="failed", exit_code=4, fingerprint=None))
    assert queries.last_outcomes(ledger)[KEY].exit_code == 4
    assert queries.last_outcomes(ledger, fingerprinted=True)[KEY].batch == first.id


def test_the_scores_that_reach_furthest_are_the_last_in_whatever_order_they_were_written(ledger: Ledger) -> None:
    score = ScoreRecord(KEY.unit, KEY.model, "A", "0", "10", "9", 1, 9, 0, "pass", "scores/x.parquet")
    ledger.record_scores([score, replace(score, last="120"), replace(score, last="30"), replace(score, last=None)])
    assert queries.last_scores(ledger)[KEY, "A"].last == "120"
    assert [one.last for one in queries.scores(ledger, KEY, "A")] == ["9", "120", "30", None]


def test_releases_decide_who_is_champion(ledger: Ledger) -> None:
    batch = ledger.start_batch("promote")
    for number in (1, 2):
        ledger.record_result(outcome(batch.id, result_key=f"key{number}"), version=version(number))
    assert not queries.champions(ledger)
    ledger.record_release([ReleaseItem(*KEY, 1, None)], action="promote", by="ada", reason="first")
    ledger.record_release([ReleaseItem(*KEY, 2, 1)], action="promote", by="ada", reason="better", batch=batch.id)
    assert queries.champions(ledger)[KEY].version == 2
    newest, oldest = queries.releases(ledger)
    assert (newest.items, oldest.reason) == ((ReleaseItem(*KEY, 2, 1),), "first")
    assert queries.releases(ledger, limit=1) == (newest,)


def test_a_release_made_from_a_champion_that_changed_meanwhile_is_refused(ledger: Ledger) -> None:
    batch = ledger.start_batch("promote")
    ledger.record_result(outcome(batch.id), version=version())
    ledger.record_release([ReleaseItem(*KEY, 1, None)], action="promote", by="ada", reason="")
    with pytest.raises(UnavailableError, match="champion became version 1 while"):
        ledger.record_release([ReleaseItem(*KEY, 1, None)], action="promote", by="bob", reason="")
    assert len(queries.releases(ledger)) == 1


@pytest.mark.parametrize("statement", ["DELETE FROM release_items", "UPDATE releases SET reason = 'other'"])
def test_releases_cannot_be_changed_or_removed(ledger: Ledger, statement: str) -> None:
    batch = ledger.start_batch("promote")
    ledger.record_result(outcome(batch.id), version=version())
    ledger.record_release([ReleaseItem(*KEY, 1, None)], action="promote", by="ada", reason="")
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), ledger.engine.begin() as connection:
        connection.exec_driver_sql(statement)


def test_only_registered_versions_can_be_released(ledger: Ledger) -> None:
    with pytest.raises(sa.exc.IntegrityError):
        ledger.record_release([ReleaseItem(*KEY, 7, None)], action="promote", by="ada", reason="")


def test_a_batch_of_a_killed_process_is_found_when_the_next_one_starts(ledger: Ledger) -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    dead, alive = ledger.start_batch("train"), ledger.start_batch("train")
    with ledger.writing() as connection:
        table = schema.batches
        connection.execute(table.update().where(table.c.id == dead.id).values(pid=process.pid))
    ledger.start_batch("train")
    assert queries.dead_batches(ledger) == {dead.id}
    assert {one.id: one.state for one in queries.batches(ledger)}[alive.id] == "running"


def test_a_batch_that_broke_off_may_have_left_things_behind_like_a_killed_one(ledger: Ledger) -> None:
    broken, done = ledger.start_batch("train"), ledger.start_batch("train")
    ledger.finish_batch(broken.id, "failed")
    ledger.finish_batch(done.id)
    assert queries.dead_batches(ledger) == {broken.id}


def test_a_process_id_that_is_used_again_does_not_keep_a_batch_alive(ledger: Ledger) -> None:
    old = ledger.start_batch("train")
    with ledger.writing() as connection:
        long_ago = "2020-01-01T00:00:00.000000+00:00"
        connection.execute(schema.batches.update().values(started_at=long_ago, pid=os.getpid()))
    ledger.start_batch("train")
    assert queries.dead_batches(ledger) == {old.id}


def test_a_batch_on_another_host_is_dead_when_it_was_silent_for_hours(ledger: Ledger) -> None:
    silent, talking = ledger.start_batch("train"), ledger.start_batch("train")
    with ledger.writing() as connection:
        table = schema.batches
        connection.execute(table.update().values(host="elsewhere"))
        connection.execute(
            table.update().where(table.c.id == silent.id).values(alive_at="2020-01-01T00:00:00.000000+00:00")
        )
    ledger.start_batch("train")
    assert queries.dead_batches(ledger) == {silent.id}
    assert talking.id not in queries.dead_batches(ledger)


def test_processes_that_open_a_new_ledger_at_once_all_succeed(open_ledger: Callable[[], Ledger]) -> None:
    failures: list[BaseException] = []

    def work() -> None:
        try:
            open_ledger().start_batch("train")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(queries.batches(open_ledger())) == 4


def test_the_migrations_make_what_the_schema_says(ledger: Ledger) -> None:
    with ledger.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": "ledger_revision"})
        assert compare_metadata(context, schema.metadata) == []
        assert ScriptDirectory.from_config(configuration(connection)).get_heads() == [schema.REVISION]


@pytest.mark.parametrize("revision", ["0001", "0002", "0003", "0004", "0005"])
def test_a_ledger_of_an_earlier_version_keeps_what_it_has(
    ledger: Ledger, open_ledger: Callable[[], Ledger], revision: str
) -> None:
    assert revision < schema.REVISION
    with ledger.writing() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("DROP SCHEMA pumps CASCADE; CREATE SCHEMA pumps")
        else:
            connection.exec_driver_sql("DROP VIEW champions")
            connection.exec_driver_sql("DROP TABLE ledger_revision")
            schema.metadata.drop_all(connection)
        command.upgrade(configuration(connection), revision)
    batch = ledger.start_batch("train")
    later = open_ledger()
    assert [one.id for one in queries.batches(later)] == [batch.id]
    with later.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": "ledger_revision"})
        assert context.get_current_revision() == schema.REVISION
        assert compare_metadata(context, schema.metadata) == []


def test_the_ledger_of_another_use_case_is_refused(
    ledger: Ledger, make_usecase: Callable[..., UseCase], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    uri = request.getfixturevalue("ledger_uri")
    other = make_usecase(name="turbines", ledger={"uri": uri})
    if uri.startswith("sqlite"):
        with pytest.raises(ConfigError, match="is the ledger of the use case 'pumps', not of 'turbines'"):
            Ledger.open(other, tmp_path)
    else:  # one schema per use case
        turbines = Ledger.open(other, tmp_path)
        turbines.start_batch("train")
        assert not queries.batches(ledger)
        turbines.close()


def test_tables_of_a_newer_datadriver_are_refused(ledger: Ledger, open_ledger: Callable[[], Ledger]) -> None:
    with ledger.writing() as connection:
        connection.exec_driver_sql("UPDATE ledger_revision SET version_num = '9999'")
    with pytest.raises(ConfigError, match=r"'9999'.*newer datadriver"):
        open_ledger()


def test_a_locked_ledger_is_unavailable(make_usecase: Callable[..., UseCase], tmp_path: Path) -> None:
    usecase = make_usecase(ledger={"uri": "sqlite:///ledger.db?timeout=0.1"})
    ledger = Ledger.open(usecase, tmp_path)
    other = sqlite3.connect(tmp_path / "ledger.db")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(UnavailableError, match=r"ledger\.db.*locked; another process holds it"):
        ledger.start_batch("train")
    other.close()
    ledger.close()


def test_a_full_disk_leaves_what_was_recorded_before(make_usecase: Callable[..., UseCase], tmp_path: Path) -> None:
    ledger = Ledger.open(make_usecase(), tmp_path)
    batch = ledger.start_batch("train")
    with ledger.reading() as connection:  # the pool has one connection, which the next batch gets
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(UnavailableError, match="disk is full; free some space"):
        ledger.start_batch("x" * 100_000)
    assert [one.command for one in queries.batches(ledger)] == [batch.command]
    ledger.close()


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("sqlite:///file/ledger.db", "file/ledger.db cannot be written"),
        ("sqlite:///file", "not a database"),
        ("postgresql://ada:secret@127.0.0.1:1/x", r"postgresql://ada@127.0.0.1:1/x is not available"),
    ],
)
def test_a_ledger_that_cannot_be_reached_is_unavailable_and_keeps_its_password(
    make_usecase: Callable[..., UseCase], tmp_path: Path, uri: str, said: str
) -> None:
    (tmp_path / "file").write_text("this is a text file, and long enough to be looked at as a database" * 50)
    with pytest.raises(UnavailableError, match=said) as caught:
        Ledger.open(make_usecase(ledger={"uri": uri}), tmp_path)
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("uri", ["mysql://host/x", "ledger.db"])
def test_other_databases_are_a_mistake_in_the_config(
    make_usecase: Callable[..., UseCase], tmp_path: Path, uri: str
) -> None:
    with pytest.raises(ConfigError, match=r"ledger\.uri"):
        Ledger.open(make_usecase(ledger={"uri": uri}), tmp_path)
