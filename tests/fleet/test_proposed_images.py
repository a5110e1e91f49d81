"""Which images a proposal needs: those of what serves after each step of its release."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from datadriver.project import Project
from datadriver.tracking import releases
from datadriver.tracking.records import Key, Outcome, Version

if TYPE_CHECKING:
    from conftest import TinyCase

SECOND = """
  wear:
    problem: regression
    target: {column: temperature}
    features: tiny.features:load
    estimator: tiny.models:ridge
    baseline: tiny.models:mean
    window: {min_rows: 20}
    evaluate: {metrics: [mae], primary: mae, holdout: 20%}
    promote: {approval: manual}
package: {per: PER}
scores:"""


class Packed:
    """A use case with two models for each pump, the second with `approval: manual`; versions exist on paper only."""

    def __init__(self, project: Project) -> None:
        self.project, self.ledger = project, project.ledger
        self.batch = self.ledger.start_batch("train").id
        self.made: dict[Key, int] = {}

    def train(self, *keys: tuple[str, str]) -> None:
        for key in (Key(*one) for one in keys):
            number = self.made[key] = self.made.get(key, 0) + 1
            name = f"{key}:{number}"
            version = Version(
                *key, number, name, f"models:/{name}", name, "0" * 64, name, "model", "predict",
                decision={"better": True, "reason": "won"},
            )  # fmt: skip
            self.ledger.record_result(Outcome(self.batch, *key, "trained", result_key=name), version=version)

    def promote(self) -> None:
        releases.promote(self.ledger, None, self.project.instances, by="ada")

    def images(self, **options: object) -> list[str]:
        packages = self.project.packages(**options)  # type: ignore[arg-type]
        plan = packages.plan(self.project.instances, self.project.assets)
        return sorted(" + ".join(f"{one.key}:{version.version}" for one, version in image.members) for image in plan)


@pytest.fixture
def packed(tiny: TinyCase, request: pytest.FixtureRequest) -> Iterator[Packed]:
    tiny.edit("\nscores:", SECOND.replace("PER", request.param))
    project = Project.open(tiny.root)
    with closing(project.ledger):
        yield Packed(project)


P1 = ("P-1", "temperature"), ("P-1", "wear")


@pytest.mark.parametrize("packed", ["asset"], indirect=True)
def test_an_asset_has_an_image_for_before_and_after_the_approval(packed: Packed) -> None:
    packed.train(*P1, ("P-2", "wear"))
    packed.promote()
    packed.train(*P1)
    packed.project.propose("monday")
    both = ["P-1/temperature:2 + P-1/wear:1", "P-1/temperature:2 + P-1/wear:2"]
    assert packed.images(proposal="monday") == both
    packed.train(("P-1", "temperature"))
    assert packed.images(proposal="monday") == both
    assert packed.images(challengers=True) == ["P-1/temperature:3 + P-1/wear:2"]


@pytest.mark.parametrize("packed", ["asset"], indirect=True)
def test_a_new_version_does_not_leave_the_other_champions_of_its_asset_without_an_image(packed: Packed) -> None:
    packed.train(*P1)
    packed.promote()
    packed.train(("P-1", "wear"))
    packed.project.propose("monday")
    assert packed.images(proposal="monday") == ["P-1/temperature:1 + P-1/wear:2"]


@pytest.mark.parametrize("packed", ["model"], indirect=True)
def test_a_model_has_an_image_of_its_own(packed: Packed) -> None:
    packed.train(*P1)
    packed.promote()
    packed.train(*P1)
    packed.project.propose("monday")
    packed.train(*P1)
    assert packed.images(proposal="monday") == ["P-1/temperature:2", "P-1/wear:2"]
