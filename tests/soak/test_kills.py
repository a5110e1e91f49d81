"""Killed at any moment, the next run finishes what was missing: nothing is lost, nothing is twice, nothing lies about.

What a fleet looks like in the end, in the ledger, to MLflow's public client and on disk, is compared with the fleet of
an uninterrupted run. `make test` has a short form; `make soak SOAK=kills` kills at every failpoint and at 50 random
moments in each kind of store.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

import pytest
import sqlalchemy as sa

from datadriver.failpoints import NAMES
from datadriver.project import Project
from datadriver.tracking import queries, schema
from datadriver.tracking.monitoring import alarms, check_states

_SHARES = {"run": 1.05, "train": 0.6, "promote": 0.2}  # the longest of a command, in terms of a run
_OF_THE_PLACE = re.compile(r"(?<=-)[0-9a-f]{16}(?=\.)")  # digest of a source's path, in the names of caches
_PASSING = ("-wal", "-shm", ".lock")  # files that come and go with whoever has a database or a lock open

pytestmark = [pytest.mark.xdist_group("kills"), pytest.mark.timeout(900)]


def state_of(root: Path) -> dict[str, Any]:
    """Everything about a fleet that must not depend on how often its commands were killed."""
    project = Project.open(root)
    try:
        return {**_ledger(project), **_mlflow(project), **_datasets(project), "files": _files(root)}
    finally:
        project.ledger.close()


def _ledger(project: Project) -> dict[str, Any]:
    ledger = project.ledger
    with ledger.reading() as connection:
        versions = connection.execute(sa.select(schema.versions)).mappings().all()
        outcomes = connection.execute(sa.select(schema.outcomes)).mappings().all()
        scores = connection.execute(sa.select(schema.scores)).mappings().all()
        leases = connection.execute(sa.select(sa.func.count()).select_from(schema.leases)).scalar()
        running = connection.execute(sa.select(schema.batches.c.id).where(schema.batches.c.state == "running")).all()
    done = Counter((one["unit"], one["model"], one["state"]) for one in outcomes if one["state"] != "unchanged")
    released = queries.releases(ledger)
    return {
        "versions": sorted(
            _chosen(one, "unit model version result_key sha256 role threshold metrics") for one in versions
        ),
        "each instance once": sorted(done.items()),
        "states": sorted((line.unit, line.model, line.state) for line in project.status()),
        "champions": sorted((*key, one.version) for key, one in queries.champions(ledger).items()),
        "releases": [sorted((*item.key, item.version, item.previous) for item in one.items) for one in released],
        "scores": sorted(
            _chosen(one, "unit model asset window_start window_end last_instant version rows alarms path")
            for one in scores
        ),
        "verdicts": sorted((*key, one.action, one.rows) for key, one in queries.last_verdicts(ledger).items()),
        "checks": sorted((*key, one.state, one.outcome, one.window_end) for key, one in check_states(ledger).items()),
        "alarms": sorted((one.asset, one.model, one.check, one.opened, str(one.closed)) for one in alarms(ledger)),
        "leases": leases,
        "running batches": running,
    }


def _chosen(row: Mapping[str, Any], names: str) -> tuple[str, ...]:
    return tuple(repr(_sorted(row[name])) for name in names.split())


def _sorted(value: Any) -> Any:
    return sorted((key, _sorted(one)) for key, one in value.items()) if isinstance(value, dict) else value


def _mlflow(project: Project) -> dict[str, Any]:
    client, experiment = project.tracker.client, project.tracker.experiment_id
    runs = {run.info.run_id: run for run in client.search_runs([experiment], max_results=1000)}
    models = client.search_logged_models([experiment], max_results=1000)
    versions = client.search_model_versions(max_results=1000)
    registered = client.search_registered_models(max_results=1000)
    trained = {one: run for one, run in runs.items() if "datadriver.result_key" in run.data.tags}
    parents = {one for one, run in runs.items() if "datadriver.command" in run.data.tags}
    others = [run for one, run in runs.items() if one not in trained and one not in parents]
    return {
        "runs": sorted((run.info.run_name, run.info.status, *_content(run)) for run in trained.values()),
        "other runs": sorted((run.info.run_name, run.info.status, *_content(run)) for run in others),
        "unfinished": [run.info.run_name for run in runs.values() if run.info.status == "RUNNING"],
        "half-told": [one for one in runs if "datadriver.unrecorded" in runs[one].data.tags],
        "without parent": [one for one, run in trained.items() if run.data.tags["mlflow.parentRunId"] not in parents],
        "registered": sorted((one.name, sorted(one.aliases.items())) for one in registered),
        "model versions": sorted(
            (one.name, int(one.version), _of_run(one, trained), *_files_of(one)) for one in versions
        ),
        "logged models": sorted((one.name, one.status, one.source_run_id in trained) for one in models),
        "artefacts of nobody": _unreferenced(project.root, set(runs), {model.model_id for model in models}),
    }


def _content(run: Any) -> tuple[Any, ...]:
    metrics = {name: value for name, value in run.data.metrics.items() if "seconds" not in name}
    ours = {
        name: value
        for name, value in run.data.tags.items()
        if name.startswith("datadriver.") and name not in {"datadriver.batch", "datadriver.monitoring.written_at"}
    }
    return tuple(sorted(metrics.items())), tuple(sorted(run.data.params.items())), tuple(sorted(ours.items()))


def _of_run(version: Any, trained: Mapping[str, Any]) -> str:
    run = trained.get(version.run_id)
    return run.info.run_name if run is not None else "a run that is gone"


def _files_of(version: Any) -> tuple[Any, ...]:
    folder = Path(url2pathname(urlparse(version.source).path))
    digest = hashlib.sha256((folder / "model.skops").read_bytes()).hexdigest()
    assert digest == version.tags["datadriver.sha256"]
    return digest, tuple(sorted(path.name for path in folder.iterdir()))


def _unreferenced(root: Path, runs: set[str], models: set[str]) -> list[str]:
    """Folders in the artefact store that belong to no run and no logged model."""
    store = root / ".datadriver" / "artifacts"
    found = {path.name for path in store.iterdir()} - runs - {"models"}
    return sorted(found | {path.name for path in (store / "models").iterdir()} - models)


def _datasets(project: Project) -> dict[str, Any]:
    scores, facts, series = project.scores(latest=False), project.facts(), project.series()
    return {
        "rows of scores": scores.drop(columns=["written_at", "reason"]).to_csv(),
        "facts": facts["digest"].tolist(),
        "series": series.drop(columns="written_at").to_csv(),
    }


def _files(root: Path) -> list[str]:
    """What lies in `.datadriver`, but for artefacts; drafts and scratch of killed commands, if any are left."""
    place = root / ".datadriver"
    found = (path.relative_to(place).as_posix() for path in place.rglob("*"))
    ours = (name for name in found if not name.startswith("artifacts/") and not name.endswith(_PASSING))
    return sorted(_OF_THE_PLACE.sub("", name) for name in ours)


def assert_as_uninterrupted(fleet: Any, expected: dict[str, Any], how: str) -> None:
    found = state_of(fleet.root)
    for part, value in expected.items():
        if part == "files":  # databases are files or not
            differ = {name for name in set(found[part]) ^ set(value) if not name.endswith(".db")}
            assert not differ, f"{how}: {sorted(differ)}\n{fleet.said}"
        else:
            assert found[part] == value, f"{how}: {part}\n{fleet.said}"


@pytest.fixture(scope="session")
def expected(reference):
    """State of the fleet after an uninterrupted run."""
    found = state_of(reference.root)
    assert found["versions"]
    assert found["champions"]
    assert found["scores"]
    assert found["checks"]
    assert not found["leases"]
    for nothing in ("running batches", "unfinished", "half-told", "without parent", "artefacts of nobody"):
        assert found[nothing] == [], nothing
    return found


@dataclass(frozen=True)
class Scenario:
    """What is done to a fleet before the run that has to mend it.

    Attributes:
        kills: commands, and at which failpoint or after which share of the time of a run each is killed.
        done: commands that come to their end before.
        tables: False where the tracking store is to be made, too.
        workers: how many.
        all_at_once: whether they are killed with the command; else they have to notice by themselves.
    """

    store: str
    kills: tuple[tuple[str, str | float], ...]
    done: tuple[str, ...] = ()
    tables: bool = True
    workers: int = 1
    all_at_once: bool = False


def moment(store: str, seed: int) -> Scenario:
    """Choose a command and when to kill it, sometimes twice or three times in a row."""
    chance = random.Random(f"{store} {seed}")
    done, command = chance.choice([((), "run"), ((), "run"), ((), "run"), ((), "train"), (("train",), "promote")])
    kills = tuple((command, chance.uniform(0, _SHARES[command])) for _ in range(chance.choice([1, 1, 1, 2])))
    return Scenario(
        store,
        kills,
        done,
        tables=chance.random() > 0.1,
        workers=chance.choice([1, 1, 2]),
        all_at_once=chance.random() < 0.5,
    )


def in_a_row(store: str, moments: Sequence[str | float]) -> Scenario:
    """Kill one run after the other."""
    return Scenario(store, tuple(("run", at) for at in moments))


def scenarios(kills: int) -> Iterator[Any]:
    """Every failpoint and so many random moments in each store; without a number, a short form."""
    if not kills:
        # A small fleet is recorded at once, and promoted once: what comes after it begins anew.
        first = (*NAMES[: NAMES.index("parent-finished")], "aliases-set")
        yield pytest.param(in_a_row("sqlite", first), id="sqlite-training")
        yield pytest.param(
            in_a_row("sqlite", [name for name in NAMES if name not in first]), id="sqlite-after-training"
        )
        pair = in_a_row("postgresql", ("rows-written", "release-written"))
        yield pytest.param(pair, id="postgresql", marks=pytest.mark.postgres)
        yield pytest.param(in_a_row("sqlite", (0.2, 0.4, 0.6)), id="sqlite-moments")
        return
    for store, marks in (("sqlite", ()), ("postgresql", (pytest.mark.postgres,))):
        for name in NAMES:
            yield pytest.param(Scenario(store, (("run", name),)), id=f"{store}-{name}", marks=marks)
        for seed in range(kills):
            yield pytest.param(moment(store, seed), id=f"{store}-moment-{seed}", marks=marks)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "scenario" in metafunc.fixturenames:
        metafunc.parametrize("scenario", list(scenarios(metafunc.config.getoption("kills"))))


def test_what_a_kill_broke_off_the_next_run_finishes(scenario, new_fleet, reference, expected):
    fleet = new_fleet(scenario.store, tables=scenario.tables, workers=scenario.workers)
    for command in scenario.done:
        fleet.do(command)
    hit = []
    for command, at in scenario.kills:
        when = at if isinstance(at, str) else at * reference.seconds["run"]
        if fleet.kill(command, when, workers=scenario.all_at_once):
            hit.append(f"{command} at {when}")
        else:
            assert not isinstance(at, str), f"{at} was never reached:\n{fleet.said}"
    fleet.do("run")
    assert_as_uninterrupted(fleet, expected, f"{scenario}, killed: {hit}")


def test_a_failpoint_that_does_not_exist_is_an_error(new_fleet):
    fleet = new_fleet("sqlite")
    with pytest.raises(AssertionError, match="ended with 2"):
        fleet.kill("run", "rows-writen")
    assert "no failpoint 'rows-writen'; did you mean 'rows-written'" in fleet.said
