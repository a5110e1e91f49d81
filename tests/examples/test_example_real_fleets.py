"""Wells and wind run whole on the real data."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from datadriver.fleet.selection import Selection
from datadriver.project import Project
from datadriver.tracking.monitoring import alarms

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


ONSETS = {"WELL-00003": "2018-02-06T18:40:03", "WELL-00009": "2017-03-13T17:07:07", "WELL-00013": "2017-03-29T03:03:55"}
"""The first second that experts label as the way into the closing of the valve."""


@of_wells
@pytest.mark.parametrize("well", ONSETS)
def test_the_alarm_opens_soon_after_the_valve_begins_to_close_and_not_before(well: str, wells: Project) -> None:
    onset = pd.Timestamp(ONSETS[well], tz="UTC")
    only = Selection(assets=(well,))
    wells.monitor(only, start=onset.floor("1h") - pd.Timedelta("1h"), until=onset + pd.Timedelta("40min"), workers=1)
    opened = [pd.Timestamp(one.opened) for one in alarms(wells.ledger, assets=[well]) if one.check == "alarms"]
    assert onset < min(opened) < onset + pd.Timedelta("15min")


@of_wells
def test_a_gauge_that_died_is_told_and_wells_that_are_silent_for_years_are_unknown(wells: Project) -> None:
    only = Selection(assets=("WELL-00002",))
    wells.monitor(only, start="2014-01-20T00:00", until="2014-01-20T04:00", workers=1)
    dead = [one for one in alarms(wells.ledger, assets=["WELL-00002"]) if one.check == "frozen"]
    assert dead
    assert all(one.reason.startswith("p_pdg stood still") for one in dead)
    page = wells.report(workers=1).path.read_text()
    assert page.index("WELL-00003") < page.index("WELL-00007")  # the only well with readings at the end, and in alarm


@pytest.fixture(scope="module")
def replay(copies: Path, real_data: Path) -> Project:
    """February 2015 as the models of 2014 met it."""
    project, only = Project.open(copies / "wind", env="replay"), Selection(models=("power",))
    project.train(only, until="2015-01-01", workers=2)
    project.promote(only)
    project.score(only, start="2015-01-22", end="2015-02-25", workers=2)
    for start, until in (("2015-02-07", "2015-02-10"), ("2015-02-21", "2015-02-25")):
        project.monitor(only, start=start, until=until, workers=2)
    return project


@of_wind
def test_a_turbine_that_stands_in_the_wind_is_told_by_the_contract(replay: Project) -> None:
    found = {
        (one.asset, one.opened[:10], one.closed is not None): one.reason
        for one in alarms(replay.ledger)
        if one.check == "contract"
    }
    assert list(found) == [("R80790", "2015-02-08", True)]
    assert found["R80790", "2015-02-08", True].startswith("pitch: 78 of 144 values (54.2%) not at most 40 deg")


@of_wind
def test_iced_anemometers_alarm_on_all_turbines_at_once(replay: Project) -> None:
    facts = replay.facts(start="2015-02-21").query("check == 'alarms' and outcome == 'breach'")
    assert set(facts["window_start"]) == {pd.Timestamp("2015-02-23", tz="UTC")}
    assert len(facts) == len(replay.assets)
    day = replay.scores(start="2015-02-23", end="2015-02-24").query("alarm")
    assert (day["residual"] > 0).all()  # more power than so little wind could give: it is the wind that is wrong


@of_wind
def test_lost_performance_makes_turbines_due_and_the_report_says_so(replay: Project) -> None:
    plan = replay.plan(Selection(models=("power",)), until="2015-02-25")
    asked = {one.key.unit for one in plan if one.reason.startswith("asked by monitoring: performance")}
    assert {"R80721", "R80736"} <= asked
    page = (replay.report(workers=1).path.parent / "assets" / "R80721.html").read_text()
    assert "Asked to train again" in page
