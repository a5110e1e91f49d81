"""The bulk writer beside others, after a kill, and on stores that it does not know."""

from __future__ import annotations

import logging
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory

from datadriver.config.fleet import Instance
from datadriver.config.sections import UseCase
from datadriver.errors import ConfigError, UnavailableError
from datadriver.tracking import bulk_database, bulk_versions
from datadriver.tracking.bulk_database import SCHEMA_REVISION
from datadriver.tracking.mlflow_runs import Tracker
from datadriver.tracking.model_files import ModelFiles
from datadriver.tracking.records import Batch, Key, Version
from datadriver.tracking.writer import Trained
from datadriver.training.results import TrainResult

BATCH = Batch("b1", "train", "2026-01-05T03:00:00+00:00", "2026-01-05T03:00:00+00:00", "running", "ada", "box", 1)
TrainedOf = Callable[..., list[Trained]]


@pytest.fixture
def trained(
    usecase: UseCase, make_instance: Callable[..., Instance], make_result: Callable[..., TrainResult], tmp_path: Path
) -> TrainedOf:
    """Trainings of as many pumps as asked for; of their model files there is only what the writer looks at."""
    pattern = make_result(make_instance(usecase))

    def make(count: int, *, result: str = "a") -> list[Trained]:
        made = []
        for number in range(count):
            instance = make_instance(usecase, f"P-{number}")
            files = tmp_path / f"staged {threading.get_ident()}" / f"{number}"
            files.mkdir(parents=True, exist_ok=True)
            (files / "MLmodel").write_text("model_id: null\n")
            key = result * 64
            mine = replace(pattern, unit=f"P-{number}", result_key=key, frame_digest=key, plots={}, estimator=None)
            made.append(Trained(instance, mine, ModelFiles(files, key, 1)))
        return made

    return make


def record(tracker: Tracker, trained: Sequence[Trained], batch: str = "b1") -> tuple[Version, ...]:
    parent = tracker.start_batch(replace(BATCH, id=batch))
    return tracker.record_all(parent, trained, code_digest="c" * 64)


def artefacts(tracker: Tracker) -> set[str]:
    """Ids of runs and logged models that have artefacts."""
    place = tracker.root / ".datadriver" / "artifacts"
    return {path.name for path in (*place.glob("m*/*"), *place.glob("*")) if path.name != "models"}


def recorded(tracker: Tracker) -> set[str]:
    """Ids of runs of trainings, and of logged models."""
    client, experiments = tracker.client, [tracker.experiment_id]
    runs = client.search_runs(experiments, "params.alpha != ''", max_results=5000)
    return {run.info.run_id for run in runs} | {
        model.model_id for model in client.search_logged_models(experiments, max_results=5000)
    }


def test_it_knows_the_schema_of_the_mlflow_that_is_installed() -> None:
    import mlflow.store.db_migrations as migrations  # noqa: PLC0415 - a namespace, asked for its place only

    assert ScriptDirectory(next(iter(migrations.__path__))).get_heads() == [SCHEMA_REVISION]


