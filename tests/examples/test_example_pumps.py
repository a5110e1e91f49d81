"""The pumps example from end to end, on a small fleet."""

from __future__ import annotations

import pandas as pd
import pytest

from datadriver.fleet.status import InstanceStatus
from datadriver.project import Project

pytestmark = pytest.mark.xdist_group("pumps")  # one worker makes the fleet, for all of these

MODELS = {"motor_temperature", "behaviour", "failure[horizon=3d]", "failure[horizon=7d]"}


@pytest.fixture(scope="module")
def status(pumps: Project) -> tuple[InstanceStatus, ...]:
    return pumps.status()


def of(status: tuple[InstanceStatus, ...], model: str) -> list[InstanceStatus]:
    return [line for line in status if line.model == model]


def test_the_configuration_is_right(pumps: Project) -> None:
    assert pumps.check() == ()


def test_every_instance_has_a_version_in_service_or_a_reason_for_none(status: tuple[InstanceStatus, ...]) -> None:
    assert {line.model for line in status} == MODELS
    for line in status:
        assert line.champion_version is not None or line.reason, line
    served = [line for line in status if line.champion_version is not None]
    assert len(served) >= 0.7 * len(status)


def test_a_pump_without_data_is_listed_and_the_others_are_done(status: tuple[InstanceStatus, ...]) -> None:
    missing = [line for line in status if line.unit == "MC 520 #H-4"]
    assert {line.champion_version for line in missing} == {None}
    assert all("does not exist" in line.reason for line in missing)


def test_most_temperature_models_beat_the_mean_at_this_load(status: tuple[InstanceStatus, ...]) -> None:
    champions = [line for line in of(status, "motor_temperature") if line.state == "champion"]
    assert len(champions) >= 12
    errors = pd.DataFrame(
        {"model": line.metrics["mae"], "baseline": line.baseline_metrics["mae"]} for line in champions
    ).median()
    assert errors["model"] < 0.7
    assert errors["model"] < 0.6 * errors["baseline"]


def test_failures_are_learnt_from_the_pumps_of_a_type_together(status: tuple[InstanceStatus, ...]) -> None:
    pooled = of(status, "failure[horizon=7d]")
    assert {line.unit for line in pooled} == {"type=ESP-400", "type=ESP-538", "type=ESP-675"}
    assert any(line.champion_version is not None for line in pooled)


@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")
@pytest.mark.parametrize("model", sorted(MODELS))
def test_plain_mlflow_predicts_what_was_scored(
    model: str, pumps: Project, status: tuple[InstanceStatus, ...], assert_mlflow_predicts_what_was_scored
) -> None:
    unit = next(line.unit for line in of(status, model) if line.champion_version is not None)
    scores = pumps.scores()
    asset = scores.loc[(scores["unit"] == unit) & (scores["model"] == model), "asset_id"].iloc[0]
    assert_mlflow_predicts_what_was_scored(pumps, unit, asset, model)


def test_a_failing_pump_raises_alarms_before_it_fails(pumps: Project) -> None:
    scores = pumps.scores()
    assert scores["alarm"].mean() < 0.2
    assert not scores.duplicated(["unit", "model", "asset_id", "time"]).any()
