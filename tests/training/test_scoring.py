"""Scores: the same rows as training would use, inside of the window, with alarms that last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datadriver.data.frame import SensorFrame
from datadriver.data.window import Window
from datadriver.errors import UseCaseError
from datadriver.training.fit import train_instance
from datadriver.training.scoring import reading_window, score_frame
from datadriver.training.thresholds import sustained

Make = Callable[..., Any]


@pytest.fixture
def scored(root: Path, make_instance: Make, make_frame: Make) -> Callable[..., tuple[pd.DataFrame, SensorFrame]]:
    """Train on one frame and score another with the same instance."""

    def run(section: Any, sensor: SensorFrame | None = None, window: Window | None = None, **sections: Any) -> Any:
        instance = make_instance(section, tracking={"plots": False}, **sections)
        result = train_instance(instance, [make_frame()], {}, None, root=root)
        sensor = sensor or make_frame()
        table = score_frame(
            instance, sensor, result.estimator, result.method, result.threshold, root=root, window=window
        )
        return table, result

    return run


def test_a_regression_gives_prediction_actual_residual_and_alarm(scored: Make, sections: Any, make_frame: Make) -> None:
    sensor = make_frame()
    hot = sensor.frame["temperature"].where(np.arange(600) != 300, 90.0).where(np.arange(600) != 10)
    section = {**sections["regression"], "alarm": {"on": "residual", "above": {"quantile": 0.999}}}
    table, result = scored(section, replace(sensor, frame=sensor.frame.assign(temperature=hot)))
    assert list(table.columns) == ["score", "actual", "residual", "alarm"]
    assert table.index.equals(sensor.frame.index)
    assert table["alarm"].iloc[300]
    assert table["residual"].iloc[300] == pytest.approx(90 - table["score"].iloc[300])
    assert np.isnan(table["residual"].iloc[10])
    assert not table["alarm"].iloc[10]
    holdout = result.holdout.droplevel(0)
    assert (table["score"].reindex(holdout.index).drop(table.index[300], errors="ignore") == holdout["y_score"]).all()


def test_only_rows_of_the_window_that_count_are_scored(scored: Make, sections: Any, make_frame: Make) -> None:
    index = make_frame().frame.index
    section = {**sections["regression"], "features": "plant.features:rolling", "window": {"lookback": "2h"}}
    window = Window(index[100], index[200])
    table, _ = scored(section, window=window, data={"mask": "plant.features:running"})
    running = make_frame().frame["load"].iloc[100:200] > 0.2
    assert list(table.index) == list(index[100:200][running])
    whole, _ = scored(section, data={"mask": "plant.features:running"})
    assert whole.index[0] >= index[12]
    pd.testing.assert_frame_equal(table, whole.loc[table.index])


def test_an_alarm_may_have_begun_before_the_window(scored: Make, sections: Any, make_frame: Make) -> None:
    sensor = make_frame()
    hot = sensor.frame["temperature"].where(np.arange(600) < 300, 90.0)
    section = {**sections["regression"], "alarm": {"on": "residual", "above": 5.0, "for": "1h"}}
    sensor = replace(sensor, frame=sensor.frame.assign(temperature=hot))
    whole, _ = scored(section, sensor)
    assert list(np.flatnonzero(whole["alarm"])) == list(range(306, 600))
    part, _ = scored(section, sensor, window=Window(sensor.frame.index[310], None))
    assert part["alarm"].all()


def test_what_is_read_reaches_back_over_lookback_and_alarm(make_instance: Make, sections: Any) -> None:
    start = pd.Timestamp("2025-01-02", tz="UTC")
    section = {**sections["regression"], "window": {"lookback": "3h"}, "alarm": {"above": 1, "for": "2h"}}
    assert reading_window(make_instance(section), Window(start, None)).start == start - timedelta(hours=5)
    assert reading_window(make_instance(sections["regression"]), Window(start, None)).start == start


def test_anomaly_scores_have_no_residual_and_know_labels_where_there_are_some(
    scored: Make, sections: Any, make_frame: Make
) -> None:
    section = {**sections["anomaly"], "target": {"column": "state", "positive": ["high"]}}
    table, _ = scored({**section, "alarm": {"above": {"quantile": 0.99}}})
    assert table["residual"].isna().all()
    assert table["actual"].tolist() == (make_frame().frame["state"] == "high").astype(float).tolist()
    assert scored(sections["anomaly"])[0]["actual"].isna().all()


def test_a_frame_without_rows_that_count_gives_an_empty_table(scored: Make, sections: Any, make_frame: Make) -> None:
    sensor = make_frame()
    silent = replace(sensor, frame=sensor.frame.assign(load=np.nan))
    table, _ = scored(sections["regression"], silent)
    assert table.empty
    assert list(table.columns) == ["score", "actual", "residual", "alarm"]


def test_an_estimator_that_raises_is_named_with_the_asset(
    root: Path, make_instance: Make, make_frame: Make, sections: Any
) -> None:
    class Broken:
        def predict(self, features: pd.DataFrame) -> np.ndarray:
            return np.zeros((2, 2))

    with pytest.raises(
        UseCaseError, match=r"P-1, score of m: predict of Broken returned an array of shape \(2, 2\) for"
    ):
        score_frame(make_instance(sections["regression"]), make_frame(), Broken(), "predict", None, root=root)


rows = st.lists(st.tuples(st.integers(1, 4), st.booleans()), max_size=40)


@given(rows=rows, span=st.integers(0, 8))
def test_an_alarm_lasts_as_long_as_it_says(rows: list[tuple[int, bool]], span: int) -> None:
    index = pd.Index(np.cumsum([step for step, _ in rows]), dtype="int64")
    above = np.array([high for _, high in rows], dtype=bool)
    found = sustained(above, index, span)
    for here in range(len(rows)):
        reach = [there for there in range(here + 1) if index[there] >= index[here] - span]
        first = reach[0] if index[reach[0]] == index[here] - span or reach[0] == 0 else reach[0] - 1
        chain = range(first, here + 1)
        whole = (
            index[here] - index[first] >= span
            and all(above[there] for there in chain)
            and all(index[there + 1] - index[there] <= span for there in chain[:-1])
        )
        assert found[here] == (whole if span else above[here])