def test_a_store_of_another_schema_is_written_through_the_client(
    new_store: Callable[..., Tracker],
    trained: TrainedOf,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(bulk_database, "SCHEMA_REVISION", "another")
    with caplog.at_level(logging.WARNING, "datadriver"):
        tracker = new_store("store")
    [said] = caplog.records
    assert SCHEMA_REVISION in said.getMessage()
    [version] = record(tracker, trained(1))
    assert version.version == 1
    assert type(tracker.writer).__name__ == "ApiWriter"


def test_many_trainings_are_numbered_and_promoted_at_once(
    new_store: Callable[..., Tracker], trained: TrainedOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_versions, "_AT_ONCE", 7)
    tracker = new_store("store")
    assert {version.version for version in record(tracker, trained(30))} == {1}
    versions = record(tracker, trained(30, result="b"), "b2")
    assert {version.version for version in versions} == {2}
    tracker.set_champions({version.key: 2 for version in versions})
    assert set(tracker.champions().values()) == {2}
    tracker.set_champions({version.key: 1 if number % 2 else None for number, version in enumerate(versions)})
    assert set(tracker.champions().values()) == {1}
    assert len(tracker.champions()) == 15
    with pytest.raises(ConfigError, match=r"pumps\.P-7\.load not found"):
        tracker.set_champions({**{version.key: 2 for version in versions}, Key("P-7", "load"): 3})
    assert set(tracker.champions().values()) == {1}


@pytest.mark.parametrize("bulk", [True, False])
def test_versions_are_tagged_many_at_once_and_those_that_are_not_there_are_left_out(
    new_store: Callable[..., Tracker], trained: TrainedOf, bulk: bool
) -> None:
    tracker = new_store("store", bulk=bulk)
    versions = record(tracker, trained(3))
    asked = {(version.key, version.version): {"image": f"v1 of {version.unit}"} for version in versions}
    assert tracker.tag_versions({**asked, (Key("P-9", "load"), 1): {"image": "none"}}) == set(asked)
    again = {version: {"image": "another"} for version in list(asked)[:1]}
    assert tracker.tag_versions(again) == set(again)
    found = [tracker.client.get_model_version(f"pumps.P-{number}.load", "1").tags["image"] for number in range(3)]
    assert found == ["another", "v1 of P-1", "v1 of P-2"]


def test_after_a_batch_the_database_knows_how_to_look_things_up(
    new_store: Callable[..., Tracker], trained: TrainedOf
) -> None:
    tracker = new_store("store")
    parent = tracker.start_batch(BATCH)
    tracker.record_all(parent, trained(20), code_digest="c")
    tracker.finish_batch(parent)
    engine = sa.create_engine(tracker.uri)
    with engine.connect() as connection:
        known = "sqlite_stat1 WHERE tbl" if engine.dialect.name == "sqlite" else "pg_stats WHERE tablename"
        found = connection.exec_driver_sql(f"SELECT count(*) FROM {known} = 'latest_metrics'").scalar_one()
    engine.dispose()
    assert found > 0


def test_the_same_results_again_leave_no_second_version_and_no_second_file(
    new_store: Callable[..., Tracker], trained: TrainedOf
) -> None:
    tracker = new_store("store")
    first = record(tracker, trained(3))
    again = record(tracker, [*trained(3)[:2], *trained(5)[2:]], "b2")
    assert [version.run_id for version in again[:3]] == [version.run_id for version in first]
    assert artefacts(tracker) == recorded(tracker)
    assert len(recorded(tracker)) == 10


def test_a_group_that_cannot_be_written_leaves_nothing(new_store: Callable[..., Tracker], trained: TrainedOf) -> None:
    tracker = new_store("store")
    good, bad = trained(2)
    broken = replace(bad, result=replace(bad.result, params={"text": object()}, role=object()))
    with pytest.raises((UnavailableError, sa.exc.SQLAlchemyError, TypeError)):
        record(tracker, [good, broken])
    assert not artefacts(tracker)
    assert not recorded(tracker)
    assert len(record(tracker, trained(2), "b2")) == 2


def test_two_writers_at_once_do_not_get_in_each_others_way(
    new_store: Callable[..., Tracker], trained: TrainedOf
) -> None:
    tracker = new_store("store")
    others = [Tracker.open(tracker.usecase, tracker.root, bulk=name != "api") for name in ("one", "two", "api")]
    failed: list[BaseException] = []

    def write(name: str, mine: Tracker) -> None:
        try:
            for turn in range(3):
                record(mine, trained(3, result=f"{name}{turn}"[:2]), name)
        except BaseException as error:  # for the assertion below, in the thread of the test
            failed.append(error)

    threads = [threading.Thread(target=write, args=(str(number), one)) for number, one in enumerate(others)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    for number in range(3):
        found = tracker.client.search_model_versions(f"name = 'pumps.P-{number}.load'")
        assert sorted(int(version.version) for version in found) == list(range(1, 10))
    assert artefacts(tracker) == recorded(tracker)


@pytest.mark.postgres
@pytest.mark.parametrize("new_store", ["postgresql"], indirect=True)  # SQLite has one writer at a time
def test_a_number_that_another_writer_takes_in_the_same_instant_is_not_given_twice(
    new_store: Callable[..., Tracker], trained: TrainedOf
) -> None:
    tracker = new_store("store")
    record(tracker, trained(1))
    engine = sa.create_engine(tracker.uri)
    with engine.connect() as other:  # one that does not hold the registered model, as MLflow's client does
        other.exec_driver_sql(
            "INSERT INTO model_versions (workspace, name, version, current_stage, status) "
            "VALUES ('default', 'pumps.P-0.load', 2, 'None', 'READY')"
        )
        made: list[Version] = []
        thread = threading.Thread(target=lambda: made.extend(record(tracker, trained(1, result="b"), "b2")))
        thread.start()
        with engine.connect() as watching:
            waits = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
            while not watching.execute(waits).scalar_one():
                time.sleep(0.01)
        other.commit()
        thread.join()
    engine.dispose()
    assert [version.version for version in made] == [3]


KILLED = textwrap.dedent(
    """
    import importlib.util, os, pickle, signal, sys
    from pathlib import Path
    from datadriver.tracking.bulk_artefacts import Artefacts
    from datadriver.tracking.bulk_announcements import Announcements
    from datadriver.tracking.bulk_writer import BulkWriter
    from datadriver.tracking.mlflow_runs import Tracker

    moment, root, parent = sys.argv[1:4]
    usecase, trained = pickle.loads(Path(root, "trained").read_bytes())
    owner, name, when, times = {
        "announced": (Artefacts, "lay", "before", 1),
        "one is laid": (Artefacts, "_move", "before", 2),
        "all are laid": (Artefacts, "lay", "after", 1),
        "rows are written": (Announcements, "end", "after", 1),
        "rows are committed": (BulkWriter, "record", "after", 1),
    }[moment]
    does, count = getattr(owner, name), 0

    def dies(*arguments):
        global count
        count += 1
        if when == "before" and count == times:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = does(*arguments)
        os.kill(os.getpid(), signal.SIGKILL) if when == "after" else None
        return answer

    setattr(owner, name, dies)
    Tracker.open(usecase, Path(root)).record_all(parent, trained, code_digest="c" * 64)
    """
)


@pytest.mark.parametrize(
    "moment", ["announced", "one is laid", "all are laid", "rows are written", "rows are committed"]
)
def test_killed_at_any_moment_it_leaves_nothing_half_done_and_nothing_twice(
    new_store: Callable[..., Tracker], trained: TrainedOf, moment: str
) -> None:
    tracker = new_store("store")
    parent = tracker.start_batch(BATCH)
    (tracker.root / "trained").write_bytes(pickle.dumps((tracker.usecase, trained(3))))
    command = [sys.executable, "-c", KILLED, moment, str(tracker.root), parent]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(recorded(tracker)) == (6 if moment == "rows are committed" else 0)
    tracker.discard_unfinished({"b1"})
    assert artefacts(tracker) == recorded(tracker)
    assert {version.version for version in record(tracker, trained(3), "b2")} == {1}
    assert artefacts(tracker) == recorded(tracker)
    assert len(recorded(tracker)) == 6


def test_a_run_that_was_taken_for_dead_records_nothing_any_more(
    new_store: Callable[..., Tracker], trained: TrainedOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = new_store("store")
    other = Tracker.open(tracker.usecase, tracker.root)
    artefacts_of = tracker.writer._artefacts  # type: ignore[attr-defined]
    lay = artefacts_of.lay
    monkeypatch.setattr(artefacts_of, "lay", lambda drafts: (lay(drafts), other.discard_unfinished({"b1"})))
    with pytest.raises(UnavailableError, match="took this one for dead"):
        record(tracker, trained(2))
    assert not artefacts(tracker)
    assert not recorded(tracker)
