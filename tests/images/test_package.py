"""`datadriver package` from end to end: a trained fleet, a real engine, a real registry, and scores from the images."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

from datadriver.images.base import BaseBuild
from datadriver.project import Project
from datadriver.tracking.images import images

pytestmark = [pytest.mark.docker, pytest.mark.registry, pytest.mark.xdist_group("images")]
WINDOW = ("--start", "2025-03-01", "--end", "2025-03-02")
LOCKED_IN = ("--network", "none", "--read-only", "--memory", "512m", "--user", "4242:4242")


@dataclass(frozen=True)
class Fleet:
    """A trained and promoted fleet of six pumps, its registry, and the ways in which tests call it."""

    root: Path
    server: Any

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "IMAGED_REGISTRY": self.server.host}

    def command(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "datadriver", *arguments],
            cwd=self.root,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )

    def package(self, *options: str, code: int = 0) -> dict[str, Any]:
        done = self.command("package", "--json", *options)
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout)

    def copy(self, folder: Path) -> Fleet:
        return Fleet(Path(shutil.copytree(self.root, folder / "imaged")), self.server)

    def forget(self) -> Fleet:
        """Let the ledger know of no image, as if they were made for the first time."""
        with closing(Project.open(self.root).ledger) as ledger, ledger.writing() as connection:
            connection.exec_driver_sql("DELETE FROM image_models")
            connection.exec_driver_sql("DELETE FROM images")
        return self

    def recorded(self) -> list[str]:
        with closing(Project.open(self.root).ledger) as ledger:
            return sorted(record.name for record in images(ledger))

    def scores(self, asset: str) -> pd.DataFrame:
        found = Project.open(self.root).scores(start=WINDOW[1], end=WINDOW[3])
        return found[found["asset_id"] == asset].reset_index(drop=True)


@pytest.fixture(scope="module")
def server(tools: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    server = tools.RegistryServer(tmp_path_factory.mktemp("registry")).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def fleet(case: Any, server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    root = Path(shutil.copytree(case.root, tmp_path_factory.mktemp("fleet") / "imaged"))
    fleet = Fleet(root, server)
    name = BaseBuild.of(case.usecase, root).name
    docker("tag", name, f"{server.host}/{name}")
    for arguments in (("train",), ("promote",), ("score", *WINDOW)):
        done = fleet.command(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
    yield fleet
    for shown in ("{{.Repository}}:{{.Tag}}", "{{.Repository}}@{{.Digest}}"):  # never by id: that is the base's, too
        listed = docker("images", "--digests", "--format", shown, f"{server.host}/imaged/*").split()
        for one in sorted({one for one in listed if "<none>" not in one}):
            docker("rmi", one)


@pytest.fixture(scope="module")
def pushed(fleet: Fleet) -> dict[str, Any]:
    return fleet.package("--push")


def docker(*arguments: str, code: int = 0, stdin: str | None = None) -> str:
    done = subprocess.run(["docker", *arguments], input=stdin, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + (done.stderr if code else "")


def test_each_model_is_loaded_and_scores_in_its_image_what_the_host_scores(fleet: Fleet, tmp_path: Path) -> None:
    fleet = fleet.copy(tmp_path)
    made = fleet.package()
    assert len(made["made"]) == 6
    assert {one["image_id"] for one in made["made"]} == {
        docker("image", "inspect", "--format", "{{.Id}}", f"{fleet.server.host}/{one['name']}").strip()
        for one in made["made"]
    }
    [one] = [one for one in made["made"] if one["models"][0]["unit"] == "P-101"]
    name = f"{fleet.server.host}/{one['name']}"
    inside = pd.read_csv(io.StringIO(docker("run", "--rm", *LOCKED_IN, name, "score", *WINDOW)))
    outside = fleet.scores("P-101")
    for column in ("score", "actual", "residual", "alarm", "version", "result_key", "verdict"):
        assert inside[column].tolist() == outside[column].tolist(), column
    assert pd.to_datetime(inside["time"]).tolist() == outside["time"].tolist()
    assert len(inside) > 50


def test_what_is_there_is_not_made_again_and_mlflow_tells_where_it_is(fleet: Fleet, pushed: dict[str, Any]) -> None:
    assert len(pushed["made"]) == 6
    again = fleet.package("--push")
    assert (again["made"], len(again["present"]), again["failed"]) == ([], 6, [])
    tracker = Project.open(fleet.root).tracker
    one = pushed["made"][0]
    model = one["models"][0]
    name = f"imaged.{model['unit']}.{model['model']}"
    tags = tracker.client.get_model_version(name, str(model["version"])).tags
    assert tags["datadriver.image"] == one["reference"] == f"{fleet.server.host}/{one['name'][:-3]}@{one['digest']}"


def test_the_digest_is_the_same_from_another_folder_at_another_time(
    fleet: Fleet, pushed: dict[str, Any], tmp_path: Path
) -> None:
    elsewhere = fleet.copy(tmp_path).forget()
    for file in elsewhere.root.rglob("*.py"):
        os.utime(file, (0, 0))
    again = elsewhere.package("--push")
    assert again["made"] == [], "the registry has them, under this very digest"
    assert {one["name"]: one["digest"] for one in again["present"]} == {
        one["name"]: one["digest"] for one in pushed["made"]
    }
    assert {one["image_id"] for one in elsewhere.package()["present"]} <= {one["image_id"] for one in pushed["made"]}, (
        "an engine calls them what the registry's manifest says"
    )


def test_what_was_pushed_is_inspected_pulled_and_run(fleet: Fleet, pushed: dict[str, Any]) -> None:
    [one] = [one for one in pushed["made"] if one["models"][0]["unit"] == "P-104"]
    if shutil.which("skopeo") is None:
        pytest.skip("skopeo is not installed")
    asked = ["skopeo", "inspect", "--tls-verify=false", f"docker://{fleet.server.host}/{one['name']}"]
    seen = json.loads(subprocess.run(asked, capture_output=True, text=True, check=True).stdout)
    assert seen["Digest"] == one["digest"]
    assert seen["Labels"]["org.opencontainers.image.title"] == "P-104/temperature"
    docker("pull", "--quiet", one["reference"])
    example = docker("run", "--rm", *LOCKED_IN, one["reference"], "info", "--example")
    answer = json.loads(docker("run", "--rm", "-i", *LOCKED_IN, one["reference"], "predict", stdin=example))
    assert {row["model"] for row in answer["predictions"]} == {"temperature"}
    docker("run", "--rm", *LOCKED_IN, one["reference"], "check")


def test_an_asset_has_one_image_with_all_of_its_models(fleet: Fleet, tmp_path: Path) -> None:
    fleet = fleet.copy(tmp_path)
    made = fleet.package("--env", "assets", "--push", "--assets", "P-101,P-102")
    assert [(len(one["models"]), one["name"].partition(":")[0]) for one in made["made"]] == [
        (1, "imaged/p-101-97665d11"),
        (1, "imaged/p-102-5457461e"),
    ]
    [one, _] = made["made"]
    assert one["name"].endswith(one["image_id"].removeprefix("sha256:")[:12])
    docker("pull", "--quiet", one["reference"])
    inside = pd.read_csv(io.StringIO(docker("run", "--rm", *LOCKED_IN, one["reference"], "score", *WINDOW)))
    assert inside["score"].tolist() == fleet.scores("P-101")["score"].tolist()


def test_a_layer_that_was_tampered_with_is_refused(fleet: Fleet, pushed: dict[str, Any], tmp_path: Path) -> None:
    [one] = [one for one in pushed["made"] if one["models"][0]["unit"] == "P-104"]
    docker("pull", "--quiet", one["reference"])
    inside = docker("create", one["reference"]).strip()
    docker("cp", f"{inside}:/model/temperature.skops", str(tmp_path / "temperature.skops"))
    archive = bytearray((tmp_path / "temperature.skops").read_bytes())
    archive[len(archive) // 2] ^= 1
    (tmp_path / "temperature.skops").chmod(0o644)
    (tmp_path / "temperature.skops").write_bytes(archive)
    docker("cp", str(tmp_path / "temperature.skops"), f"{inside}:/model/temperature.skops")
    docker("commit", inside, "imaged-tests/tampered")
    docker("rm", inside)
    for command in (("check",), ("score", *WINDOW)):
        said = docker("run", "--rm", *LOCKED_IN, "imaged-tests/tampered", *command, code=3)
        assert "is not the one that was packaged" in said
    docker("rmi", "imaged-tests/tampered")


def test_killed_while_it_pushes_the_next_run_finishes(
    fleet: Fleet, pushed: dict[str, Any], tools: ModuleType, tmp_path: Path
) -> None:
    fleet = fleet.copy(tmp_path).forget()
    line = tools.Line(fleet.server.host, 0.5).start()
    try:
        command = [sys.executable, "-m", "datadriver", "package", "--env", "killed", "--push"]
        environment = {**fleet.environment, "IMAGED_REGISTRY": line.host}
        with (tmp_path / "said").open("wb") as said:
            running = subprocess.Popen(command, cwd=fleet.root, env=environment, stdout=said, stderr=said)
        before = len(fleet.server.requests())
        while not any("PUT" in one and "/manifests/" in one for one in fleet.server.requests()[before:]):
            assert running.poll() is None, (tmp_path / "said").read_text()
            time.sleep(0.005)
        running.send_signal(signal.SIGKILL)
        assert running.wait() == -signal.SIGKILL
    finally:
        line.stop()
    assert fleet.recorded() == [], "killed between the registry and the ledger"
    again = fleet.package("--env", "killed", "--push")
    assert again["present"], "the registry has what it was given"
    assert sorted(one["name"] for one in again["made"] + again["present"]) == fleet.recorded()
    assert len(fleet.recorded()) == 6


def test_a_registry_that_is_down_costs_nothing_and_is_worth_a_retry(fleet: Fleet, tmp_path: Path) -> None:
    fleet = fleet.copy(tmp_path).forget()
    fleet.server.stop()
    try:
        done = fleet.command("package", "--push")
        assert done.returncode == 5
        assert fleet.server.host in done.stderr
        assert fleet.recorded() == []
    finally:
        fleet.server.start()
    assert len(fleet.package("--push")["present"]) == 6


def test_without_an_engine_it_is_said_what_to_do(fleet: Fleet) -> None:
    done = fleet.command("package", DOCKER_HOST="unix:///nowhere/docker.sock")
    assert done.returncode == 5
    assert "no Docker engine answers" in done.stderr
    assert "DOCKER_HOST" in done.stderr


def test_pushing_needs_no_engine_once_the_base_is_there(fleet: Fleet, pushed: dict[str, Any], tmp_path: Path) -> None:
    fleet = fleet.copy(tmp_path).forget()
    done = fleet.command("package", "--push", "--json", DOCKER_HOST="unix:///nowhere/docker.sock")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["present"]) == len(pushed["made"])


def test_a_cell_of_a_notebook_packages_too(
    fleet: Fleet, pushed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = fleet.copy(tmp_path).forget()
    for name, value in fleet.environment.items():
        monkeypatch.setenv(name, value)

    async def cell() -> Any:  # its thread has an event loop at work
        project = Project.open(fleet.root)
        return project.packages(push=True).make(project.instances, project.assets)

    assert len(asyncio.run(cell()).present) == len(pushed["made"])


def test_two_at_once_make_each_image_once(fleet: Fleet, tmp_path: Path) -> None:
    fleet = fleet.copy(tmp_path).forget()
    command = [sys.executable, "-m", "datadriver", "package", "--env", "two", "--push", "--json"]
    both = [
        subprocess.Popen(command, cwd=fleet.root, env=fleet.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    for one in both:
        _, said = one.communicate(timeout=240)
        assert one.returncode == 0, said.decode()
    assert len(fleet.recorded()) == len(set(fleet.recorded())) == 6


def test_old_images_are_pruned_and_those_in_service_stay(fleet: Fleet, tmp_path: Path) -> None:
    fleet = fleet.copy(tmp_path).forget()
    options = ("--env", "pruned", "--push", "--assets", "P-101")
    made = [fleet.package(*options)["made"][0]["name"]]
    for alpha in (2, 3):
        edit(fleet.root, f"alpha: {alpha - 1}.0", f"alpha: {alpha}.0")
        for arguments in (("train", "--assets", "P-101"), ("promote", "--assets", "P-101", "--force")):
            assert fleet.command(*arguments).returncode == 0
        tag_base(fleet)
        made.append(fleet.package(*options)["made"][0]["name"])
    report = fleet.package(*options, "--prune")
    assert report["pruned"] == made[:1]
    assert fleet.recorded() == sorted(made[1:])
    assert fleet.package(*options, "--prune")["pruned"] == []
    gone = f"{fleet.server.host}/{made[0]}"
    assert "not found" in docker("pull", gone, code=1) or "unknown" in docker("pull", gone, code=1)


def test_challengers_that_would_be_promoted_are_packaged_before_they_are(fleet: Fleet, tmp_path: Path) -> None:
    fleet = fleet.copy(tmp_path).forget()
    assert fleet.package("--challengers", "--push")["made"] == [], "all of them are champions already"


def test_a_model_of_other_code_is_refused_and_the_reason_is_said(fleet: Fleet, tmp_path: Path) -> None:
    fleet = fleet.copy(tmp_path).forget()
    with (fleet.root / "src/imaged/features.py").open("a", encoding="utf-8") as file:
        file.write("\n# another version\n")
    tag_base(fleet)
    report = fleet.package("--push", code=2)
    assert len(report["failed"]) == 6
    assert "was trained with other code" in report["failed"][0]["reason"]
    assert fleet.recorded() == []


def edit(root: Path, old: str, new: str) -> None:
    text = (root / "usecase.yaml").read_text("utf-8")
    assert old in text
    (root / "usecase.yaml").write_text(text.replace(old, new), "utf-8")


def tag_base(fleet: Fleet) -> None:
    """Let the base of changed files be the one that is there: building another is the business of other tests."""
    project = Project.open(fleet.root)
    name = BaseBuild.of(project.usecase, fleet.root).name
    known = docker("images", "--format", "{{.Repository}}:{{.Tag}}", f"{fleet.server.host}/imaged/base").split()
    docker("tag", known[0], f"{fleet.server.host}/{name}")
