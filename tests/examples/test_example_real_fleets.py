"""Wells and wind run whole on the real data."""

from __future__ import annotations

from pathlib import Path

import pytest

from datadriver.project import Project

pytestmark = [
    pytest.mark.fleet_data,
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]


of_wells, of_wind = pytest.mark.xdist_group("wells"), pytest.mark.xdist_group("wind")  # each is run once


@pytest.fixture(scope="module")
def wells(copies: Path, real_data: Path) -> Project:
    project = Project.open(copies / "wells")
    project.run(workers=2)
    return project


@pytest.fixture(scope="module")
def wind(copies: Path, real_data: Path) -> Project:
    project = Project.open(copies / "wind")
    project.run(workers=2)
    return project


@of_wells
def test_every_well_has_a_model_in_service(wells: Project) -> None:
    assert {line.unit: line.champion_version for line in wells.status()} == {asset.id: 1 for asset in wells.assets}


@of_wells
def test_labels_judge_wells_that_have_normal_rows_and_only_those(wells: Project) -> None:
    labelled = {line.unit for line in wells.status() if line.metrics.get("average_precision") is not None}
    assert labelled == {asset.id for asset in wells.assets if asset.attributes["recordings"] == "event"}


@of_wells
def test_a_closing_safety_valve_is_told_from_normal_operation(wells: Project) -> None:
    precision = {line.unit: line.metrics.get("average_precision") for line in wells.status()}
    assert all(precision[f"WELL-000{number}"] > 0.9 for number in ("03", "09", "12", "13"))


@of_wells
def test_plain_mlflow_predicts_what_was_scored_for_a_well(
    wells: Project, assert_mlflow_predicts_what_was_scored
) -> None:
    assert_mlflow_predicts_what_was_scored(wells, "WELL-00009", "WELL-00009", "abnormal")


@of_wind
def test_power_models_beat_the_power_curve(wind: Project) -> None:
    lines = wind.status()
    assert {line.state for line in lines} == {"champion"}
    for line in lines:
        assert line.metrics["mae"] < line.baseline_metrics["mae"]
        assert line.metrics["mae"] < (50 if line.model == "power" else 210)


@of_wind
@pytest.mark.parametrize("model", ["power", "power_from_weather"])
def test_plain_mlflow_predicts_what_was_scored_for_a_turbine(
    model: str, wind: Project, assert_mlflow_predicts_what_was_scored
) -> None:
    assert_mlflow_predicts_what_was_scored(wind, "R80711", "R80711", model)
