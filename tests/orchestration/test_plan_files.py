"""The files of a plan: whole whatever happens, touched only where something changed, and nobody else's."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datadriver.config.fleet import Asset
from datadriver.config.resolve import expand
from datadriver.config.sections import UseCase
from datadriver.errors import ConfigError, UnavailableError
from datadriver.orchestration.fleet_dags import FleetDags
from datadriver.orchestration.plan import DagPlan, Header
from datadriver.orchestration.read import changes, read_plan
from datadriver.orchestration.shards import loader_text

RECIPE = {"problem": "regression", "estimator": "m:f", "baseline": "m:g"}


def use_case(name: str = "pumps", **schedule: Any) -> UseCase:
    return UseCase.model_validate(
        {
            "name": name,
            "fleet": {"assets": "fleet.csv"},
            "data": {"sources": {"s": {"path": "data/{asset_id}.csv", "index": "t"}}},
            "models": {"load": RECIPE, "wear": {**RECIPE, "fit": ["country"]}},
            "schedule": schedule,
        }
    )


def fleet(count: int, **attributes: Any) -> list[Asset]:
    return [Asset(f"P-{number}", {"country": "NO", "site": "a", **attributes}) for number in range(count)]


def dags(root: Path, assets: Sequence[Asset], usecase: UseCase | None = None, **schedule: Any) -> FleetDags:
    usecase = usecase or use_case(**schedule)
    return FleetDags(usecase, root, assets, expand(usecase, assets), root / "dags" / "plan")


def state(folder: Path) -> Mapping[str, tuple[int, int, bytes]]:
    """Return inode, time of the last change and content of every file."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_folder_is_what_the_plan_says(tmp_path: Path) -> None:
    fleet_dags = dags(tmp_path, fleet(50), shards=4)
    written = fleet_dags.build()
    assert written.written == ("pumps.jsonl", "pumps_00.jsonl", "pumps_01.jsonl", "pumps_02.jsonl", "pumps_03.jsonl")
    assert {name: text.decode() for name, (_, _, text) in state(fleet_dags.out).items()} == fleet_dags.files()
    assert read_plan(fleet_dags.out, "pumps") == tuple(DagPlan.of(dag.to_line()) for dag in fleet_dags.plan())
    for path in fleet_dags.out.glob("*.jsonl"):
        first, *lines = path.read_bytes().splitlines()
        assert Header.of(first).folder == "../.."
        ids = [json.loads(line)["dag_id"] for line in lines]
        assert ids == sorted(ids)
        loader = path.with_suffix(".py")
        assert loader.stat().st_mtime_ns >= path.stat().st_mtime_ns
        assert "airflow" in loader.read_text()
        assert "dag" in loader.read_text()


def test_a_fleet_that_stayed_touches_no_file(tmp_path: Path) -> None:
    fleet_dags = dags(tmp_path, fleet(20))
    fleet_dags.build()
    before = state(fleet_dags.out)
    again = dags(tmp_path, fleet(20)[::-1]).build()
    assert (again.written, again.removed) == ((), ())
    assert state(fleet_dags.out) == before


@given(number=st.integers(0, 29), what=st.sampled_from(["changed", "removed", "added"]))
def test_one_asset_rewrites_one_file(tmp_path_factory: Any, number: int, what: str) -> None:
    root = tmp_path_factory.mktemp("plan")
    schedule = {"tags": ["site"], "shards": 8}
    everybody = fleet(30)
    others = [asset for asset in everybody if asset.id != f"P-{number}"]
    moved = [*others, Asset(f"P-{number}", {"country": "NO", "site": "b"})]
    old, new = {"changed": (everybody, moved), "removed": (everybody, others), "added": (others, everybody)}[what]
    first, second = dags(root, old, **schedule), dags(root, new, **schedule)
    first.build()
    before = state(first.out)
    written = second.build()
    after = state(second.out)
    # Beside its own, that of the model which all share: it names its assets, and the tags that they share.
    own = {
        name
        for files in (first.files(), second.files())
        for name, text in files.items()
        if f"__P-{number}__" in text or '"subject":"country=NO"' in text
    }
    assert set(written.written) <= own
    assert {name for name in after if after[name] != before.get(name)} == {
        path for name in written.written for path in (name, name.replace(".jsonl", ".py"))
    }
    assert {name: text.decode() for name, (_, _, text) in after.items()} == second.files()
    shutil.rmtree(root)


