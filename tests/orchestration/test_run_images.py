"""Which image a task runs in: that of the champions as the ledger has them when it starts."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from datadriver.errors import ConfigError, UnavailableError
from datadriver.images.names import asset_repository, model_repository
from datadriver.orchestration.images import image_of
from datadriver.orchestration.plan import DagPlan, Header, TaskPlan, Trigger
from datadriver.project import Project
from datadriver.tracking.images import ImageRecord, Packed, record_images

REGISTRY = "registry.example.com"
ENGINE = "Docker engine of here"
MODEL = model_repository("tiny", "P-1", "temperature")
ASSET = asset_repository("tiny", "P-1")


@pytest.fixture
def imaged(served: Any) -> Any:
    """A fleet with champions and a registry, and no image yet."""
    served.edit("scores: {window: 2d}", f"scores: {{window: 2d}}\npackage: {{registry: {REGISTRY}}}")
    return served


def record(case: Any, repository: str, tag: str, *models: tuple[str, str, int], place: str = REGISTRY) -> None:
    image = ImageRecord(
        place=place,
        repository=repository,
        tag=tag,
        image_id=f"sha256:{tag}{place}",
        digest=f"sha256:{tag}" if place == REGISTRY else None,
        base="tiny/base:1",
        size=1,
        models=tuple(Packed(*one) for one in models),
        batch="",
    )
    with closing(Project.open(case.root).ledger) as ledger:
        record_images(ledger, [replace(image, batch=ledger.start_batch("package").id)])


def found(case: Any, *, asset: str = "P-1", model: str | None = "temperature", pushed: bool = False) -> str:
    dag = DagPlan("tiny__P-1__score", "score", asset, Trigger(), (), assets=[asset])
    task = TaskPlan("score", command=("score", "--publish"), image="model", model=model)
    return image_of(task, dag, Header("tiny", str(case.root)), {}, pushed=pushed)


def test_the_image_is_that_of_the_champion_by_digest_where_the_registry_has_it(imaged):
    record(imaged, MODEL, "v1", ("P-1", "temperature", 1), place=ENGINE)
    assert found(imaged) == f"{REGISTRY}/{MODEL}:v1"
    record(imaged, MODEL, "v1", ("P-1", "temperature", 1))
    record(imaged, MODEL, "v0", ("P-1", "temperature", 1))
    assert found(imaged) == f"{REGISTRY}/{MODEL}@sha256:v1"


def test_pods_do_not_run_what_only_an_engine_has(imaged):
    record(imaged, MODEL, "v1", ("P-1", "temperature", 1), place=ENGINE)
    with pytest.raises(
        UnavailableError, match=rf"temperature v1 in the registry {REGISTRY} yet: `datadriver package --"
    ):
        found(imaged, pushed=True)


def test_a_champion_without_an_image_is_named_and_may_get_one(imaged):
    record(imaged, MODEL, "v0", ("P-2", "temperature", 1))
    with pytest.raises(UnavailableError, match="there is no image of the champion P-1/temperature v1 yet"):
        found(imaged)


def test_an_image_of_an_asset_has_exactly_its_champions(imaged):
    imaged.edit(f"registry: {REGISTRY}", f"registry: {REGISTRY}, per: asset")
    record(imaged, ASSET, "old", ("P-1", "temperature", 1), ("P-2", "temperature", 1))
    with pytest.raises(UnavailableError, match="P-1/temperature v1"):
        found(imaged, model=None)
    record(imaged, ASSET, "new", ("P-1", "temperature", 1))
    assert found(imaged, model=None) == f"{REGISTRY}/{ASSET}@sha256:new"


@pytest.mark.parametrize(
    ("asset", "model", "message"),
    [
        ("P-11", "temperature", "there is no asset 'P-11'; did you mean"),
        ("P-1", "temprature", "P-1 has no model 'temprature'; did you mean 'temperature'"),
    ],
)
def test_what_is_not_there_is_named(imaged, asset, model, message):
    with pytest.raises(ConfigError, match=message):
        found(imaged, asset=asset, model=model)


def test_an_asset_without_a_champion_has_nothing_to_be_run(tiny):
    with pytest.raises(ConfigError, match="none of its 1 models has a champion; run datadriver train and promote"):
        found(tiny)
