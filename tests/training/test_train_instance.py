"""Whole trainings on a small plant: what serves, why, and what is refused with which words."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from datadriver.config.fleet import Asset
from datadriver.config.sections import Promote
from datadriver.data.frame import SensorFrame
from datadriver.data.window import Window
from datadriver.errors import ConfigError, DataError, UseCaseError
from datadriver.training.decide import Candidates, decide
from datadriver.training.estimators import Scorer
from datadriver.training.evaluate import Duel, Judged
from datadriver.training.fit import train_instance
from datadriver.training.metrics import Evidence, find_metric
from datadriver.training.results import Incumbent, Seen, TrainResult

Make = Callable[..., Any]
IDS = tuple(f"P-{number}" for number in range(8))


@pytest.fixture
def train(root: Path, make_instance: Make, make_frame: Make) -> Callable[..., TrainResult]:
    """Train one asset on generated rows, plots off unless asked for."""

    def run(
        section: Mapping[str, Any],
        frames: list[SensorFrame] | None = None,
        *,
        events: Mapping[str, pd.DataFrame] | None = None,
        incumbent: Incumbent | None = None,
        window: Window | None = None,
        **sections: Any,
    ) -> TrainResult:
        frames = frames or [make_frame()]
        sections = {"tracking": {"plots": False}, **sections}
        instance = make_instance(section, [sensor.asset for sensor in frames], **sections)
        return train_instance(instance, frames, events or {}, incumbent, root=root, window=window)

    return run


def wearing_fleet(make_frame: Make, rows: int = 500) -> tuple[list[SensorFrame], dict[str, pd.DataFrame]]:
    """Machines whose load climbs in the hours before each failure."""
    frames, events = [], {}
    for number, asset in enumerate(IDS):
        sensor = make_frame(asset, rows=rows, seed=number)
        at = np.array([150 + 5 * number, 350 + 5 * number])
        wear = sum(np.clip(1 - (moment - np.arange(rows)) / 40, 0, 1) * (np.arange(rows) <= moment) for moment in at)
        frames.append(replace(sensor, frame=sensor.frame.assign(load=sensor.frame["load"] + wear)))
        events[asset] = pd.DataFrame(index=sensor.frame.index[at])
    return frames, events


def test_a_regression_beats_its_mean_and_says_so_with_figures(train: Make, sections: Any) -> None:
    result = train({**sections["regression"], "alarm": {"on": "residual", "above": {"quantile": 0.99}}})
    assert (result.role, result.method, result.primary) == ("model", "predict", "mae")
    assert result.decision.better is True
    assert result.decision.reason.startswith("mae 0.8")
    assert "beats baseline 6.17" in result.decision.reason
    assert result.features == (("load", "float64"),)
    assert result.rows["fit"] == 480
    assert result.rows["holdout"] == 120
    assert list(result.holdout.columns) == ["y_true", "y_score"]
    assert result.holdout.index.names == ["asset_id", "time"]
    assert result.threshold == pytest.approx(2.6, abs=0.5)
    assert result.train_window.end <= result.holdout_window.start  # type: ignore[operator]
    assert result.metrics["model"]["mae"] < result.metrics["baseline"]["mae"]
    json.dumps([result.reference, result.params, result.rows, result.seen.to_json()], allow_nan=False)


def test_a_pooled_classification_learns_what_precedes_failures(train: Make, sections: Any, make_frame: Make) -> None:
    frames, events = wearing_fleet(make_frame)
    result = train(sections["classification"], frames, events=events)
    assert (result.method, result.primary) == ("predict_proba", "average_precision")
    assert result.metrics["model"]["average_precision"] > 0.5
    assert result.rows["events_fit"] + result.rows["events_holdout"] == 16
    held = set(result.holdout.index.get_level_values(0))
    assert held
    assert held.isdisjoint(result.seen.groups)
    assert held | set(result.seen.groups) == set(IDS)
    assert result.holdout["y_score"].between(0, 1).all()


def test_a_classifier_without_probabilities_is_scored_by_its_margin(
    train: Make, sections: Any, make_frame: Make
) -> None:
    frames, events = wearing_fleet(make_frame)
    result = train({**sections["classification"], "estimator": "plant.models:margin"}, frames, events=events)
    assert result.method == "predict"
    assert result.holdout["y_score"].between(0, 1).all()
    assert result.metrics["model"]["roc_auc"] > 0.8


def test_an_anomaly_model_without_labels_is_judged_by_sensors_moved_on_purpose(train: Make, sections: Any) -> None:
    result = train({**sections["anomaly"], "alarm": {"above": {"quantile": 0.98}}})
    assert result.primary == "synthetic_roc_auc"
    assert result.metrics["model"]["synthetic_roc_auc"] > 0.9
    assert result.role == "model"
    assert set(result.metrics["baseline"]) == {"synthetic_roc_auc", "alarm_rate", "score_stability"}
    assert (result.holdout["y_score"] > result.threshold).mean() == result.metrics["model"]["alarm_rate"]
    assert result.warnings == ()


def test_known_anomalies_are_kept_out_of_the_fit_and_judge(train: Make, sections: Any, make_frame: Make) -> None:
    sensor = make_frame()
    strange = np.zeros(len(sensor.frame), dtype=bool)
    strange[50:80] = strange[550:560] = True
    frame = sensor.frame.assign(
        load=sensor.frame["load"].where(~strange, 3.0), state=np.where(strange, "fault", "normal")
    )
    section = {**sections["anomaly"], "target": {"column": "state", "positive": ["fault"]}}
    result = train(section, [replace(sensor, frame=frame)])
    assert result.primary == "average_precision"
    assert result.metrics["model"]["average_precision"] > 0.9
    assert result.rows["positive_fit"] == 0
    assert result.rows["positive_holdout"] == 40
    assert result.rows["fit"] + result.rows["holdout"] == 600


def test_a_decision_has_as_many_digits_as_tell_the_figures_apart(root: Path) -> None:
    evidence = Evidence(np.zeros(3), np.zeros(3), pd.DataFrame())
    model, baseline = (
        Judged(Scorer(role, None, "predict"), evidence, None, {"mae": mae}, {})
        for role, mae in (("model", 1.0560), ("baseline", 5.38))
    )
    duel = Duel("1", {"mae": 1.0561}, {"mae": 1.0560}, 3)
    decision = decide(find_metric("mae", root), Candidates(model, baseline, model), duel, Promote())
    assert decision.reason == "mae 1.06 beats baseline 5.38; 1.0560 beats champion 1.0561 (v1)"


def test_a_model_that_loses_leaves_its_baseline_serving(train: Make, sections: Any) -> None:
    section = {**sections["regression"], "estimator": "plant.models:mean", "baseline": "plant.models:ridge"}
    result = train(section)
    assert result.role == "baseline"
    assert result.decision.better is True
    assert "the baseline serves: mae 6.17 of the model does not beat baseline 0.81" in result.decision.reason
    assert type(result.estimator).__name__ == "Pipeline"
    ties = train({**section, "baseline": "plant.models:mean"})
    assert ties.role == "baseline"


def test_the_incumbent_stays_unless_beaten_on_rows_that_it_has_not_seen(train: Make, sections: Any) -> None:
    first = train(sections["regression"])
    champion = Incumbent("3", first.estimator, first.seen, first.role)
    again = train(sections["regression"], incumbent=champion)
    assert again.decision.better is False
    assert "does not beat champion 0.8" in again.decision.reason
    assert "(v3)" in again.decision.reason
    assert again.metrics["champion"] == again.metrics["challenger"] == again.metrics["model"]
    worse = Incumbent("4", train({**sections["regression"], "estimator": "plant.models:rule"}).estimator, first.seen)
    won = train(sections["regression"], incumbent=worse)
    assert won.decision.better is True
    assert " and champion " in won.decision.reason


def test_a_margin_must_be_beaten_too(train: Make, sections: Any) -> None:
    section = {**sections["regression"], "promote": {"margin": 0.9}}
    result = train(section)
    assert result.role == "baseline"
    assert "by the margin of 90.0%" in result.decision.reason


def test_a_champion_is_compared_only_on_what_it_has_not_seen(train: Make, sections: Any, make_frame: Make) -> None:
    result = train(sections["regression"])
    until = make_frame().frame.index[560]
    part = train(sections["regression"], incumbent=Incumbent("1", result.estimator, Seen(until)))
    assert "on the 39 of 120 holdout rows that it has not seen" in part.decision.reason
    assert part.metrics["challenger"] != part.metrics["model"]
    everything = train(
        sections["regression"], incumbent=Incumbent("1", result.estimator, Seen(make_frame().frame.index[-1]))
    )
    assert everything.decision.better is None
    assert "it has seen all but 0 of the 120 holdout rows" in everything.decision.reason
    assert "champion" not in everything.metrics


def test_a_champion_that_cannot_score_todays_features_gives_way(train: Make, sections: Any) -> None:
    old = train({**sections["regression"], "features": None})
    result = train(sections["regression"], incumbent=Incumbent("1", old.estimator, old.seen))
    assert result.decision.better is True
    assert "champion (v1) cannot score the rows of today" in result.decision.reason


def test_scores_that_are_not_finite_never_win(train: Make, sections: Any) -> None:
    result = train({**sections["regression"], "estimator": "plant.models:nowhere"})
    assert result.role == "baseline"
    assert "mae not available of the model does not beat baseline" in result.decision.reason
    assert "mae of the model is not available: 120 of 120 scores are not finite" in result.warnings


def test_pictures_are_drawn_even_where_no_score_is_finite(train: Make, sections: Any) -> None:
    for problem in ("regression", "anomaly"):
        names = dict.fromkeys(("estimator", "baseline"), "plant.models:nowhere")
        result = train({**sections[problem], **names}, tracking={"plots": True})
        assert result.plots
        assert result.decision.better is None
        assert "120 of 120 scores are not finite" in result.decision.reason


def test_a_holdout_with_one_class_cannot_judge(train: Make, sections: Any, make_frame: Make) -> None:
    frames, events = wearing_fleet(make_frame)
    early = {asset: log.iloc[:1] for asset, log in events.items()}
    result = train({**sections["classification"], "evaluate": {"holdout": "20%"}}, frames, events=early)
    assert result.decision.better is None
    assert "the holdout has one class only (0 of" in result.decision.reason


def test_metrics_of_the_use_case_are_called_with_series_and_frame(train: Make, sections: Any) -> None:
    names = ["plant.features:worst", "plant.features:score_of_rows"]
    result = train({**sections["regression"], "evaluate": {"metrics": names}})
    assert result.primary == "plant.features:worst"
    assert result.greater_is_better is False
    assert result.metrics["model"]["plant.features:score_of_rows"] == 120


def test_seeds_reach_estimators_however_deep_they_sit(train: Make, sections: Any) -> None:
    for name in ("forest", "seeded"):
        section = {**sections["regression"], "estimator": f"plant.models:{name}"}
        first, second, other = train(section), train(section), train(section, seed=7)
        assert first.metrics == second.metrics
        assert first.metrics != other.metrics


def test_warnings_are_kept_and_not_printed(train: Make, sections: Any, make_frame: Make) -> None:
    sensor = make_frame()
    frame = sensor.frame.assign(flow=1.0, spare=np.nan)
    section = {**sections["regression"], "features": None, "estimator": "plant.models:ridge"}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        odd = train(section, [replace(sensor, frame=frame)])
        unconverged = train({**sections["regression"], "estimator": "plant.models:unconverged"})
    assert caught == []
    assert "features with one value only in the training part: flow" in odd.warnings
    assert "features without a value in the training part: spare" in odd.warnings
    assert any(text.startswith("ConvergenceWarning: ") for text in unconverged.warnings)


def test_masked_rows_and_lookback_are_neither_fitted_nor_judged(train: Make, sections: Any, make_frame: Make) -> None:
    sensor = make_frame()
    section = {**sections["regression"], "features": "plant.features:rolling", "window": {"lookback": "2h"}}
    result = train(section, [sensor], data={"mask": "plant.features:running"})
    stopped = int((sensor.frame["load"][12:] <= 0.2).sum())
    assert stopped > 0
    assert result.rows["outside"] == 12
    assert result.rows["masked"] == stopped
    assert result.rows["fit"] + result.rows["holdout"] == 600 - 12 - stopped


def test_a_fit_uses_its_training_window_up_to_the_end_that_was_asked_for(
    train: Make, sections: Any, make_frame: Make
) -> None:
    section = {**sections["regression"], "window": {"train": "2d"}}
    end = make_frame().frame.index[432]
    result = train(section, window=Window(None, end))
    assert result.rows["fit"] + result.rows["holdout"] == 288
    assert result.holdout.index[-1][1] == make_frame().frame.index[431]


def test_integer_steps_work_as_times_do(train: Make, sections: Any, make_frame: Make) -> None:
    frames, events = wearing_fleet(make_frame)
    stepped = [replace(one, frame=one.frame.reset_index(drop=True).rename_axis("step")) for one in frames]
    logs = {
        asset: pd.DataFrame(index=pd.Index(frames[0].frame.index.get_indexer(log.index), name="step"))
        for asset, log in events.items()
    }
    section = {
        **sections["classification"],
        "target": {"events": "failures", "horizon": 36},
        "evaluate": {"holdout": "40%"},
    }
    result = train(section, stepped, events=logs, data={"index": "step"})
    assert result.seen.until == result.train_window.end - 1 + 35  # type: ignore[operator]
    assert result.metrics["model"]["roc_auc"] > 0.8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"window": {"min_rows": 481}},
            r"P-1/m, split: 480 rows are left for the fit, window.min_rows is 481 \(600 read",
        ),
        ({"evaluate": {"holdout": "599 rows"}}, "1 rows are left for the fit"),
    ],
)
def test_too_few_rows_are_an_error_with_figures(train: Make, sections: Any, change: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        train({**sections["regression"], **change})


@pytest.mark.parametrize(
    ("temperature", "message"),
    [
        (np.nan, r"P-1/m, prepare: no row is left to learn from \(600 read, 600 unlabelled\)"),
        (55.5, "the target is 55.5 in all 480 rows of the training part; a constant sensor cannot be learnt from"),
    ],
)
def test_a_target_that_says_nothing_is_an_error(
    train: Make, sections: Any, make_frame: Make, temperature: float, message: str
) -> None:
    sensor = make_frame()
    with pytest.raises(DataError, match=message):
        train(sections["regression"], [replace(sensor, frame=sensor.frame.assign(temperature=temperature))])


def test_too_few_events_and_one_class_are_errors(train: Make, sections: Any, make_frame: Make) -> None:
    frames, events = wearing_fleet(make_frame)
    target = {"events": "failures", "horizon": "6h", "min_events": 50}
    with pytest.raises(DataError, match=r"has \d+ events \(failures within 6h\), target.min_events is 50; read more"):
        train({**sections["classification"], "target": target}, frames, events=events)
    with pytest.raises(DataError, match="has 0 events"):
        train(sections["classification"], frames)
    always = {**sections["classification"], "target": {"column": "temperature"}}
    with pytest.raises(DataError, match="one class only, all"):
        train(always, frames)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"params": {"alfa": 2}}, "P-1, model of m: plant.models:ridge has no parameter 'alfa'; did you mean 'alpha'"),
        ({"baseline_params": {"a": 2}}, "baseline of m: plant.models:mean has no parameter 'a'; it takes none"),
        ({"estimator": "plant.models:raises"}, "model of m: plant.models:raises raised RuntimeError: no model today"),
        ({"estimator": "plant.models:a_class"}, r"returned the class Ridge; return an instance: Ridge\(\)"),
        ({"estimator": "plant.models:no_estimator"}, "returned int, which does not have `fit` and one of predict"),
        ({"evaluate": {"metrics": ["plant.features:not_a_number"]}}, "returned str; return one number"),
    ],
)
def test_errors_of_the_use_cases_code_name_the_function(train: Make, sections: Any, change: Any, message: str) -> None:
    with pytest.raises(UseCaseError, match=message):
        train({**sections["regression"], **change})


def test_an_estimator_that_cannot_take_nulls_is_named_with_the_features_that_have_them(
    train: Make, sections: Any, make_frame: Make
) -> None:
    sensor = make_frame()
    holes = sensor.frame.assign(flow=sensor.frame["flow"].where(np.arange(600) % 4 > 0))
    section = {**sections["regression"], "features": None, "estimator": "plant.models:plain_ridge"}
    with pytest.raises(UseCaseError, match=r"fit of Ridge raised ValueError: .*features with nulls: flow 25.0%"):
        train(section, [replace(sensor, frame=holes)])


def test_an_estimator_of_the_use_case_is_named_with_the_line_that_raised(train: Make, sections: Any) -> None:
    with pytest.raises(
        UseCaseError, match=r"predict of Rule raised UFuncTypeError: .*\(src/plant/models.py, line \d+\)"
    ):
        train({**sections["regression"], "estimator": "plant.models:rule", "params": {"factor": "two"}})


def test_a_detector_that_cannot_score_new_rows_is_refused(train: Make, sections: Any) -> None:
    with pytest.raises(UseCaseError, match=r"LocalOutlierFactor, .*\(LocalOutlierFactor: with novelty=True\)"):
        train({**sections["anomaly"], "estimator": "plant.models:neighbours"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"evaluate": {"metrics": ["rocauc"]}}, "no metric 'rocauc'; did you mean 'roc_auc'"),
        ({"evaluate": {"metrics": ["roc_auc"]}}, "'roc_auc' does not suit regression"),
        ({"problem": "regresion"}, "no problem 'regresion'; did you mean 'regression'"),
    ],
)
def test_names_that_do_not_exist_are_configuration_errors(
    train: Make, sections: Any, change: Any, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        train({**sections["regression"], **change})


def test_assets_of_one_fit_must_have_the_same_features(train: Make, sections: Any, make_frame: Make) -> None:
    frames, events = wearing_fleet(make_frame, rows=400)
    frames[3] = replace(frames[3], frame=frames[3].frame.drop(columns="flow"))
    with pytest.raises(UseCaseError, match=r"P-3 lacks \['flow'\] and has \[\] beyond those of P-0"):
        train(sections["classification"], frames, events=events)


def test_groups_by_an_attribute_that_an_asset_lacks_are_an_error(train: Make, sections: Any, make_frame: Make) -> None:
    frames, events = wearing_fleet(make_frame, rows=400)
    frames = [replace(one, asset=Asset(one.asset.id, {"country": "NO"})) for one in frames]
    section = {**sections["classification"], "evaluate": {"split": "group", "group": "contry"}}
    with pytest.raises(ConfigError, match="no value of the attribute 'contry' to group by; did you mean 'country'"):
        train(section, frames, events=events)


@pytest.mark.parametrize("problem", ["regression", "classification", "anomaly"])
def test_every_problem_draws_the_same_pictures_each_time(
    train: Make, sections: Any, make_frame: Make, problem: str
) -> None:
    frames, events = wearing_fleet(make_frame) if problem == "classification" else ([make_frame()], {})
    section = {**sections[problem], "alarm": {"above": 0.5}}
    first, second = (train(section, frames, events=events, tracking={"plots": True}).plots for _ in range(2))
    assert first == second
    for name, data in first.items():
        assert name.endswith(".svg")
        assert ElementTree.fromstring(data).tag == "{http://www.w3.org/2000/svg}svg"
    assert sum(len(data) for data in first.values()) < 100_000