def test_files_without_dags_go_and_nothing_else_does(tmp_path: Path) -> None:
    first = dags(tmp_path, fleet(40), shards=8)
    first.build()
    for name in ("notes.txt", "pumps_old.py", "pumps_archive.jsonl", "other.jsonl", "pumps_07.json"):
        (first.out / name).write_text("kept")
    second = dags(tmp_path, fleet(2), shards=8)
    written = second.build()
    assert written.removed
    kept = {name for name in state(second.out) if name not in second.files()}
    assert kept == {"notes.txt", "pumps_old.py", "pumps_archive.jsonl", "other.jsonl", "pumps_07.json"}


def test_another_number_of_shards_leaves_no_dag_twice(tmp_path: Path) -> None:
    dags(tmp_path, fleet(30), shards=4).build()
    dags(tmp_path, fleet(30), shards=200).build()
    found = read_plan(tmp_path / "dags" / "plan", "pumps")
    assert len({dag.dag_id for dag in found}) == len(found) == 30 * 2 + 1 + 2
    assert (tmp_path / "dags" / "plan" / "pumps.jsonl").exists()
    assert not (tmp_path / "dags" / "plan" / "pumps_00.jsonl").exists()


def test_each_team_has_a_folder(tmp_path: Path) -> None:
    assets = [Asset(f"P-{number}", {"country": ("NO", "Ø 1")[number % 2]}) for number in range(10)]
    fleet_dags = dags(tmp_path, assets, team="country", shards=2)
    fleet_dags.build()
    folders = {path.parent.name for path in fleet_dags.out.glob("*/*.jsonl")}
    assert len(folders) == 3  # that of the DAGs that are no team's among them
    assert "NO" in folders
    assert not list(fleet_dags.out.glob("*.jsonl"))
    assert all(
        Header.of(path.read_bytes().splitlines()[0]).folder == "../../.." for path in fleet_dags.out.glob("*/*l")
    )
    # Nobody is in a team any more: the DAGs move, none stays behind.
    dags(tmp_path, assets, shards=2).build()
    assert not list(fleet_dags.out.glob("*/*.jsonl"))
    assert not list(fleet_dags.out.glob("*/*.py"))


def test_where_workers_have_the_use_case_can_be_said(tmp_path: Path) -> None:
    fleet_dags = dags(tmp_path, fleet(2), folder="/opt/pumps", team="country")
    assert fleet_dags.header().folder == "/opt/pumps"
    assert all(
        Header.of(text.splitlines()[0]).folder == "/opt/pumps"
        for name, text in fleet_dags.files().items()
        if name.endswith(".jsonl")
    )


def test_a_loader_that_is_older_than_its_plan_is_renewed(tmp_path: Path) -> None:
    fleet_dags = dags(tmp_path, fleet(3))
    fleet_dags.build()
    loader = fleet_dags.out / "pumps.py"
    os.utime(loader, (1, 1))  # as if the build had been killed between the two
    written = fleet_dags.build()
    assert written.written == ("pumps.jsonl",)
    assert loader.stat().st_mtime_ns >= (fleet_dags.out / "pumps.jsonl").stat().st_mtime_ns


def test_a_use_case_has_the_loader_that_somebody_wrote(tmp_path: Path) -> None:
    loader = tmp_path / "dags" / "pumps.py"
    fleet_dags = dags(tmp_path, fleet(3))
    fleet_dags.build()
    loader.write_text(loader_text(fleet_dags.usecase, Path("/nowhere")) + "\n# ours\n")
    assert len(fleet_dags.build().written) == len(list(fleet_dags.out.glob("*.py")))
    assert all(path.read_bytes() == loader.read_bytes() for path in fleet_dags.out.glob("*.py"))
    loader.write_text("from airflow.sdk import DAG\n")
    with pytest.raises(ConfigError, match=r"pumps\.py does not load the plan(.|\n)*globals\(\)"):
        fleet_dags.build()


def test_files_of_another_use_case_are_not_overwritten(tmp_path: Path) -> None:
    """`pumps_07` may be a use case, too."""
    shared = tmp_path / "airflow"
    other = FleetDags(use_case("pumps_07"), tmp_path, fleet(3), expand(use_case("pumps_07"), fleet(3)), shared)
    other.build()
    before = state(shared)
    ours = use_case(shards=8)
    many = FleetDags(ours, tmp_path, fleet(60), expand(ours, fleet(60)), shared)
    with pytest.raises(ConfigError, match=r"pumps_07\.jsonl is the plan of another use case, 'pumps_07'"):
        many.build()
    assert state(shared) == before


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    fleet_dags = replace(dags(tmp_path, fleet(2)), out=tmp_path / "a file" / "plan")
    with pytest.raises(UnavailableError, match=r"the plan cannot be written to .*plan: Not a directory"):
        fleet_dags.build()


@pytest.mark.parametrize("text", ["", "{}\n", '{"usecase":"pumps","format":99}\n', '{"usecase":"pumps"'])
def test_a_plan_that_cannot_be_read_is_built_anew(tmp_path: Path, text: str) -> None:
    fleet_dags = dags(tmp_path, fleet(3))
    fleet_dags.build()
    (fleet_dags.out / "pumps.jsonl").write_text(text)
    if '"usecase":"pumps","' in text:
        with pytest.raises(ConfigError, match="format 99"):
            read_plan(fleet_dags.out, "pumps")
    fleet_dags.build()
    assert len(read_plan(fleet_dags.out, "pumps")) == 9


def test_what_a_build_would_change_is_known_before(tmp_path: Path) -> None:
    first = dags(tmp_path, fleet(3))
    first.build()
    second = dags(tmp_path, [*fleet(2), Asset("P-9", {"country": "NO"})], score="@daily")
    found = changes(read_plan(first.out, "pumps"), second.plan())
    assert found["new"] == ["pumps__P-9__score", "pumps__P-9__train"]
    assert found["gone"] == ["pumps__P-2__score", "pumps__P-2__train"]
    assert {"pumps__P-0__score", "pumps__P-1__score"} <= set(found["changed"])
    assert not any(changes(read_plan(first.out, "pumps"), first.plan()).values())


def test_builds_at_the_same_time_take_turns(tmp_path: Path) -> None:
    usecase = use_case(tags=("site",), shards=8)
    versions = [dags(tmp_path, fleet(40, site=site), usecase) for site in "ab"]
    whole = [version.files() for version in versions]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(10):
            list(pool.map(FleetDags.build, versions * 2))
            assert {name: text.decode() for name, (_, _, text) in state(versions[0].out).items()} in whole


BUILD = """
import sys, itertools
from pathlib import Path
from datadriver.config.fleet import Asset
from datadriver.config.resolve import expand
from datadriver.config.sections import UseCase
from datadriver.orchestration.fleet_dags import FleetDags

usecase = UseCase.model_validate_json(sys.argv[2])
root = Path(sys.argv[1])
print("ready", flush=True)
for site in itertools.cycle("ab"):
    assets = [Asset(f"P-{number}", {"country": "NO", "site": site}) for number in range(300)]
    FleetDags(usecase, root, assets, expand(usecase, assets), root / "dags" / "plan").build()
"""


def test_a_build_that_is_killed_leaves_whole_files(tmp_path: Path) -> None:
    usecase = use_case(tags=("site",), shards=8)
    versions = [dags(tmp_path, fleet(300, site=site), usecase) for site in "ab"]
    whole = [version.files() for version in versions]
    pause = random.Random(7)
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", BUILD, str(tmp_path), usecase.model_dump_json(by_alias=True)], stdout=subprocess.PIPE
        )
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            time.sleep(pause.uniform(0.3, 0.8))
            process.send_signal(signal.SIGKILL)
        seen = {name: text.decode() for name, (_, _, text) in state(versions[0].out).items() if name[0] != "."}
        assert seen
        for name, text in seen.items():
            assert text in [files[name] for files in whole], name
    versions[1].build()
    after = {name: text.decode() for name, (_, _, text) in state(versions[1].out).items()}
    assert {name: text for name, text in after.items() if name[0] != "."} == whole[1]
